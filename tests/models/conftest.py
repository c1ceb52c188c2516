"""A clock for models that play without a trainer."""

from types import SimpleNamespace

import pytest
from torch import Tensor


@pytest.fixture
def at(monkeypatch):
    """Puts a model at an iteration of a training with 10 images in a batch."""

    def put(model, iteration: int):
        clock = SimpleNamespace(global_step=iteration, datamodule=SimpleNamespace(batch_size=10))
        monkeypatch.setattr(model, "_trainer", clock)
        return model

    return put


@pytest.fixture
def play():
    """Plays an iteration without stepping: the terms by player, in order."""

    def played(model, **batch: Tensor) -> dict[str, dict[str, Tensor]]:
        return dict(model.turns(batch))

    return played
