from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from genlit.logging.media import log_pictures, side_by_side, to_pil, traversal
from genlit.logging.plane import scatter


def test_every_one_of_the_256_levels_survives():
    levels = torch.arange(256)
    images = (levels / 255 - 0.5).div(0.5).reshape(1, 1, 16, 16)
    picture = np.asarray(to_pil(images))
    factor = picture.shape[1] // 16
    assert factor * 16 == picture.shape[0] >= 512
    assert (picture[::factor, ::factor].reshape(256, -1) == levels.numpy()[:, None]).all()


def test_levels_are_rounded_not_cut_off():
    u = torch.tensor([0.0, 99.4, 99.6, 254.9])
    picture = np.asarray(to_pil((u / 127.5 - 1).reshape(1, 1, 1, 4).repeat(1, 1, 512, 128).sort(dim=-1).values))
    assert sorted(set(picture.ravel())) == [0, 99, 100, 255]


def test_values_out_of_range_are_clamped_and_nan_is_grey():
    images = torch.tensor([-7.0, 7.0, float("nan")]).reshape(3, 1, 1, 1).repeat(1, 1, 600, 600)
    picture = np.asarray(to_pil(images, columns=3))
    assert {int(picture[300, x, 0]) for x in (300, 900, 1500)} == {0, 255, 128}


@pytest.mark.parametrize(("channels", "mode"), [(1, "RGB"), (2, "RGB"), (3, "RGB"), (4, "RGBA"), (7, "RGB")])
def test_any_number_of_channels_is_shown(channels, mode):
    assert to_pil(torch.zeros(5, channels, 8, 8)).mode == mode


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_any_float_is_shown(dtype):
    picture = np.asarray(to_pil(torch.full((1, 3, 8, 8), -0.5, dtype=dtype, requires_grad=True)))
    assert (picture == 64).all()


@pytest.mark.parametrize(("n", "columns", "side"), [(64, 8, 4), (3, 8, 28), (1, 8, 64), (10, 6, 256)])
def test_a_grid_is_wide_enough_to_read(n, columns, side):
    assert to_pil(torch.zeros(n, 3, side, side), columns).width >= 512


def test_images_stand_in_reading_order():
    shades = torch.linspace(-1, 1, 6).reshape(6, 1, 1, 1).repeat(1, 1, 300, 300)
    picture = np.asarray(to_pil(shades, columns=3))
    centres = [int(picture[150 + 302 * row, 150 + 302 * column, 0]) for row in range(2) for column in range(3)]
    assert centres == [0, 51, 102, 153, 204, 255]


def test_roles_stay_together_for_any_number_of_images():
    roles = [torch.full((3, 1, 300, 300), value) for value in (-1.0, 0.0, 1.0)]
    picture = np.asarray(side_by_side(*roles))
    centres = [[int(picture[150 + 302 * row, 150 + 302 * column, 0]) for column in range(6)] for row in range(2)]
    assert centres == [[0, 128, 255] * 2, [0, 128, 255] + [255] * 3]  # white where nothing is


def test_points_are_plotted_where_they_are():
    picture = np.asarray(to_pil(torch.tensor([1.0, 1.0]).reshape(1, 2, 1, 1)).convert("RGB")).astype(int)
    coloured = np.argwhere(picture.max(axis=2) - picture.min(axis=2) > 60)
    assert len(coloured) > 0
    assert (coloured[:, 0] < 256).all()
    assert (coloured[:, 1] > 256).all()


def test_a_traversal_has_draws_in_rows_and_values_in_columns():
    shades = torch.linspace(-1, 1, 6).view(2, 3, 1, 1, 1).repeat(1, 1, 1, 300, 300)
    picture = np.asarray(traversal(shades))
    centres = [int(picture[150 + 302 * row, 150 + 302 * column, 0]) for row in range(2) for column in range(3)]
    assert centres == [0, 51, 102, 153, 204, 255]


def test_a_traversal_of_points_is_coloured_by_value():
    points = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    expected = scatter(points.repeat(3, 1), torch.tensor([0, 1]).repeat(3))
    assert traversal(points.view(1, 2, 2, 1, 1).repeat(3, 1, 1, 1, 1)).tobytes() == expected.tobytes()


class Gallery:
    """A logger that keeps what it is shown."""

    def __init__(self):
        self.shown = []

    def log_pictures(self, pictures, record):
        self.shown.append((pictures, record))


def trainer(folder, first=True):
    loggers = [Gallery(), object()]
    return SimpleNamespace(is_global_zero=first, default_root_dir=str(folder), global_step=500, loggers=loggers)


def test_pictures_are_filed_by_iteration_and_handed_to_loggers_that_show_them(tmp_path):
    red, run = Image.new("RGB", (4, 4), (250, 3, 9)), trainer(tmp_path)
    log_pictures(run, {"samples": red}, {"progress/iter": 500})
    assert Image.open(tmp_path / "pictures/samples/it-00000500.png").getpixel((2, 2)) == (250, 3, 9)
    assert run.loggers[0].shown == [({"samples": red}, {"progress/iter": 500})]


def test_other_processes_file_nothing(tmp_path):
    run = trainer(tmp_path, first=False)
    log_pictures(run, {"samples": Image.new("RGB", (4, 4))}, {})
    assert (list(tmp_path.iterdir()), run.loggers[0].shown) == ([], [])
