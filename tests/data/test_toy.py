import numpy as np
import pytest
import torch

from genlit.data import Grid, Ring
from genlit.errors import GenlitError


@pytest.mark.parametrize("source", [Ring, Grid])
def test_points_lie_around_their_centres(source: type):
    toy = source(seed=3)
    stream = toy.store.splits["train"][0]
    assert toy.shape == (2, 1, 1)
    assert len(toy.classes) == len(toy.centres)
    offsets = stream["image"].reshape(-1, 2) - toy.centres.numpy()[stream["label"]]
    assert np.abs(offsets.mean(0)).max() < 4 * toy.std / np.sqrt(len(offsets))
    assert np.abs(offsets.std(0) / toy.std - 1).max() < 0.02
    counts = np.bincount(stream["label"], minlength=len(toy.centres))
    assert np.abs(counts / counts.mean() - 1).max() < 0.1


def test_centres():
    ring, grid = Ring(modes=4, radius=2).centres, Grid(side=3, spacing=0.5).centres
    assert torch.allclose(ring, torch.tensor([[2.0, 0], [0, 2], [-2, 0], [0, -2]]), atol=1e-6)
    assert sorted(grid.tolist()) == [[x, y] for x in (-0.5, 0, 0.5) for y in (-0.5, 0, 0.5)]
    assert len(Grid().centres) == 25


def test_points_are_a_function_of_the_seed_and_pass_untouched():
    batch = next(iter(Ring(seed=1).train_dataloader()))
    again = next(iter(Ring(seed=1).train_dataloader()))
    other = next(iter(Ring(seed=2).train_dataloader()))
    assert batch["image"].dtype == torch.float32
    assert torch.equal(batch["image"], again["image"])
    assert not torch.equal(batch["image"], other["image"])
    assert torch.equal(Ring().transform(batch, training=True)["image"], batch["image"])


def test_train_and_test_differ():
    splits = Ring().store.splits
    train, test = (splits[split][0]["image"] for split in ("train", "test"))
    assert len(test) == 10_000
    assert not {point.tobytes() for point in test} & {point.tobytes() for point in train}


def test_arguments_are_checked():
    with pytest.raises(GenlitError, match=r"data.std is 0"):
        Ring(std=0)
    with pytest.raises(GenlitError, match="no component"):
        Grid(side=0)
