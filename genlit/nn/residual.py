"""Residual networks for images of 4 · 2ᵏ pixels a side: Miyato et al. 2018, appendix B.4, on CIFAR-10.

https://arxiv.org/abs/1802.05957

Departs from the paper: sides other than 32 get more or fewer blocks.
"""

import torch
from torch import Tensor, nn

from genlit.nn.shapes import doublings


class Residual(nn.Module):
    """shortcut(x) + body(x)."""

    def __init__(self, shortcut: nn.Module, *body: nn.Module):
        super().__init__()
        self.shortcut, self.body = shortcut, nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.body(x)


class SumPool(nn.Module):
    """Σ over an image's places: (B, D, H, W) to (B, D)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum((2, 3))


def residual_generator(shape: tuple[int, int, int], latent: int, width: int) -> nn.Sequential:
    """(B, K) to (B, C, H, W) in (−1, 1): a linear map to 4x4, then blocks that double the resolution.

    Args:
        shape: (C, H, W), H = W = 4 · 2ᵏ with k ≥ 1.
        latent: K, the number of codes.
        width: channels of every block (paper: 256).
    """
    ups = [up(width) for _ in range(doublings(shape))]
    start = [nn.Linear(latent, width * 16), nn.Unflatten(1, (width, 4, 4))]
    end = [nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, shape[0], 3, padding=1), nn.Tanh()]
    return glorot(nn.Sequential(*start, *ups, *end))


def residual_trunk(shape: tuple[int, int, int], width: int) -> tuple[nn.Sequential, int]:
    """(B, C, H, W) to features, and their number: blocks that halve the resolution to 8x8, two more, the sum of places.

    No normalisation; a head, a linear map to a logit, is the caller's. Images of 8x8 come down to 4x4.

    Args:
        shape: (C, H, W), H = W = 4 · 2ᵏ with k ≥ 1.
        width: channels of every block (paper: 128).
    """
    downs = [down(width) for _ in range(doublings(shape) - 2)]
    layers = [first(shape[0], width), *downs, plain(width), plain(width), nn.ReLU(), SumPool()]
    return glorot(nn.Sequential(*layers)), width


def up(width: int) -> Residual:
    """Doubles the resolution, with BatchNorm."""
    # a 1x1 convolution and doubling commute: the cheaper order
    return Residual(
        nn.Sequential(nn.Conv2d(width, width, 1), nn.Upsample(scale_factor=2)),
        *(nn.BatchNorm2d(width), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1)),
        *(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)),
    )


def first(channels: int, width: int) -> Residual:
    """Halves the resolution of an image, whose negative pixels count: no ReLU before the first convolution."""
    return Residual(
        nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(channels, width, 1)),
        *(nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(width, width, 3, padding=1), nn.AvgPool2d(2)),
    )


def down(width: int) -> Residual:
    """Halves the resolution."""
    return Residual(nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(width, width, 1)), *_body(width), nn.AvgPool2d(2))


def plain(width: int) -> Residual:
    """Keeps the resolution."""
    return Residual(nn.Identity(), *_body(width))


def _body(width: int) -> list[nn.Module]:
    return [layer for _ in range(2) for layer in (nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))]


@torch.no_grad()
def glorot(network: nn.Module) -> nn.Module:
    """Weights ~ U(±√(6 / (fan in + fan out))), biases 0: Glorot & Bengio 2010, eq. 16."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return network
