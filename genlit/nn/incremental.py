"""Causal networks evaluated at one pixel, from what their layers remember of the pixels before it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Cursor:
    """Where an image is being drawn, and what layers remember of it.

    Attributes:
        row, column: the pixel that is asked for; pixels are visited by rows, each at least once.
        size: (H, W) of the image.
        memory: what each layer keeps.
    """

    def __init__(self, size: tuple[int, int]):
        self.row, self.column, self.size = 0, 0, size
        self.memory: dict[nn.Module, Any] = {}


class Causal(nn.Module):
    """A layer whose output at a pixel depends on its input at that pixel and those before it.

    `whole` maps (B, K, H, W) to (B, K', H, W). Within `incremental` the layer is evaluated at the cursor alone: `at`
    takes the newest pixel (B, K, 1, 1), or the image (B, K, H, W) where it is the first layer, and gives (B, K', 1, 1).
    Layers that work on each pixel by itself (activations, sums) need not know. What else is given is passed on.
    """

    cursor: Cursor | None = None

    def forward(self, x: Tensor, *given: Any) -> Any:
        return self.whole(x, *given) if self.cursor is None else self.at(x, self.cursor, *given)

    def whole(self, x: Tensor, *given: Any) -> Any:
        """The layer on whole images."""
        raise NotImplementedError

    def at(self, x: Tensor, cursor: Cursor, *given: Any) -> Any:
        """The layer at one pixel."""
        raise NotImplementedError


@contextmanager
def incremental(network: nn.Module, images: Tensor) -> Iterator[Cursor]:
    """A block in which the causal layers of a network are evaluated at a cursor, over images (B, C, H, W)."""
    layers, cursor = [layer for layer in network.modules() if isinstance(layer, Causal)], Cursor(images.shape[-2:])
    try:
        for layer in layers:
            layer.cursor = cursor
        with torch.compiler.set_stance("force_eager"):  # a compiled network would be compiled anew at every pixel
            yield cursor
    finally:
        for layer in layers:
            del layer.cursor
