"""The embedded engine: workers that share one journal."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from genlit.errors import GenlitError
from genlit.sweep import schema
from genlit.sweep.journal import open_journal, running, take
from genlit.sweep.trial import POLL, Stop, Task, conduct

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)  # the last is a scheduler's notice that time is nearly up
EARLY_FAILURES = 5  # after which, where nothing else has ended, it gives up, as W&B's agent does


@dataclass(frozen=True)
class Asked:
    """A sweep as the command line asks for it.

    Args:
        content: of the sweep's file.
        experiment: its name or file.
        overlays: names or files.
        flags: of every trial: `--trainer.max_steps=200`.
        trust: packages of the user's own.
        folder: the sweep's.
        workers: processes that run trials at the same time, on this machine.
        cap: how many trials there are at most; None sets no bound.
    """

    content: dict[str, Any]
    experiment: str
    overlays: list[str]
    flags: list[str]
    trust: tuple[str, ...]
    folder: Path
    workers: int
    cap: int | None


def run(asked: Asked) -> int:
    """Runs a sweep, or goes on with it; the number of the signal that ended it, else 0.

    Raises:
        GenlitError: its trials fail, one like the other.
    """
    journal = open_journal(asked.folder, schema.read(asked.content).metric)
    before = len(journal.trials)
    with _stoppable() as stop:
        if asked.workers == 1:
            work(asked, 0, before, stop)
        else:
            _spawn(asked, before, stop)
    if reason := hopeless(journal.trials[before:]):
        raise GenlitError(f"every trial in {asked.folder} fails ({reason}): mend that, and the same command goes on")
    return stop.number


def work(asked: Asked, index: int, before: int, stop: Stop) -> None:
    """Runs trials until there is none to begin and none whose worker could still die, or there is no hope.

    Args:
        asked: the sweep.
        index: of this worker, from 0.
        before: how many trials there were when the command began.
        stop: ends it, with its trial saved for another time.
    """
    spec, console = schema.read(asked.content), Console()
    journal = open_journal(asked.folder, spec.metric)
    task = Task(spec, partial(resolved, asked), asked.trust)
    while not stop.number and not hopeless(journal.trials[before:]):
        if trial := take(journal, spec, asked.cap):
            result = conduct(journal, trial, task, shares(index, asked.workers), stop)
            values = ", ".join(f"{name}={value}" for name, value in trial.parameters.items())
            console.print(f"{trial.folder}: {spec.metric.name} {result} ({values})", soft_wrap=True, highlight=False)
        elif running(journal):
            time.sleep(5 * POLL)  # whoever has them may die, and leave them to this worker
        else:
            return


def hopeless(trials: Sequence[FrozenTrial]) -> str | None:
    """Why the last of some trials failed, where EARLY_FAILURES or more have ended and none of them well; else None."""
    over = [trial for trial in trials if trial.state.is_finished()]
    if len(over) < EARLY_FAILURES or any(trial.state != TrialState.FAIL for trial in over):
        return None
    return over[-1].user_attrs["reason"]


def resolved(asked: Asked, flags: list[str]) -> dict[str, Any]:
    """The experiment's configuration with further flags, as plain containers."""
    from genlit import config  # here, because a sweep of another command needs neither torch nor lightning

    config.trust(asked.trust)
    plain = config.dump(config.parse(config.compose(asked.experiment, asked.overlays), [*asked.flags, *flags]))
    return plain | {"based_on": None}  # everything is in it


def shares(index: int, workers: int) -> dict[str, str]:
    """The variables that give a worker its share of the processors and the GPUs.

    Args:
        index: of the worker, from 0.
        workers: how many there are.
    """
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))}
    gpus = _gpus() if workers > 1 else []
    own = gpus[index::workers] or gpus[index % len(gpus) :][:1] if gpus else []
    return threads | ({"CUDA_VISIBLE_DEVICES": ",".join(own)} if own else {})


def _gpus() -> list[str]:
    """The GPUs that this process may use, by the names in CUDA_VISIBLE_DEVICES, else all by number."""
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in named.split(",") if name]
    return [str(number) for number, _ in enumerate(Path("/proc/driver/nvidia/gpus").glob("*"))]


def _spawn(asked: Asked, before: int, stop: Stop) -> None:
    """Starts the workers and waits for them; a stop is handed on."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_worker, args=(asked, index, before)) for index in range(asked.workers)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        time.sleep(POLL)
        if stop.number:
            for worker in workers:
                worker.terminate()
            break
    for worker in workers:
        worker.join()


def _worker(asked: Asked, index: int, before: int) -> None:
    with _stoppable() as stop:
        work(asked, index, before, stop)


@contextmanager
def _stoppable() -> Iterator[Stop]:
    """Turns SIGTERM and SIGINT into a note that is looked at between two steps."""
    stop = Stop()

    def receive(number: int, frame: Any) -> None:
        stop.number = number

    previous = {number: signal.signal(number, receive) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
