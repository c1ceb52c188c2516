import pytest
import torch
from torch import nn

from genlit.errors import GenlitError
from genlit.models import DCGAN
from genlit.nn.convolutional import convolutional_generator as generator
from genlit.nn.convolutional import convolutional_trunk as trunk
from genlit.nn.norm import NORMS

LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 16, 32, 64, 128])
@pytest.mark.parametrize("norm", NORMS)
def test_the_networks_shapes(channels: int, side: int, norm: str):
    shape = (channels, side, side)
    made = generator(shape, 5, 2, norm)(torch.randn(2, 5))
    assert made.shape == (2, *shape)
    assert made.abs().max() < 1
    network, features = trunk(shape, 2, norm)
    assert network(made).shape == (2, features)


@pytest.mark.parametrize("size", [(28, 28), (32, 64), (4, 4), (2, 2), (0, 0), (48, 48)])
def test_sizes_that_no_halving_reaches_are_refused(size: tuple[int, int]):
    with pytest.raises(GenlitError, match=f"not {size[0]}x{size[1]}: choose --data.size"):
        DCGAN((1, *size))


def test_the_networks_double_their_channels_towards_four_pixels():
    up = [layer.weight.shape[1] for layer in generator((3, 64, 64), 100, 64, "batch") if isinstance(layer, LAYERS)]
    down = [layer.weight.shape[0] for layer in DCGAN((3, 64, 64)).critic if isinstance(layer, LAYERS)]
    assert up == [512, 256, 128, 64, 3]
    assert down == [64, 128, 256, 512, 1]


def test_batch_norm_is_everywhere_but_at_the_images():
    model = DCGAN((3, 32, 32))
    kinds = [[type(layer) for layer in network] for network in (model.generator, model.critic)]
    assert kinds[0] == [nn.Unflatten] + [nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU] * 3 + [
        nn.ConvTranspose2d,
        nn.Tanh,
    ]
    strided = [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU] * 2
    assert kinds[1] == [nn.Conv2d, nn.LeakyReLU, *strided, nn.Flatten, nn.Linear]
