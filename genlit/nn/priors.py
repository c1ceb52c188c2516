"""Distributions over codes that can be drawn from, all about as wide as the standard normal one: within ±2 or so.

Each maps positions u ~ U(0, 1) to draws, n by K. The mixture and the swiss roll lie in the plane along a line of
positions, so that u in [k / K, (k + 1) / K) is their k-th segment of K: where a label's codes belong. The others
ignore u.
"""

import math
from typing import Literal

import torch
from torch import Tensor

ARMS = 10  # of the mixture
DISTANCE, LENGTH, WIDTH = 1.5, 0.4, 0.1  # of an arm: of its centre from the origin, and standard deviations
RADIUS, TURNS = 2.0, 2.0  # of the swiss roll: at its end, and how often it winds


def gaussian(u: Tensor, latent: int) -> Tensor:
    """z ~ N(0, I)."""
    return torch.randn_like(u[:, None].expand(-1, latent))


def uniform(u: Tensor, latent: int) -> Tensor:
    """z ~ U(−2, 2)ᴷ."""
    return torch.rand(len(u), latent, dtype=u.dtype, device=u.device) * 4 - 2


def mixture(u: Tensor, latent: int = 2) -> Tensor:
    """z ~ 1/10 Σₖ N(1.5 aₖ, 0.4² aₖaₖᵀ + 0.1² bₖbₖᵀ), aₖ = (cos 2πk/10, sin 2πk/10), bₖ at right angles to it.

    Makhzani et al. 2015, section 2.3: a mixture of ten Gaussians in the plane, https://arxiv.org/abs/1511.05644; the
    numbers are genlit's.
    """
    arm = (u * ARMS).floor().clamp(max=ARMS - 1)  # rounding may bring u to 1
    angle = arm * (2 * math.pi / ARMS)
    along, across = gaussian(u, 2).unbind(1)
    along, across = DISTANCE + LENGTH * along, WIDTH * across
    return torch.stack([along * angle.cos() - across * angle.sin(), along * angle.sin() + across * angle.cos()], dim=1)


def swiss_roll(u: Tensor, latent: int = 2) -> Tensor:
    """z = 2 √u (cos t, sin t) with t = 4π √u: a spiral of two turns, drawn from about evenly along its length.

    Makhzani et al. 2015, section 2.3, https://arxiv.org/abs/1511.05644; the numbers are genlit's.
    """
    reach = u.sqrt()
    angle = 2 * math.pi * TURNS * reach
    return RADIUS * reach[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)


def segment(u: Tensor, labels: Tensor, classes: int) -> Tensor:
    """(label + u) / K: u moved into the label's segment of K; where the label is −1, unknown, u stays, (B,)."""
    return torch.where(labels < 0, u, (labels + u) / classes)


PriorName = Literal["gaussian", "mixture", "swiss-roll", "uniform"]

PRIORS = {"gaussian": gaussian, "mixture": mixture, "swiss-roll": swiss_roll, "uniform": uniform}
PLANAR = ("mixture", "swiss-roll")
