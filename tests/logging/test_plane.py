"""Where points, densities and arrows are plotted."""

import time

import numpy as np
import pytest
import torch

from genlit.logging.plane import density, field, scatter

CORNERS = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]).view(-1, 2, 1, 1)


def coloured(picture):
    """Which pixels are neither white, grey nor black."""
    pixels = np.asarray(picture).astype(int)
    return pixels.max(axis=2) - pixels.min(axis=2) > 60


def test_points_far_away_are_still_shown():
    near, far = scatter(torch.full((1, 2, 1, 1), 0.1)), scatter(torch.full((1, 2, 1, 1), 40.0))
    for picture in (near, far):
        pixels = np.asarray(picture).astype(int)
        assert (pixels.max(axis=2) - pixels.min(axis=2) > 60).any()


def test_labels_colour_the_points():
    points = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    pixels = np.asarray(scatter(points, torch.tensor([0, 3]))).astype(int)
    left, right = (half.reshape(-1, 3) for half in (pixels[:, :256], pixels[:, 256:]))
    bluer, redder = left[:, 2] - left[:, 0], right[:, 0] - right[:, 2]
    assert bluer.max() > 60
    assert redder.max() > 60
    assert bluer.min() > -30  # tab10 begins with blue, and its fourth is red
    assert redder.min() > -30


def test_samples_lie_over_real_points_where_they_are():
    seen = coloured(density(torch.full((20, 2, 1, 1), 0.9), CORNERS))
    rows, columns = np.argwhere(seen).T
    assert len(rows) > 0
    assert rows.max() < 200
    assert columns.min() > 300


def test_the_frame_is_the_real_points_and_samples_beyond_lie_on_its_edge():
    inside, beyond = (density(torch.full((1, 2, 1, 1), at), CORNERS) for at in (1.3, 40.0))
    assert inside.tobytes() == beyond.tobytes()  # the frame goes to 1.3


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_is_plotted_somewhere(bad):
    assert density(torch.full((3, 2, 1, 1), bad), CORNERS).size == (512, 512)
    assert field(lambda points: points[:, 0, 0, 0] * bad, CORNERS, CORNERS).size == (512, 512)


def brightness(picture):
    """Mean brightness of the left and the right part of a field, its colour bar left out."""
    pixels = np.asarray(picture.convert("L")).astype(float)[120:400]
    return pixels[:, 60:200].mean(), pixels[:, 260:400].mean()


def test_a_field_is_brighter_where_the_logit_is_larger():
    left, right = brightness(field(lambda points: 3 * points[:, 0, 0, 0], CORNERS, CORNERS))
    assert right > left + 30
    left, right = brightness(field(lambda points: -3 * points[:, 0, 0, 0], CORNERS, CORNERS))
    assert left > right + 30


def test_a_critic_is_asked_over_the_frame_in_one_go():
    asked = []

    def criticise(points):
        asked.append(points)
        return points[:, 1, 0, 0]

    field(criticise, CORNERS, CORNERS)
    (points,) = asked
    assert points.shape[1:] == (2, 1, 1)
    assert points.flatten(1).amax(0).tolist() == pytest.approx([1.3, 1.3])


@pytest.mark.filterwarnings("error")
def test_a_critic_that_knows_nothing_has_a_field_too():
    assert field(lambda points: torch.zeros(len(points)), CORNERS, CORNERS).size == (512, 512)


def test_drawing_is_quick():
    points = torch.randn(2000, 2, 1, 1)
    field(lambda x: x[:, 0, 0, 0], points[:200], points[:200])  # fonts are looked for once
    start = time.process_time()
    density(points, points)
    field(lambda x: x.square().sum((1, 2, 3)), points[:200], points[:200])
    assert time.process_time() - start < 2
