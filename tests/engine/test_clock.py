"""Seeds and closed forms of the clock."""

import pytest
import torch

from genlit.engine.clock import derive, fall, ramp, rate, reseed


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
