"""Numbers that stand beside an image's channels, the same at every pixel."""

import torch
from torch import Tensor


def with_maps(images: Tensor, numbers: Tensor) -> Tensor:
    """(B, C, H, W) and (B, K) to (B, C + K, H, W)."""
    maps = numbers.to(images.dtype)[:, :, None, None].expand(-1, -1, *images.shape[2:])
    return torch.cat([images, maps], 1)
