"""Networks that complete quadrants: what they see, what they pay for, and exact sums of their bound."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from genlit.errors import GenlitError
from genlit.models.quadrants import QuadrantCVAE, QuadrantNetwork, quadrants

BOTH = pytest.mark.parametrize("kind", [QuadrantCVAE, QuadrantNetwork])


def small(kind: type = QuadrantCVAE, shape: tuple[int, int, int] = (1, 4, 4), **options):
    torch.manual_seed(0)
    model = kind(shape, **{"hidden": (8,)} | ({"latent": 2} if kind is QuadrantCVAE else {}) | options).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def binary(n: int, seed: int = 0) -> Tensor:
    return torch.randint(2, (n, 1, 4, 4), generator=torch.Generator().manual_seed(seed)).double() * 2 - 1


# What is observed


def test_the_observed_quadrants_are_the_published_ones():
    pictures = {n: ["".join(map(str, row)) for row in quadrants(n, 4, 4).int().tolist()] for n in (1, 2, 3)}
    assert pictures == {
        1: ["0000", "0000", "1100", "1100"],
        2: ["1100", "1100", "1100", "1100"],
        3: ["1111", "1111", "1100", "1100"],
    }


@BOTH
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 4), (2, 1, 6)])
@pytest.mark.parametrize("observed", [1, 2, 3])
def test_any_shape_has_quadrants(kind: type, shape: tuple[int, int, int], observed: int, play):
    model = small(kind, shape, observed=observed)
    assert not model.mask.all()
    ((_, terms),) = play(model, image=torch.ones(2, *shape).double()).items()
    assert all(term.isfinite() for term in terms.values())


@BOTH
@pytest.mark.parametrize("observed", [1, 2, 3])
def test_observed_pixels_stay_to_the_bit_and_others_are_not_read(kind: type, observed: int):
    model, images = small(kind, observed=observed), torch.rand(3, 1, 4, 4, dtype=torch.float64) * 2 - 1
    completed = model.complete(images, model.mask)
    assert torch.equal(completed[:, :, model.mask], images[:, :, model.mask])
    assert completed.abs().max() <= 1
    unknown = torch.where(model.mask, images, math.nan)
    assert torch.equal(model.complete(unknown, model.mask.expand(3, 1, 4, 4)), completed)


def test_completions_are_drawn_by_their_seed():
    model, images = small(), binary(3)
    before = torch.get_rng_state()
    first, second = (model.complete(images, model.mask, seed=seed) for seed in (0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(model.complete(images, model.mask, seed=1), second)
    assert (first - second).abs()[:, :, ~model.mask].max() > 1e-3
    network = small(QuadrantNetwork)
    assert torch.equal(*(network.complete(images, network.mask, seed=seed) for seed in (0, 1)))


@BOTH
def test_other_masks_are_refused(kind: type):
    model = small(kind, observed=2)
    with pytest.raises(GenlitError, match="completes 2-quadrants only"):
        model.complete(binary(1), quadrants(1, 4, 4))


def test_another_number_of_quadrants_is_refused():
    with pytest.raises(GenlitError, match=r"model\.observed is 4: it must be 1, 2 or 3"):
        small(observed=4)


# The baseline


def test_the_baseline_pays_for_unobserved_pixels_alone(play):
    model, images = small(QuadrantNetwork, observed=2), binary(5)
    with torch.no_grad():
        logits = model.network(images * model.mask)
    right = (Bernoulli(logits=logits).log_prob((images + 1) / 2))[:, :, :, 2:].flatten(1).sum(1)
    torch.testing.assert_close(model.log_prob(images), right)
    torch.testing.assert_close(play(model, image=images)["network"]["nll"], -right.mean())


def test_the_baselines_probabilities_sum_to_one():
    model = small(QuadrantNetwork, shape=(1, 2, 2))
    assert model.log_prob(every_completion()).exp().sum().item() == pytest.approx(1, abs=1e-12)


# The CVAE


def test_the_terms_are_those_of_one_draw(play):
    model, images = small(observed=3), binary(5)
    torch.manual_seed(2)
    terms = play(model, image=images)["autoencoder"]
    (mean, log_variance), (origin, log_unit) = model.posterior(images), model.prior_given(images * model.mask)
    torch.manual_seed(2)
    z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
    logits = model.generate(z, images * model.mask)
    reconstruction = -Bernoulli(logits=logits).log_prob((images + 1) / 2)[:, :, 2:, 2:].sum() / 5
    posterior, prior = (Normal(m, torch.exp(v / 2)) for m, v in ((mean, log_variance), (origin, log_unit)))
    torch.testing.assert_close(
        terms, {"reconstruction": reconstruction, "kl": kl_divergence(posterior, prior).sum() / 5}
    )


def every_completion() -> Tensor:
    """All 8 images of 2x2 binary pixels whose bottom left one is white."""
    rest = torch.tensor(list(product([-1.0, 1.0], repeat=3)), dtype=torch.float64)
    return torch.cat([rest[:, :2], torch.ones(8, 1), rest[:, 2:]], dim=1).view(8, 1, 2, 2)


def test_the_bounds_probabilities_sum_to_at_most_one():
    """exp L_k has p(y|x) as its mean whatever k is: exp E[L_k] is below, the more so for few draws."""
    model, images = small(shape=(1, 2, 2)), every_completion()
    bounds = model.bound(images.repeat(2000, 1, 1, 1)).view(2000, 8)
    assert bounds.mean(0).exp().sum().item() < 0.98
    assert bounds.exp().mean(0).sum().item() == pytest.approx(1, abs=0.03)
    assert model.bound(images, 2000).exp().sum().item() == pytest.approx(1, abs=0.03)


def test_the_bound_is_what_draws_from_the_prior_estimate():
    """p(y|x) = E_p(z|x) p(y|x,z): the paper's section 4.1, dear but simple."""
    model, images = small(), binary(3)
    n = 50_000
    with torch.no_grad():
        x = model.visible(images)
        mean, log_variance = model.prior_given(x)
        z = mean[:, None] + torch.exp(log_variance / 2)[:, None] * torch.randn(3, n, 2, dtype=torch.float64)
        repeated, inputs = (part.repeat_interleave(n, 0) for part in (images, x))
        log_likelihood = -model.nll(model.generate(z.flatten(0, 1), inputs), repeated).view(3, n)
        estimate = log_likelihood.logsumexp(1) - math.log(n)
    torch.testing.assert_close(model.bound(images, 2000), estimate, rtol=0, atol=0.1)


def test_the_objective_is_the_mean_bound(play):
    model, images = small(), binary(2).repeat(20_000, 1, 1, 1)
    with torch.no_grad():
        terms = play(model, image=images)["autoencoder"]
    assert model.bound(images).mean().item() == pytest.approx(-sum(terms.values()).item(), abs=0.05)
