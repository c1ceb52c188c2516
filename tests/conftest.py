"""Decoded data sets are shared by all tests of a session, in every process."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import wandb
from hypothesis import settings
from torch import Tensor

from genlit.engine.clock import Batches
from genlit.faults.harness.wandb_server import VARIABLES, Server
from genlit.metrics.capabilities import captions
from genlit.metrics.extractors.lenet import RECIPE

settings.register_profile("genlit", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("genlit")


@pytest.fixture(scope="session", autouse=True)
def decoded_once(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENLIT_DATA", str(tmp_path_factory.getbasetemp().parent / "genlit-data"))
        yield


@pytest.fixture
def wandb_server(monkeypatch, tmp_path_factory):
    """A W&B server on this machine, and a user who is logged in there and nowhere else."""
    home, server = tmp_path_factory.mktemp("home"), Server()
    for name in [name for name in os.environ if name.startswith("WANDB_")] + ["NETRC"]:
        monkeypatch.delenv(name, raising=False)
    places = {f"WANDB_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "CACHE", "DATA", "ARTIFACT")}
    for name, value in (VARIABLES | places | {"WANDB_BASE_URL": server.address, "HOME": str(home)}).items():
        monkeypatch.setenv(name, value)
    wandb.teardown()
    yield server
    wandb.teardown()
    server.close()
    assert server.unknown == []


@pytest.fixture(scope="module")
def hasty_lenet():
    """Classifiers that learn for a sixtieth of the time: enough to tell digits from noise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPE, "images", 1280)
        patch.setitem(captions.RECIPE, "images", 640)
        yield


@pytest.fixture
def at(monkeypatch):
    """Puts a model at an iteration of a training with 10 images in a batch."""

    def put(model, iteration: int):
        clock = SimpleNamespace(global_step=iteration, datamodule=SimpleNamespace(batches=Batches(10)))
        monkeypatch.setattr(model, "_trainer", clock)
        return model

    return put


@pytest.fixture
def play():
    """Plays an iteration without stepping: the terms by player, in order."""

    def played(model, **batch: Tensor) -> dict[str, dict[str, Tensor]]:
        return dict(model.turns(batch))

    return played


@pytest.fixture
def sentence_encoder(tmp_path) -> Path:
    """The folder of a sentence encoder of random weights that knows a few words."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "the", "car", "red", "blue", "moon", "in", "style"]
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    network, folder = tmp_path / "bert", tmp_path / "encoder"
    network.mkdir()
    (network / "vocab.txt").write_text("\n".join(words))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(BertConfig(vocab_size=len(words), **small)).save_pretrained(network)
    BertTokenizerFast(str(network / "vocab.txt")).save_pretrained(network)
    transformer = Transformer(str(network))
    pooling = Pooling(transformer.get_embedding_dimension())
    SentenceTransformer(modules=[transformer, pooling], device="cpu").save(str(folder))
    return folder
