"""Inception Score beside torch-fidelity's, and sums that no order and no partition changes."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_isc import isc_features_to_metric

from genlit.errors import GenlitError
from genlit.metrics.distances.score import ScoreSums, contributions, splits_of


def draw(n, classes=1008, scale=3.0, seed=0):
    return scale * torch.randn(n, classes, generator=torch.Generator().manual_seed(seed))


def sums(logits, positions, n):
    collected = ScoreSums(n, logits.shape[1])
    for at in positions.split(32):
        collected.add(logits[at], at)
    return collected


@pytest.mark.parametrize("n", [10, 25, 99, 640])
@pytest.mark.parametrize("scale", [0.1, 3.0, 30.0])
def test_agrees_with_torch_fidelity(n, scale):
    logits = draw(n, scale=scale)
    collected = sums(logits, torch.arange(n), n)
    other = isc_features_to_metric(logits)
    score = collected.result(collected.tensor())
    assert score.mean == pytest.approx(other["inception_score_mean"], rel=1e-8)
    assert score.std == pytest.approx(other["inception_score_std"], abs=1e-8 * score.mean)


def test_sorted_classes_do_not_matter():
    classes = torch.arange(500) // 50
    logits = 20 * torch.nn.functional.one_hot(classes, 10).float()
    collected = sums(logits, torch.arange(500), 500)
    assert collected.result(collected.tensor()).mean == pytest.approx(9, abs=0.5)


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_order_and_batches_change_no_bit(scale):
    logits, n = draw(300, scale=scale), 300
    expected = sums(logits, torch.arange(n), n).tensor()
    order = torch.randperm(n, generator=torch.Generator().manual_seed(1))
    assert torch.equal(sums(logits, order, n).tensor(), expected)
    one_by_one = ScoreSums(n, 1008)
    for position in order.tolist():
        one_by_one.add(logits[position, None], torch.tensor([position]))
    assert torch.equal(one_by_one.tensor(), expected)


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_partition_changes_no_bit(world):
    logits, n = draw(101, scale=5), 101
    parts = [sums(logits, torch.arange(rank, n, world), n).tensor() for rank in range(world)]
    whole = ScoreSums(n, 1008)
    assert torch.equal(sum(parts, whole.tensor()), sums(logits, torch.arange(n), n).tensor())
    assert whole.result(sum(parts)) == whole.result(sum(reversed(parts)))


def test_sums_of_many_images_do_not_round():
    rows = contributions(draw(4096, classes=20))
    units = torch.tensor([1.0, 2.0**32] + [2.0**36] * 20, dtype=torch.float64)
    scaled = rows * units
    assert torch.equal(scaled, scaled.round())
    total = torch.zeros(22, dtype=torch.float64)
    for _ in range(16):  # 2¹⁶ images
        total += rows.sum(0)
    exact = [16 * sum(int(x) for x in column) for column in scaled.T]
    assert [int(x) for x in total * units] == exact


def test_the_global_order_is_left_alone():
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    splits_of(100)
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])


def test_twenty_five_images_make_ten_splits():
    assert splits_of(25).bincount().tolist() == [2, 3, 2, 3, 2, 3, 2, 3, 2, 3]


def test_refusals():
    with pytest.raises(GenlitError, match="9 images are too few"):
        splits_of(9)
    with pytest.raises(GenlitError, match="not finite"):
        ScoreSums(10, 4).add(draw(10, 4) / 0, torch.arange(10))
