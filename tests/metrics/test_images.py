import numpy as np
import pytest
import torch

from genlit.data import Digits
from genlit.errors import GenlitError
from genlit.metrics.images import as_rgb, fingerprint, to_uint8


def levels() -> torch.Tensor:
    return torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_every_level_survives_the_way_to_real_numbers_and_back(dtype: torch.dtype):
    real = (levels().float() / 255 - 0.5) / 0.5
    assert torch.equal(to_uint8(real.to(dtype)), levels())
    assert torch.equal(to_uint8((levels().float() / 255).to(dtype), low=0.0), levels())


def test_bytes_pass_through():
    assert torch.equal(to_uint8(levels()), levels())


def test_overshoots_are_clamped_and_not_wrapped():
    images = torch.tensor([-1.03, -1.001, 1.001, 1.03]).view(1, 1, 2, 2)
    assert to_uint8(images).flatten().tolist() == [0, 0, 255, 255]


def test_values_between_levels_are_rounded_and_not_truncated():
    images = (torch.tensor([0.4, 0.6, 127.4, 254.6]) / 255).view(1, 1, 2, 2)
    assert to_uint8(images, low=0.0).flatten().tolist() == [0, 1, 127, 255]


def test_images_of_another_range_are_refused_with_the_range_found():
    images = torch.linspace(-1, 1, 64).view(1, 1, 8, 8)
    with pytest.raises(GenlitError, match=r"outside \[0, 1\] \(they go from -1 to 1\)"):
        to_uint8(images, low=0.0)
    with pytest.raises(GenlitError, match="they go from 0 to 255"):
        to_uint8(levels().float())


def test_one_stray_value_in_two_thousand_is_clamped():
    images = torch.zeros(2, 1, 32, 32)
    images[0, 0, 0, 0] = 3.0
    assert to_uint8(images).max() == 255
    images[0, 0, 0, :8] = 3.0
    with pytest.raises(GenlitError, match=r"0\.4% of the values"):
        to_uint8(images)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused(value: float):
    images = torch.zeros(1, 1, 8, 8)
    images[0, 0, 3, 3] = value
    with pytest.raises(GenlitError, match="not finite"):
        to_uint8(images)


def test_what_is_no_batch_of_images_is_refused():
    with pytest.raises(GenlitError, match=r"\(3, 8, 8\)"):
        to_uint8(torch.zeros(3, 8, 8))
    with pytest.raises(GenlitError, match="int64"):
        to_uint8(torch.zeros(1, 3, 8, 8, dtype=torch.int64))


def test_no_images_are_no_bytes():
    assert to_uint8(torch.zeros(0, 3, 8, 8)).shape == (0, 3, 8, 8)


def test_the_given_images_stay_as_they_are():
    images = torch.linspace(-1, 1, 64).view(1, 1, 8, 8)
    to_uint8(images)
    assert torch.equal(images, torch.linspace(-1, 1, 64).view(1, 1, 8, 8))


def test_grey_is_replicated_and_other_channels_are_refused():
    assert torch.equal(as_rgb(levels()), levels().repeat(1, 3, 1, 1))
    colours = torch.zeros(2, 3, 4, 4)
    assert torch.equal(as_rgb(colours), colours)
    with pytest.raises(GenlitError, match="4 channels"):
        as_rgb(torch.zeros(2, 4, 4, 4))


def test_a_fingerprint_changes_with_every_pixel_the_type_and_the_shape():
    images = np.array(Digits().rows("val").streams[0]["image"][:50])
    changed = images.copy()
    changed[30, 0, 5, 5] ^= 1
    others = [changed, images[:49], images.reshape(50, 1, 14, 56), images.astype(np.float32)]
    assert len({fingerprint(array) for array in (images, *others)}) == 5
    assert fingerprint(images[:, :, ::-1][:, :, ::-1]) == fingerprint(images)
