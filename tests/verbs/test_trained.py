"""A user's images as a run's model reads them."""

import numpy as np
import pytest
import torch
from PIL import Image

from genlit.data import Digits, Npz, Ring
from genlit.errors import GenlitError
from genlit.model import GenerativeModel
from genlit.verbs.trained import Held, Own, images_of, watched

CPU = torch.device("cpu")


def together(images, seed=0):
    return torch.cat(list(images.images(CPU, seed)))


def test_pictures_of_any_size_and_colour_become_the_runs(photos):
    own = Own(str(photos), Digits(size=8, binarize="threshold"))
    assert own.names == ["a.png", "b.jpg", "c.png", "half.png", "more/d.png"]
    images = together(own)
    assert images.shape == (5, 1, 8, 8)
    assert set(images.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(images[3, 0, :4], -torch.ones(4, 8)), "black"
    assert torch.equal(images[3, 0, 4:], torch.ones(4, 8)), "transparency lies over white"


def test_binarisation_is_drawn_from_the_seed_alone(photos):
    own = Own(str(photos), Digits(size=8, binarize="dynamic"))
    state = torch.random.get_rng_state()
    assert torch.equal(together(own), together(own))
    assert not torch.equal(together(own), together(own, seed=1))
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("shape", [(70, 8, 8), (70, 8, 8, 1), (70, 8, 8, 3)])
def test_arrays_keep_their_order_over_batches(tmp_path, shape):
    grey = np.arange(70, dtype=np.uint8).reshape(70, *[1] * (len(shape) - 1))
    np.savez(tmp_path / "mine.npz", images=np.broadcast_to(grey, shape))
    own = Own(str(tmp_path / "mine.npz"), Digits(size=8))
    assert own.names[69] == "00069"
    assert together(own)[:, 0, 0, 0].add(1).mul(127.5).round().tolist() == list(range(70))
    assert together(Own(str(tmp_path / "mine.npz"), Digits(size=8), 65)).shape == (65, 1, 8, 8)


def test_rows_of_a_split_are_the_datas():
    source = Digits(size=8, binarize="threshold")
    held = images_of("test", source, 70)
    assert isinstance(held, Held)
    assert held.names[69] == "test/00069"
    assert torch.equal(together(held), source.first(70, CPU, "test")["image"])


def test_data_that_are_not_square_take_their_own_shape_alone(tmp_path):
    np.savez(tmp_path / "data.npz", train_images=np.zeros((9, 4, 6), np.uint8))
    for shape in ((4, 6), (6, 4)):
        Image.new("L", shape[::-1]).save(tmp_path / f"{shape[0]}.png")
    source = Npz(str(tmp_path / "data.npz"))
    with pytest.raises(GenlitError, match=r"6\.png is 4 x 6 pixels, and the run's images are 6 x 4"):
        together(Own(str(tmp_path), source))
    (tmp_path / "6.png").unlink()
    assert together(Own(str(tmp_path), source)).shape == (1, 1, 4, 6)


def test_points_are_no_pictures(photos):
    with pytest.raises(GenlitError, match="the run's data are not pictures"):
        Own(str(photos), Ring())


def test_arrays_of_odd_channels_are_refused(tmp_path):
    np.savez(tmp_path / "odd.npz", images=np.zeros((3, 2, 8, 8), np.uint8))
    with pytest.raises(GenlitError, match="images of 2 channels: they must have 1, 3 or 4"):
        together(Own(str(tmp_path / "odd.npz"), Digits(size=8)))


def test_watching_changes_no_step():
    class Model(GenerativeModel):
        players, terms = {}, {}

    steps = [(0, "a"), (1, "b")]
    assert list(watched(Model((1, 2, 2))).watch(iter(steps), 2)) == steps
