"""The sweep folder: Optuna's journal of all trials, and who works on which.

A trial is a folder, 001 and on. Whoever works on it holds a lock on a file in it, which the operating system takes back
from the dead; so a trial that runs by the journal and is held by nobody has lost its worker, and the next one goes on
with it. What a worker started holds the lock too: a training that outlives its worker is left alone until it ends.
"""

import fcntl
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.trial import FrozenTrial, TrialState

from genlit.errors import GenlitError
from genlit.runs.records import carries, read
from genlit.sweep import search
from genlit.sweep.schema import Metric, Spec

FILE = "journal.jsonl"
STARTS = 3  # of a trial that got no further each time, before it counts as failed

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Trial:
    """A trial that this process works on.

    Args:
        number: Optuna's, from 0.
        folder: its own.
        parameters: values by dotted name.
        held: the lock's descriptor.
    """

    number: int
    folder: Path
    parameters: dict[str, Any]
    held: int


@dataclass(frozen=True)
class Journal:
    """All trials of a sweep, shared by every worker.

    Args:
        folder: the sweep's.
        study: Optuna's.
        lock: held while a trial is chosen.
    """

    folder: Path
    study: optuna.Study
    lock: FileLock

    @property
    def trials(self) -> list[FrozenTrial]:
        """Every trial, by number."""
        return self.study.get_trials(deepcopy=False)


class _Lock(BaseJournalFileLock):
    """Optuna's lock of the journal, by one that a killed process does not keep; a line it left torn is cut off."""

    def __init__(self, file: Path, lock: FileLock):
        self.file, self.lock = file, lock

    def acquire(self) -> bool:
        self.lock.acquire()
        _cut_torn_line(self.file)
        return True

    def release(self) -> None:
        self.lock.release()


def open_journal(folder: Path, metric: Metric) -> Journal:
    """A sweep's journal, begun where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    file = folder / FILE
    with lock:
        backend = JournalFileBackend(str(file), lock_obj=_Lock(file, lock))
        study = optuna.create_study(
            storage=JournalStorage(backend), study_name="sweep", direction=metric.goal, load_if_exists=True
        )
    return Journal(folder, study, lock)


def folder_of(journal: Journal, number: int) -> Path:
    """A trial's folder."""
    return journal.folder / f"{number + 1:03d}"


def logged(folder: Path, metric: Metric) -> list[float]:
    """The metric's values in a trial's history so far, finite and in order."""
    try:
        records = read(folder / "history.jsonl")
    except GenlitError:  # none yet
        return []
    found = (value for record in records for name, value in record.items() if carries(name, metric.name))
    return [value for value in found if type(value) in (int, float) and abs(value) < float("inf")]


def histories(journal: Journal, metric: Metric) -> dict[int, list[float]]:
    """What every trial logged, by number."""
    return {trial.number: logged(folder_of(journal, trial.number), metric) for trial in journal.trials}


def take(journal: Journal, spec: Spec, cap: int | None) -> Trial | None:
    """A trial to work on: one whose worker is gone, else the next one; None where there is neither now.

    Args:
        journal: the sweep's.
        spec: what is searched.
        cap: how many trials there are at most.
    """
    with journal.lock:
        return _abandoned(journal, spec.metric) or _new(journal, spec, cap)


def running(journal: Journal) -> list[int]:
    """The trials that have begun and not ended."""
    return [trial.number for trial in journal.trials if trial.state == TrialState.RUNNING]


def end(journal: Journal, trial: Trial, state: TrialState, value: float | None = None, reason: str = "") -> None:
    """Notes a trial's result, and lets it go."""
    if reason:
        _note(journal, trial.number, "reason", reason)
    journal.study.tell(trial.number, value if state == TrialState.COMPLETE else None, state=state)
    leave(trial)


def leave(trial: Trial) -> None:
    """Lets a trial go, for another worker or another time."""
    os.close(trial.held)


def _abandoned(journal: Journal, metric: Metric) -> Trial | None:
    """The first trial that runs by the journal and is held by nobody."""
    for frozen in journal.trials:
        if frozen.state == TrialState.RUNNING and (trial := _held(journal, frozen)):
            if _may_start_again(journal, frozen, len(logged(trial.folder, metric))):
                return trial
            end(journal, trial, TrialState.FAIL, reason=f"it was cut short {STARTS} times without getting further")
    return None


def _may_start_again(journal: Journal, frozen: FrozenTrial, reached: int) -> bool:
    """Whether a trial got further in one of its last starts; a start is noted with what was logged before it."""
    starts = frozen.user_attrs["starts"]
    _note(journal, frozen.number, "starts", [*starts, reached])
    return starts.count(reached) < STARTS


def _new(journal: Journal, spec: Spec, cap: int | None) -> Trial | None:
    trials, all_logged = journal.trials, histories(journal, spec.metric)
    if (cap is not None and len(trials) >= cap) or _target_reached(spec.metric, all_logged.values()):
        return None
    known = [search.Known(each.params, each.state, all_logged[each.number]) for each in trials]
    if (coordinates := search.suggest(spec, known)) is None:
        return None
    journal.study.add_trial(
        optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=coordinates,
            distributions=search.space(spec.parameters),
            user_attrs={"parameters": search.values(spec, coordinates), "starts": [0]},
        )
    )
    return _held(journal, journal.trials[-1])


def _target_reached(metric: Metric, all_logged: Iterable[Sequence[float]]) -> bool:
    return any(metric.reached(value) for values in all_logged for value in values)


def _held(journal: Journal, frozen: FrozenTrial) -> Trial | None:
    """A trial's folder and the lock on it; None where somebody has it."""
    folder = folder_of(journal, frozen.number)
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder / ".worker", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return Trial(frozen.number, folder, frozen.user_attrs["parameters"], descriptor)


def _note(journal: Journal, number: int, key: str, value: Any) -> None:
    trial_id = journal.trials[number]._trial_id
    optuna.trial.Trial(journal.study, trial_id).set_user_attr(key, value)


def _cut_torn_line(file: Path) -> None:
    """Cuts off what a killed writer left of a line: the next one would be glued to it."""
    with file.open("rb+") as opened:
        end = opened.seek(0, os.SEEK_END)
        if end == 0:
            return
        opened.seek(end - 1)
        if opened.read(1) != b"\n":
            opened.seek(0)
            opened.truncate(opened.read().rfind(b"\n") + 1)
