"""PixelCNN."""

from torch import Tensor, nn

from genlit.autoregressive import PixelByPixel
from genlit.nn.masked import MaskedConv2d


class PixelCNN(PixelByPixel):
    """p(x) = Π_i p(x_i | x_<i), every conditional by one stack of masked convolutions.

    A 7x7 convolution with mask A, residual blocks with mask B (1x1 to h channels, 3x3, 1x1 back to 2h), two 1x1 layers.
    What lies above and to the right beyond the 45 degrees that a 3x3 kernel opens is a blind spot: see GatedPixelCNN.

    van den Oord et al. 2016, "Pixel Recurrent Neural Networks", section 3.4, table 1 and figure 5,
    https://arxiv.org/abs/1601.06759

    Departs from the paper: Adam instead of RMSProp; the 1x1 layers have 2h channels.

    Args:
        shape: (C, H, W); channels are drawn in their order at each pixel.
        levels: values that a pixel's channel can take: 2 (-1 and 1), up to 256.
        width: h / C; all layers but the last have h or 2h channels, each colour its share.
        blocks: number of residual blocks.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        levels: int = 2,
        width: int = 16,
        blocks: int = 7,
        lr: float | dict[str, float] = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        **engine,
    ):
        super().__init__(shape, lr=lr, betas=betas, **engine)
        self.require_counts(width=width, blocks=blocks)
        self.require("levels", levels, 2 <= levels <= 256, "from 2 to 256")
        self.levels, colours = levels, self.shape[0]
        h = width * colours
        self.network = nn.Sequential(
            MaskedConv2d(colours, 2 * h, (7, 7), "A", colours),
            *(Residual(h, colours) for _ in range(blocks)),
            nn.ReLU(),
            MaskedConv2d(2 * h, 2 * h, (1, 1), "B", colours),
            nn.ReLU(),
            MaskedConv2d(2 * h, colours * self.pixels.outputs, (1, 1), "B", colours),
        )


class Residual(nn.Module):
    """x + f(x), f a 1x1, a 3x3 and a 1x1 masked convolution, ReLU before each: figure 5, left."""

    def __init__(self, h: int, colours: int):
        super().__init__()
        shapes = ((2 * h, h, 1), (h, h, 3), (h, 2 * h, 1))
        convs = [MaskedConv2d(a, b, (k, k), "B", colours) for a, b, k in shapes]
        self.f = nn.Sequential(*(part for conv in convs for part in (nn.ReLU(), conv)))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x)
