"""The VAE against exact answers: principal components, linear-Gaussian evidence, moments of its gradients."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, MultivariateNormal
from torch.optim import LBFGS

from genlit.errors import GenlitError
from genlit.losses.likelihood import gaussian_kl
from genlit.models import VAE
from tests.games import digits, train

# The iris flowers' covariance (1 / (N − 1)): of the data, probabilistic PCA sees nothing else but the mean
IRIS = torch.tensor(
    [
        [0.6856935, -0.0424340, 1.2743154, 0.5162707],
        [-0.0424340, 0.1899794, -0.3296564, -0.1216394],
        [1.2743154, -0.3296564, 3.1162779, 1.2956094],
        [0.5162707, -0.1216394, 1.2956094, 0.5810063],
    ],
    dtype=torch.float64,
)


def small(**options) -> VAE:
    torch.manual_seed(0)
    return VAE((1, 4, 4), **{"latent": 3, "hidden": (8,)} | options).double()


def linear(latent: int) -> VAE:
    """x = W z + m + s ε, of four dimensions."""
    torch.manual_seed(0)
    return VAE((4, 1, 1), latent=latent, hidden=(), likelihood="gaussian").double()


def flowers() -> Tensor:
    """150 points with the iris flowers' mean and covariance, (150, 4, 1, 1)."""
    torch.manual_seed(0)
    points = torch.randn(150, 4, dtype=torch.float64)
    points = points - points.mean(0)
    white = points @ torch.linalg.inv(torch.linalg.cholesky(points.T @ points / 150)).T
    mean = torch.tensor([5.8433333, 3.0573333, 3.7580000, 1.1993333], dtype=torch.float64)
    return (white @ torch.linalg.cholesky(IRIS * 149 / 150).T + mean)[:, :, None, None]


def binary(n: int, seed: int = 0) -> Tensor:
    return torch.randint(2, (n, 1, 4, 4), generator=torch.Generator().manual_seed(seed)).double() * 2 - 1


# Exact likelihoods


def analytic(model: VAE, images: Tensor) -> Tensor:
    """The ELBO of a linear model, with E_q‖x − W z − m‖² in closed form, (B,)."""
    mean, log_variance = model.posterior(images)
    spread = model.decoder[0][0].weight.square().sum(0) * torch.exp(log_variance)
    excess = 0.5 * spread.sum(1) * torch.exp(-model.likelihood.log_variance)
    return -(model.likelihood(model.decoder(mean), images) + excess + gaussian_kl(mean, log_variance).sum(1))


