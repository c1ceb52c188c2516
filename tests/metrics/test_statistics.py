"""Statistics of a set: exact sums, so that order, batches and processes leave no trace."""

import numpy as np
import pytest
import torch
from torch import nn

from genlit.errors import GenlitError
from genlit.metrics.distances.frechet import Moments, frechet
from genlit.metrics.statistics import BITS, Collector, step
from tests.metrics.stubs import Tiny, nothing_drawn, patterns

N = 60


@pytest.fixture(scope="module")
def images():
    return torch.from_numpy(patterns(N))


@pytest.fixture(scope="module")
def tiny():
    return Tiny()


def collect(extractor, images, positions, batch=64, n=N, **wanted):
    collector = Collector(extractor, n, **wanted)
    for where in positions.split(batch):
        collector.update(images[where % len(images)], where)
    return collector.compute()


def same(a, b):
    tensors = [(s.moments.mean, s.moments.covariance, s.features) for s in (a, b)]
    return a.score == b.score and all(torch.equal(x, y) for x, y in zip(*tensors))


@pytest.mark.parametrize("batch", [1, 7, 33, 60])
def test_order_and_batches_change_no_bit(tiny, images, batch):
    expected = collect(tiny, images, torch.arange(N), features=True, score=True)
    shuffled = torch.randperm(N, generator=torch.Generator().manual_seed(batch))
    assert same(collect(tiny, images, shuffled, batch, features=True, score=True), expected)


def test_plain_sums_would_depend_on_the_order(tiny, images):
    x = tiny(images).pool.double() * np.pi
    assert not torch.equal(x.T @ x, x.flip(0).T @ x.flip(0))


def test_sums_are_those_of_integers(tiny, images):
    collector = Collector(tiny, N)
    for where in torch.arange(N).split(7):
        collector.update(images[where], where)
    unit = step(tiny, images.shape[1:])
    x = [[int(v) for v in row] for row in (tiny(images).pool.double() / unit).round()]
    outer = [[sum(row[i] * row[j] for row in x) for j in range(16)] for i in range(16)]
    assert (collector.sums.outer / unit**2).long().tolist() == outer
    assert (collector.sums.sum / unit).long().tolist() == [sum(column) for column in zip(*x)]


def test_a_step_is_a_power_of_two_of_the_extractors_scale(tiny, images):
    largest = tiny(images).pool.max()
    assert np.frexp(step(tiny, images.shape[1:]))[0] == 0.5
    assert 0.1 < step(tiny, images.shape[1:]) * 2**BITS / largest < 10


@pytest.mark.parametrize("width", [16, 96])
def test_sums_and_features_agree(width):
    """Above as many images as features, sums are used; rounding them costs less than a hundred-thousandth."""
    extractor, positions = Tiny(width), torch.arange(N)
    sets = [torch.from_numpy(patterns(N, seed)) for seed in (0, 1)]
    by_collector = [collect(extractor, x, positions).moments for x in sets]
    assert (by_collector[0].covariance is not None) == (width == 16)
    exact = [extractor(x).pool.double() for x in sets]
    rounded = [x.div(unit := step(extractor, sets[0].shape[1:])).round().mul(unit) for x in exact]
    distance, trace = frechet(*by_collector).value, by_collector[0].trace
    assert distance == pytest.approx(frechet(*map(Moments.of, exact)).value, rel=1e-5)
    assert distance == pytest.approx(
        frechet(*map(Moments.of, rounded if width == 16 else exact)).value, abs=1e-9 * trace
    )


def test_features_come_by_position(tiny, images):
    summary = collect(tiny, images, torch.arange(N).flip(0), 9, features=True)
    assert torch.equal(summary.features, tiny(images).pool)


def test_positions_go_on_by_themselves(tiny, images):
    collector = Collector(tiny, N, features=True, score=True)
    for part in images.split(13):
        collector.update(part)
    assert same(collector.compute(), collect(tiny, images, torch.arange(N), features=True, score=True))


# Padding


@pytest.mark.parametrize("batch", [8, 80])
@pytest.mark.parametrize("padding", ["beyond", "repeats", "negative"])
def test_a_samplers_padding_does_not_count(tiny, images, padding, batch):
    """Images given again in the same batch or a later one, at positions from n on, and at −1."""
    more = {"beyond": torch.arange(N, 75), "repeats": torch.arange(15), "negative": -torch.ones(15).long()}[padding]
    padded = collect(tiny, images, torch.cat([torch.arange(N), more]), batch, features=True, score=True)
    assert same(padded, collect(tiny, images, torch.arange(N), features=True, score=True))


def test_counted_padding_would_show(tiny, images):
    wrapped = torch.arange(75) % N
    naive = Moments.of(tiny(images[wrapped]).pool)
    assert frechet(naive, collect(tiny, images, torch.arange(N)).moments).value > 1e-6


def test_the_mean_of_parts_distances_is_not_the_distance(tiny, images):
    """Why processes exchange sums and not values."""
    real = Moments.of(tiny(torch.from_numpy(patterns(N, 1))).pool)
    pool = tiny(images).pool
    parts = np.mean([frechet(Moments.of(pool[r::2]), real).value for r in range(2)])
    assert parts > 1.2 * frechet(collect(tiny, images, torch.arange(N)).moments, real).value


