"""What a scheduler and a user send: SIGTERM, SIGINT, SIGUSR1, at moments of all kinds."""

import signal
from functools import partial
from pathlib import Path

from genlit.faults.harness.base import NotShown, hold
from genlit.faults.harness.compare import same
from genlit.faults.harness.struck import MODEL, Strike
from genlit.faults.harness.training import TINY, Training

STEPS = 80
WORDS = ("dcgan", *TINY, *MODEL, "--model.ema=200", "--trainer.val_check_interval=10")
PAIR = ("--trainer.devices=2",)


def stopped(folder: Path, number: signal.Signals) -> str:
    """Sends a signal to trainings of one process and of two, and lets each go on to its end.

    Args:
        folder: an empty one.
        number: of the signal.
    """
    alone = _Case(folder / "1", number)
    alone.group("--data.workers=0")
    alone.group("--data.workers=2")
    alone.itself(Strike(number.name), "between the turns")
    alone.before_training()
    pair = _Case(folder / "2", number, *PAIR)
    pair.group()
    pair.itself(Strike(number.name, rank=1), "one process of two")
    seen = "; ".join(alone.seen + pair.seen)
    return f"exit code {128 + number}, saved at the iteration's end and resumed identically: {seen}"


def slurm_requeue(folder: Path) -> str:
    """A real cluster is needed to see a job queued again, and one on which a job may be told to end."""
    raise NotShown("this needs a SLURM cluster; tests/engine/test_preempt.py shows it by a `scontrol` of its own")


class _Case:
    """Trainings of as many processes, each compared with the same uninterrupted one."""

    def __init__(self, folder: Path, number: signal.Signals, *words: str):
        self.folder, self.number, self.words = folder, number, words
        self.seen: list[str] = []
        self.reference = self.training("uninterrupted").start().ends(0)

    def training(self, name: str, *words: str) -> Training:
        words = (*WORDS, *self.words, *words, f"--trainer.max_steps={STEPS}")
        return Training(self.folder / name, *words, cold=bool(self.words))

    def group(self, *words: str) -> None:
        """Signals the whole process group, once ten iterations are in its history."""
        name = " ".join((*self.words, *words))
        training = self.training(f"group-{name}", *words).start()
        training.until(lambda: training.finished >= 10)
        training.send(self.number)
        self.goes_on(training, f"all of {name.removeprefix('--')}")

    def itself(self, strike: Strike, moment: str) -> None:
        """Lets one process signal itself."""
        self.goes_on(self.training(moment).start(environment=strike.environment), moment)

    def before_training(self) -> None:
        """Signals before the first iteration, when there is nothing to save."""
        training = self.training("early").start(environment=Strike(self.number.name, 0, "start").environment)
        training.ends(128 + self.number)
        hold(training.saved == 0, f"a checkpoint of iteration {training.saved} from before the training")
        self.seen.append("before training nothing to save")

    def goes_on(self, training: Training, moment: str) -> None:
        training.ends(128 + self.number)
        it = training.saved
        hold(0 < it < STEPS and it == training.finished, f"{moment}: saved {it}, finished {training.finished}")
        training.start().ends(0)
        hold(training.run.name == "001", f"{moment}: the run was not gone on with")
        same(self.reference.run, training.run, STEPS)
        self.seen.append(f"{moment} at {it}")


sigterm, sigint, sigusr1 = (partial(stopped, number=n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1))
