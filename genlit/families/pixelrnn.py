"""The two pixel recurrent networks, but for their recurrence."""

from typing import ClassVar

from torch import nn

from genlit.families.pixelbypixel import PixelByPixel
from genlit.nn.lstm import Residual
from genlit.nn.masked import pixel_stack


class PixelRNN(PixelByPixel):
    """p(x) = Π_i p(x_i | x_<i): a 7x7 convolution with mask A, residual LSTM layers, two 1x1 layers.

    Departs from the paper: RMSProp with Adam's correction of its start, which is Adam with β₁ = 0.

    Args:
        shape: (C, H, W).
        layers: number of LSTM layers.
        pixels: options of PixelByPixel.
    """

    lacks = PixelByPixel.lacks | {"log_prob": "its states follow one another, so that it would be as long as the image"}
    recurrence: ClassVar[type[nn.Module]]  # of (h, colours), gates (B, 4h, H, W) to states (B, h, H, W)
    kernel: ClassVar[tuple[int, int]]  # of the convolution from input to state

    def __init__(
        self, shape: tuple[int, int, int], *, layers: int = 7, betas: tuple[float, float] = (0.0, 0.99), **pixels
    ):
        super().__init__(shape, betas=betas, **pixels)
        self.require_counts(layers=layers)
        h, colours = self.width, self.shape[0]
        stack = [Residual(self.recurrence(h, colours), self.kernel) for _ in range(layers)]
        self.network = pixel_stack(stack, h, colours, self.pixels.outputs)
