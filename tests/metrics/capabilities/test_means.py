"""Means that no partition, order or repeat changes by a bit."""

import pytest
import torch
from torchmetrics import MeanMetric

from genlit.data import Digits
from genlit.errors import GenlitError
from genlit.metrics.capabilities.means import PerImage, merged, per_image

CPU = torch.device("cpu")


def values(n: int) -> torch.Tensor:
    """Of very different size, so that the order of a plain sum shows."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, generator=generator).double() * 10 ** (8 * torch.rand(n, generator=generator)).double()


def share(positions: torch.Tensor, of: torch.Tensor, batch: int) -> dict:
    means = PerImage(len(of))
    for part in positions.split(batch) if len(positions) else ():
        means.update({"x": of[part % len(of)], "-x": -of[part % len(of)]}, part)
    return {name: torch.cat([torch.from_numpy(pairs) for pairs in kept]).numpy() for name, kept in means.kept.items()}


@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize("batch", [1, 5, 37])
def test_partitions_orders_and_batches_give_the_same_bits(world, batch):
    of = values(37)
    expected = merged([share(torch.arange(37), of, 37)], 37)
    order = torch.randperm(37, generator=torch.Generator().manual_seed(world))
    assert merged([share(order[rank::world], of, batch) for rank in range(world)], 37) == expected
    assert expected["-x"] == -expected["x"]


def test_the_order_of_a_plain_sum_would_show():
    of = values(37)
    assert len({sum(of[torch.randperm(37)].tolist()) for _ in range(50)}) > 1


def test_processes_without_images_take_part():
    of = values(37)
    parts = [torch.arange(0), torch.arange(20), torch.arange(0), torch.arange(20, 37)]
    assert merged([share(part, of, 8) for part in parts], 37) == merged([share(torch.arange(37), of, 8)], 37)


@pytest.mark.parametrize("world", [2, 4])
def test_a_padded_sampler_counts_nothing_twice(world):
    of = values(37)
    expected = merged([share(torch.arange(37), of, 8)], 37)
    each = -(-37 // world)
    numbered_on = torch.arange(each * world)
    wrapped = numbered_on % 37
    for padded in (numbered_on, wrapped):
        assert merged([share(padded[rank::world], of, 8) for rank in range(world)], 37) == expected
    assert of[wrapped].mean() != pytest.approx(expected["x"], rel=1e-6)


def test_repeats_of_other_value_leave_the_order_of_processes_without_effect():
    first, second = PerImage(1), PerImage(1)
    first.update({"x": torch.tensor([1.0])}, torch.tensor([0]))
    second.update({"x": torch.tensor([2.0])}, torch.tensor([0]))
    shares = [{"x": means.kept["x"][0]} for means in (first, second)]
    assert merged(shares, 1) == merged(shares[::-1], 1)


def test_a_missing_image_is_named():
    means = PerImage(4)
    means.update({"x": torch.ones(2)}, torch.tensor([0, 3]))
    with pytest.raises(GenlitError, match="2 of 4 images are missing, the first at position 1"):
        means.compute()
    means.reset()
    with pytest.raises(GenlitError, match="no value"):
        means.compute()


def test_many_small_updates_lose_nothing():
    """The sum of a mean in float32 loses its last digits: 3.14453 for 3.14459."""
    bits = 3.14459 + torch.rand(20_000, generator=torch.Generator().manual_seed(0)) * 1e-5
    naive, means = MeanMetric(), PerImage(len(bits))
    for value in bits:
        naive.update(value)
    means.update({"bits": bits}, torch.arange(len(bits)))
    exact = bits.double().mean().item()
    assert abs(naive.compute().item() - exact) > 5e-5
    assert means.compute()["bits"] == pytest.approx(exact, rel=1e-15)


@pytest.fixture(scope="module")
def digits():
    return Digits(binarize="dynamic", batch_size=100)


def brightness(batch):
    return {"brightness": batch["image"].flatten(1).mean(1)}


def test_draws_depend_on_the_seed_and_the_row_alone(digits):
    first, n = per_image(brightness, digits, "test", CPU, limit=70)
    state = torch.random.get_rng_state()
    again, _ = per_image(brightness, Digits(binarize="dynamic", batch_size=7), "test", CPU, limit=70)
    assert torch.equal(state, torch.random.get_rng_state())
    assert (again, n) == (first, 70)
    assert per_image(brightness, digits, "test", CPU, limit=70, seed=1)[0] != first


def test_a_limit_cuts_without_changing_what_is_left(digits):
    seen = {}

    def noting(batch):
        seen[len(seen)] = batch["image"]
        return brightness(batch)

    per_image(noting, digits, "test", CPU, limit=10)
    per_image(noting, digits, "test", CPU, limit=60)
    assert torch.equal(seen[0], seen[1])


def test_nothing_to_measure_is_said(digits):
    with pytest.raises(GenlitError, match="the limit is 0"):
        per_image(brightness, digits, "test", CPU, limit=0)
