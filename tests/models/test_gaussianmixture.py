"""Gaussians and their mixtures against scikit-learn, closed forms and numerical integrals."""

import math
from copy import deepcopy

import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.mixture import GaussianMixture as Reference
from torch import Tensor
from torch.distributions import MultivariateNormal

from genlit import config
from genlit.errors import GenlitError
from genlit.models import gaussianmixture
from genlit.models.gaussianmixture import Gaussian, GaussianMixture, GradientGaussianMixture
from tests.games import digits, train

KINDS = ["full", "diagonal", "factors", "principal"]
TWO = {"factors": {"factors": 2}, "principal": {"factors": 2}}


@pytest.fixture(scope="module")
def iris() -> Tensor:
    return torch.from_numpy(load_iris().data)[:, :, None, None]


def fitted(images: Tensor, steps: int = 200, seed: int = 0, **options) -> GaussianMixture:
    torch.manual_seed(seed)
    model = GaussianMixture(tuple(images.shape[1:]), **options)
    for _ in range(steps):
        model.em(images)
    return model


def two_clusters(n: int = 400) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(n, 2, generator=generator, dtype=torch.float64) * torch.tensor([0.4, 0.8])
    points[: n // 4] += torch.tensor([3.0, -1.0])
    return points[:, :, None, None]


# Exact values


@pytest.mark.parametrize(("components", "published"), [(1, -2.5327643), (2, -1.4290314), (3, -1.2012365)])
def test_full_covariances_reach_scikit_learns_likelihood_on_iris(components: int, published: float, iris):
    best = max(
        fitted(iris, components=components, seed=seed).log_prob(iris).mean().item() for seed in range(components)
    )
    assert best == pytest.approx(published, abs=1e-4)
    reference = Reference(components, n_init=5, tol=1e-9, max_iter=1000, random_state=0).fit(iris.flatten(1))
    assert best == pytest.approx(reference.score(iris.flatten(1)), abs=1e-3)


@pytest.mark.parametrize(("factors", "published"), [(1, -3.1377964), (2, -2.6997519)])
def test_principal_components_reach_the_exact_likelihood_on_iris(factors: int, published: float, iris):
    model = Gaussian((4, 1, 1), covariance="principal", factors=factors, regulariser=0)
    model.em(iris)
    assert model.log_prob(iris).mean().item() == pytest.approx(published, abs=1e-6)


def test_one_gaussian_is_the_samples_mean_and_covariance(iris):
    model = Gaussian((4, 1, 1), regulariser=0)
    model.em(iris)
    points = iris.flatten(1)
    exact = MultivariateNormal(points.mean(0), points.T.cov(correction=0))
    torch.testing.assert_close(model.log_prob(iris), exact.log_prob(points))


def test_factors_are_at_least_as_likely_as_principal_components(iris):
    principal, factors = (
        fitted(iris, components=1, covariance=kind, factors=2, regulariser=0).log_prob(iris).mean()
        for kind in ("principal", "factors")
    )
    assert principal < factors < fitted(iris, components=1, regulariser=0).log_prob(iris).mean()


# Expectation maximisation


@pytest.mark.parametrize("kind", KINDS)
def test_the_likelihood_never_falls(kind: str, iris):
    torch.manual_seed(0)
    model = GaussianMixture((4, 1, 1), components=3, covariance=kind, regulariser=0, **TWO.get(kind, {}))
    model.em(iris)
    likelihoods = torch.stack([model.em(iris) for _ in range(60)])
    assert likelihoods.diff().min() >= -1e-9
    assert likelihoods[-1] > likelihoods[0]


def test_steps_by_batches_are_exact_where_the_batch_is_the_data_and_near_where_it_is_not(iris):
    whole = fitted(iris, steps=100, components=2)
    torch.manual_seed(0)
    parts = GaussianMixture((4, 1, 1), components=2)
    points = parts.points(iris)
    parts.learn(points)
    for step in range(600):
        parts.learn(points[torch.randperm(150)[:50]], (step + 2) ** -0.7)
    assert parts.log_prob(iris).mean() == pytest.approx(whole.log_prob(iris).mean().item(), abs=0.05)


def test_gradients_reach_the_same_likelihood():
    images = two_clusters()
    exact = fitted(images, components=2).log_prob(images).mean().item()
    torch.manual_seed(0)
    model = GradientGaussianMixture((2, 1, 1), components=2)
    optimiser = torch.optim.Adam(model.mixture.parameters(), lr=0.05)
    for _ in range(400):
        optimiser.zero_grad()
        terms = dict(model.turns({"image": images}))["mixture"]
        terms["nll"].backward()
        optimiser.step()
    assert model.log_prob(images).mean().item() == pytest.approx(exact, abs=1e-3)


def test_the_first_centres_are_points_of_all_processes(monkeypatch):
    torch.manual_seed(0)
    near, far = torch.randn(8, 2), torch.randn(8, 2) + 100
    model = GaussianMixture((2, 1, 1), components=2)
    assert len(model.nearest(near).unique(dim=0)) == 2
    monkeypatch.setattr(gaussianmixture, "gather", lambda points: [points, far])
    assert len(model.nearest(near).unique(dim=0)) == 1


def test_it_trains_without_an_optimiser(tmp_path):
    model = GaussianMixture((1, 8, 8), components=2, covariance="diagonal", regulariser=1e-2)
    before = deepcopy(model.state_dict())
    trainer = train(model, tmp_path, data=digits(batch_size=32))
    assert trainer.global_step == 4
    assert not torch.equal(before["mixture.means"], model.state_dict()["mixture.means"])


# Options


@pytest.mark.parametrize("kind", ["full", "diagonal"])
def test_covariances_without_factors_refuse_them(kind: str):
    with pytest.raises(GenlitError, match=f"model.factors is 2: it must be 1: {kind} covariances have none"):
        GaussianMixture((2, 1, 1), covariance=kind, factors=2)


@pytest.mark.parametrize(
    ("model", "fixed"), [(Gaussian, "components"), (GaussianMixture, None), (GradientGaussianMixture, "forget")]
)
def test_a_checkpoints_options_are_those_of_the_class(model: type[GaussianMixture], fixed: str | None):
    options = set(model((2, 1, 1)).hparams)
    assert {"components", "covariance", "factors", "forget", "regulariser"} - options == {fixed} - {None}
    assert set(model(**model((2, 1, 1), seed=3).hparams).hparams) == options


def test_gradients_know_no_forgetting():
    files = config.compose("gaussianmixture-gradient", [])
    with pytest.raises(GenlitError, match=r"model\.forget"):
        config.parse(files, ["--model.forget=0.7"])


# The density


@pytest.mark.parametrize("kind", KINDS)
def test_the_density_integrates_to_one(kind: str):
    model = fitted(two_clusters(), steps=20, components=2, covariance=kind)
    ticks = torch.linspace(-8, 8, 801, dtype=torch.float64)
    grid = torch.cartesian_prod(ticks, ticks)[:, :, None, None]
    assert model.log_prob(grid).exp().sum().item() * 0.02**2 == pytest.approx(1, abs=1e-3)


def test_far_points_have_a_finite_density():
    model = fitted(two_clusters(), steps=5, components=2)
    assert model.log_prob(torch.full((1, 2, 1, 1), 1e4, dtype=torch.float64)).isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_models_moments_and_frequencies(kind: str):
    model = fitted(two_clusters(), steps=20, components=2, covariance=kind)
    samples = model.sample(20_000).double()
    distribution = model.mixture.distribution()
    torch.testing.assert_close(samples.flatten(1).mean(0), distribution.mean, rtol=0, atol=0.05)
    torch.testing.assert_close(samples.flatten(1).var(0), distribution.variance, rtol=0.05, atol=0)
    frequencies = model.responsibilities(samples).mean(0)
    torch.testing.assert_close(frequencies, model.mixture.logits.softmax(0), rtol=0, atol=0.01)


# Completion


@pytest.mark.parametrize("kind", KINDS)
def test_completions_follow_the_conditional_of_one_gaussian(kind: str, iris):
    model = Gaussian((4, 1, 1), covariance=kind)
    model.em(iris)
    seen = torch.tensor([True, False, True, False])[:, None, None]
    image = iris[:1].expand(20_000, -1, -1, -1)
    drawn = model.complete(image, seen)
    assert torch.equal(drawn[:, seen[:, 0, 0]], image[:, seen[:, 0, 0]])
    mean, covariance = model.mixture.means[0], model.mixture.covariances()[0]
    u, o = [1, 3], [0, 2]
    gain = covariance[u][:, o] @ torch.linalg.inv(covariance[o][:, o])
    expected = mean[u] + gain @ (iris[0, o, 0, 0] - mean[o])
    root = torch.linalg.cholesky(covariance[u][:, u] - gain @ covariance[o][:, u])
    noise = torch.linalg.solve(root, (drawn[:, u, 0, 0] - expected).T)
    torch.testing.assert_close(noise.mean(1), torch.zeros(2).double(), rtol=0, atol=0.02)
    torch.testing.assert_close(noise.cov(), torch.eye(2).double(), rtol=0, atol=0.03)


def test_completions_choose_the_component_that_the_observed_speak_for():
    model = fitted(two_clusters(), components=2)
    images = torch.tensor([[3.0, math.nan], [0.0, math.nan]], dtype=torch.float64)[:, :, None, None].repeat(
        500, 1, 1, 1
    )
    drawn = model.complete(images, torch.tensor([True, False])[:, None, None])[:, 1, 0, 0].view(500, 2)
    torch.testing.assert_close(drawn.mean(0), torch.tensor([-1.0, 0.0], dtype=torch.float64), rtol=0, atol=0.15)


@pytest.mark.parametrize("kind", KINDS)
def test_a_completion_does_not_depend_on_the_other_images(kind: str, iris):
    model = fitted(iris, steps=3, components=2, covariance=kind)
    images, masks = iris[:70], torch.rand(70, 4, 1, 1, generator=torch.Generator().manual_seed(0)) < 0.5
    drawn = model.complete(images, masks)
    for n in (1, 65):
        torch.testing.assert_close(model.complete(images[:n], masks[:n]), drawn[:n], rtol=0, atol=1e-12)
    others = masks.clone()
    others[1:] = ~masks[1:]
    torch.testing.assert_close(model.complete(images, others)[:1], drawn[:1], rtol=0, atol=1e-12)
    hidden = ~masks[:, :, 0, 0]
    assert (model.complete(images, masks, seed=1) != drawn)[:, :, 0, 0][hidden].all()
    again = model.complete(images[:1].expand(70, -1, -1, -1), torch.zeros(4, 1, 1))
    assert len(again.unique(dim=0)) == 70


@pytest.mark.parametrize("observed", [True, False])
def test_everything_or_nothing_may_be_observed(observed: bool, iris):
    model = fitted(iris, steps=3, components=2)
    drawn = model.complete(iris[:5], torch.full((1, 1, 1), observed))
    assert torch.equal(drawn, iris[:5]) == observed
    assert drawn.isfinite().all()
