"""The gated PixelCNN."""

from genlit.families.pixelbypixel import PixelByPixel
from genlit.nn.gated import GatedStack


class GatedPixelCNN(PixelByPixel):
    """p(x|y) = Π_i p(x_i | x_<i, y), every conditional by a stack over the rows above and one along the row itself.

    Every layer ends in a gate, tanh(a) ⊙ sigm(b), and no earlier pixel is out of sight.

    van den Oord et al. 2016, "Conditional Image Generation with PixelCNN Decoders", eqs. 2 to 4 and figure 2,
    https://arxiv.org/abs/1606.05328

    Departs from the paper: Adam instead of RMSProp.

    Args:
        shape: (C, H, W).
        blocks: layers of either stack.
        classes: number of classes y; 0 makes it p(x).
        pixels: options of PixelByPixel.
    """

    def __init__(self, shape: tuple[int, int, int], *, blocks: int = 7, classes: int = 0, **pixels):
        super().__init__(shape, **pixels)
        self.require_counts(blocks=blocks)
        self.require("classes", classes, classes >= 0, "0 or more")
        self.classes = self.parts = classes
        colours = self.shape[0]
        outputs = colours * self.pixels.outputs
        self.network = GatedStack(colours, outputs, self.width, blocks, colours=colours, classes=classes)
