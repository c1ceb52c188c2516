"""Normal codes against torch's own distributions."""

import pytest
import torch
from torch import distributions
from torch.distributions import kl_divergence

from genlit.nn.normal import Normal


def random(seed: int) -> Normal:
    return Normal.of(torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)))


def exact(codes: Normal) -> distributions.Normal:
    return distributions.Normal(codes.mean, torch.exp(codes.log_variance / 2))


def test_the_divergence_from_a_prior_is_its_closed_form():
    posterior, prior = random(0), random(1)
    torch.testing.assert_close(posterior.relative_to(prior).kl(), kl_divergence(exact(posterior), exact(prior)))
    torch.testing.assert_close(prior.relative_to(prior).kl(), torch.zeros(5, 3, dtype=torch.float64))


def test_weights_are_ratios_of_densities_at_a_draw():
    posterior, prior, seen = random(0), random(1), []

    def nll(z):
        seen.append(z)
        return z.square().sum(1)

    for given in (prior, None):
        weight = posterior.log_weight(nll, given)
        z, own = seen[-1], exact(given or Normal(*torch.zeros(2, 5, 3, dtype=torch.float64)))
        expected = (own.log_prob(z) - exact(posterior).log_prob(z)).sum(1) - z.square().sum(1)
        torch.testing.assert_close(weight, expected)


def test_means_and_variances_of_draws():
    torch.manual_seed(0)
    z = Normal(torch.ones(200_000, 1), torch.full((200_000, 1), 0.25).log()).draw()
    assert z.mean().item() == pytest.approx(1, abs=5e-3)
    assert z.var().item() == pytest.approx(0.25, abs=5e-3)