def fit(model: VAE, images: Tensor) -> None:
    optimiser = LBFGS(model.parameters(), max_iter=1000, tolerance_change=1e-12, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = -analytic(model, images).mean()
        loss.backward()
        return loss

    optimiser.step(closure)


@pytest.mark.parametrize(("latent", "published"), [(1, -3.1377964), (2, -2.6997519)])
def test_a_linear_vae_is_probabilistic_pca(latent: int, published: float, play):
    model, data = linear(latent), flowers()
    spectrum = torch.linalg.eigvalsh(data.flatten(1).T.cov(correction=0)).flip(0)
    variance = spectrum[latent:].mean()  # Tipping & Bishop 1999, eq. 8
    log_determinant = spectrum[:latent].log().sum() + (4 - latent) * variance.log()
    best = -0.5 * (4 * math.log(2 * math.pi) + log_determinant + 4)
    assert best.item() == pytest.approx(published, abs=1e-6)

    fit(model, data)
    assert analytic(model, data).mean().item() == pytest.approx(published, abs=1e-4)
    assert model.likelihood.log_variance.exp().item() == pytest.approx(variance.item(), rel=1e-2)
    with torch.no_grad():
        terms = play(model, image=data.repeat(100, 1, 1, 1))["autoencoder"]
        assert -sum(terms.values()).item() == pytest.approx(published, abs=0.02)
        assert model.bound(data).mean().item() == pytest.approx(published, abs=0.02)


def test_more_draws_tighten_the_bound_towards_the_evidence():
    model = linear(2)
    weight, offset = model.decoder[0][0].weight, model.decoder[0][0].bias
    with torch.no_grad():
        covariance = weight @ weight.T + model.likelihood.log_variance.exp() * torch.eye(4)
        data = MultivariateNormal(offset, covariance).sample((50,))
        evidence = MultivariateNormal(offset, covariance).log_prob(data).mean()
        images = data[:, :, None, None].repeat(200, 1, 1, 1)
        bounds = {k: model.bound(images, k).mean() for k in (1, 5, 50)}
    assert bounds[1].item() == pytest.approx(analytic(model, images).mean().item(), abs=0.2)
    assert bounds[1] + 1 < bounds[5]
    assert bounds[5] + 0.2 < bounds[50] < evidence < bounds[50] + 0.3


def test_the_bound_is_exact_where_the_posterior_is():
    model, data = linear(1), flowers()
    fit(model, data)
    with torch.no_grad():
        weight, offset = model.decoder[0][0].weight, model.decoder[0][0].bias
        covariance = weight @ weight.T + model.likelihood.log_variance.exp() * torch.eye(4)
        evidence = MultivariateNormal(offset, covariance).log_prob(data.flatten(1))
        for k in (1, 5):
            torch.testing.assert_close(model.bound(data, k), evidence, rtol=0, atol=1e-2)


# The game


def test_reparameterised_gradients_have_the_mean_and_variance_of_the_closed_form(play):
    """E z² at N(1, 1): the gradient 2z of one draw has mean 2 and variance 4."""
    torch.manual_seed(0)
    model = VAE((1, 1, 1), latent=1, hidden=(), likelihood="gaussian").double()
    with torch.no_grad():
        model.encoder[1][0].weight.zero_()
        model.encoder[1][0].bias.copy_(torch.tensor([1.0, 0.0]))
        model.decoder[0][0].weight.fill_(1)
        model.decoder[0][0].bias.zero_()
    codes = []
    model.encoder.register_forward_hook(lambda module, inputs, output: codes.append(output))
    n = 100_000
    terms = play(model, image=torch.zeros(n, 1, 1, 1, dtype=torch.float64))["autoencoder"]
    squares = 2 * terms["reconstruction"]  # −log N(0; z, 1) = ½ z² + a constant
    slopes = torch.autograd.grad(squares, codes[0])[0][:, 0] * n
    assert slopes.mean().item() == pytest.approx(2, abs=0.03)
    assert slopes.var().item() == pytest.approx(4, abs=0.1)


def test_the_terms_are_summed_over_pixels_and_codes_and_averaged_over_images(play):
    model, x = small(), binary(5)
    torch.manual_seed(2)
    terms = play(model, image=x)["autoencoder"]
    mean, log_variance = model.posterior(x)
    torch.manual_seed(2)
    z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
    reconstruction = -Bernoulli(logits=model.decoder(z)).log_prob((x + 1) / 2).sum() / 5
    kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum() / 5
    torch.testing.assert_close(terms, {"reconstruction": reconstruction, "kl": kl})


def test_an_image_twice_as_large_costs_twice_as_much(play):
    def cost(side: int) -> float:
        model = VAE((1, side, 4), latent=2, hidden=())
        torch.nn.init.zeros_(model.decoder[0][0].weight)
        torch.nn.init.zeros_(model.decoder[0][0].bias)
        return play(model, image=torch.ones(3, 1, side, 4))["autoencoder"]["reconstruction"].item()

    assert cost(4) == pytest.approx(16 * math.log(2))
    assert cost(8) == pytest.approx(32 * math.log(2))


@pytest.mark.parametrize("beta", [0.0, 0.5, 4.0])
def test_beta_is_in_the_total_and_not_in_the_terms(beta: float, play):
    torch.manual_seed(1)
    plain = play(small(), image=binary(4))["autoencoder"]
    model = small(beta=beta)
    terms = play(model, image=binary(4))["autoencoder"]
    torch.testing.assert_close(terms["kl"], plain["kl"])
    torch.testing.assert_close(model.total("autoencoder", terms), terms["reconstruction"] + beta * terms["kl"])


def test_the_kl_is_warmed_up_over_images(at, play):
    model = small(beta=2.0, kl_warmup=100)
    for iteration, beta in ((0, 0.0), (5, 1.0), (10, 2.0), (99, 2.0)):
        terms = play(at(model, iteration), image=binary(4))["autoencoder"]
        torch.testing.assert_close(model.total("autoencoder", terms), terms["reconstruction"] + beta * terms["kl"])


def test_the_weight_of_the_kl_is_beta_alone():
    with pytest.raises(GenlitError, match=r"model\.weights\.kl: .* choose --model\.beta"):
        small(weights={"kl": 2.0})
    assert small(weights={"reconstruction": 2.0}).weights["reconstruction"] == 2


def test_free_nats_cost_the_same_and_teach_nothing(play):
    model = small(free_nats=10.0)
    term = play(model, image=binary(4))["autoencoder"]["kl"]
    assert term.item() == pytest.approx(30)
    slopes = torch.autograd.grad(term, [*model.encoder.parameters()])
    assert all((slope == 0).all() for slope in slopes)


def test_a_code_is_free_by_its_mean_over_the_batch():
    divergences = torch.tensor([[0.0, 3.0, 1.0], [0.8, 1.0, 2.0]])
    assert small(free_nats=0.5).freed(divergences).item() == pytest.approx(0.5 + 2 + 1.5)
    assert small().freed(divergences).item() == pytest.approx(0.4 + 2 + 1.5)


def test_what_is_logged_is_raw(at):
    model = at(small(beta=3.0, free_nats=10.0), 0).eval()
    model.examine({"image": binary(4)}, 0, None)
    logged = model.examined()
    assert logged["val/autoencoder/kl"] == pytest.approx(30)
    divergence = -logged["val/elbo"] - logged["val/autoencoder/reconstruction"]
    assert 0 < divergence < 10
    assert logged["val/bits_per_dim"] == pytest.approx(-logged["val/elbo"] / (16 * math.log(2)))
    assert logged["val/beta"] == 3


# The beginning


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "logistic"])
def test_the_decoder_begins_with_the_mean_image(likelihood: str):
    model, x = small(likelihood=likelihood), binary(7)
    model.begin_at(x)
    torch.nn.init.zeros_(model.decoder[0][-1].weight)
    expected = x.mean(0).clamp(-0.98, 0.98)
    torch.testing.assert_close(model.reconstruct(x[:1])[0], expected if likelihood != "gaussian" else x.mean(0))


