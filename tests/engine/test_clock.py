"""Seeds, batches and closed forms of the clock."""

import pytest
import torch

from genlit.engine.clock import Batches, derive, fall, ramp, rate, reseed
from genlit.errors import GenlitError


def test_seeds_are_stable_and_distinct():
    assert derive(0, 1, 2, "a") == 3020009370072790886
    keys = [(seed, it, slot, turn) for seed in range(3) for it in range(20) for slot in range(3) for turn in range(3)]
    assert len({derive(*key) for key in keys}) == len(keys)
    assert all(0 <= derive(*key) < 2**63 for key in keys)


def test_reseeding_repeats_the_numbers():
    device = torch.device("cpu")
    reseed(device, 1, 2)
    first = torch.randn(4)
    reseed(device, 1, 3)
    other = torch.randn(4)
    reseed(device, 1, 2)
    assert torch.equal(torch.randn(4), first)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("images", "factor"), [(0, 0.0), (50, 0.5), (100, 1.0), (200, 1.0), (300, 0.5), (400, 0.0), (900, 0.0)]
)
def test_the_rate_rises_and_falls_linearly(images, factor):
    assert rate(images, warmup=100, decay=(200, 400)) == pytest.approx(factor)
    assert rate(images, warmup=0, decay=None) == 1.0
    assert ramp(images, 100) * fall(images, 200, 400) == pytest.approx(factor)


def test_one_size_gives_every_iteration_as_many_images():
    batches = Batches(7)
    assert [batches.at(iteration) for iteration in range(3)] == [(0, 7), (7, 7), (14, 7)]
    assert (batches.largest, batches.sizes) == (7, {"data.batch_size": 7})


def test_a_stage_ends_at_the_first_boundary_at_or_after_its_images():
    batches = Batches({0: 4, 10: 3, 18: 8})
    starts, sizes = zip(*(batches.at(iteration) for iteration in range(8)), strict=True)
    assert starts == (0, 4, 8, 12, 15, 18, 26, 34)
    assert sizes == (4, 4, 4, 3, 3, 8, 8, 8)
    assert batches.largest == 8
    assert batches.sizes == {"data.batch_size.0": 4, "data.batch_size.10": 3, "data.batch_size.18": 8}


def test_a_stage_that_one_iteration_passes_over_has_none():
    batches = Batches({0: 100, 30: 5, 60: 2})
    assert [batches.at(iteration) for iteration in range(3)] == [(0, 100), (100, 2), (102, 2)]


def test_an_iteration_far_off_costs_no_more():
    assert Batches({0: 1, 1000: 2}).at(10**15) == (1000 + 2 * (10**15 - 1000), 2)


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        (0, "data.batch_size is 0: it must be at least 1"),
        ({0: 8, 40: 0}, "data.batch_size.40 is 0: it must be at least 1"),
        ({}, r"data.batch_size has the stages \[\]: .* ascending from 0"),
        ({5: 8}, r"data.batch_size has the stages \[5\]"),
        ({0: 8, 40: 4, 30: 2}, r"data.batch_size has the stages \[0, 40, 30\]"),
    ],
)
def test_batches_out_of_range_or_order_are_refused_by_key(sizes, sentence):
    with pytest.raises(GenlitError, match=sentence):
        Batches(sizes)
