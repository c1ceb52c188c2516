"""What FVSBN and NADE promise alike: one order, probabilities that sum to 1, and images drawn pixel by pixel."""

import pytest
import torch
from torch import nn

from genlit.families.autoregressive import Autoregressive
from genlit.families.inorder import InOrder
from genlit.models.fvsbn import FVSBN
from genlit.models.nade import NADE
from tests.pixels import every, reached, scrambled

MODELS = pytest.mark.parametrize(("kind", "options"), [(FVSBN, {}), (NADE, {"hidden": 6})], ids=["fvsbn", "nade"])
SHAPES = pytest.mark.parametrize("shape", [(1, 3, 3), (1, 2, 4), (2, 2, 2), (1, 1, 1)], ids=str)
ORDERS = pytest.mark.parametrize("order", [None, 0, 3])


def small(kind: type[InOrder], shape: tuple[int, int, int], **options) -> InOrder:
    return scrambled(kind(shape, **options), std=1.0)


@MODELS
@SHAPES
@ORDERS
def test_the_probabilities_of_all_images_sum_to_one(kind, options, shape, order: int | None):
    model = small(kind, shape, order=order, **options)
    assert model.log_prob(every(shape)).exp().sum().item() == pytest.approx(1, abs=1e-10)


@MODELS
@ORDERS
@pytest.mark.parametrize("shape", [(1, 3, 4), (3, 2, 5), (1, 6, 6)], ids=str)
def test_a_conditional_sees_every_pixel_before_it_and_no_other(kind, options, shape, order: int | None):
    seen = reached(small(kind, shape, order=order, **options))
    assert torch.equal(seen, torch.ones_like(seen).tril(-1))


@MODELS
@SHAPES
@ORDERS
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_pixel_by_pixel_gives_what_whole_images_give(kind, options, shape, order, dtype, monkeypatch):
    model = small(kind, shape, order=order, **options).to(dtype)
    monkeypatch.setattr(type(model.network), "forward", nn.Module.forward)  # all conditionals at once are not needed
    quick = model.sample(64, seed=3)
    monkeypatch.undo()
    monkeypatch.setattr(kind, "conditionals", Autoregressive.conditionals)
    assert torch.equal(model.sample(64, seed=3), quick)
