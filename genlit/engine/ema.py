"""The exponential moving average of a player's networks, with its half-life in images."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import Tensor, nn

RAMP = 0.05  # the half-life is at most this share of the images seen: early averages forget the initial weights


class EMA(nn.Module):
    """Averaged copies of some sub-modules: θ̄ ← β θ̄ + (1 − β) θ with β = ½^(batch / half-life).

    The half-life is ramped up as min(half_life, 0.05 · images seen). Floating buffers (BatchNorm's statistics) are
    averaged as the weights are, integers are copied.

    Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models", appendix F.2,
    https://arxiv.org/abs/2206.00364

    Args:
        networks: the live sub-modules by name.
        half_life: in images.
    """

    def __init__(self, networks: Mapping[str, nn.Module], half_life: float):
        super().__init__()
        self.half_life = half_life
        self.networks = nn.ModuleDict({name: deepcopy(network) for name, network in networks.items()})
        self.networks.requires_grad_(False).eval()
        self._pairs: tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]] | None = None

    def train(self, mode: bool = True) -> "EMA":
        """Stays in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def update(self, live: nn.Module, batch: int, images: int) -> None:
        """Moves the average towards `live`'s sub-modules after an iteration of `batch` images, `images` in all."""
        half_life = min(self.half_life, RAMP * images)
        beta = 0.5 ** (batch / half_life) if half_life else 0.0
        if self._pairs is None:  # the tensors stay the same objects once training has begun
            self._pairs = self._pair_up(live)
        averages, values, my_counts, counts = self._pairs
        torch._foreach_lerp_(averages, values, 1 - beta)
        if counts:
            torch._foreach_copy_(my_counts, counts)

    def _pair_up(self, live: nn.Module) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """Averaged and live floating tensors, then averaged and live integers, in the same order."""
        mine = [tensor for network in self.networks.values() for tensor in _state(network)]
        theirs = [tensor for name in self.networks for tensor in _state(live.get_submodule(name))]
        pairs = list(zip(mine, theirs, strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        others = [pair for pair in pairs if not pair[0].is_floating_point()]
        return [a for a, _ in floats], [v for _, v in floats], [a for a, _ in others], [v for _, v in others]

    @contextmanager
    def swapped_into(self, live: nn.Module) -> Iterator[None]:
        """Puts the averaged networks in the place of the live ones, and back."""
        self.exchange(live)
        try:
            yield
        finally:
            self.exchange(live)

    def exchange(self, live: nn.Module) -> None:
        """Exchanges the averaged networks and the live ones."""
        for name in self.networks:
            live._modules[name], self.networks[name] = self.networks[name], live._modules[name]


def _state(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()
