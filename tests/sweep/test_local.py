"""Workers and the trials that they run, as processes."""

import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from optuna.trial import TrialState

from genlit.errors import GenlitError
from genlit.sweep import local, schema, trial
from genlit.sweep.journal import folder_of, logged, open_journal, running
from tests.sweep.conftest import SCRIPT

PATIENCE = 300  # s, for a machine that is busy with other things
WORKER = """
import pickle, sys
from genlit.sweep import local
asked = pickle.load(open(sys.argv[1], "rb"))
sys.exit(local.run(asked))
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(trial, "POLL", 0.02)


@pytest.fixture
def start(tmp_path):
    """Starts workers as processes of their own; none outlives the test."""
    workers = []

    def worker(asked, **variables):
        file = tmp_path / "asked.pickle"
        file.write_bytes(pickle.dumps(asked))
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | variables
        command = [sys.executable, "-c", WORKER, file]
        workers.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))
        return workers[-1]

    yield worker
    for each in workers:
        each.kill()
        each.wait()


def journal_of(asked):
    return open_journal(asked.folder, schema.read(asked.content).metric)


def await_trials(asked, n, states=tuple(TrialState)):
    """Waits until n trials are in one of the states."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        if asked.folder.exists() and sum(each.state in states for each in journal_of(asked).trials) >= n:
            return
        time.sleep(0.05)
    raise TimeoutError(f"{n} trials")


def seen(asked, number):
    return (folder_of(journal_of(asked), number) / "seen").read_text().split()


def test_a_sweep_runs_to_its_cap_with_a_record_of_every_trial(asked):
    sweep = asked(cap=5)
    assert local.run(sweep) == 0
    trials = journal_of(sweep).trials
    assert [each.state for each in trials] == [TrialState.COMPLETE] * 5
    for each in trials:
        assert each.value == each.user_attrs["parameters"]["x"]
        assert len(logged(folder_of(journal_of(sweep), each.number), schema.read(sweep.content).metric)) == 3
    assert local.run(sweep) == 0
    assert len(journal_of(sweep).trials) == 5


def test_a_failed_trial_is_a_result_and_not_the_end(asked):
    sweep = asked(method="grid", parameters={"x": {"values": [2.0, "bad", 1.0]}})
    local.run(sweep)
    states = [each.state for each in journal_of(sweep).trials]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    assert journal_of(sweep).trials[1].user_attrs["reason"] == "exit code 3: x is bad"


def test_trials_without_the_metric_or_a_program_fail_with_the_reason(asked):
    silent = asked(cap=1, command=["true"])
    local.run(silent)
    assert "recorded no finite loss" in journal_of(silent).trials[0].user_attrs["reason"]
    missing = asked(cap=2, command=["no-such-program"])
    local.run(missing)
    assert "no-such-program" in journal_of(missing).trials[1].user_attrs["reason"]


def test_trials_that_all_fail_end_the_sweep_with_the_reason_and_the_same_command_tries_again(asked, tmp_path):
    sweep = asked(cap=50, parameters={"x": {"value": "bad"}})
    for trials in (5, 10):
        with pytest.raises(GenlitError, match=r"every trial in .*sweep fails \(exit code 3: x is bad\): mend that"):
            local.run(sweep)
        assert len(journal_of(sweep).trials) == trials
    (tmp_path / "trial.sh").write_text(SCRIPT.replace("[ ", "false && [ ").replace("$x", "1"))
    assert local.run(replace(sweep, cap=16)) == 0
    assert [each.state for each in journal_of(sweep).trials[10:]] == [TrialState.COMPLETE] * 6


def test_one_good_trial_is_hope(asked):
    sweep = asked(method="grid", parameters={"x": {"values": [1, "bad"]}, "y": {"values": [*range(6)]}})
    assert local.run(sweep) == 0
    assert [each.state for each in journal_of(sweep).trials] == [TrialState.COMPLETE] * 6 + [TrialState.FAIL] * 6


def test_workers_of_one_command_give_up_together(asked):
    sweep = asked(cap=50, workers=2, parameters={"x": {"value": "bad"}})
    with pytest.raises(GenlitError, match="x is bad"):
        local.run(sweep)
    assert 5 <= len(journal_of(sweep).trials) <= 6


