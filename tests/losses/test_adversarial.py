"""Every pair against its formula, its stationary points and the closed forms of two Gaussians."""

import math

import pytest
import torch
from torch import Tensor

from genlit.losses.adversarial import LOSSES, cross_entropy, non_saturating, saturating

FORMULAS = {
    "minimax": (
        lambda r, f: -(sigm(r).log().mean() + (1 - sigm(f)).log().mean()),
        lambda f, r: (1 - sigm(f)).log().mean(),
    ),
    "non-saturating": (
        lambda r, f: -(sigm(r).log().mean() + (1 - sigm(f)).log().mean()),
        lambda f, r: -sigm(f).log().mean(),
    ),
    "least-squares": (
        lambda r, f: ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2,
        lambda f, r: ((f - 1) ** 2).mean(),
    ),
    "wasserstein": (lambda r, f: f.mean() - r.mean(), lambda f, r: -f.mean()),
    "hinge": (
        lambda r, f: (1 - r).clamp(min=0).mean() + (1 + f).clamp(min=0).mean(),
        lambda f, r: -f.mean(),
    ),
    "relativistic": (lambda r, f: -sigm(r - f).log().mean(), lambda f, r: -sigm(f - r).log().mean()),
}


def sigm(a: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-a))


def logits(*shape: int) -> Tensor:
    return 3 * torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape)))


def slope(loss, *scores: Tensor) -> Tensor:
    """The gradient with respect to the first scores, per score."""
    first = scores[0].detach().requires_grad_(True)
    return torch.autograd.grad(loss(first, *scores[1:]), first)[0] * first.numel()


@pytest.mark.parametrize("name", LOSSES)
def test_a_pair_is_its_formula(name: str):
    real, fake = logits(8, 1, 1, 1), logits(8, 1, 5, 5)[:, :, :1, :1]
    critic, generator = FORMULAS[name]
    torch.testing.assert_close(LOSSES[name].critic(real, fake), critic(real, fake), rtol=1e-12, atol=0)
    torch.testing.assert_close(LOSSES[name].generator(fake, real), generator(fake, real), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_only_a_relative_pair_looks_at_real_logits(name: str):
    fake = logits(8)
    if LOSSES[name].relative:
        assert LOSSES[name].generator(fake, fake + 1) != LOSSES[name].generator(fake, fake - 1)
    else:
        assert LOSSES[name].generator(fake, None) == LOSSES[name].generator(fake, fake + 1)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("extreme", [-100.0, 100.0])
def test_extreme_logits_have_finite_losses_and_gradients(name: str, extreme: float):
    real, fake = torch.full((4,), -extreme), torch.full((4,), extreme)
    for loss, scores in ((LOSSES[name].critic, (real, fake)), (LOSSES[name].generator, (fake, real))):
        assert loss(*scores).isfinite()
        assert slope(loss, *scores).isfinite().all()


def test_where_the_densities_agree_the_critic_is_undecided():
    undecided = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    loss = cross_entropy(undecided, undecided)
    assert loss.item() == pytest.approx(math.log(4))
    assert non_saturating(undecided).item() == pytest.approx(math.log(2))
    assert torch.autograd.grad(loss, undecided)[0].abs().max() == 0
    for other in logits(20):
        assert cross_entropy(other, other) > loss


def test_the_gradients_per_logit():
    a = logits(50)
    torch.testing.assert_close(slope(saturating, a), -sigm(a))
    torch.testing.assert_close(slope(non_saturating, a), -(1 - sigm(a)))


def gaussian_points(mean: float) -> Tensor:
    """Quantiles of N(mean, 1), equally probable: a mean over them is the expectation."""
    return mean + torch.special.ndtri((torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000)


@pytest.mark.parametrize(("m", "divergence"), [(1, 0.1114215), (2, 0.3368308), (3, 0.5267773)])
def test_the_best_critic_between_two_gaussians(m: int, divergence: float):
    x, y = gaussian_points(0), gaussian_points(m)

    def loss(critic):
        return cross_entropy(critic(x), critic(y))

    def best(x):
        return -m * x + m**2 / 2

    assert loss(best).item() == pytest.approx(math.log(4) - 2 * divergence, abs=3e-6)
    for direction in (torch.ones_like, lambda x: x, torch.sin, torch.square):
        step = torch.zeros((), dtype=torch.float64, requires_grad=True)
        changed = loss(lambda x, step=step, direction=direction: best(x) + step * direction(x))
        assert torch.autograd.grad(changed, step)[0].abs() < 1e-3
        for sign in (-0.1, 0.1):
            assert loss(lambda x, sign=sign, direction=direction: best(x) + sign * direction(x)) > loss(best)
