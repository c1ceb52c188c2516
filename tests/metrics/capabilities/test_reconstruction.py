"""Similarities of images that differ by a known amount."""

import math

import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from genlit.data import Digits
from genlit.metrics.capabilities.reconstruction import reconstructions, similarities


class Reconstructor:
    """Reconstructs by a given function."""

    device = torch.device("cpu")

    def __init__(self, function):
        self.reconstruct = function


def pair(size: int = 16):
    generator = torch.Generator().manual_seed(0)
    targets = torch.rand(4, 3, size, size, generator=generator) * 2 - 1
    noise = torch.tensor([1e-3, 1e-2, 1e-1, 0.5]).view(4, 1, 1, 1)
    return targets + noise * torch.randn(targets.shape, generator=generator), targets


def test_psnr_follows_from_the_mean_square():
    values = similarities(*pair())
    assert torch.allclose(values["psnr"], -10 * values["mse"].log10(), atol=1e-3)
    images = torch.zeros(2, 1, 16, 16)
    assert similarities(images + 0.2, images)["psnr"].tolist() == pytest.approx([20.0, 20.0], abs=1e-4)
    assert similarities(images, images)["psnr"].tolist() == [math.inf] * 2


def test_psnr_is_not_that_of_the_pooled_squares():
    images, targets = pair()
    pooled = peak_signal_noise_ratio(images, targets, data_range=2.0).item()
    assert similarities(images, targets)["psnr"].mean().item() > pooled + 10


def test_ssim_is_of_values_from_zero_to_one():
    images, targets = pair(32)
    expected = [
        structural_similarity_index_measure((x[None] + 1) / 2, (y[None] + 1) / 2, data_range=1.0).item()
        for x, y in zip(images, targets)
    ]
    assert similarities(images, targets)["ssim"].tolist() == pytest.approx(expected, rel=1e-5)
    grey = torch.full((1, 1, 16, 16), 0.1)
    assert similarities(grey, -grey)["ssim"].item() == pytest.approx(0.98, abs=0.01)
    assert structural_similarity_index_measure(grey, -grey, data_range=2.0).item() < 0


def test_ssim_is_left_out_below_its_window():
    assert "ssim" not in similarities(*pair(8))
    assert "ssim" in similarities(*pair(11))


@pytest.mark.parametrize("binarize", [None, "threshold"])
def test_names_say_what_was_reconstructed(binarize):
    rows = reconstructions(Reconstructor(lambda x: x + 0.2), Digits(binarize=binarize), "test", limit=70)
    what = "reconstruction.threshold.n70.test" if binarize else "reconstruction.n70.test"
    assert [(row.name, row.n) for row in rows] == [(f"{key}/{what}", 70) for key in ("mse", "psnr", "ssim")]
    assert {row.name: row.value for row in rows}[f"psnr/{what}"] == pytest.approx(20.0, abs=1e-3)
