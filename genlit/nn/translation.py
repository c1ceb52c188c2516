"""Networks from images to images of the same size, and the critic of patches."""

from itertools import pairwise

from torch import nn

from genlit.nn.initial import normal
from genlit.nn.norm import InstanceNorm
from genlit.nn.residual import Residual


def residual(width: int) -> Residual:
    """x + f(x), f two reflected 3x3 convolutions: Zhu et al. 2017, appendix 7.2, Rk."""
    first, second = ([nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), InstanceNorm(width)] for _ in range(2))
    return Residual(nn.Identity(), *first, nn.ReLU(True), *second)


def translator(
    inputs: int, outputs: int, width: int, blocks: int, halvings: int, *, first_norm: bool = True
) -> nn.Sequential:
    """c7s1-w, d2w, d4w, R4w · blocks, u2w, uw, c7s1-outputs with two halvings: Zhu et al. 2017, appendix 7.2.

    https://arxiv.org/abs/1703.10593

    Args:
        inputs: channels that it reads.
        outputs: channels that it paints, in (−1, 1).
        width: channels of the first layer.
        blocks: residual blocks.
        halvings: strided layers; sides must be multiples of 2 to that power.
        first_norm: whether the first layer is normalised: over a channel that is constant in space, this takes out all
            that the channel says.
    """
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(inputs, width, 7), *[InstanceNorm(width)] * first_norm, nn.ReLU(True)]
    widths = [width << k for k in range(halvings + 1)]
    for narrow, wide in pairwise(widths):
        layers += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1), InstanceNorm(wide), nn.ReLU(True)]
    layers += [residual(widths[-1]) for _ in range(blocks)]
    for wide, narrow in pairwise(reversed(widths)):
        up = nn.ConvTranspose2d(wide, narrow, 3, stride=2, padding=1, output_padding=1)
        layers += [up, InstanceNorm(narrow), nn.ReLU(True)]
    return normal(nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, outputs, 7), nn.Tanh()))


def patch_critic(channels: int, width: int, strided: int) -> nn.Sequential:
    """C64-C128-C256-C512 and a map of logits: the PatchGAN of Isola et al. 2017, appendix 6.1.2.

    https://arxiv.org/abs/1611.07004. Three strided layers let a logit see 70x70 pixels.
    """
    widths = [width * min(2**k, 8) for k in range(strided + 1)]
    layers = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, True)]
    for k in range(strided):
        down = nn.Conv2d(widths[k], widths[k + 1], 4, stride=2 if k < strided - 1 else 1, padding=1)
        layers += [down, InstanceNorm(widths[k + 1]), nn.LeakyReLU(0.2, True)]
    return normal(nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, padding=1)))
