"""Initial weights."""

from torch import nn


def normal(network: nn.Module, std: float = 0.02) -> nn.Module:
    """Convolutions' and linear maps' weights ~ N(0, std²), BatchNorm's scales ~ N(1, std²), biases 0.

    Radford et al. 2016, section 4, https://arxiv.org/abs/1511.06434; Zhu et al. 2017, section 4, for CycleGAN.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, std)
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, std)
        if getattr(layer, "bias", None) is not None:
            nn.init.zeros_(layer.bias)
    return network
