"""PixelCNN by exact facts: what sees what, probabilities that sum to 1, a distribution that it learns."""

import math

import pytest
import torch
from torch import Tensor, nn

from genlit.errors import GenlitError
from genlit.families.autoregressive import Autoregressive
from genlit.losses.likelihood import bits_per_dim
from genlit.models.pixelcnn import PixelCNN
from tests.pixels import every, fit, reached, scrambled

SHAPES = [((1, 3, 3), 2), ((1, 2, 4), 2), ((1, 2, 2), 3), ((3, 1, 2), 2), ((2, 2, 1), 3), ((1, 1, 1), 5)]


def small(shape: tuple[int, int, int], **options) -> PixelCNN:
    return scrambled(PixelCNN(shape, **{"width": 4, "blocks": 2} | options))


# What sees what


def kernels(shape: tuple[int, int, int], blocks: int) -> Tensor:
    """Which conditional sees which value by the kernels alone, composed layer by layer, in the order of drawing."""
    channels, height, width = shape
    places = [(row, column, channel) for row in range(height) for column in range(width) for channel in range(channels)]

    def layer(reach: int, own: bool) -> Tensor:
        def sees(to: tuple, of: tuple) -> bool:
            up, right, later = to[0] - of[0], of[1] - to[1], of[2] - to[2]
            before = up > 0 or right < 0 or (right == 0 and later < own)
            return 0 <= up <= reach and abs(right) <= reach and before

        return torch.tensor([[float(sees(to, of)) for of in places] for to in places])

    return torch.linalg.matrix_power(layer(1, True), blocks) @ layer(3, False) > 0


@pytest.mark.parametrize("blocks", [1, 2, 4])
@pytest.mark.parametrize("shape", [(1, 4, 9), (2, 3, 5), (3, 2, 4)])
def test_a_conditional_sees_what_its_kernels_reach_and_nothing_later(shape: tuple[int, int, int], blocks: int):
    seen = reached(small(shape, blocks=blocks))
    assert torch.equal(seen, kernels(shape, blocks))
    assert not seen.triu().any()


def test_there_is_a_blind_spot_at_any_depth():
    shallow, deep = (reached(small((1, 2, 9), blocks=blocks)) for blocks in (1, 6))
    assert torch.equal(deep[9], torch.arange(18) < 4)  # of the row above, 3 pixels to the right and no more
    assert torch.equal(deep[9], shallow[9])
    assert deep[13, :8].all()
    assert not deep[13, 8]


# Probabilities


@pytest.mark.parametrize(("shape", "levels"), SHAPES)
def test_the_probabilities_of_all_images_sum_to_one(shape: tuple[int, int, int], levels: int):
    log_prob = small(shape, levels=levels).log_prob(every(shape, levels))
    assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-10)
    assert log_prob.shape == (levels ** math.prod(shape),)


@pytest.mark.parametrize(("shape", "levels"), SHAPES)
def test_pixel_by_pixel_gives_what_whole_images_give(shape: tuple[int, int, int], levels: int, monkeypatch):
    model = small(shape, levels=levels)
    quick = model.sample(64, seed=3)
    monkeypatch.setattr(PixelCNN, "conditionals", Autoregressive.conditionals)
    assert torch.equal(model.sample(64, seed=3), quick)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 2, 5)])
def test_uninformed_bytes_cost_eight_bits(shape: tuple[int, int, int], play):
    model = PixelCNN(shape, levels=256, width=2, blocks=1).double()
    for parameter in model.network[-1].parameters():
        nn.init.zeros_(parameter)
    images = torch.randint(256, (5, *shape)) * (2 / 255) - 1
    dimensions = math.prod(shape)
    bits = bits_per_dim(-model.log_prob(images), dimensions)
    torch.testing.assert_close(bits, torch.full_like(bits, 8), rtol=0, atol=1e-12)
    nll = play(model, image=images.double())["model"]["nll"]
    assert bits_per_dim(nll.item(), dimensions) == pytest.approx(8, abs=1e-12)


def test_it_learns_a_distribution_to_its_entropy():
    """p(x) ∝ exp(Σ couplings of neighbours), all 512 images weighted by their probabilities."""
    torch.manual_seed(0)
    images = every((1, 3, 3))
    down, right = torch.randn(2, 3) / 2, torch.randn(3, 2) / 2
    energy = (images[:, 0, 1:] * images[:, 0, :-1] * down).sum((1, 2))
    energy += (images[:, 0, :, 1:] * images[:, 0, :, :-1] * right).sum((1, 2))
    p = energy.softmax(0)
    entropy = -(p * p.log()).sum().item()
    model = PixelCNN((1, 3, 3), width=8, blocks=2).double()
    fit(model, images, p, steps=150)
    assert 0 <= -(p * model.log_prob(images)).sum().item() - entropy <= 5e-3


# Options


@pytest.mark.parametrize("option", ["width", "blocks", "levels"])
def test_counts_below_their_least_are_refused(option: str):
    with pytest.raises(GenlitError, match=option):
        PixelCNN((1, 3, 3), **{option: 0})
