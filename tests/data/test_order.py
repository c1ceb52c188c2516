from itertools import islice

import numpy as np
import pytest

from genlit.data.order import ClockedBatches, Order, OrderedBatches
from genlit.errors import GenlitError

GROWING = {0: 8, 20: 16, 50: 24}


def batches(world: int = 1, rank: int = 0, start: int = 0, count: int = 20, sizes: tuple = (10,), size=8) -> list:
    sampler = ClockedBatches(sizes, size, 0, rank, world, lambda: start)
    return list(islice(sampler, count))


def test_every_epoch_is_a_permutation_of_its_own():
    order = Order(100, seed=3, name="x")
    epochs = [order.rows(100 * e, 100 * (e + 1)) for e in range(5)]
    assert all(sorted(epoch) == list(range(100)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 5


def test_rows_at_positions_do_not_depend_on_how_they_are_asked_for():
    whole = Order(7, seed=0, name="x").rows(0, 70)
    asked = Order(7, seed=0, name="x")
    for start, stop in [(60, 63), (0, 5), (5, 30), (69, 70)]:
        assert (asked.rows(start, stop) == whole[start:stop]).all()


def test_seed_and_name_change_the_order():
    orders = [Order(50, 0, "x"), Order(50, 1, "x"), Order(50, 0, "y")]
    assert len({tuple(order.permutation(0)) for order in orders}) == 3


def test_the_order_is_the_same_for_ever():
    assert Order(8, seed=0, name="stream 0").rows(0, 16).tolist() == [3, 0, 6, 1, 4, 2, 5, 7, 0, 2, 5, 7, 6, 1, 3, 4]


def test_positions_are_uniform_over_epochs():
    first = np.array([Order(4, 0, "x").permutation(e)[0] for e in range(4000)])
    assert np.abs(np.bincount(first, minlength=4) / 4000 - 0.25).max() < 0.03


@pytest.mark.parametrize("size", [8, GROWING])
@pytest.mark.parametrize("world", [2, 4, 8])
def test_the_union_over_ranks_is_what_one_process_reads(world: int, size):
    ranks = [batches(world, rank, size=size) for rank in range(world)]
    for k, (rows,) in enumerate(batches(size=size)):
        assert (np.concatenate([rank[k][0] for rank in ranks]) == rows).all()


@pytest.mark.parametrize("size", [8, GROWING])
@pytest.mark.parametrize("start", [1, 4, 7, 19])
def test_resuming_at_an_iteration_gives_its_rows(start: int, size):
    whole = batches(sizes=(10, 13), size=size)
    for resumed, straight in zip(batches(start=start, sizes=(10, 13), size=size), whole[start:]):
        assert all((a == b).all() for a, b in zip(resumed, straight, strict=True))


def test_batches_of_several_sizes_read_one_endless_order():
    grown = batches(size=GROWING, count=6)
    assert [len(rows) for (rows,) in grown] == [8, 8, 8, 16, 16, 24]
    assert np.concatenate([rows for (rows,) in grown]).tolist() == Order(10, 0, "stream 0").rows(0, 80).tolist()


def test_the_start_is_asked_each_time():
    clock = iter([0, 5])
    sampler = ClockedBatches([10], 8, 0, 0, 1, lambda: next(clock))
    assert (next(iter(sampler))[0] == batches()[0][0]).all()
    assert (next(iter(sampler))[0] == batches()[5][0]).all()


def test_streams_have_orders_of_their_own():
    a, b = (np.concatenate(rows) for rows in zip(*batches(sizes=(40, 40)), strict=True))
    assert (a != b).mean() > 0.9


def test_a_batch_may_be_larger_than_the_set():
    (rows,) = batches(sizes=(3,), count=1)[0]
    assert sorted(rows[:3]) == sorted(rows[3:6]) == [0, 1, 2]


def test_processes_must_share_the_batch_equally():
    with pytest.raises(GenlitError, match="batch_size is 8, which 3 processes"):
        batches(world=3)
    with pytest.raises(GenlitError, match=r"batch_size\.9 is 4, which 3 processes"):
        batches(world=3, size={0: 3, 9: 4})


def test_an_empty_set_and_a_negative_seed_are_refused():
    with pytest.raises(GenlitError, match="no image to train on"):
        Order(0, 0, "x")
    with pytest.raises(GenlitError, match="seed is -1"):
        Order(5, -1, "x")


@pytest.mark.parametrize("world", [1, 2, 3])
def test_evaluation_reads_every_row_once(world: int):
    ranks = [OrderedBatches([23], 5, rank, world) for rank in range(world)]
    read = [row for rank in ranks for (rows,) in rank for row in rows]
    assert sorted(read) == list(range(23))
    assert {len(rows) for rank in ranks for (rows,) in rank} <= {5 // world, 23 % (5 // world)}
    assert [len(rows) for (rows,) in OrderedBatches([23], 5, 0, 1)] == [5, 5, 5, 5, 3]


@pytest.mark.parametrize(("n", "world"), [(4, 4), (5, 4), (7, 4), (3, 2), (9, 8)])
def test_every_process_has_a_batch_to_evaluate(n: int, world: int):
    ranks = [list(OrderedBatches([n], 64, rank, world)) for rank in range(world)]
    assert all(ranks)
    assert sorted(row for rank in ranks for (rows,) in rank for row in rows) == list(range(n))


def test_fewer_images_than_processes_are_refused_and_none_are_not():
    for rank in range(4):
        with pytest.raises(GenlitError, match=r"The 3 images .* too few for 4 processes: raise data\.holdout"):
            OrderedBatches([3], 64, rank, 4)
    assert [len(OrderedBatches([0], 64, rank, 4)) for rank in range(4)] == [0] * 4


def test_evaluation_of_unequal_streams_ends_with_the_shorter():
    lengths = [[len(rows) for rows in batch] for batch in OrderedBatches([7, 3], 4, 0, 1)]
    assert lengths == [[3, 3]]
