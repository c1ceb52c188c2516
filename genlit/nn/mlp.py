"""Fully connected networks."""

from itertools import pairwise

from torch import nn


def mlp(*widths: int, activation: type[nn.Module] = nn.Tanh) -> nn.Sequential:
    """Affine layers with an activation between them."""
    layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
    return nn.Sequential(layers[0], *(part for layer in layers[1:] for part in (activation(), layer)))
