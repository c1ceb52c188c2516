"""What a sweep leaves behind."""

import csv
import io

import pytest
import yaml
from optuna.trial import TrialState
from PIL import Image

from genlit.sweep import schema
from genlit.sweep.journal import end, open_journal, take
from genlit.sweep.outcome import nested, write_outcome

TREE = {
    "model.lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2},
    "model.loss": {"values": ["hinge", "minimax"]},
    "model.latent": {"min": 8, "max": 16},
    "model.weights": {"parameters": {"r1": {"distribution": "normal"}}},
    "trainer.max_steps": {"value": 20},
}


def swept(tmp_path, values, states, **metric):
    """A sweep of trials that logged these values and ended so."""
    content = {"method": "random", "metric": {"name": "loss"} | metric, "parameters": TREE}
    spec = schema.read(content)
    journal = open_journal(tmp_path / "sweep", spec.metric)
    for value, state in zip(values, states, strict=True):
        trial = take(journal, spec, None)
        if value is not None:
            (trial.folder / "history.jsonl").write_text(f'{{"loss/a.val": {value}}}\n')
        end(journal, trial, state, value, reason="" if value else "it, failed")
    write_outcome(journal, spec, ["dcgan", "trainer/cpu"], ["--run.wandb=disabled"])
    return journal


DONE, ENDED, FAILED = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL


@pytest.mark.parametrize(("goal", "best"), [("minimize", 1), ("maximize", 2)])
def test_the_best_complete_trial_is_an_experiment(tmp_path, goal, best):
    journal = swept(tmp_path, [2.0, 1.0, 3.0, 0.5, None], [DONE, DONE, DONE, ENDED, FAILED], goal=goal)
    text = (journal.folder / "best.yaml").read_text()
    parameters = journal.trials[best].user_attrs["parameters"]
    assert yaml.safe_load(text) == {"based_on": ["dcgan", "trainer/cpu"]} | nested(parameters)
    assert f"/00{best + 1}: loss" in text
    assert "the best of 5 trials" in text
    assert 'ARGS="--run.wandb=disabled"' in text


def test_every_trial_is_in_the_table_with_its_state_and_reason(tmp_path):
    journal = swept(tmp_path, [2.0, None, 0.5], [DONE, FAILED, ENDED])
    rows = list(csv.DictReader(io.StringIO((journal.folder / "trials.csv").read_text())))
    told = [(row["trial"], row["state"], row["loss"], row["reason"]) for row in rows]
    assert told == [
        ("001", "complete", "2.0", ""),
        ("002", "fail", "", "it, failed"),
        ("003", "pruned", "0.5", ""),
    ]
    assert float(rows[0]["model.lr"]) == journal.trials[0].user_attrs["parameters"]["model.lr"]


def test_the_terminal_shows_the_best_trials_and_what_mattered(tmp_path, capsys):
    journal = swept(tmp_path, [2.0, 1.0, 3.0, None], [DONE, DONE, DONE, FAILED])
    shown = capsys.readouterr().out
    assert "3 complete, 1 fail" in shown
    assert shown.index("│ 002") < shown.index("│ 001") < shown.index("│ 003")
    assert "%" in shown
    assert f"make train EXP={journal.folder}/best.yaml" in shown


def test_a_picture_is_drawn_of_any_number_of_trials(tmp_path):
    for values in ([1.0], [1.0, 1.0], [0.1, 0.2, 0.3]):
        folder = tmp_path / str(len(values))
        journal = swept(folder, values, [DONE] * len(values))
        picture = Image.open(journal.folder / "parameters.png").convert("L")
        assert picture.width > picture.height
        assert len(picture.getcolors()) > 20


def test_where_no_trial_is_complete_there_is_a_table_alone(tmp_path):
    journal = swept(tmp_path, [None, 0.5], [FAILED, ENDED])
    assert (journal.folder / "trials.csv").exists()
    assert not (journal.folder / "best.yaml").exists()
