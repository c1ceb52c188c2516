"""PixelCNN."""

from torch import Tensor, nn

from genlit.families.pixelbypixel import PixelByPixel
from genlit.nn.masked import MaskedConv2d, pixel_stack


class PixelCNN(PixelByPixel):
    """p(x) = Π_i p(x_i | x_<i), every conditional by one stack of masked convolutions.

    A 7x7 convolution with mask A, residual blocks with mask B (1x1 to h channels, 3x3, 1x1 back to 2h), two 1x1 layers.
    What lies above and to the right beyond the 45 degrees that a 3x3 kernel opens is a blind spot: see GatedPixelCNN.

    van den Oord et al. 2016, "Pixel Recurrent Neural Networks", section 3.4, table 1 and figure 5,
    https://arxiv.org/abs/1601.06759

    Departs from the paper: Adam instead of RMSProp; the 1x1 layers have 2h channels.

    Args:
        shape: (C, H, W).
        blocks: number of residual blocks.
        pixels: options of PixelByPixel.
    """

    def __init__(self, shape: tuple[int, int, int], *, blocks: int = 7, channels_last: bool = True, **pixels):
        super().__init__(shape, channels_last=channels_last, **pixels)
        self.require_counts(blocks=blocks)
        h, colours = self.width, self.shape[0]
        self.network = pixel_stack([Residual(h, colours) for _ in range(blocks)], h, colours, self.pixels.outputs)


class Residual(nn.Module):
    """x + f(x), f a 1x1, a 3x3 and a 1x1 masked convolution, ReLU before each: figure 5, left."""

    def __init__(self, h: int, colours: int):
        super().__init__()
        shapes = ((2 * h, h, 1), (h, h, 3), (h, 2 * h, 1))
        convs = [MaskedConv2d(a, b, (k, k), "B", colours) for a, b, k in shapes]
        self.f = nn.Sequential(*(part for conv in convs for part in (nn.ReLU(), conv)))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x)
