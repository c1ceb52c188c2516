"""The best critic between p = N(0, 1), the real points, and q = N(m, 1), the generated ones: exact and learned.

Goodfellow et al. 2014, section 4.1, https://arxiv.org/abs/1406.2661: the best critic of a fixed generator has the logit
log p(x) − log q(x) (proposition 1), and the game's value is then V = −log 4 + 2 JSD(p, q), smallest where p = q
(theorem 1). genlit's critic minimises −V: its smallest loss is log 4 − 2 JSD.
"""

from collections.abc import Callable
from math import log

import numpy as np
import torch
from scipy.integrate import quad
from scipy.special import expit, xlogy
from torch import Tensor, nn

from genlit.losses.adversarial import cross_entropy

Critic = Callable[[Tensor], Tensor]
FAR = 12.0  # no density beyond as many standard deviations: below 1e-31


def density(x, mean: float = 0.0):
    """(2π)^(−½) exp(−(x − mean)² / 2)."""
    return np.exp(-((x - mean) ** 2) / 2) / np.sqrt(2 * np.pi)


def best_logit(x, m: float):
    """log p(x) − log q(x) = −m x + m²/2."""
    return -m * x + m**2 / 2


def divergence(m: float) -> float:
    """JSD(p, q) = ½ KL(p ‖ ½(p + q)) + ½ KL(q ‖ ½(p + q)) in nats, integrated numerically."""

    def integrand(x: float) -> float:
        p, q = density(x), density(x, m)
        return (xlogy(p, 2 * p / (p + q)) + xlogy(q, 2 * q / (p + q))) / 2

    return quad(integrand, -FAR, m + FAR, epsabs=1e-10)[0]


def fooled(m: float) -> float:
    """E_q[D*(x)] = ∫ p q / (p + q) dx: what the best critic still grants a generated point, integrated numerically."""
    return quad(lambda x: density(x, m) * expit(best_logit(x, m)), -FAR, m + FAR, epsabs=1e-10)[0]


def points(count: int, m: float) -> tuple[Tensor, Tensor]:
    """Real and generated points, each (count, 1) in float64."""
    return torch.randn(count, 1, dtype=torch.float64), m + torch.randn(count, 1, dtype=torch.float64)


class Quadratic(nn.Module):
    """a(x) = w₀ + w₁ x + w₂ x²: logistic regression that can express the best critic of any two Gaussians."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([torch.ones_like(x), x, x.square()], dim=1) @ self.weight


def network(width: int = 16) -> nn.Sequential:
    """A small critic that knows nothing of Gaussians."""
    layers = [nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1)]
    return nn.Sequential(*layers).double()


def fit(critic: nn.Module, real: Tensor, fake: Tensor, steps: int = 50) -> nn.Module:
    """Minimises the critic's cross-entropy on all points at once (L-BFGS)."""
    optimizer = torch.optim.LBFGS(critic.parameters(), max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = cross_entropy(critic(real), critic(fake))
        value.backward()
        return value

    optimizer.step(loss)
    return critic


@torch.no_grad()
def estimate(critic: Critic, real: Tensor, fake: Tensor) -> float:
    """½ (log 4 − loss) in nats: in expectation at most the JSD, and equal to it for the best critic.

    Only on points that the critic was not trained on: on its own it may exceed the JSD.
    """
    return (log(4) - cross_entropy(critic(real), critic(fake)).item()) / 2
