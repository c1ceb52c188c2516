"""Images as metrics read them: bytes, three channels, and a digest of a whole set."""

import hashlib

import numpy as np
import torch
from torch import Tensor

from genlit.errors import GenlitError

STRAY = 0.02  # by how much of the range a value may leave it and be called an overshoot
STRAY_SHARE = 0.001  # of the values may leave it by more
_CHUNK = 4096


def to_uint8(images: Tensor, low: float = -1.0, high: float = 1.0) -> Tensor:
    """u = round(255 · (clamp(x, low, high) − low) / (high − low)); bytes stay as they are.

    Args:
        images: (B, C, H, W), bytes or real numbers in [low, high]; slight overshoots are clamped.
        low: value of black.
        high: value of white.

    Raises:
        GenlitError: there are not four dimensions, a value is not finite, or too many are far outside the range.
    """
    if images.dim() != 4:
        raise GenlitError(f"metrics read images (B, C, H, W), not a tensor of shape {tuple(images.shape)}.")
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point():
        raise GenlitError(f"metrics read uint8 or real images, not {images.dtype}: convert them first.")
    exact = images.float() if images.dtype.itemsize < 4 else images
    if images.numel():
        _refuse_strays(exact, low, high)
    return (exact.clamp(low, high) - low).mul_(255 / (high - low)).round_().to(torch.uint8)


def to_float(images: Tensor) -> Tensor:
    """x = (u / 255 − 1/2) / (1/2), in [-1, 1], of bytes u."""
    return images.to(torch.get_default_dtype()).div_(255).sub_(0.5).div_(0.5)


def as_rgb(images: Tensor) -> Tensor:
    """Three channels: grey is replicated, RGB stays as it is.

    Args:
        images: (B, 1 or 3, H, W).

    Raises:
        GenlitError: there are other than 1 or 3 channels.
    """
    channels = images.shape[1]
    if channels not in (1, 3):
        raise GenlitError(
            f"images with {channels} channels cannot be shown to a network of RGB images: give 1 (grey) or 3, "
            "or measure with the lenet extractor."
        )
    return images.expand(-1, 3, -1, -1)


def fingerprint(array: np.ndarray) -> str:
    """SHA-256, in hexadecimal digits, of the type, shape and bytes of an array, which may be a memory map."""
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}\n".encode())
    for start in range(0, len(array), _CHUNK):
        digest.update(np.ascontiguousarray(array[start : start + _CHUNK]))
    return digest.hexdigest()


def _refuse_strays(images: Tensor, low: float, high: float) -> None:
    stray = STRAY * (high - low)
    outside = ((images < low - stray) | (images > high + stray)).float().mean()
    share, lowest, highest = torch.stack([outside, images.amin().float(), images.amax().float()]).tolist()
    if not np.isfinite([lowest, highest]).all():  # amin and amax hand on what is not a number
        raise GenlitError(f"images hold values that are not finite (from {lowest} to {highest}): nothing is measured.")
    if share > STRAY_SHARE:
        raise GenlitError(
            f"{share:.1%} of the values lie outside [{low:g}, {high:g}] (they go from {lowest:.4g} to {highest:.4g}): "
            "images of [-1, 1] may have been given for [0, 1], or the reverse; say which with low and high."
        )
