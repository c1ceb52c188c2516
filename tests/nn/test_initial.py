import pytest
import torch
from torch import nn

from genlit.nn.initial import normal
from genlit.nn.norm import InstanceNorm


@pytest.mark.parametrize("std", [0.02, 0.1])
def test_weights_are_normal_scales_about_one_and_biases_zero(std: float):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(32, 64, 4), nn.BatchNorm2d(5000), nn.ConvTranspose2d(64, 32, 4), nn.Linear(90, 90)
    )
    convolution, scales, transposed, linear = normal(network, std)
    for layer in (convolution, transposed, linear):
        assert layer.weight.mean().item() == pytest.approx(0, abs=std / 20)
        assert layer.weight.std().item() == pytest.approx(std, rel=0.03)
    assert scales.weight.mean().item() == pytest.approx(1, abs=std / 10)
    assert scales.weight.std().item() == pytest.approx(std, rel=0.05)
    assert all((layer.bias == 0).all() for layer in network)


def test_layers_without_weights_are_left_alone():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), InstanceNorm(4), nn.ReLU())
    assert normal(network) is network
    assert [name for name, _ in network.named_parameters()] == ["0.weight"]
