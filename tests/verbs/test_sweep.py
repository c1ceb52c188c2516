"""`genlit sweep` as a person meets it."""

import json
from pathlib import Path

import pytest
import yaml

from genlit import config
from genlit.errors import GenlitError
from genlit.runs import FOLDER
from genlit.runs.records import read
from genlit.sweep import schema
from tests.verbs.conftest import EXPERIMENTS, SMALL, command

SWEEP = """
method: grid
metric: {name: val/critic/adversarial}
parameters:
  model:
    parameters:
      lr: {values: [{critic: 1.0e-4, generator: 1.0e-3}, 0.5]}
  model.latent: {value: 3}
"""


@pytest.fixture
def written(tmp_path):
    """Gives an experiment's file and a sweep's, and the words that run it."""
    experiment, file = tmp_path / "game.yaml", tmp_path / "sweep.yaml"
    experiment.write_text(EXPERIMENTS["game"])
    file.write_text(SWEEP)
    place = [
        "--dir",
        tmp_path / "runs",
        "--args",
        " ".join([*SMALL, "--data.batch_size=8", "--trainer.val_check_interval=2"]),
    ]
    return experiment, file, ["sweep", experiment, "--config", file, "--local", *place]


def test_trials_train_and_the_best_is_an_experiment_that_trains(written, tmp_path):
    experiment, _, words = written
    words[-1] += " --trainer.devices=2"  # both processes of a trial read the one file
    command(*words, "--count", 1)
    run = tmp_path / "runs" / "001"
    trained = yaml.safe_load((run / "config.yaml").read_text())
    assert (trained["model"]["lr"], trained["model"]["latent"], trained["trainer"]["devices"]) == (
        {"critic": 1e-4, "generator": 1e-3}, 3, 2,
    )  # fmt: skip
    records = read(run / "history.jsonl")
    assert records[-1]["progress/iter"] == 2
    assert {record["rate/critic"] for record in records if "rate/critic" in record} == {1e-4}
    best = tmp_path / "runs" / "best.yaml"
    assert yaml.safe_load(best.read_text()) == {
        "based_on": [str(experiment)],
        "model": {"latent": 3, "lr": {"critic": 1e-4, "generator": 1e-3}},
    }
    command("train", best, *SMALL, f"--trainer.default_root_dir={tmp_path}")
    again = config.read(tmp_path / "best" / "001" / "config.yaml")
    assert again["model"] == trained["model"]


def test_a_key_or_value_that_the_experiment_does_not_have_is_refused_before_any_trial(written, tmp_path):
    _, file, words = written
    file.write_text(SWEEP.replace("latent", "latnet"))
    with pytest.raises(GenlitError, match=r"model\.latnet=3 \(did you mean 'model\.latent'"):
        command(*words)
    file.write_text(SWEEP.replace("value: 3", "values: [3, much]"))
    with pytest.raises(GenlitError, match=r"model\.latent: much is not of the type int"):
        command(*words)
    assert not (tmp_path / "runs").exists()


def test_another_sweep_does_not_go_on_in_the_same_folder(written, tmp_path):
    *_, words = written
    folder = tmp_path / "runs"
    folder.mkdir()
    noted = {"experiment": "other", "overlays": [], "args": [], "sweep": yaml.safe_load(SWEEP)}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(noted))
    with pytest.raises(GenlitError, match=r"holds another sweep \(.*experiment: other -> .*choose another --dir"):
        command(*words)


def test_words_that_no_shell_splits_and_unknown_macros_are_refused(written):
    _, file, words = written
    with pytest.raises(GenlitError, match=r"--args: .* cannot be split"):
        command(*words[:-1], "'a")
    file.write_text(SWEEP + "command: [train.py, '${agrs}']\n")
    with pytest.raises(GenlitError, match="did you mean 'args'"):
        command(*words)


@pytest.mark.parametrize("name", [name for name in config.listed("configs") if name.startswith("sweep/")])
def test_shipped_sweeps_search_keys_of_their_experiment_by_a_held_out_metric(name):
    spec = schema.read(config.read(config.find("configs", name)))
    values = {each.name: each.value(0) for each in spec.parameters}
    flags = [f"--{key}={json.dumps(value)}" for key, value in values.items()]
    settings = config.parse(config.compose(Path(name).stem, []), flags)
    assert spec.run_cap
    assert spec.metric.name == f"fd-{settings.run.fidelity}"
    assert settings.data.holdout > 0


def test_a_trial_whose_training_had_ended_is_not_trained_again(trained_run, monkeypatch, tmp_path):
    run = trained_run("game")
    before = (run / "history.jsonl").read_text()
    monkeypatch.setenv(FOLDER, str(run))
    command("train", run / "config.yaml", f"--trainer.default_root_dir={tmp_path}")
    assert (run / "history.jsonl").read_text() == before
    assert not list(tmp_path.iterdir())
