"""The harness itself: what it must notice, and what it must not let through."""

import shutil
from pathlib import Path

import pytest
import torch

from genlit.engine import checkpoint
from genlit.engine.checkpoint import SafeIO
from genlit.faults import Broken
from genlit.faults.harness.compare import same
from genlit.faults.harness.struck import MODEL, Strike
from genlit.faults.harness.training import TINY, Training
from genlit.faults.kills import kill9
from genlit.faults.resuming import beginning, shipped


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of two iterations."""
    return Training(tmp_path_factory.mktemp("trained"), "dcgan", *TINY, "--trainer.max_steps=2").start().ends(0)


@pytest.fixture
def copy(trained, tmp_path):
    """A copy of its run folder."""
    return shutil.copytree(trained.run, tmp_path / "copy")


def test_a_run_is_the_same_as_itself(trained, copy):
    same(trained.run, copy, 2)


def test_one_weight_that_differs_is_seen(trained, copy):
    path = checkpoint.named(copy / "checkpoints", 2)
    state = checkpoint.load(path)
    name, weight = next((name, weight) for name, weight in state["state_dict"].items() if weight.ndim == 1)
    weight[0] = torch.nextafter(weight[0], torch.tensor(1e9))
    SafeIO().save_checkpoint(state, path)
    with pytest.raises(Broken, match=rf"1 differences .*{name}"):
        same(trained.run, copy, 2)


def test_a_record_that_is_missing_is_seen(trained, copy):
    history = copy / "history.jsonl"
    history.write_text(history.read_text().partition("\n")[2])
    with pytest.raises(Broken, match="history"):
        same(trained.run, copy, 2)


def test_another_end_than_the_one_wanted_is_broken(trained, tmp_path):
    refused = Training(tmp_path, "dcgan", "--model.lrr=1").start()
    with pytest.raises(Broken, match=r"ended with 2 in place of 0.*lrr"):
        refused.ends(0)
    with pytest.raises(Broken, match="did not say 'all is well'"):
        refused.says("all is well")


def test_what_hangs_is_ended(tmp_path):
    hanging = Training(tmp_path, "dcgan", *TINY, *MODEL, "--data.workers=1", "--run.checkpoint_every=1")
    hanging.start(environment=Strike("hang", 2).environment)
    assert hanging.saves_beyond(1)
    assert hanging.left()
    with pytest.raises(Broken, match="still ran after 0 s"):
        hanging.code(within=0.1)
    assert hanging.process.exitcode == -9
    assert hanging.gone()


def test_kills_are_counted(tmp_path):
    assert kill9(tmp_path, trials=2).startswith("2 kills, ")


def test_every_model_that_needs_no_download_is_resumed():
    names = shipped()
    assert {"dcgan", "cyclegan", "vae", "ring", "progressivegan", "text2image", "stackgan-two"} <= set(names)
    assert not {"vae-mnist", "dcgan-cifar10", "cyclegan-folder", "stackgan-birds-two"} & set(names)


def test_a_second_stage_begins_with_a_first_that_is_trained_for_it(tmp_path):
    assert beginning(tmp_path, "dcgan") == []
    [word] = beginning(tmp_path, "stackgan-two")
    option, run = word.split("=")
    assert option == "--model.stage_one"
    assert checkpoint.newest(Path(run) / "checkpoints")
