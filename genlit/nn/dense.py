"""Convolutional networks with a dense layer at the far end from the images: InfoGAN's for MNIST.

Chen et al. 2016, "InfoGAN", appendix C.1, table 1, https://arxiv.org/abs/1606.03657. What a code means can differ with
the other codes, which a single transposed convolution of all codes cannot say.
"""

from torch import nn

from genlit.errors import GenlitError
from genlit.nn.initial import normal
from genlit.nn.norm import NORMS, NormName

DENSE = 16  # units of the dense layer per channel next to the image; the paper has 1024 and 64


def dense_generator(shape: tuple[int, int, int], inputs: int, width: int, norm: NormName = "batch") -> nn.Sequential:
    """(B, inputs) to (B, C, H, W) in (−1, 1): dense layers to a quarter of the size, then transposed convolutions."""
    height, side = _quarters(shape)
    units, maps = DENSE * width, 2 * width
    layers = [nn.Linear(inputs, units), _dense(norm, units), nn.ReLU(True), nn.Linear(units, maps * height * side)]
    layers += [_dense(norm, maps * height * side), nn.ReLU(True), nn.Unflatten(1, (maps, height, side))]
    layers += [nn.ConvTranspose2d(maps, width, 4, stride=2, padding=1), NORMS[norm](width), nn.ReLU(True)]
    return normal(nn.Sequential(*layers, nn.ConvTranspose2d(width, shape[0], 4, stride=2, padding=1), nn.Tanh()))


def dense_trunk(shape: tuple[int, int, int], width: int, norm: NormName = "batch") -> tuple[nn.Sequential, int]:
    """(B, C, H, W) to features by two strided convolutions and a dense layer, and their number."""
    height, side = _quarters(shape)
    units, maps = DENSE * width, 2 * width
    layers = [nn.Conv2d(shape[0], width, 4, stride=2, padding=1), nn.LeakyReLU(0.1, True)]
    layers += [nn.Conv2d(width, maps, 4, stride=2, padding=1), NORMS[norm](maps), nn.LeakyReLU(0.1, True)]
    layers += [nn.Flatten(), nn.Linear(maps * height * side, units), _dense(norm, units), nn.LeakyReLU(0.1, True)]
    return normal(nn.Sequential(*layers)), units


def _dense(norm: NormName, units: int) -> nn.Module:
    """BatchNorm after a dense layer, where the convolutions have it."""
    return nn.BatchNorm1d(units) if norm == "batch" else nn.Identity()


def _quarters(shape: tuple[int, int, int]) -> tuple[int, int]:
    """A quarter of the height and of the width."""
    _, height, width = shape
    if height % 4 or width % 4 or not height * width:
        raise GenlitError(
            f"these networks make images of multiples of 4 pixels, not {height}x{width}: choose --data.size"
        )
    return height // 4, width // 4
