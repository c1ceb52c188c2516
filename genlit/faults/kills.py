"""kill -9: at random moments, and while a checkpoint is being written."""

import random
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from genlit.engine import checkpoint
from genlit.faults.harness.base import hold
from genlit.faults.harness.compare import same
from genlit.faults.harness.training import TINY, Training

STEPS = 60
WORDS = (
    "dcgan", *TINY, "--model.ema=200", "--run.checkpoint_every=1", "--trainer.val_check_interval=7",
    f"--trainer.max_steps={STEPS}",
)  # fmt: skip
MEMORY = Path("/dev/shm")  # another file system than the run's, where there is one


def kill9(folder: Path, trials: int = 100) -> str:
    """Kills a training again and again, every other time in mid-save, and lets it go on to its end.

    Args:
        folder: an empty one.
        trials: how often.
    """
    reference = Training(folder / "uninterrupted", *WORDS).start().ends(0)
    in_saves, runs = [], 0
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as elsewhere:
        while len(in_saves) < trials:
            training = Training(folder / str(runs), *WORDS, environment={"TMPDIR": elsewhere})
            in_saves += _killed(training, trials - len(in_saves))
            if training.saved < STEPS:
                training.start().ends(0)
            hold(training.run.name == "001", "a killed run was not gone on with")
            same(reference.run, training.run, STEPS)
            runs += 1
    kills = f"{len(in_saves)} kills, {sum(in_saves)} of them in mid-save"
    return f"{kills}: the newest checkpoint was good after each, and all {runs} runs ended identically"


def _killed(training: Training, most: int) -> Iterator[bool]:
    """Goes on with a training and kills it, over and over until it has ended; gives whether each kill met a save."""
    for trial in range(most):
        listed = _strike(training, in_a_save=trial % 2 == 1)
        if training.ends(0, -signal.SIGKILL).process.exitcode == 0:
            return
        hold(training.saved >= listed, f"the checkpoint of {listed} was lost, {training.saved} is the newest")
        fault = checkpoint.damage(checkpoint.named(training.checkpoints, training.saved))
        hold(fault is None, f"the newest checkpoint after a kill: {fault}")
        yield _saving(training)
        if training.saved == STEPS:
            return


def _strike(training: Training, in_a_save: bool) -> int:
    """Starts it, and kills it some time after its next checkpoint; gives the newest iteration listed by then."""
    before = training.saved
    training.start().saves_beyond(before)
    if in_a_save:
        training.until(lambda: _saving(training))
    else:
        time.sleep(random.uniform(0, 0.2))
    listed = training.saved
    training.kill()
    return listed


def _saving(training: Training) -> bool:
    return any(training.checkpoints.glob(".*.tmp"))
