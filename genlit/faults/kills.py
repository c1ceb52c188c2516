"""kill -9: at random moments, and while a checkpoint is being written."""

import random
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from genlit.engine import checkpoint
from genlit.faults.base import hold
from genlit.faults.compare import same
from genlit.faults.training import TINY, Training

STEPS, WORDS = 60, ("dcgan", *TINY, "--model.ema=200", "--run.checkpoint_every=1", "--trainer.val_check_interval=7")
MEMORY = Path("/dev/shm")  # another file system than the run's, where there is one


class Seen(NamedTuple):
    """What was left after a kill."""

    in_a_save: bool
    ended: bool


def kill9(folder: Path, trials: int = 100) -> str:
    """Kills a training again and again, half of the times in mid-save, and lets each that was killed go on to its end.

    Args:
        folder: an empty one.
        trials: how often.
    """
    reference = Training(folder / "uninterrupted", *WORDS, f"--trainer.max_steps={STEPS}").start().ends(0)
    kills = saves = runs = 0
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as elsewhere:
        while kills < trials:
            training = _training(folder / str(runs), elsewhere)
            while kills < trials and (seen := _struck(training, mid_save=kills % 2 == 1)) and not seen.ended:
                kills, saves = kills + 1, saves + seen.in_a_save
            training.start().ends(0)
            same(reference.run, training.run, STEPS)
            runs += 1
    return f"{kills} kills, {saves} of them in mid-save: no checkpoint was lost, and all {runs} runs ended identically"


def _training(folder: Path, elsewhere: str) -> Training:
    return Training(folder, *WORDS, f"--trainer.max_steps={STEPS}", environment={"TMPDIR": elsewhere})


def _struck(training: Training, mid_save: bool) -> Seen:
    """Goes on with a training, kills it after its next checkpoint, and looks at what it left."""
    before = training.saved
    training.start()
    training.saves_beyond(before)
    if mid_save:
        training.until(lambda: _unfinished(training))
    else:
        time.sleep(random.uniform(0, 0.2))
    ended = not training.running
    training.kill()
    listed = checkpoint.checkpoints(training.checkpoints)
    hold(bool(listed), "no checkpoint was left")
    fault = checkpoint.damage(listed[0])
    hold(fault is None, f"the newest checkpoint after a kill: {fault}")
    return Seen(_unfinished(training), ended)


def _unfinished(training: Training) -> bool:
    return any(training.checkpoints.glob(".*.tmp"))
