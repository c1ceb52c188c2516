"""Generators and the trunks of critics by name, for games that are played with any of them."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from torch import nn

from genlit.nn.convolutional import convolutional_generator, convolutional_trunk
from genlit.nn.dense import dense_generator, dense_trunk
from genlit.nn.mlp import mlp_generator, mlp_trunk
from genlit.nn.norm import NormName
from genlit.nn.residual import residual_generator, residual_trunk

Shape = tuple[int, int, int]
MakesTrunk = Callable[[Shape, int, NormName], tuple[nn.Module, int]]


class Networks(NamedTuple):
    """The two networks of a game.

    Attributes:
        generator: (shape, inputs, width, norm) to a network from codes (B, inputs) to images (B, C, H, W).
        trunk: (shape, width, norm) to a network from images to features (B, F), and F.
    """

    generator: Callable[[Shape, int, int, NormName], nn.Module]
    trunk: MakesTrunk


NetworksName = Literal["mlp", "dcgan", "dense", "resnet"]

NETWORKS: dict[NetworksName, Networks] = {
    "mlp": Networks(
        lambda shape, inputs, width, norm: mlp_generator(shape, inputs, (width, width)),
        lambda shape, width, norm: mlp_trunk(shape, (width, width)),
    ),
    "dcgan": Networks(convolutional_generator, convolutional_trunk),
    "dense": Networks(dense_generator, dense_trunk),
    "resnet": Networks(
        lambda shape, inputs, width, norm: residual_generator(shape, inputs, width),
        lambda shape, width, norm: residual_trunk(shape, width),
    ),
}
