"""Sharpness of a model whose samples are real images, and whose first stage's are blurred ones."""

import numpy as np
import torch
from torch.nn.functional import interpolate

from genlit.metrics.capabilities.sharpness import sharpness
from genlit.metrics.images import to_float
from genlit.metrics.sets import Stored


class Stages:
    def __init__(self, images: np.ndarray):
        self.images = to_float(torch.from_numpy(images))

    def sample(self, n, *, seed=0, start=0, batch_size=64):
        return self.images[start : start + n]

    def enlarged(self, n, *, seed=0, start=0, batch_size=64):
        return interpolate(interpolate(self.sample(n, start=start), size=4, mode="area"), size=8, mode="bilinear")


def test_real_images_are_as_sharp_as_they_are_and_enlarged_ones_are_not():
    images = np.random.default_rng(0).integers(0, 256, (128, 3, 8, 8), dtype=np.uint8)
    own, coarse = sharpness(Stages(images), Stored("test", images), 128)
    assert (own.name, coarse.name) == ("detail-ratio/n128", "detail-ratio-stage-one/n128")
    assert own.value == 1
    assert coarse.value < 0.6


def test_an_edge_twice_as_high_is_twice_as_sharp():
    low, high = np.full((64, 1, 8, 8), 128, np.uint8), np.full((64, 1, 8, 8), 128, np.uint8)
    low[:, :, :, 4:], high[:, :, :, 4:] = 178, 228
    (ratio, _) = sharpness(Stages(high), Stored("test", low), 64)
    assert abs(ratio.value - 2) < 0.02