def test_training_begins_with_the_mean_image(tmp_path):
    model, data = VAE((1, 8, 8), latent=2, hidden=(8,), lr=1e-9), digits(binarize="threshold")
    train(model, tmp_path, data=data)
    images = data.first(VAE.firsts, model.device, "train")["image"]
    started = torch.tanh(model.decoder[0][-1].bias.detach() / 2)
    torch.testing.assert_close(started, images.mean(0).flatten().clamp(-0.98, 0.98))


# Codes and images


def test_codes_and_reconstructions_are_means():
    model, x = small(), binary(4)
    before = torch.get_rng_state()
    codes, images = model.encode(x), model.reconstruct(x)
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(codes, model.posterior(x)[0])
    torch.testing.assert_close(images, 2 * torch.sigmoid(model.decoder(codes)) - 1)
    assert torch.equal(model.encode(x), codes)
    assert torch.equal(model.reconstruct(x), images)
    assert not codes.requires_grad
    assert not images.requires_grad
    assert model.training


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "logistic"])
def test_images_stay_in_range(likelihood: str):
    model = small(likelihood=likelihood)
    torch.nn.init.normal_(model.decoder[0][-1].weight, std=10)
    for images in (model.sample(70), model.reconstruct(binary(4)), model.interpolate(3)):
        assert images.shape[1:] == (1, 4, 4)
        assert images.abs().max() <= 1
    assert model.sample(70).shape[0] == 70


def test_codes_are_standard_normal():
    torch.manual_seed(0)
    z = small(latent=100).prior(500, torch.device("cpu"))
    assert z.mean().item() == pytest.approx(0, abs=0.02)
    assert z.std().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("likelihood", ["gaussian", "logistic"])
def test_the_scale_is_learned(likelihood: str, play):
    model = small(likelihood=likelihood)
    loss = model.total("autoencoder", play(model, image=binary(4))["autoencoder"])
    (scale,) = model.likelihood.parameters()
    assert torch.autograd.grad(loss, scale)[0].abs() > 0
    assert any(parameter is scale for parameter in model._owned("autoencoder"))


def test_a_fixed_variance_stays_and_weighs_the_squared_error(play):
    model, x = small(likelihood="gaussian", variance=0.25), binary(4)
    torch.manual_seed(2)
    reconstruction = play(model, image=x)["autoencoder"]["reconstruction"]
    torch.manual_seed(2)
    mean, log_variance = model.posterior(x)
    outputs = model.decoder(mean + torch.exp(log_variance / 2) * torch.randn_like(mean))
    squares = (x - outputs).square().sum() / 4
    torch.testing.assert_close(reconstruction, squares / 0.5 + 8 * math.log(2 * math.pi * 0.25))
    assert not any(parameter is model.likelihood.log_variance for parameter in model._owned("autoencoder"))


@pytest.mark.parametrize("options", [{"variance": 0.0}, {"variance": -1.0}, {"variance": 1.0}])
def test_a_variance_is_above_zero_and_the_gaussians(options: dict):
    likelihood = "bernoulli" if options["variance"] == 1 else "gaussian"
    with pytest.raises(GenlitError, match=r"model\.variance is .*: it must be (above 0, or null|null: no Gaussian)"):
        small(likelihood=likelihood, **options)


def test_single_precision_images_suit_a_double_model():
    model, x = small(), binary(2)
    torch.testing.assert_close(model.encode(x.float()), model.encode(x))
    torch.testing.assert_close(model.reconstruct(x.float()), model.reconstruct(x))
