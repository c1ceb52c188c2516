"""One trial: its command is started, its history watched, and its result noted."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from optuna.trial import TrialState

from genlit.errors import GenlitError
from genlit.files import write
from genlit.runs import FOLDER, ended
from genlit.sweep import command, search
from genlit.sweep.journal import Journal, Trial, end, histories, leave, logged
from genlit.sweep.schema import Spec

POLL = 0.2  # s between looks at a trial's history
NOTICE = (128 + signal.SIGUSR1, -signal.SIGUSR1)  # codes of a trial that a scheduler told to leave
PATIENCE = 60  # s that a trial has to save and leave, before it is killed

Resolve = Callable[[list[str]], dict[str, Any]]


@dataclass
class Stop:
    """Whether this process was told to leave: by the signal of this number, or not yet (0)."""

    number: int = 0


@dataclass(frozen=True)
class Task:
    """What a trial runs.

    Args:
        spec: the sweep.
        resolve: an experiment's configuration from further flags.
        trust: packages of the user's own, for the training.
    """

    spec: Spec
    resolve: Resolve
    trust: tuple[str, ...] = ()


def conduct(journal: Journal, trial: Trial, task: Task, variables: dict[str, str], stop: Stop) -> str:
    """Runs a trial to its end, or until this process is told to leave: then it saves, and another time goes on with it.

    Args:
        journal: the sweep's.
        trial: to run.
        task: what it runs.
        variables: of its environment, beside this process's.
        stop: whether this worker was told to leave.

    Returns:
        What became of it, in words.
    """
    try:
        process = _start(trial, task, variables)
    except (GenlitError, OSError) as error:
        end(journal, trial, TrialState.FAIL, reason=str(error))
        return f"failed: {error}"
    pruned = _watch(process, journal, trial, task.spec, stop)
    if not pruned and _cut_short(trial, task.spec, process.returncode, stop):
        leave(trial)
        return "interrupted"
    return _note_result(journal, trial, task.spec, pruned, process.returncode)


def _cut_short(trial: Trial, spec: Spec, code: int, stop: Stop) -> bool:
    """Whether a trial has more to do; a training's folder says whether it came to an end, whatever its exit code."""
    if code == 0:
        return not spec.command and not ended(trial.folder)
    return bool(stop.number) or code in NOTICE


def _start(trial: Trial, task: Task, variables: dict[str, str]) -> subprocess.Popen:
    environment = os.environ | variables | {FOLDER: os.fspath(trial.folder.resolve())}
    words = _words(trial, task, environment)
    with (trial.folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(trial.held,),  # a training that outlives this worker still holds its trial
            start_new_session=True,  # a signal to this worker reaches it by `_ask_to_leave` alone
        )


def _words(trial: Trial, task: Task, environment: dict[str, str]) -> list[str]:
    """The sweep's own command, else the training of the trial's resolved configuration, which every process reads."""
    spec = task.spec
    if spec.command:
        return command.expand(spec.command, spec.program, trial.parameters, trial.folder, environment)
    file = trial.folder / "config.yaml"
    if not file.exists():
        write(file, yaml.safe_dump(task.resolve(command.flags(trial.parameters)), sort_keys=False))
    trusted = [f"--trust={package}" for package in task.trust]
    return [sys.executable, "-m", "genlit", "train", os.fspath(file), *trusted]


def _watch(process: subprocess.Popen, journal: Journal, trial: Trial, spec: Spec, stop: Stop) -> bool:
    """Waits for a trial's end; whether it was ended because others do better."""
    seen = 0
    while process.poll() is None:
        time.sleep(POLL)
        if stop.number:
            _ask_to_leave(process)
        elif spec.hyperband and (count := len(logged(trial.folder, spec.metric))) != seen:
            seen = count
            if _falls_behind(journal, trial, spec):
                _ask_to_leave(process)
                return process.returncode != 0  # else it came to its own end meanwhile
    return False


def _falls_behind(journal: Journal, trial: Trial, spec: Spec) -> bool:
    sign = spec.metric.sign
    costs = {n: [sign * value for value in values] for n, values in histories(journal, spec.metric).items()}
    return spec.hyperband.stops(costs[trial.number], list(costs.values()))


def _ask_to_leave(process: subprocess.Popen) -> None:
    """Ends a trial by SIGTERM, on which a training saves; by force when that takes too long."""
    _signal(process, signal.SIGTERM)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it may have ended meanwhile
        os.killpg(process.pid, number)


def _note_result(journal: Journal, trial: Trial, spec: Spec, pruned: bool, code: int) -> str:
    value = search.best(spec.metric, logged(trial.folder, spec.metric))
    if pruned:
        end(journal, trial, TrialState.PRUNED)
        return f"{value:.6g}, ended early"
    if code == 0 and value is not None:
        end(journal, trial, TrialState.COMPLETE, value)
        return f"{value:.6g}"
    reason = _reason(trial.folder, spec.metric.name, code)
    end(journal, trial, TrialState.FAIL, reason=reason)
    return f"failed: {reason}"


def _reason(folder: Path, metric: str, code: int) -> str:
    """Why a trial failed: the last line that it wrote, or that it recorded nothing of the metric."""
    if code == 0:
        return f"it recorded no finite {metric} in history.jsonl"
    lines = [line.strip() for line in (folder / "log.txt").read_text(errors="replace").splitlines() if line.strip()]
    return f"exit code {code}" + (f": {lines[-1][:300]}" if lines else "")
