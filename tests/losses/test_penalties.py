import math

import pytest
import torch
from torch import Tensor, nn

from genlit.losses.adversarial import wasserstein_critic
from genlit.losses.penalties import drift, gradient_penalty, input_gradient, zero_centred


def images(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def linear(norm: float) -> nn.Module:
    """A linear critic of 2x3x3 pixels whose weights have an L2 norm."""
    critic = nn.Sequential(nn.Flatten(), nn.Linear(18, 1)).double()
    with torch.no_grad():
        critic[1].weight.mul_(norm / critic[1].weight.norm())
    return critic


@pytest.fixture
def curved() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(18, 8), nn.Tanh(), nn.Linear(8, 1)).double()


def test_the_input_gradient_is_every_images_own(curved: nn.Module):
    x = images(3, 2, 3, 3)
    alone = torch.cat([input_gradient(curved, x[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(input_gradient(curved, x), alone)


def test_a_unit_slope_costs_nothing():
    assert gradient_penalty(linear(1), images(4, 2, 3, 3), -images(4, 2, 3, 3)).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("slope", [0.5, 2.0, 3.0])
def test_linear_critics_have_closed_forms(slope: float):
    x, critic = images(4, 2, 3, 3), linear(slope)
    assert gradient_penalty(critic, x, -x).item() == pytest.approx((slope - 1) ** 2)
    assert zero_centred(critic, x).item() == pytest.approx(slope**2 / 2)


def test_between_two_diracs_the_slope_is_one_plus_m_over_two_lambda():
    m, weight = 3.0, 10.0
    real, fake = torch.full((5, 1), m, dtype=torch.float64), torch.zeros(5, 1, dtype=torch.float64)

    def loss(slope: Tensor) -> Tensor:
        def critic(x: Tensor) -> Tensor:
            return slope * x

        return wasserstein_critic(critic(real), critic(fake)) + weight * gradient_penalty(critic, real, fake)

    best = torch.tensor(1 + m / (2 * weight), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.grad(loss(best), best)[0].item() == pytest.approx(0, abs=1e-12)
    assert loss(best - 0.1) > loss(best)
    assert loss(best + 0.1) > loss(best)


def test_every_pair_of_images_has_one_u():
    seen = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return x.sum((1, 2, 3))

    torch.manual_seed(0)
    gradient_penalty(critic, torch.ones(500, 2, 3, 3), torch.zeros(500, 2, 3, 3))
    u = seen[0][:, 0, 0, 0]
    assert (seen[0] == u[:, None, None, None]).all()
    assert u.mean().item() == pytest.approx(0.5, abs=0.05)
    assert u.var().item() == pytest.approx(1 / 12, abs=0.01)


@pytest.mark.parametrize("penalty", [lambda c, x: gradient_penalty(c, x, -x), zero_centred])
def test_the_critics_weights_learn_from_a_penalty(curved: nn.Module, penalty):
    x, weight = images(4, 2, 3, 3), curved[1].weight

    def value() -> Tensor:
        torch.manual_seed(1)
        return penalty(curved, x)

    exact = torch.autograd.grad(value(), weight)[0]
    direction, step = torch.randn_like(weight), 1e-5
    with torch.no_grad():
        weight.add_(step * direction)
        above = value()
        weight.sub_(2 * step * direction)
        below = value()
    assert (exact * direction).sum().item() == pytest.approx(((above - below) / (2 * step)).item(), rel=1e-6)


def test_the_images_get_no_gradient_from_a_penalty(curved: nn.Module):
    fake = images(4, 2, 3, 3).requires_grad_(True)
    gradient_penalty(curved, images(4, 2, 3, 3) + 1, fake).backward()
    assert fake.grad is None


def test_penalties_are_seen_in_validation(curved: nn.Module):
    x = images(4, 2, 3, 3)
    for penalty in (lambda: gradient_penalty(curved, x, x), lambda: zero_centred(curved, x)):
        with torch.no_grad():
            unseen = penalty()
        assert not unseen.requires_grad
        torch.testing.assert_close(unseen, penalty().detach())


def test_a_flat_critic_has_finite_gradients():
    critic = linear(1)
    nn.init.zeros_(critic[1].weight)
    penalty = gradient_penalty(critic, images(4, 2, 3, 3), -images(4, 2, 3, 3))
    assert penalty.item() == 1
    assert torch.autograd.grad(penalty, critic[1].weight)[0].isfinite().all()


def test_drift_is_the_mean_square():
    assert drift(torch.tensor([3.0, -4.0])).item() == 12.5
    assert math.isclose(drift(torch.zeros(3)).item(), 0)
