"""Colours that are brought to others' mean and covariance."""

import numpy as np
import pytest
import torch

from genlit.data import Emoji
from genlit.metrics.capabilities.colours import LEAST, Colours, moments, power
from genlit.metrics.sets import Stored


def test_moments_are_of_all_pixels():
    array = np.random.default_rng(0).integers(0, 256, (300, 3, 4, 5), dtype=np.uint8)
    mean, covariance = moments(Stored("noise", array))
    colours = (array / 127.5 - 1).transpose(1, 0, 2, 3).reshape(3, -1)
    torch.testing.assert_close(mean, torch.tensor(colours.mean(1)), atol=1e-6, rtol=0)
    expected = torch.tensor(np.cov(colours, bias=True)) + LEAST * torch.eye(3)
    torch.testing.assert_close(covariance, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("exponent", [0.5, -0.5, 2.0])
def test_powers_of_a_matrix(exponent):
    torch.manual_seed(0)
    root = torch.randn(3, 3, dtype=torch.float64)
    matrix = root @ root.T
    expected = power(power(matrix, exponent), 1 / exponent)
    torch.testing.assert_close(expected, matrix)
    torch.testing.assert_close(power(matrix, 2.0), matrix @ matrix)


def test_colours_come_to_the_others_mean_and_covariance_and_no_further():
    colours = Colours(Emoji(size=16).require(("a", "b")), ["a", "b"])
    torch.manual_seed(0)
    mean, covariance = colours.moments["a"]
    drawn = mean + torch.randn(10000, 3, dtype=torch.float64) @ power(covariance, 0.5)
    colours.moments["b"] = (0.1 * mean, 0.01 * covariance + 0.001 * torch.eye(3))  # within the range
    moved = colours.moved(drawn[:, :, None, None], "a", "b").flatten(1)
    wanted, spread = colours.moments["b"]
    torch.testing.assert_close(moved.mean(0), wanted, atol=0.01, rtol=0)
    torch.testing.assert_close(torch.cov(moved.T), spread, atol=0.002, rtol=0)
    torch.testing.assert_close(
        colours.moved(drawn[:9, :, None, None].clamp(-1, 1), "a", "a")[:, :, 0, 0], drawn[:9].clamp(-1, 1)
    )


@pytest.mark.parametrize("spread", [0.0, 0.004, 0.01])
def test_nearly_grey_images_of_one_domain_are_left_as_they_are(spread):
    torch.manual_seed(0)
    grey, chroma = torch.rand(4, 1, 8, 8, dtype=torch.float64) - 0.5, torch.randn(4, 3, 8, 8, dtype=torch.float64)
    images = (grey + spread * chroma).clamp(-1, 1)
    array = ((images + 1) * 127.5).round().to(torch.uint8).numpy()
    colours = Colours.__new__(Colours)
    colours.moments = {"a": moments(Stored("grey", array))}
    torch.testing.assert_close(colours.moved(images, "a", "a"), images)
