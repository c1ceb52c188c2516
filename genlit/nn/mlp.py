"""Fully connected networks."""

from itertools import pairwise

from torch import nn


def mlp(*widths: int, activation: type[nn.Module] = nn.Tanh) -> nn.Sequential:
    """Affine layers with an activation between them."""
    layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
    return nn.Sequential(layers[0], *(part for layer in layers[1:] for part in (activation(), layer)))


def mlp_generator(shape: tuple[int, int, int], inputs: int, hidden: tuple[int, ...]) -> nn.Sequential:
    """(B, inputs) to (B, C, H, W) by ReLU layers: in (−1, 1), or anywhere where an image is one pixel, a point."""
    channels, height, width = shape
    layers = mlp(inputs, *hidden, channels * height * width, activation=nn.ReLU)
    end = nn.Identity() if (height, width) == (1, 1) else nn.Tanh()
    return nn.Sequential(*layers, nn.Unflatten(1, shape), end)


def mlp_trunk(shape: tuple[int, int, int], hidden: tuple[int, ...]) -> tuple[nn.Sequential, int]:
    """(B, C, H, W) to features by LeakyReLU layers, and their number."""
    channels, height, width = shape
    layers = [part for a, b in pairwise([channels * height * width, *hidden]) for part in _leaky(a, b)]
    return nn.Sequential(nn.Flatten(), *layers), hidden[-1]


def _leaky(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Linear(inputs, outputs), nn.LeakyReLU(0.2, True)
