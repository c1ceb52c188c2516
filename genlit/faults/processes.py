"""Processes of a training that die, raise or hang: data workers, and one of two that train together."""

import signal
import time
from pathlib import Path

from genlit.faults.harness.base import Broken, hold
from genlit.faults.harness.struck import DATA, MODEL, Strike
from genlit.faults.harness.training import GONE, TINY, Training

PATIENCE = 180  # seconds that processes wait for one another, also at the start, in place of half an hour
BATCHES = 6  # that a worker has read when it is struck
HANGING = 120  # seconds that genlit waits for a batch


def worker_killed(folder: Path) -> str:
    """Kills one of two data workers; PyTorch raises wherever the training is, once the iteration has ended."""
    training = _reading(folder, "SIGKILL").ends(1).says("DataLoader worker")
    hold(training.saved == training.finished, f"saved {training.saved}, finished {training.finished}")
    return f"exit code 1, no process left, saved at {_goes_on(training)}, the last iteration, from which it goes on"


def worker_hung(folder: Path) -> str:
    """Lets one of two data workers hang."""
    start = time.monotonic()
    training = _reading(folder, "hang")
    code = training.code(within=HANGING + 60)
    hold(code == 1, f"it ended with {code}: {training.tail}")
    training.says("DataLoader timed out")
    hold(training.saved == training.finished, f"saved {training.saved}, finished {training.finished}")
    took = time.monotonic() - start
    return f"exit code 1 after {took:.0f} s, saved at {_goes_on(training)}, the last iteration, from which it goes on"


def rank_killed(folder: Path) -> str:
    """Kills the second of two processes between the turns."""
    return _struck(folder, "SIGKILL")


def rank_raises(folder: Path) -> str:
    """Makes the second of two processes raise."""
    return _struck(folder, "raise")


def rank_hangs(folder: Path) -> str:
    """Lets the second of two processes hang."""
    return _struck(folder, "hang")


def _reading(folder: Path, deed: str, *words: str) -> Training:
    words = ("dcgan", *TINY, *DATA, "--data.workers=2", "--trainer.max_steps=40", *words)
    strike = Strike(deed, BATCHES, "input", rank=1)
    return Training(folder, *words).start(environment=strike.environment)


def _goes_on(training: Training) -> int:
    """The iteration that a training was saved at, from which it ends well without the strike."""
    it = training.saved
    hold(it > 0, "nothing was saved")
    hold(training.gone(), f"of its processes {training.left()} still run")
    training.start().ends(0)
    hold(training.run.name == "001", "the run was not gone on with")
    return it


def _struck(folder: Path, deed: str) -> str:
    words = ("dcgan", *TINY, *MODEL, "--trainer.devices=2", "--trainer.max_steps=40", f"--run.patience={PATIENCE}")
    training = Training(folder, *words, "--run.checkpoint_every=1", cold=True)
    training.start(environment=Strike(deed, 5, rank=1).environment)
    training.saves_beyond(4)
    start = time.monotonic()
    code = training.code(within=PATIENCE + 90 if deed == "hang" else PATIENCE / 3)
    hold(code != 0, "exit code 0")
    took = time.monotonic() - start
    hold(deed != "hang" or took >= PATIENCE / 2, f"it ended after {took:.0f} s, before its patience did")
    if not training.gone():
        training.send(signal.SIGKILL)
        raise Broken(f"one of its processes still ran {GONE} s after the first had ended")
    hold(training.saved == 5, f"the newest checkpoint is of {training.saved} in place of 5")
    return f"exit code {code} after {took:.0f} s, no process left, the newest checkpoint is that of iteration 5"
