"""NADE by exact facts: its fast conditionals against the plain ones, probabilities that sum to 1, what it learns."""

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from genlit.errors import GenlitError
from genlit.models.fvsbn import FVSBN
from genlit.models.nade import NADE
from tests.pixels import every, fit, scrambled

SHAPES = pytest.mark.parametrize("shape", [(1, 3, 3), (1, 2, 4), (2, 2, 2), (1, 1, 1)], ids=str)
ORDERS = pytest.mark.parametrize("order", [None, 0, 3])


def small(shape: tuple[int, int, int] = (1, 3, 3), **options) -> NADE:
    return scrambled(NADE(shape, **{"hidden": 6} | options), std=1.0)


def values(n: int, pixels: int, ones: float = 0.3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(n, pixels, generator=generator) < ones).double()


def plain(x: Tensor, W: Tensor, V: Tensor, b: Tensor, c: Tensor) -> Tensor:  # noqa: N803
    """b_d + V_d sigm(c + W_{:,<d} x_<d), every conditional by itself, (B, D)."""
    return torch.stack([b[d] + torch.sigmoid(c + x[:, :d] @ W[:d]) @ V[d] for d in range(x.shape[1])], 1)


# Probabilities


def test_hidden_units_of_one_pixel_each_make_it_an_fvsbn():
    """With W = w I the d-th unit is ½ + (sigm(w) − ½) x_d, so A = (sigm(w) − ½) V and b grows by ½ Σ_k V_dk."""
    nade, fvsbn, images = small((1, 3, 3), hidden=9, order=3), FVSBN((1, 3, 3), order=3).double(), every((1, 3, 3))
    w = torch.tensor(1.7, dtype=torch.float64)
    with torch.no_grad():
        nade.network.W.copy_(w * torch.eye(9, dtype=torch.float64))
        nade.network.c.zero_()
        fvsbn.network.weight.copy_((torch.sigmoid(w) - 0.5) * nade.network.V)
        fvsbn.network.bias.copy_(nade.network.b + nade.network.V.sum(1) / 2)
    torch.testing.assert_close(nade.log_prob(images), fvsbn.log_prob(images), rtol=0, atol=1e-12)


# All conditionals at once


@pytest.mark.parametrize("pixels", [1, 2, 15, 16, 17, 32, 50])
@pytest.mark.parametrize("ones", [0.0, 0.3, 1.0])
def test_conditionals_and_gradients_are_the_plain_ones(pixels: int, ones: float):
    network, x = small((1, 1, pixels), hidden=5).network, values(4, pixels, ones)
    found, expected = network(x), plain(x, **dict(network.named_parameters()))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    weights = torch.randn(found.shape, dtype=torch.float64)
    slopes = [torch.autograd.grad((y * weights).sum(), list(network.parameters())) for y in (found, expected)]
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-11)


@pytest.mark.parametrize("grey", [False, True])
def test_gradients_are_those_of_differences(grey: bool):
    network, x = small((1, 3, 6), hidden=3).network, values(2, 18)
    x = (x * 0.7 + 0.1 if grey else x).requires_grad_()  # with respect to the values too
    names, parameters = zip(*network.named_parameters())

    def logits(x: Tensor, *given: Tensor) -> Tensor:
        return torch.func.functional_call(network, dict(zip(names, given)), x)

    assert torch.autograd.gradcheck(logits, (x, *parameters))


def test_only_changed_hidden_units_are_kept_for_the_gradient():
    """Of 784 in an image one sixteenth at the starts of blocks and a tenth after ones, not all."""
    network, kept = NADE((1, 28, 28), hidden=200).network, {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = network(values(64, 784, ones=0.1).float())
    assert logits.requires_grad
    assert sum(kept.values()) < 0.25 * 64 * 784 * 200


# Training


@pytest.mark.parametrize("order", [None, 3])
def test_it_learns_a_distribution_to_its_entropy(order: int | None):
    """p(x) ∝ exp(xᵀ C x / 2), all 512 images weighted by their probabilities."""
    images = every((1, 3, 3))
    torch.manual_seed(0)
    couplings, x = 0.4 * torch.randn(9, 9, dtype=torch.float64), images.flatten(1)
    p = (((x @ couplings) * x).sum(1) / 2).softmax(0)
    model = NADE((1, 3, 3), hidden=30, order=order).double()
    fit(model, images, p)
    entropy = -(p * p.log()).sum().item()
    assert 0 <= -(p * model.log_prob(images)).sum().item() - entropy <= 5e-3


# Images


def frequencies(drawn: Tensor) -> Tensor:
    """How often each image of `every` was drawn."""
    digits = (drawn.flatten(1) > 0).long() * 2 ** torch.arange(drawn[0].numel() - 1, -1, -1)
    return torch.bincount(digits.sum(1), minlength=2 ** drawn[0].numel())


def chi_square(counts: Tensor, p: Tensor) -> float:
    """Pearson's statistic over its degrees of freedom, of the images expected at least five times."""
    expected = p * counts.sum()
    likely = expected >= 5
    return ((counts - expected).square() / expected)[likely].sum().item() / likely.sum().item()


@pytest.mark.parametrize(
    ("order", "observed", "particles"),
    [(None, range(4), 1), (3, range(4), 1), (None, (1, 5, 8), 64), (3, (1, 5, 8), 64)],
)
def test_completions_are_as_frequent_as_probable(order: int | None, observed: tuple[int, ...], particles: int):
    """Given the first pixels in the order, and given any."""
    model, images = small(order=order), every((1, 3, 3))
    positions = [model.order()[d] for d in observed]
    mask = torch.zeros(9).index_fill(0, torch.tensor(positions), 1).view(1, 3, 3).bool()
    image = images[0b101100101]
    drawn = model.complete(image.expand(4000, -1, -1, -1), mask, particles=particles)
    agree = ((images == image) | ~mask).flatten(1).all(1)
    p = model.log_prob(images).exp() * agree
    counts = frequencies(drawn)
    assert counts[~agree].sum() == 0
    assert chi_square(counts, p / p.sum()) < 2


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_observed_pixels_stay_to_the_bit(share: float):
    model, images = small((1, 4, 4)).float(), values(50, 16).view(-1, 1, 4, 4).float() * 2 - 1
    mask = torch.rand(images.shape, generator=torch.Generator().manual_seed(1)) < share
    drawn = model.complete(images, mask)
    assert torch.equal(drawn[mask], images[mask])
    assert set(drawn.unique().tolist()) <= {-1.0, 1.0}
    assert torch.equal(drawn, images) == (share == 1)


def test_no_hidden_units_are_refused():
    with pytest.raises(GenlitError, match=r"model\.hidden is 0: it must be at least 1"):
        NADE((1, 2, 2), hidden=0)
