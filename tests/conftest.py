"""Decoded data sets are shared by all tests of a session, in every process."""

from types import SimpleNamespace

import pytest
from torch import Tensor

from genlit.engine.clock import Batches
from genlit.metrics.capabilities import captions
from genlit.metrics.extractors.lenet import RECIPE


@pytest.fixture(scope="session", autouse=True)
def decoded_once(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENLIT_DATA", str(tmp_path_factory.getbasetemp().parent / "genlit-data"))
        yield


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