NOTICED = """
[ -e "$1/again" ] && echo '{"loss": 1}' > "$1/history.jsonl" && exit
touch "$1/again"
kill -USR1 $$
"""
ENDS_AT_THE_SECOND_START = """#!/bin/sh
echo '{"loss": 1}' >> "$GENLIT_FOLDER/history.jsonl"
[ -e "$GENLIT_FOLDER/again" ] && touch "$GENLIT_FOLDER/ended"
touch "$GENLIT_FOLDER/again"
"""


def test_a_trial_that_a_scheduler_told_to_leave_is_gone_on_with(asked, tmp_path):
    sweep = asked(cap=1)
    (tmp_path / "trial.sh").write_text(NOTICED)
    local.run(sweep)
    assert [each.state for each in journal_of(sweep).trials] == [TrialState.COMPLETE]


def test_a_training_has_come_to_an_end_where_its_folder_says_so_whatever_its_exit_code(asked, tmp_path, monkeypatch):
    program = tmp_path / "python"
    program.write_text(ENDS_AT_THE_SECOND_START)
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    sweep = asked(cap=1, command=None, parameters={"model.lr": {"value": 0.1}})
    local.run(sweep)
    (trial_,) = journal_of(sweep).trials
    assert (trial_.state, trial_.user_attrs["starts"]) == (TrialState.COMPLETE, [0, 1])


def test_a_training_that_never_comes_to_an_end_fails(asked, monkeypatch):
    monkeypatch.setattr(sys, "executable", "true")
    sweep = asked(cap=1, command=None, parameters={"model.lr": {"value": 0.1}})
    local.run(sweep)
    assert "cut short 3 times" in journal_of(sweep).trials[0].user_attrs["reason"]


def test_a_target_ends_the_sweep(asked):
    sweep = asked(method="grid", metric={"name": "loss", "target": 2}, parameters={"x": {"values": [3, 2, 1]}})
    local.run(sweep)
    assert [each.value for each in journal_of(sweep).trials] == [3, 2]


def test_a_trial_that_falls_behind_is_ended_early(asked, monkeypatch):
    monkeypatch.setenv("PAUSE", "0.3")
    sweep = asked(
        method="grid",
        parameters={"x": {"values": [1, 5]}},
        early_terminate={"type": "hyperband", "min_iter": 1, "eta": 3},
    )
    local.run(sweep)
    first, second = journal_of(sweep).trials
    assert (first.state, second.state) == (TrialState.COMPLETE, TrialState.PRUNED)
    assert seen(sweep, 1) == ["started"]


def test_a_stopped_sweep_goes_on_where_it_was(asked, start):
    sweep = asked(cap=3)
    worker = start(sweep, PAUSE="0.5")
    await_trials(sweep, 2)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == signal.SIGTERM
    (left,) = running(journal_of(sweep))
    local.run(sweep)
    assert [each.state for each in journal_of(sweep).trials] == [TrialState.COMPLETE] * 3
    assert seen(sweep, left) == ["started", "started", "ended"]


def test_eight_workers_lose_and_double_no_trial_though_three_are_killed(asked, start):
    sweep = asked(cap=32)
    workers = [start(sweep, PAUSE="0.15") for _ in range(8)]
    await_trials(sweep, 10)
    for worker in workers[:3]:
        worker.kill()
    assert [worker.wait(PATIENCE) for worker in workers] == [-signal.SIGKILL] * 3 + [0] * 5
    trials = journal_of(sweep).trials
    assert [each.number for each in trials] == list(range(32))
    assert {each.state for each in trials} == {TrialState.COMPLETE}
    assert len({each.params["x"] for each in trials}) == 32
    assert len(list(sweep.folder.glob("*/history.jsonl"))) == 32
    again = [seen(sweep, each.number) for each in trials]
    assert all(words == ["started", "ended"] * (len(words) // 2) for words in again)  # never two at a time
    assert sum(len(words) > 2 for words in again) <= 3  # only what the killed ones had


def test_several_workers_of_one_command_share_the_trials(asked):
    sweep = asked(cap=6, workers=2)
    assert local.run(sweep) == 0
    assert [each.state for each in journal_of(sweep).trials] == [TrialState.COMPLETE] * 6


def test_workers_share_processors_and_gpus(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2,5")
    assert local.shares(0, 1) == {"OMP_NUM_THREADS": "8"}
    assert [local.shares(index, 2)["CUDA_VISIBLE_DEVICES"] for index in range(2)] == ["0,5", "2"]
    assert [local.shares(index, 4)["CUDA_VISIBLE_DEVICES"] for index in range(4)] == ["0", "2", "5", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert local.shares(0, 4) == {"OMP_NUM_THREADS": "2"}
