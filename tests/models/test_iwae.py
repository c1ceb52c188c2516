"""The importance-weighted autoencoder against the VAE and against its gradient, weight by weight."""

import math

import pytest
import torch
from torch import Tensor

from genlit.errors import GenlitError
from genlit.losses.likelihood import gaussian_kl
from genlit.models import VAE
from genlit.models.iwae import IWAE


def small(draws: int, model=IWAE, **options):
    torch.manual_seed(0)
    options = {"latent": 3, "hidden": (8,)} | ({"draws": draws} if model is IWAE else {}) | options
    return model((1, 4, 4), **options).double()


def binary(n: int) -> Tensor:
    return torch.randint(2, (n, 1, 4, 4), generator=torch.Generator().manual_seed(0)).double() * 2 - 1


def played(model, x: Tensor) -> Tensor:
    torch.manual_seed(1)
    (terms,) = dict(model.turns({"image": x})).values()
    return sum(terms.values())


def slopes(model, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters())))


def test_one_draw_costs_what_a_vae_does_with_its_divergence_drawn():
    """Exactly: −log w in the place of −log p(x|z) + KL."""
    model, x = small(1), binary(6)
    torch.manual_seed(1)
    mean, log_variance = model.posterior(x)
    noise = torch.randn_like(mean)
    z = mean + torch.exp(log_variance / 2) * noise
    drawn = 0.5 * (z.square() - noise.square() - log_variance).sum(1).mean()
    vae, exact = small(1, VAE), gaussian_kl(mean, log_variance).sum(1).mean()
    torch.testing.assert_close(played(model, x) - drawn, played(vae, x) - exact)


def test_one_draw_is_a_vae_on_average():
    iwae, vae = small(1), small(1, VAE)
    x = binary(1).repeat(200_000, 1, 1, 1)
    assert played(iwae, x).item() == pytest.approx(played(vae, x).item(), abs=0.01)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_its_gradient_is_that_of_the_log_weights_by_their_shares(likelihood: str):
    """Burda et al. 2016, eq. 14: Σᵢ w̃ᵢ ∇ log wᵢ, each draw and image by itself."""
    model, x = small(4, likelihood=likelihood), binary(2)
    found = slopes(model, played(model, x))
    torch.manual_seed(1)
    noise = torch.randn(4 * 2, 3, dtype=torch.float64).view(4, 2, 3)
    expected = [torch.zeros_like(parameter) for parameter in model.parameters()]
    for image in range(2):
        one = x[image : image + 1]
        log_weights = []
        for draw in range(4):
            mean, log_variance = model.posterior(one)
            z = mean + torch.exp(log_variance / 2) * noise[draw, image]
            normal = torch.distributions.Normal(mean, torch.exp(log_variance / 2))
            prior = -0.5 * (z.square() + torch.log(torch.tensor(2 * torch.pi))).sum()
            log_weights.append(prior - normal.log_prob(z).sum() - model.likelihood(model.decoder(z), one).sum())
        shares = torch.stack(log_weights).softmax(0).detach()
        for share, log_weight in zip(shares, log_weights, strict=True):
            for total, slope in zip(expected, slopes(model, log_weight), strict=True):
                total.sub_(share * slope / 2)
    torch.testing.assert_close(found, expected)


def test_it_trains_on_the_bound_that_it_reports():
    model, x = small(20), binary(1)
    torch.nn.init.normal_(model.decoder[0][0].weight)  # or the codes would say little, and all bounds be alike
    trained = -played(model, x.repeat(20_000, 1, 1, 1))
    torch.manual_seed(2)
    bounds = {k: model.bound(x.repeat(20_000, 1, 1, 1), k).mean() for k in (5, 20)}
    assert trained.item() == pytest.approx(bounds[20].item(), abs=0.01)
    assert bounds[5] < bounds[20] - 0.02


def test_the_elbo_is_observed_beside_it(at):
    model = at(small(20), 0).eval()
    model.examine({"image": binary(200)}, 0, None)
    logged = model.examined()
    assert logged["val/elbo"] < -logged["val/autoencoder/bound"] < 0
    assert logged["val/bits_per_dim"] == pytest.approx(logged["val/autoencoder/bound"] / (16 * math.log(2)))


def test_draws_are_a_count():
    with pytest.raises(GenlitError, match=r"model\.draws is 0: it must be at least 1"):
        small(0)
