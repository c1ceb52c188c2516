"""Normalisation layers by name, spectral normalisation, and networks whose statistics stand still."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrizations import _SpectralNorm, spectral_norm


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


@contextmanager
def still(network: nn.Module) -> Iterator[None]:
    """Passes that leave no trace in a network: neither BatchNorm's running statistics nor spectral norm's vectors move.

    BatchNorm in training still normalises by the batch.
    """
    norms = [layer for layer in network.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    powers = [layer for layer in network.modules() if isinstance(layer, _SpectralNorm) and layer.training]
    try:
        _switch(norms, powers, False)
        yield
    finally:
        _switch(norms, powers, True)


def _switch(norms: list[_BatchNorm], powers: list[_SpectralNorm], on: bool) -> None:
    for norm in norms:
        norm.track_running_stats = on
    for power in powers:
        power.training = on
