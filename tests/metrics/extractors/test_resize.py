import numpy as np
import pytest
import torch
from PIL import Image
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from genlit.metrics.extractors.resize import RESIZES, antialias, clean, tf1


def noise(*shape: int) -> torch.Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(2, 2), (28, 28), (32, 45), (128, 128), (256, 256), (257, 40), (448, 448)])
@pytest.mark.parametrize("side", [299, 224, 32])
def test_tf1_equals_torch_fidelity(shape: tuple[int, int], side: int):
    images = noise(2, 3, *shape)
    theirs = interpolate_bilinear_2d_like_tensorflow1x(images.float(), size=(side, side), align_corners=False)
    assert (tf1(images, side) - theirs).abs().max() <= 1e-4


def test_tf1_reads_corners_and_repeats_the_last_pixel():
    row = torch.tensor([0.0, 100.0, 200.0]).view(1, 1, 1, 3).expand(1, 1, 3, 3)
    assert tf1(row, 6)[0, 0, 0].tolist() == [0, 50, 100, 150, 200, 200]


def pil(images: torch.Tensor, side: int, how: Image.Resampling) -> torch.Tensor:
    planes = images.flatten(0, 1).float().numpy()
    resized = [np.asarray(Image.fromarray(plane).resize((side, side), how)) for plane in planes]
    return torch.from_numpy(np.stack(resized)).view(*images.shape[:2], side, side)


@pytest.mark.parametrize("size", [28, 32, 128, 299, 448])
def test_clean_equals_pil_bicubic_in_float(size: int):
    images = noise(2, 3, size, size)
    assert (clean(images, 299) - pil(images, 299, Image.Resampling.BICUBIC).clamp(0, 255)).abs().max() <= 5e-3


@pytest.mark.parametrize("size", [32, 448])
def test_antialias_equals_pil_bilinear_in_float(size: int):
    images = noise(2, 3, size, size)
    assert (antialias(images, 299) - pil(images, 299, Image.Resampling.BILINEAR)).abs().max() <= 5e-3


@pytest.mark.parametrize("name", RESIZES)
def test_every_resize_gives_float32_bytes_and_keeps_flat_images(name: str):
    images = torch.full((2, 1, 20, 30), 255, dtype=torch.uint8)
    resized = RESIZES[name](images, 64)
    assert resized.dtype == torch.float32
    assert resized.shape == (2, 1, 64, 64)
    assert (resized - 255).abs().max() < 1e-3
    spread = RESIZES[name](noise(2, 3, 33, 33), 64)
    assert spread.min() >= 0
    assert spread.max() <= 255 + 1e-3


def test_the_resizes_differ():
    first, second, third = (resize(noise(1, 3, 32, 32), 299) for resize in RESIZES.values())
    assert min((first - second).abs().mean(), (second - third).abs().mean(), (first - third).abs().mean()) > 1
