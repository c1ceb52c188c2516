"""Autoregressive models by rows, whose networks can be evaluated at one pixel."""

from collections.abc import Iterator
from itertools import product

from torch import Tensor

from genlit.families.autoregressive import Autoregressive, Conditional
from genlit.nn.incremental import incremental


class PixelByPixel(Autoregressive):
    """An autoregressive model by rows whose `network` can be evaluated at one pixel: its layers remember the others.

    The network maps (B, C, H, W) to (B, C · outputs, H, W), a channel's logits side by side.

    Args:
        shape: (C, H, W); channels are drawn in their order at each pixel.
        levels: values that a pixel's channel can take: 2 (-1 and 1), up to 256.
        width: h, channels for each of the C colours.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        levels: int = 2,
        width: int = 16,
        lr: float | dict[str, float] = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        **engine,
    ):
        super().__init__(shape, lr=lr, betas=betas, **engine)
        self.require_counts(width=width)
        self.require("levels", levels, 2 <= levels <= 256, "from 2 to 256")
        self.levels, self.width = levels, width * self.shape[0]

    def logits(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        output = self.network(images, labels) if self.classes else self.network(images)
        return output.unflatten(1, (self.shape[0], -1)).transpose(1, 2)

    def conditionals(self, canvas: Tensor, labels: Tensor | None = None) -> Iterator[Conditional]:
        channels, height, width = self.shape
        with incremental(self.network, canvas) as cursor:
            for row, column in product(range(height), range(width)):
                cursor.row, cursor.column = row, column
                for channel in range(channels):  # each channel's logits follow from those before it
                    yield (channel * height + row) * width + column, self.logits(canvas, labels)[:, :, channel, 0, 0]
