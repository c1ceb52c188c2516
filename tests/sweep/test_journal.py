"""Who works on which trial, whatever becomes of the workers."""

import json
import os
import subprocess
import sys

import pytest
from optuna.trial import TrialState

from genlit.sweep import journal as journals
from genlit.sweep import schema
from genlit.sweep.journal import end, leave, logged, open_journal, running, take

SPEC = schema.read(
    {"method": "random", "metric": {"name": "loss", "target": 0.1}, "parameters": {"x": {"min": 0.0, "max": 1.0}}}
)


@pytest.fixture
def journal(tmp_path):
    return open_journal(tmp_path / "sweep", SPEC.metric)


def record(trial, *values):
    with (trial.folder / "history.jsonl").open("a") as file:
        file.writelines(json.dumps({"loss/1a2b.n10.val": value}) + "\n" for value in values)


def test_a_trial_has_a_folder_and_is_taken_once(journal):
    first, second = take(journal, SPEC, 2), take(journal, SPEC, 2)
    assert (first.number, second.number) == (0, 1)
    assert [first.folder.name, second.folder.name] == ["001", "002"]
    assert take(journal, SPEC, 2) is None
    assert running(journal) == [0, 1]


def test_a_trial_that_was_left_is_gone_on_with_before_a_new_one(journal):
    first = take(journal, SPEC, 9)
    other = open_journal(journal.folder, SPEC.metric)
    assert take(other, SPEC, 9).number == 1
    leave(first)
    again = take(other, SPEC, 9)
    assert (again.number, again.parameters) == (0, first.parameters)


def test_what_a_dead_worker_started_keeps_its_trial(journal):
    trial = take(journal, SPEC, 1)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(trial.held,))
    os.close(trial.held)
    assert take(journal, SPEC, 1) is None
    child.communicate(b"\n")
    assert take(journal, SPEC, 1).number == 0


def test_results_are_kept_with_their_reasons(journal):
    end(journal, take(journal, SPEC, 2), TrialState.COMPLETE, 0.5)
    end(journal, take(journal, SPEC, 2), TrialState.FAIL, reason="no memory")
    first, second = open_journal(journal.folder, SPEC.metric).trials
    assert (first.state, first.value) == (TrialState.COMPLETE, 0.5)
    assert (second.state, second.user_attrs["reason"]) == (TrialState.FAIL, "no memory")


def test_no_trial_begins_when_one_has_reached_the_target(journal):
    trial = take(journal, SPEC, None)
    record(trial, 0.5, 0.11)
    leave(take(journal, SPEC, None))
    record(trial, 0.1)
    assert take(journal, SPEC, None).number == 1  # what began is gone on with
    assert take(journal, SPEC, None) is None


def test_a_trial_that_kills_its_workers_without_getting_further_fails(journal):
    for _ in range(journals.STARTS):
        leave(take(journal, SPEC, 1))
    assert take(journal, SPEC, 1) is None
    assert journal.trials[0].state == TrialState.FAIL
    assert "3 times" in journal.trials[0].user_attrs["reason"]


def test_a_trial_that_gets_further_may_start_as_often_as_it_needs(journal):
    for value in range(2 * journals.STARTS):
        trial = take(journal, SPEC, 1)
        record(trial, 5 + value)
        leave(trial)
    assert running(journal) == [0]


def test_what_a_killed_writer_left_of_a_line_is_cut_off(journal):
    leave(take(journal, SPEC, 1))
    with (journal.folder / journals.FILE).open("a") as file:
        file.write('{"op_code": 4, "wor')
    trial = take(open_journal(journal.folder, SPEC.metric), SPEC, 1)
    end(journal, trial, TrialState.COMPLETE, 1.0)
    assert open_journal(journal.folder, SPEC.metric).trials[0].value == 1


def test_only_finite_values_of_the_metric_are_counted(tmp_path):
    records = [{"loss": 1}, {"loss/a.b": None}, {"lossy": 2}, {"loss.val": 3.5}, {"other": 1}, {"loss": True}]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records) + '{"loss": 9')
    assert logged(tmp_path, SPEC.metric) == [1, 3.5]
    assert logged(tmp_path / "nowhere", SPEC.metric) == []
