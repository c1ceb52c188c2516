"""Codes with independent normal distributions."""

from typing import NamedTuple

import torch
from torch import Tensor

from genlit.losses.likelihood import gaussian_kl


class Normal(NamedTuple):
    """q(z) = N(μ, σ²), independent in every code.

    Attributes:
        mean: μ, (B, K).
        log_variance: log σ², (B, K).
    """

    mean: Tensor
    log_variance: Tensor

    @classmethod
    def of(cls, output: Tensor) -> "Normal":
        """The distributions by a network's output (B, 2K): means, then log-variances."""
        return cls(*output.chunk(2, dim=1))

    def at(self, noise: Tensor) -> Tensor:
        """z = μ + σ ε, (B, K)."""
        return self.mean + torch.exp(self.log_variance / 2) * noise

    def draw(self) -> Tensor:
        """z at ε ~ N(0, I) by torch's random state, differentiable in μ and σ."""
        return self.at(torch.randn_like(self.mean))

    def kl(self) -> Tensor:
        """KL(q ‖ N(0, 1)) of every code, (B, K), in nats."""
        return gaussian_kl(*self)

    def prior_odds(self, noise: Tensor) -> Tensor:
        """log N(z; 0, I) − log q(z) = ½ Σ (ε² + log σ² − z²) at z = μ + σ ε, (B,): the 2π cancel."""
        return 0.5 * (noise.square() + self.log_variance - self.at(noise).square()).sum(1)

    def relative_to(self, prior: "Normal") -> "Normal":
        """The same in units in which N(m, s²) is N(0, 1): N((μ − m) / s, σ² / s²)."""
        mean = (self.mean - prior.mean) * torch.exp(-prior.log_variance / 2)
        return Normal(mean, self.log_variance - prior.log_variance)
