"""DCGAN's networks: Radford et al. 2016, https://arxiv.org/abs/1511.06434, figure 1."""

from itertools import pairwise

from torch import nn

from genlit.nn.initial import normal
from genlit.nn.norm import NORMS, NormName
from genlit.nn.shapes import doublings


def convolutional_generator(
    shape: tuple[int, int, int], inputs: int, width: int, norm: NormName = "batch"
) -> nn.Sequential:
    """(B, inputs) to (B, C, H, W) in (−1, 1): 4x4 first, then transposed convolutions that double the resolution."""
    widths = _widths(shape, width)
    layers = [nn.ConvTranspose2d(inputs, widths[-1], 4, bias=norm == "none"), NORMS[norm](widths[-1]), nn.ReLU(True)]
    for wide, narrow in zip(widths[:0:-1], widths[-2::-1], strict=True):
        up = nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=norm == "none")
        layers += [up, NORMS[norm](narrow), nn.ReLU(True)]
    last = nn.ConvTranspose2d(widths[0], shape[0], 4, stride=2, padding=1)
    return normal(nn.Sequential(nn.Unflatten(1, (inputs, 1, 1)), *layers, last, nn.Tanh()))


def convolutional_trunk(shape: tuple[int, int, int], width: int, norm: NormName = "batch") -> tuple[nn.Sequential, int]:
    """(B, C, H, W) to features by strided convolutions to 4x4, without a normalisation at the images; their number."""
    widths = _widths(shape, width)
    layers = [nn.Conv2d(shape[0], widths[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2, True)]
    for narrow, wide in pairwise(widths):
        down = nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=norm == "none")
        layers += [down, NORMS[norm](wide), nn.LeakyReLU(0.2, True)]
    return normal(nn.Sequential(*layers, nn.Flatten())), 16 * widths[-1]


def convolutional_encoder(
    shape: tuple[int, int, int], width: int, outputs: int, norm: NormName = "batch"
) -> nn.Sequential:
    """(B, C, H, W) to (B, outputs): a linear map of the trunk's features."""
    trunk, features = convolutional_trunk(shape, width, norm)
    return nn.Sequential(*trunk, nn.Linear(features, outputs))


def _widths(shape: tuple[int, int, int], width: int) -> list[int]:
    """Channels from the image's side to the 4x4 side."""
    return [width << k for k in range(doublings(shape))]
