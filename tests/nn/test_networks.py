import pytest
import torch

from genlit.nn.networks import NETWORKS


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 16])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_networks_are_interchangeable(name: str, side: int, channels: int):
    shape, pair = (channels, side, side), NETWORKS[name]
    made = pair.generator(shape, 5, 4, "batch")(torch.randn(2, 5))
    assert made.shape == (2, *shape)
    assert made.abs().max() <= 1
    network, features = pair.trunk(shape, 4, "none")
    assert network(made).shape == (2, features)
