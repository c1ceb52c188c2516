"""Likelihoods of models whose likelihood is known, under names that say of what."""

import math

import pytest
import torch

from genlit.data import Digits, Ring
from genlit.errors import GenlitError
from genlit.metrics.capabilities.likelihood import bits_per_dim, likelihoods
from genlit.models import VAE


class Binary(VAE):
    levels = 2


class Density:
    """Gives a known log-density, or probability of levels."""

    device = torch.device("cpu")
    given = ""

    def __init__(self, log_prob, levels=None):
        self.log_prob, self.levels = log_prob, levels


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    return Binary((1, 28, 28), latent=2, hidden=(8,))


def named(rows):
    return {row.name: row.value for row in rows}


def test_bits_are_those_of_the_uniform_distribution_in_every_unit():
    dimensions = 784
    assert bits_per_dim(dimensions * math.log(256), dimensions) == pytest.approx(8)
    assert bits_per_dim(0.0, dimensions, 256) == pytest.approx(8)  # density 1 on [0, 1]
    assert bits_per_dim(dimensions * math.log(2), dimensions, 128) == pytest.approx(8)  # density 1/2 on [-1, 1]


def test_names_carry_binarisation_draws_number_and_split(vae):
    rows = likelihoods(vae, Digits(binarize="dynamic"), "test", k=(1, 5), limit=70)
    assert [(row.name, row.n) for row in rows] == [
        ("elbo/dynamic.n70.test", 70),
        ("bits-per-dim/elbo.dynamic.n70.test", 70),
        ("iwae-5/dynamic.n70.test", 70),
        ("bits-per-dim/iwae-5.dynamic.n70.test", 70),
    ]
    values = named(rows)
    assert values["iwae-5/dynamic.n70.test"] > values["elbo/dynamic.n70.test"]
    assert values["bits-per-dim/elbo.dynamic.n70.test"] == pytest.approx(
        -values["elbo/dynamic.n70.test"] / (784 * math.log(2))
    )


def test_a_bound_depends_on_nothing_but_its_seed(vae):
    state = torch.random.get_rng_state()
    both = named(likelihoods(vae, Digits(binarize="dynamic"), "test", k=(1, 5), limit=70))
    alone = named(likelihoods(vae, Digits(binarize="dynamic", batch_size=9), "test", k=(5,), limit=70))
    assert torch.equal(state, torch.random.get_rng_state())
    assert alone.items() <= both.items()
    other = named(likelihoods(vae, Digits(binarize="dynamic"), "test", k=(5,), limit=70, seed=1))
    assert other["iwae-5/dynamic.n70.test"] != both["iwae-5/dynamic.n70.test"]


def test_draws_of_a_bound_differ(vae):
    """A bound of 50 equal draws would be the bound of one."""
    values = named(likelihoods(vae, Digits(binarize="threshold"), "test", k=(1, 50), limit=64))
    assert values["iwae-50/threshold.n64.test"] > values["elbo/threshold.n64.test"] + 0.1


def test_a_density_of_bytes_is_dequantised():
    seen = []

    def uniform(images):
        """On the cube [−256/255, 256/255] that dequantised bytes fill: 1/256 for each."""
        seen.append(images)
        return torch.full((len(images),), -784 * math.log(2 * 256 / 255))

    values = named(likelihoods(Density(uniform), Digits(), "test", limit=64))
    assert values["bits-per-dim/log-prob.dequantised.n64.test"] == pytest.approx(8)
    assert seen[0].unique().numel() > 10_000
    assert ((seen[0] - Digits().first(64, torch.device("cpu"), "test")["image"]).abs() <= 1 / 255 + 1e-6).all()


def test_probabilities_of_levels_need_no_density():
    model = Density(lambda images: torch.full((len(images),), -784 * math.log(256)), levels=256)
    values = named(likelihoods(model, Digits(), "test", limit=64))
    assert values["bits-per-dim/log-prob.256-levels.n64.test"] == pytest.approx(8)


def test_real_numbers_have_no_bits():
    model = Density(lambda points: -0.5 * points.flatten(1).square().sum(1) - math.log(2 * math.pi))
    rows = likelihoods(model, Ring(std=0.05), "test", limit=3000)
    assert [row.name for row in rows] == ["log-prob/continuous.n3000.test"]
    assert rows[0].value == pytest.approx(-0.5 * (1 + 2 * 0.05**2) - math.log(2 * math.pi), abs=0.01)


def test_probabilities_of_other_levels_are_refused(vae):
    with pytest.raises(GenlitError, match="2 levels"):
        likelihoods(vae, Digits(), "test", limit=64)


def test_a_density_of_binary_images_is_refused():
    with pytest.raises(GenlitError, match=r"data\.binarize is dynamic"):
        likelihoods(Density(lambda images: images.sum(1)), Digits(binarize="dynamic"), "test", limit=64)


def test_a_likelihood_of_a_part_given_the_rest_says_so_and_has_no_bits():
    class Conditional(Binary):
        given = "1-quadrant"

    torch.manual_seed(0)
    rows = likelihoods(Conditional((1, 28, 28), latent=2, hidden=(8,)), Digits(binarize="dynamic"), "test", limit=64)
    assert [row.name for row in rows] == [
        "elbo-given-1-quadrant/dynamic.n64.test",
        "iwae-50-given-1-quadrant/dynamic.n64.test",
    ]
    model = Density(lambda images: -images.flatten(1).abs().sum(1), levels=2)
    model.given = "2-quadrants"
    (row,) = likelihoods(model, Digits(binarize="dynamic"), "test", limit=64)
    assert (row.name, row.value) == ("log-prob-given-2-quadrants/dynamic.n64.test", -784)
