"""The resizes that published distances were computed with: (images (B, C, H, W), side) -> float32 bytes [0, 255]."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

_DENSE = 256  # pixels up to which two dense matrix products beat the gather


def tf1(images: Tensor, side: int) -> Tensor:
    """y = A x Bᵀ, the bilinear resize of TensorFlow 1: output i reads the input at i · in / side, on corners.

    A[i, ⌊s⌋] = 1 − (s − ⌊s⌋) and A[i, min(⌊s⌋ + 1, in − 1)] = s − ⌊s⌋ with s = i · in / side; no antialiasing and no
    half-pixel centres. TensorFlow 1.x, core/kernels/resize_bilinear_op.cc, https://github.com/tensorflow/tensorflow;
    what FID was defined with (Heusel et al. 2017, https://arxiv.org/abs/1706.08500).

    Args:
        images: (B, C, H, W) in [0, 255].
        side: of the square given, in pixels.
    """
    images = images.float()
    if max(images.shape[-2:]) > _DENSE:
        return interpolate_bilinear_2d_like_tensorflow1x(images, size=(side, side), align_corners=False)
    rows, columns = (_corners(size, side, images.device) for size in images.shape[-2:])
    return rows @ images @ columns.T


def clean(images: Tensor, side: int) -> Tensor:
    """Bicubic (a = −1/2) with antialiasing, in float, then clamped to [0, 255], with no rounding.

    Parmar et al. 2022, https://arxiv.org/abs/2104.11222: what clean-fid computes with PIL, channel by channel.

    Args:
        images: (B, C, H, W) in [0, 255].
        side: of the square given, in pixels.
    """
    return interpolate(images.float(), (side, side), mode="bicubic", antialias=True).clamp_(0, 255)


def antialias(images: Tensor, side: int) -> Tensor:
    """Bilinear: a triangle of half-width max(1, in / side) around half-pixel centres, in float.

    What torchmetrics 1.8 and later feed their Inception by default, https://github.com/Lightning-AI/torchmetrics.

    Args:
        images: (B, C, H, W) in [0, 255].
        side: of the square given, in pixels.
    """
    return interpolate(images.float(), (side, side), mode="bilinear", antialias=True)


RESIZES: dict[str, Callable[[Tensor, int], Tensor]] = {"tf1": tf1, "clean": clean, "antialias": antialias}


@lru_cache(maxsize=32)
def _corners(size: int, side: int, device: torch.device) -> Tensor:
    """A, (side, size)."""
    # float32, as TensorFlow computes it: s then rounds below an integer where it should reach it
    position = torch.arange(side, dtype=torch.float32, device=device) * torch.tensor(size / side, dtype=torch.float32)
    lower = position.long()
    weight = (position - lower)[:, None]
    upper = (lower + 1).clamp_max(size - 1)
    rows = torch.eye(size, dtype=torch.float32, device=device)
    return rows[lower] * (1 - weight) + rows[upper] * weight
