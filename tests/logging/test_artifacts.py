"""Checkpoints in a W&B server on this machine, and back."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
import wandb

import genlit
from genlit.cli import verbs
from genlit.engine import checkpoint
from genlit.errors import GenlitError
from genlit.faults.harness.wandb_server import ENTITY
from genlit.logging import artifacts
from genlit.logging.artifacts import fetched
from genlit.logging.wandb import dashboard

SMALL = [
    "--trainer.max_steps=2", "--trainer.accelerator=cpu", "--trainer.limit_val_batches=0", "--run.pictures=4",
    "--run.progress=false", "--run.checkpoint_every=1",
]  # fmt: skip
GAME = "model: {name: DCGAN, width: 2}\ndata: {name: Digits, size: 16, batch_size: 4}\n"


def genlit_command(*words):
    verbs.main([str(word) for word in words], prog_name="genlit", standalone_mode=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of two iterations."""
    root = tmp_path_factory.mktemp("runs")
    (root / "game.yaml").write_text(GAME)
    genlit_command("train", root / "game.yaml", *SMALL, "--run.wandb=disabled", f"--trainer.default_root_dir={root}")
    return root / "game" / "001"


@pytest.fixture
def run(tmp_path, trained):
    """A copy of that run."""
    return Path(shutil.copytree(trained, tmp_path / "game" / "001"))


def kept(run):
    board = dashboard(run, "online", project="digits")
    artifacts.keep(run, board)
    board.finish()
    return f"wandb:{ENTITY}/digits/{board.version}"


def test_the_best_and_the_last_checkpoint_say_what_they_are(run, wandb_server):
    (run / "best.json").write_text(json.dumps({"metric": "fd-lenet/a.n6.val", "value": 3.5, "iteration": 1}))
    name = kept(run)
    best, last = wandb_server.artifacts
    assert ("best" in best.aliases, "last" in last.aliases, "last" in best.aliases) == (True, True, False)
    assert best.name == last.name == f"checkpoint-{name.rpartition('/')[2]}"
    commit = json.loads((run / "environment.json").read_text())["commit"]
    same = {"experiment": "game", "commit": commit}
    assert best.metadata == {"iteration": 1, "images": 4, "metric": "fd-lenet/a.n6.val", "value": 3.5} | same
    assert last.metadata == {"iteration": 2, "images": 8, "metric": None, "value": None} | same
    assert all(each.committed for each in wandb_server.artifacts)
    assert checkpoint.iteration(fetched(f"{name}@best")) == 1
    assert checkpoint.iteration(fetched(name)) == 2


def test_a_training_keeps_them_where_it_is_told_to_and_they_serve_as_a_run(wandb_server, tmp_path):
    (tmp_path / "game.yaml").write_text(GAME)
    told = ["--run.artifacts=true", "--run.wandb=online", "--run.project=digits"]
    genlit_command("train", tmp_path / "game.yaml", *SMALL, *told, f"--trainer.default_root_dir={tmp_path}")
    (artifact,) = wandb_server.artifacts
    name = f"wandb:{ENTITY}/digits/{artifact.name.removeprefix('checkpoint-')}"
    expected = genlit.load(tmp_path / "game" / "001").sample(2)
    assert torch.equal(genlit.load(name).sample(2), expected)
    genlit_command("sample", name, "-n", "2", "--out", tmp_path / "shown")
    assert len(list((tmp_path / "shown").glob("*.png"))) == 3


def test_a_file_that_is_not_what_was_uploaded_is_refused(run, wandb_server):
    name = kept(run)
    (artifact,) = wandb_server.artifacts
    file = next(file for file in artifact.files if file.endswith(".ckpt"))
    artifact.files[file] = artifact.files[file][:-1] + b"x"
    shutil.rmtree(os.environ["WANDB_CACHE_DIR"])  # it holds what was uploaded
    with pytest.raises(GenlitError, match="it is damaged"):
        fetched(name)


def test_an_artifact_of_something_else_is_refused(run, wandb_server, tmp_path):
    name = kept(run)
    (tmp_path / "odd").write_text("1")
    board = dashboard(run, "online", project="digits")
    odd = wandb.Artifact(f"checkpoint-{board.version}", "model")
    odd.add_file(str(tmp_path / "odd"), "odd")
    board.log_artifact(odd, ["last"])
    board.finish()
    with pytest.raises(GenlitError, match=r"is not a checkpoint that genlit uploaded: it holds odd"):
        fetched(name)


def test_offline_nothing_is_kept(run, wandb_server):
    board = dashboard(run, "offline")
    artifacts.keep(run, board)
    board.finish()
    assert not wandb_server.artifacts


@pytest.mark.parametrize("name", ["wandb:digits/abc", "wandb:a/b/c/d", "wandb:me/../x@worst"])
def test_a_name_of_another_form_is_refused(name):
    with pytest.raises(GenlitError, match="write wandb:entity/project/run"):
        fetched(name)


def test_a_run_without_artifacts_is_told(wandb_server):
    with pytest.raises(GenlitError, match=r"wandb:me/digits/abc cannot be had .* --run\.artifacts=true"):
        fetched("wandb:me/digits/abc")