@pytest.mark.parametrize("features", [False, True])
def test_missing_images_are_counted(tiny, images, features):
    collector = Collector(tiny, N, features=features)
    collector.update(images[:50])
    with pytest.raises(GenlitError, match="10 of 60 images were never given"):
        collector.compute()
    collector.update(images[50:])
    assert collector.compute().moments.n == N


def test_reset_forgets(tiny, images):
    collector = Collector(tiny, N, features=True, score=True)
    collector.update(images.flip(0))
    collector.reset()
    collector.update(images)
    assert same(collector.compute(), collect(tiny, images, torch.arange(N), features=True, score=True))


def test_too_little_is_refused(images):
    with pytest.raises(GenlitError, match="1 images are too few"):
        Collector(Tiny(), 1)
    with pytest.raises(GenlitError, match="final layer"):
        Collector(Tiny(classes=None), 30, score=True)
    with pytest.raises(GenlitError, match="at least 10"):
        Collector(Tiny(), 9, score=True)


# What surrounds it


def test_the_layout_of_images_changes_no_bit(tiny, images):
    """Pictures from files, and those of models in channels_last, lie with their channels last."""
    last = images.to(memory_format=torch.channels_last)
    collectors = [Collector(tiny, N, features=True) for _ in range(2)]
    for collector, x in zip(collectors, (last, images)):
        collector.update(x)
    assert same(*(collector.compute() for collector in collectors))


@pytest.mark.parametrize("images_alone", [False, True])
def test_a_buffer_may_be_filled_again(tiny, images, images_alone):
    """A cache keyed by the tensor would give the first batch's features again."""
    collector = Collector(tiny, N, features=True, score=True)
    buffer, where = torch.empty_like(images[:20]), torch.empty(20, dtype=torch.int64)
    for start in range(0, N, 20):
        buffer.copy_(images[start : start + 20])
        torch.arange(start, start + 20, out=where)
        collector.update(buffer, None if images_alone else where)
    assert same(collector.compute(), collect(tiny, images, torch.arange(N), features=True, score=True))


def test_autocast_around_changes_no_bit(images):
    expected = collect(Tiny(), images, torch.arange(N), features=True, score=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        collector = Collector(Tiny(), N, features=True, score=True)  # new, so that its step too is found in here
        collector.update(images)
        summary = collector.compute()
        assert torch.zeros(2, 2).mm(torch.zeros(2, 2)).dtype == torch.bfloat16
    assert same(summary, expected)
    assert summary.moments.covariance.dtype == torch.float64


def test_an_owner_in_bfloat16_changes_no_bit(images):
    """Statistics are no buffers, and the collector, like whatever holds it, is no module."""
    owner = nn.Linear(2, 2)
    owner.collector = Collector(Tiny(), N, features=True)
    owner.collector.update(images[:30])
    owner.to(torch.bfloat16)
    owner.collector.update(images[30:])
    assert list(owner.state_dict()) == ["weight", "bias"]
    assert same(owner.collector.compute(), collect(Tiny(), images, torch.arange(N), features=True))


def test_a_default_type_of_float64_changes_no_bit(images):
    """What precision 64-true sets around a callback."""
    tiny = Tiny()
    expected = collect(tiny, images, torch.arange(N), features=True, score=True)
    torch.set_default_dtype(torch.float64)
    try:
        found = collect(tiny, images, torch.arange(N), features=True, score=True)
    finally:
        torch.set_default_dtype(torch.float32)
    assert same(found, expected)
    assert found.features.dtype == torch.float32


def test_nothing_is_drawn(images):
    with nothing_drawn():
        collect(Tiny(), images, torch.arange(N), features=True, score=True)


# The Inception Score


def by_class(extractor, images):
    return extractor(images).logits.argmax(1).argsort(stable=True)


def test_sorted_samples_score_as_shuffled_ones_where_positions_follow(tiny, images):
    """A split is drawn of positions: it is the same images in whatever order they come."""
    order = by_class(tiny, images)
    assert collect(tiny, images, order, score=True).score == collect(tiny, images, torch.arange(N), score=True).score


def test_sorted_samples_at_positions_of_their_own_score_about_the_same(tiny):
    """As of a model that draws class by class: splits are random, and consecutive ones would hold one class."""
    images = torch.from_numpy(patterns(400))
    in_order = images[by_class(tiny, images)]
    shuffled, ordered = (collect(tiny, x, torch.arange(400), n=400, score=True).score for x in (images, in_order))
    assert ordered != shuffled
    assert ordered.mean == pytest.approx(shuffled.mean, rel=0.05)
    assert np.mean([score_of(part) for part in tiny(in_order).logits.chunk(10)]) < 0.9 * shuffled.mean


def score_of(logits):
    p = logits.double().softmax(1)
    return (torch.special.entr(p.mean(0)).sum() - torch.special.entr(p).sum(1).mean()).exp()
