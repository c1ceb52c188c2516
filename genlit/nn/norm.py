"""Normalisation layers by name, and spectral normalisation."""

from collections.abc import Callable
from typing import Literal

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


class InstanceNorm(nn.GroupNorm):
    """(x − μ) / √(σ² + ε) with μ, σ² over each image's channel: Ulyanov et al. 2016, https://arxiv.org/abs/1607.08022.

    Written as one group per channel: torch 2.15's own `instance_norm` returns wrong input gradients on the CPU for a
    batch of one image in channels_last, and is slower.
    """

    def __init__(self, channels: int):
        super().__init__(channels, channels, affine=False)


NormName = Literal["batch", "instance", "none"]

NORMS: dict[NormName, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": InstanceNorm,
    "none": lambda channels: nn.Identity(),
}


def spectral(network: nn.Module) -> nn.Module:
    """Divides every convolution's and linear map's weight by its largest singular value, W / σ(W).

    One power iteration per forward pass in training, so accumulated micro-batches estimate σ more often than one batch
    does. Miyato et al. 2018, algorithm 1, https://arxiv.org/abs/1802.05957
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            spectral_norm(layer)
    return network
