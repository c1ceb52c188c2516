"""Overlaps and errors of assemblies that are known."""

import math

import pytest
import torch

from genlit.data import Digits
from genlit.engine.clock import derive
from genlit.metrics.capabilities.puzzle import assemblies, constant, decibels, overlap


class Solver:
    """Cuts one half of each image, by the seed the left or the upper one; its patches are the image and the mask.

    Args:
        wrong: by how much pixels are off that the patch did not show; the others are off by a tenth of it.
        told: whether the mask is right, or everywhere.
    """

    device = torch.device("cpu")

    def __init__(self, wrong: float = 0.2, told: bool = True):
        self.wrong, self.told = wrong, told

    def cut(self, images, *, seed=0):
        mask = torch.zeros_like(images)
        for one, left in zip(mask, self.lefts(len(images), seed), strict=True):
            one[:, :, :4] = 1.0 if left else 0.0
            one[:, :4] = one[:, :4] if left else 1.0
        return torch.stack([images, mask], 1), mask

    def assemble(self, patches, *, seed=0):
        images, mask = patches.unbind(1)
        return images + self.wrong * (1 - 0.9 * mask), mask if self.told else torch.ones_like(mask)

    def lefts(self, n, seed):
        return torch.rand(n, generator=torch.Generator().manual_seed(derive("left", seed))) < 0.5


def named(model, **options):
    return {row.name: row.value for row in assemblies(model, Digits(size=8), "test", **options)}


def test_a_solver_that_is_right_beside_one_mask_for_all():
    table = named(Solver(), limit=200)
    assert table["mask-iou/n200.test"] == 1
    # of two halves that are as likely, both: 32 of 48 pixels; either alone: (1 + 1/3) / 2, as much
    assert table["mask-iou-constant/n200.test"] == pytest.approx(2 / 3, abs=0.03)
    assert table["mask-iou-ratio/n200.test"] == 1 / table["mask-iou-constant/n200.test"]


def test_a_solver_that_puts_patches_everywhere():
    table = named(Solver(told=False), limit=200)
    assert table["mask-iou/n200.test"] == 0.5
    assert table["mask-iou-ratio/n200.test"] < 1


def test_errors_inside_and_outside_and_of_the_same_pixels():
    table = named(Solver(wrong=0.2), limit=200)
    hidden, shown = 20.0, 40.0  # −10 log₁₀ (0.2 / 2)² and of a tenth
    for where, expected in {"inside": shown, "shown": shown, "outside": hidden, "hidden": hidden}.items():
        assert table[f"psnr/{where}.n200.test"] == pytest.approx(expected, abs=1e-4)


def test_what_no_draw_leaves_out_has_no_error():
    class Whole(Solver):
        def cut(self, images, *, seed=0):
            return torch.stack([images, torch.ones_like(images)], 1), torch.ones_like(images)

    table = named(Whole(), limit=70)
    assert {name.split(".")[0] for name in table if name.startswith("psnr")} == {"psnr/inside"}
    assert decibels(0.0, 3.0) == math.inf


def test_numbers_are_the_seeds():
    assert named(Solver(), limit=200) == named(Solver(), limit=200)
    assert named(Solver(), limit=200) != named(Solver(), limit=200, seed=1)


def test_overlaps():
    masks = torch.tensor([[[0, 0, 0]], [[1, 0, 0]], [[1, 1, 0]], [[1, 1, 1]]])[:, None] > 0
    assert overlap(masks, masks).tolist() == [1, 1, 1, 1]
    assert overlap(masks[2:3], masks).tolist() == [0, 1 / 2, 1, pytest.approx(2 / 3)]
    assert overlap(masks, masks.roll(1, 0)).tolist() == [0, 0, 0.5, pytest.approx(2 / 3)]


def test_the_constant_mask_is_the_best_threshold_of_the_mean():
    masks = torch.tensor([[1, 1, 0, 0]] * 6 + [[0, 1, 1, 0]] * 3 + [[0, 0, 0, 1]]).view(10, 1, 1, 4) > 0
    assert constant(masks).flatten().tolist() == [True, True, False, False]
    assert overlap(constant(masks), masks).mean().item() == pytest.approx(0.6 + 0.3 / 3)
