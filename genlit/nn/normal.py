"""Codes with independent normal distributions."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from genlit.losses.likelihood import gaussian_kl
from genlit.nn.levels import wide


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
        """The distributions by a network's output (B, 2K), means before log-variances, in single precision at least."""
        return cls(*wide(output).chunk(2, dim=1))

    def at(self, noise: Tensor) -> Tensor:
        """z = μ + σ ε, (B, K)."""
        return self.mean + torch.exp(self.log_variance / 2) * noise

    def draw(self) -> Tensor:
        """z at ε ~ N(0, I) by torch's random state, differentiable in μ and σ."""
        return self.at(torch.randn_like(self.mean))

    def kl(self) -> Tensor:
        """KL(q ‖ N(0, 1)) of every code, (B, K), in nats."""
        return gaussian_kl(*self)

    def relative_to(self, prior: "Normal") -> "Normal":
        """The same in units in which N(m, s²) is N(0, 1): N((μ − m) / s, σ² / s²)."""
        mean = (self.mean - prior.mean) * torch.exp(-prior.log_variance / 2)
        return Normal(mean, self.log_variance - prior.log_variance)

    def log_weight(self, nll: Callable[[Tensor], Tensor], prior: "Normal | None" = None) -> Tensor:
        """log p(x|z) + log p(z) − log q(z) at one z ~ q, (B,).

        Args:
            nll: −log p(x|z) of codes z, (B,).
            prior: p(z); N(0, I) by default.
        """
        noise = torch.randn_like(self.mean)
        own = self.relative_to(prior) if prior else self
        log_ratio = 0.5 * (noise.square() + own.log_variance - own.at(noise).square()).sum(1)  # the 2π cancel
        return log_ratio - nll(self.at(noise))
