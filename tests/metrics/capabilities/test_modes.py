"""Modes of mixtures and stacks that are reached by construction."""

import math

import pytest
import torch

from genlit.data import Grid, Ring, StackedDigits
from genlit.errors import GenlitError
from genlit.metrics.capabilities.modes import ModeCoverage, StackedModes, kl, modes, stacked_modes
from genlit.metrics.extractors.lenet import lenet


@pytest.mark.parametrize("source", [Ring(), Grid()])
def test_real_points_reach_every_mode(source):
    metric = ModeCoverage(source.centres, source.std)
    labels = torch.arange(20_000) % len(source.centres)
    noise = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0))
    metric.update((source.centres[labels] + source.std * noise)[..., None, None])
    values = metric.compute()
    assert values["modes"] == len(source.centres)
    assert values["high-quality"] == pytest.approx(1 - math.exp(-4.5), abs=3e-3)
    assert values["modes-kl"] == pytest.approx(0, abs=1e-6)
    assert values["n"] == 20_000


def test_collapse_and_strays_are_told_apart():
    ring = Ring()
    metric = ModeCoverage(ring.centres, ring.std)
    metric.update(ring.centres[:1].expand(60, -1))
    metric.update(ring.centres[1:2] * (1 + 2.9 * ring.std))
    metric.update(ring.centres[2:3].expand(39, -1) * (1 + 3.1 * ring.std))
    values = metric.compute()
    assert (values["modes"], values["high-quality"], values["n"]) == (2, 0.61, 100)
    shares = (0.6, 0.01, 0.39)
    assert values["modes-kl"] == pytest.approx(sum(p * math.log(8 * p) for p in shares))


class Collapsed:
    """Draws the first mode alone, the i-th sample i millionths off."""

    def sample(self, n, *, seed=0, start=0, batch_size=64):
        offsets = torch.arange(start, start + n) * 1e-6
        return (Ring().centres[0] + offsets[:, None])[:, :, None, None]


def test_a_model_is_measured_by_its_first_samples():
    rows = {row.name: (row.value, row.n) for row in modes(Collapsed(), Ring(), 3000)}
    assert rows == {
        "modes/ring8.n3000": (1, 3000),
        "high-quality/ring8.n3000": (1, 3000),
        "modes-kl/ring8.n3000": (pytest.approx(math.log(8)), 3000),
    }


class Recalls:
    """Draws the stacks that it was given, over and over."""

    def __init__(self, images):
        self.images = images

    def sample(self, n, *, seed=0, start=0, batch_size=64):
        return self.images[torch.arange(start, start + n) % len(self.images)]


def test_stacks_are_counted_by_the_classifier_of_single_digits(hasty_lenet):
    source = StackedDigits(images=300, size=16)
    rows = source.first(2000, torch.device("cpu"), "test")
    measured = stacked_modes(Recalls(rows["image"]), source, 2000)
    of = f"stacked.lenet-{lenet(source.single).variant}.n2000"
    assert [(row.name, row.n) for row in measured] == [(f"modes/{of}", 2000), (f"modes-kl/{of}", 2000)]
    found, divergence = (row.value for row in measured)
    assert found == pytest.approx(len(rows["label"].unique()), rel=0.15)  # a hasty classifier errs
    one, all_of_it = stacked_modes(Recalls(rows["image"][:1]), source, 50)
    assert (one.value, one.name) == (1, f"modes/{of.replace('2000', '50')}")
    assert divergence < 1 < all_of_it.value


def test_batches_change_nothing():
    ring = Ring()
    points = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    whole, parts = ModeCoverage(ring.centres, 0.1), ModeCoverage(ring.centres, 0.1)
    whole.update(points)
    for rows in torch.randperm(1000).split(33):
        parts.update(points[rows])
    assert whole.compute() == parts.compute()


def reader(images):
    """Reads the digit from the first pixel."""
    return torch.nn.functional.one_hot(images[:, 0, 0, 0].long(), 10).float()


def stacks(digits):
    return digits[:, :, None, None].expand(-1, -1, 2, 2).float()


def test_all_stacks_are_a_thousand_modes():
    metric = StackedModes(reader, torch.ones(10))
    every = torch.cartesian_prod(*[torch.arange(10)] * 3)
    for part in every.split(300):
        metric.update(stacks(part))
    assert metric.compute() == {"modes": 1000, "modes-kl": pytest.approx(0, abs=1e-12), "n": 1000}
    metric.reset()
    metric.update(stacks(every[:1].expand(50, -1)))
    assert metric.compute() == {"modes": 1, "modes-kl": pytest.approx(math.log(1000)), "n": 50}


def test_channels_are_told_apart():
    metric = StackedModes(reader, torch.ones(10))
    metric.update(stacks(torch.tensor([[1, 2, 3], [3, 2, 1], [2, 1, 3], [1, 2, 3]])))
    assert metric.compute()["modes"] == 3
    assert metric.counts[123] == 2


def test_the_data_need_not_be_uniform():
    frequencies = torch.arange(1.0, 11)
    metric = StackedModes(reader, frequencies)
    metric.update(stacks(torch.tensor([[9, 9, 9]])))
    assert metric.compute()["modes-kl"] == pytest.approx(-3 * math.log(10 / 55))


def test_a_mode_that_the_data_lack_costs_everything():
    assert kl(torch.tensor([1, 1]), torch.tensor([1.0, 0.0])) == math.inf
    assert kl(torch.tensor([2, 0]), torch.tensor([1.0, 1.0])) == pytest.approx(math.log(2))


def test_no_sample_is_no_mode():
    with pytest.raises(GenlitError, match="no sample"):
        ModeCoverage(torch.eye(2), 0.1).compute()
    with pytest.raises(GenlitError, match="no sample"):
        StackedModes(reader, torch.ones(10)).compute()
