"""The best critic between two Gaussians, learned by genlit's loss; the losses' own closed forms are in tests/losses."""

import math

import pytest
import torch

from experiments.theory import gaussians

DIVERGENCES = {1: 0.1114215, 2: 0.3368308, 3: 0.5267773}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="module", params=DIVERGENCES)
def trained(request) -> tuple[gaussians.Quadratic, int]:
    torch.manual_seed(0)
    return gaussians.fit(gaussians.Quadratic(), *gaussians.points(50_000, request.param)), request.param


@pytest.mark.parametrize(("m", "expected"), DIVERGENCES.items())
def test_the_divergence_is_the_integral(m: int, expected: float):
    assert gaussians.divergence(m) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("m", "expected"), [(0, 0.0), (20, math.log(2))])
def test_the_divergence_has_its_limits(m: int, expected: float):
    assert gaussians.divergence(m) == pytest.approx(expected, abs=1e-9)


def test_a_logistic_critic_learns_the_best_logit(trained):
    critic, m = trained
    weight = critic.weight.detach()
    torch.testing.assert_close(weight, torch.tensor([m**2 / 2, -m, 0.0], dtype=weight.dtype), rtol=0, atol=0.1)


def test_its_loss_on_held_out_points_estimates_the_divergence(trained):
    critic, m = trained
    estimate = gaussians.estimate(critic, *gaussians.points(400_000, m))
    assert estimate == pytest.approx(DIVERGENCES[m], abs=2e-3)


def test_a_network_learns_it_too():
    critic = gaussians.fit(gaussians.network(), *gaussians.points(5000, 2))
    x = torch.linspace(-1, 3, 50, dtype=torch.float64)[:, None]
    with torch.no_grad():
        learned = torch.sigmoid(critic(x))
    assert (learned - torch.sigmoid(gaussians.best_logit(x, 2))).abs().max() < 0.05


def test_where_the_densities_agree_the_value_is_minus_log_four():
    critic = gaussians.fit(gaussians.Quadratic(), *gaussians.points(50_000, 0))
    real, fake = gaussians.points(100_000, 0)
    assert gaussians.estimate(critic, real, fake) == pytest.approx(0, abs=1e-3)
    with torch.no_grad():
        assert (torch.sigmoid(critic(real)) - 0.5).abs().mean() < 0.02


@pytest.mark.parametrize("seed", range(5))
def test_no_critic_estimates_more_than_the_divergence(seed: int):
    torch.manual_seed(seed)
    quantiles = torch.special.ndtri((torch.arange(20_000, dtype=torch.float64)[:, None] + 0.5) / 20_000)
    other = gaussians.network()

    def critic(x: torch.Tensor) -> torch.Tensor:
        return gaussians.best_logit(x, 2) + other(x)

    assert gaussians.estimate(critic, quantiles, quantiles + 2) < gaussians.divergence(2)


def test_a_critic_that_saw_few_points_overrates_them_and_fails_on_others():
    own, others = gaussians.points(50, 1), gaussians.points(20_000, 1)
    critic = gaussians.fit(gaussians.network(), *own)
    assert gaussians.estimate(critic, *own) > DIVERGENCES[1] + 0.01
    assert gaussians.estimate(critic, *others) < DIVERGENCES[1] - 0.01


@pytest.mark.parametrize("m", [0, 1, 3])
def test_what_the_best_critic_grants_is_the_mean_probability(m: int):
    _, fake = gaussians.points(400_000, m)
    assert torch.sigmoid(gaussians.best_logit(fake, m)).mean().item() == pytest.approx(gaussians.fooled(m), abs=1e-3)
