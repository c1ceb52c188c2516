"""Patches of images: rectangles of random size where there is something to see, what they cover, what they show."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, pad

FAINT = 1e-3  # the detail of a pixel without any, in units of the images: a blank image has patches, too

PlacesName = Literal["key", "random"]


def uniforms(shape: tuple[int, ...], images: int, n: int, device: torch.device | None = None) -> Tensor:
    """The numbers u ~ U(0, 1) that draw n rectangles of each image (C, H, W): (images, n, 2 + H · W)."""
    return torch.rand(images, n, 2 + shape[-2] * shape[-1], device=device)


def rectangles(images: Tensor, uniform: Tensor, sides: tuple[float, float], places: PlacesName = "key") -> Tensor:
    """Rectangles of each image: top, bottom, left and right, bottom and right being the first beyond, int64 (B, n, 4).

    A centre is one of the pixels that no earlier rectangle of the image covers, drawn in proportion to their `detail`
    at key places and with equal probabilities at random ones; height and width are drawn uniformly. A rectangle that
    would leave the image is moved back into it.

    Args:
        images: (B, C, H, W).
        uniform: see `uniforms`.
        sides: the shortest and the longest, as shares of the images'.
        places: where.
    """
    size, found = images.shape[2:], []
    weights = detail(images) if places == "key" else torch.ones_like(images[:, 0])
    for u in uniform.unbind(1):
        row, column = drawn(weights, u[:, 2:])
        vertical, horizontal = around(row, size[0], sides, u[:, 0]), around(column, size[1], sides, u[:, 1])
        found.append(torch.stack([*vertical, *horizontal], dim=1))
        weights = weights.masked_fill(covered(found[-1][:, None], size)[:, 0], 0)
    return torch.stack(found, dim=1)


def detail(images: Tensor) -> Tensor:
    """Σ |x(i + 1, j) − x(i − 1, j)| + |x(i, j + 1) − x(i, j − 1)| over channels, and a little, (B, H, W)."""
    wide = pad(images, (1, 1, 1, 1), mode="replicate")
    down = wide[:, :, 2:, 1:-1] - wide[:, :, :-2, 1:-1]
    across = wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2]
    return (down.abs() + across.abs()).sum(1) + FAINT


def drawn(weights: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of a pixel of each image, drawn in proportion to its weight: int64 (B,), (B,).

    The first of exponential times at the rates w: argmax w / −log u. Where all weights are 0 it is the first pixel.

    Args:
        weights: w ≥ 0, (B, H, W).
        uniform: u, (B, H · W).
    """
    first = (weights.flatten(1) / -uniform.log().to(weights.dtype)).argmax(1)
    return first // weights.shape[2], first % weights.shape[2]


def around(centre: Tensor, size: int, sides: tuple[float, float], uniform: Tensor) -> tuple[Tensor, Tensor]:
    """First pixel within, and first beyond, of a side of random length about a centre, within 0 … size − 1."""
    short, long = (max(1, round(side * size)) for side in sides)
    length = (short + (uniform * (long - short + 1)).long()).clamp(max=long)
    start = (centre - length // 2).clamp(min=0).minimum(size - length)
    return start, start + length


def covered(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Whether rectangles (B, n, 4) cover the pixels of an image of size (H, W), (B, n, H, W)."""
    top, bottom, left, right = boxes[..., None, None].unbind(2)
    rows, columns = (torch.arange(side, device=boxes.device) for side in size)
    return (rows[:, None] >= top) & (rows[:, None] < bottom) & (columns >= left) & (columns < right)


def crops(images: Tensor, boxes: Tensor) -> Tensor:
    """What rectangles (B, n, 4) show, each brought to the images' size by bilinear interpolation, (B, n, C, H, W).

    As if every one was cut out first: nothing of a pixel beside it enters.
    """
    n, (height, width) = boxes.shape[1], images.shape[2:]
    top, bottom, left, right = boxes.unbind(2)
    y, x = spread(top, bottom, height, images), spread(left, right, width, images)
    grid = torch.stack(torch.broadcast_tensors(x[:, :, None, :], y[:, :, :, None]), dim=4)
    seen = grid_sample(images, grid.flatten(1, 2), padding_mode="border", align_corners=False)
    return seen.unflatten(2, (n, height)).transpose(1, 2)


def spread(start: Tensor, end: Tensor, size: int, like: Tensor) -> Tensor:
    """`size` points over the pixels start … end − 1 of an axis as long, as `grid_sample` counts, (B, n, size)."""
    start, end = (side[..., None].to(like.dtype) for side in (start, end))
    shares = (torch.arange(size, device=like.device, dtype=like.dtype) + 0.5) / size
    pixels = (start + (end - start) * shares - 0.5).clamp(min=start, max=end - 1)
    return (2 * pixels + 1) / size - 1
