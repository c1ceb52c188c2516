import math
from functools import reduce

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from genlit.losses.likelihood import bernoulli, discretised_logistic, gaussian, gaussian_kl, streaming_logmeanexp

SHAPE = (3, 2, 4, 4)


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_bernoulli_is_a_negative_log_probability_summed_over_pixels():
    logits, binary = 3 * draw(0, *SHAPE), (draw(1, *SHAPE) > 0).double()
    expected = -Bernoulli(logits=logits).log_prob(binary).sum((1, 2, 3))
    torch.testing.assert_close(bernoulli(logits, 2 * binary - 1), expected)


def test_bernoulli_of_grey_values_is_a_cross_entropy():
    logits, grey = draw(0, *SHAPE), torch.rand(SHAPE, dtype=torch.float64)
    p = torch.sigmoid(logits)
    expected = -(grey * p.log() + (1 - grey) * (1 - p).log()).sum((1, 2, 3))
    torch.testing.assert_close(bernoulli(logits, 2 * grey - 1), expected)


@pytest.mark.parametrize("shared", [True, False])
def test_gaussian_is_a_negative_log_density_summed_over_pixels(shared: bool):
    mean, x = draw(0, *SHAPE), draw(1, *SHAPE)
    log_variance = draw(2) if shared else draw(2, *SHAPE)
    expected = -Normal(mean, torch.exp(log_variance / 2)).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(gaussian(mean, x, log_variance), expected)


@pytest.mark.parametrize("levels", [2, 16, 256])
@pytest.mark.parametrize("mean", [-1.0, -0.3, 0.0, 0.99])
@pytest.mark.parametrize("log_scale", [-6.0, -2.0, 3.0])
def test_the_levels_probabilities_sum_to_one(levels: int, mean: float, log_scale: float):
    x = torch.linspace(-1, 1, levels, dtype=torch.float64).reshape(levels, 1, 1, 1)
    means = torch.full_like(x, mean)
    likelihood = discretised_logistic(means, x, torch.tensor(log_scale, dtype=torch.float64), levels)
    assert torch.exp(-likelihood).sum().item() == pytest.approx(1, abs=1e-10)


def test_a_level_is_the_difference_of_two_logistic_functions():
    levels = torch.linspace(-1, 1, 256, dtype=torch.float64)
    x = levels[torch.randint(1, 255, SHAPE, generator=torch.Generator().manual_seed(0))]
    mean, log_scale, half = torch.tanh(draw(1, *SHAPE)), draw(2) / 2 - 1, 1 / 255
    above, below = ((x + sign * half - mean) / torch.exp(log_scale) for sign in (1, -1))
    expected = -(torch.sigmoid(above) - torch.sigmoid(below)).log().sum((1, 2, 3))
    torch.testing.assert_close(discretised_logistic(mean, x, log_scale), expected)


@pytest.mark.parametrize("log_scale", [-12.0, -7.0, 0.0, 7.0])
@pytest.mark.parametrize("x", [-1.0, -1 + 2 / 255, 1 / 255, 1.0])
@pytest.mark.parametrize("mean", [-1.0, 0.0, 1.0])
def test_far_away_likelihood_and_gradients_stay_finite(x: float, mean: float, log_scale: float):
    means, scale = torch.full((1, 1, 1, 1), mean, requires_grad=True), torch.tensor(log_scale, requires_grad=True)
    likelihood = discretised_logistic(means, torch.full((1, 1, 1, 1), x), scale)
    gradients = torch.autograd.grad(likelihood.sum(), (means, scale))
    assert likelihood.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_the_divergence_of_a_known_pair():
    narrow = gaussian_kl(torch.ones(1, 1, dtype=torch.float64), torch.full((1, 1), math.log(0.25), dtype=torch.float64))
    assert narrow.item() == pytest.approx(0.8181472, abs=1e-7)


def test_the_divergence_of_every_code():
    mean, log_variance = draw(0, 5, 3), draw(1, 5, 3)
    expected = kl_divergence(Normal(mean, torch.exp(log_variance / 2)), Normal(0, 1))
    torch.testing.assert_close(gaussian_kl(mean, log_variance), expected)
    assert gaussian_kl(torch.zeros(1, 2), torch.zeros(1, 2)).abs().max() == 0


@pytest.mark.parametrize("level", [-1e5, 0.0, 1e5])
def test_streaming_is_the_logsumexp_of_all_draws(level):
    draws = level + 300 * torch.randn(50, 4, generator=torch.Generator().manual_seed(0)).double()
    left = iter(draws)
    streamed = streaming_logmeanexp(lambda: next(left), 50)
    assert torch.allclose(streamed, torch.logsumexp(draws, 0) - math.log(50), rtol=1e-13, atol=1e-10)
    assert next(left, None) is None


def test_streaming_adds_in_float64():
    """In float32 each of the small draws is lost beside −90."""
    draws = [torch.tensor([-90.0])] + [torch.tensor([-106.0])] * 4000
    exact = -90 + math.log1p(4000 * math.exp(-16))
    left = iter(draws)
    assert streaming_logmeanexp(lambda: next(left), 4001).item() == pytest.approx(exact - math.log(4001), abs=1e-11)
    assert reduce(torch.logaddexp, draws).item() == -90
