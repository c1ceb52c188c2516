"""Layers whose weights are scaled at run time, pixel norm and minibatch standard deviation."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

RELU = math.sqrt(2)  # the gain that a rectifier asks for: He et al. 2015, https://arxiv.org/abs/1502.01852
EPSILON = 1e-8


class EqualisedLinear(nn.Linear):
    """(g / √K) W x + b, W ~ N(0, 1), b = 0: all weights have one scale, so Adam moves all layers at one speed.

    Karras et al. 2018, section 4.1, https://arxiv.org/abs/1710.10196.

    Args:
        inputs: K.
        outputs: numbers that it gives.
        gain: g.
    """

    def __init__(self, inputs: int, outputs: int, gain: float = RELU):
        super().__init__(inputs, outputs)
        self.scale = gain / math.sqrt(inputs)
        standard_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight * self.scale, self.bias)


class EqualisedConv(nn.Conv2d):
    """A convolution by (g / √K) W, W ~ N(0, 1), K the weights of one output: section 4.1.

    Args:
        inputs: channels that it takes.
        outputs: channels that it gives.
        kernel: side of the square of pixels that one output sees.
        gain: g.
        padding: zeros around the image.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, gain: float = RELU, padding: int = 0):
        super().__init__(inputs, outputs, kernel, padding=padding)
        self.scale = gain / math.sqrt(inputs * kernel**2)
        standard_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight * self.scale, self.bias)


class PixelNorm(nn.Module):
    """a / √(mean over channels of a² + 10⁻⁸), for every pixel: section 4.2."""

    def forward(self, a: Tensor) -> Tensor:
        return a * torch.rsqrt(a.square().mean(1, keepdim=True) + EPSILON)


class MinibatchStd(nn.Module):
    """Appends to every image a channel with its group's spread: √(Σ (a − ā)² / G + 10⁻⁸), averaged over all features.

    Section 3, where the group is the batch. Here it is `group` neighbours in the batch, so that the statistic means the
    same in batches of all sizes; fewer where they do not divide it, and of one alone the spread is 0.

    Args:
        group: G, images that are compared.
    """

    def __init__(self, group: int = 4):
        super().__init__()
        self.group = group

    def forward(self, a: Tensor) -> Tensor:
        groups = a.unflatten(0, (-1, math.gcd(self.group, len(a))))
        spread = (groups.var(1, unbiased=False) + EPSILON).sqrt().flatten(1).mean(1)
        each = spread.repeat_interleave(groups.shape[1])
        return torch.cat([a, each[:, None, None, None].expand(-1, 1, *a.shape[2:])], 1)


def standard_normal(layer: nn.Linear | nn.Conv2d) -> None:
    """Draws the weights from N(0, 1), biases 0."""
    nn.init.normal_(layer.weight)
    nn.init.zeros_(layer.bias)
