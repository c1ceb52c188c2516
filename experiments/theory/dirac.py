"""The Dirac-GAN: the smallest game that shows which trainings converge.

Mescheder et al. 2018, definition 2.1, https://arxiv.org/abs/1801.04406: all real images are 0, all generated ones θ,
and the critic is a(x) = ψ x. The only equilibrium is θ = ψ = 0. Their critic is large on generated images, genlit's on
real ones: ψ has the other sign here, and every result is the same.
"""

import cmath
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import exp, pi, sqrt

import torch
from torch import Tensor

from genlit.losses.adversarial import LOSSES, LossName
from genlit.losses.penalties import gradient_penalty, zero_centred


def normal_points(count: int = 64) -> Tensor:
    """Equally probable points of N(0, 1), (count, 1), scaled to variance 1: a mean over them is the expectation."""
    quantiles = torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)
    return (quantiles / quantiles.square().mean().sqrt())[:, None]


NORMAL = normal_points()
GENERATOR, CRITIC = torch.eye(2, dtype=torch.float64)  # a state is (θ, ψ)
Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Game:
    """Which losses the two play.

    Args:
        loss: the adversarial pair; closed forms below: minimax, non-saturating, relativistic and wasserstein.
        r1: weight γ of R₁.
        penalty: weight λ of WGAN-GP's penalty.
        noise: standard deviation σ of instance noise, the same on both images: a relativistic pair cancels it.
    """

    loss: LossName = "minimax"
    r1: float = 0.0
    penalty: float = 0.0
    noise: float = 0.0


def losses(game: Game, theta: Tensor, psi: Tensor) -> tuple[Tensor, Tensor]:
    """The critic's and the generator's loss, by genlit's own functions."""
    pair = LOSSES[game.loss]
    real = game.noise * NORMAL if game.noise else theta.new_zeros(1, 1)
    fake = theta + real

    def critic(x: Tensor) -> Tensor:
        return psi * x

    loss = pair.critic(critic(real), critic(fake))
    if game.r1:
        loss = loss + game.r1 * zero_centred(critic, real)
    if game.penalty:
        loss = loss + game.penalty * gradient_penalty(critic, real, fake)
    return loss, pair.generator(critic(fake), critic(real))


def velocity(game: Game, state: Tensor) -> Tensor:
    """v = (−∂L_generator/∂θ, −∂L_critic/∂ψ), by autograd: where both players want to go."""
    again = state.requires_grad  # the Jacobian differentiates once more
    theta, psi = state if again else state.clone().requires_grad_(True)
    critic, generator = losses(game, theta, psi)
    (uphill,) = torch.autograd.grad(generator, theta, create_graph=again, retain_graph=True)
    (steeper,) = torch.autograd.grad(critic, psi, create_graph=again)
    return -torch.stack([uphill, steeper])


def simultaneous(game: Game, rate: float) -> Step:
    """Both players step at once: s ← s + h v(s)."""
    return lambda state: state + rate * velocity(game, state)


def alternating(game: Game, rate: float, n_critic: int = 1) -> Step:
    """The critic takes `n_critic` steps and then the generator one that sees them, as genlit trains."""

    def step(state: Tensor) -> Tensor:
        for _ in range(n_critic):
            state = state + rate * velocity(game, state) * CRITIC
        return state + rate * velocity(game, state) * GENERATOR

    return step


def trajectory(step: Step, start: tuple[float, float], steps: int) -> Tensor:
    """All states, (steps + 1, 2)."""
    states = [torch.tensor(start, dtype=torch.float64)]
    for _ in range(steps):
        states.append(step(states[-1]).detach())
    return torch.stack(states)


def growth(states: Tensor) -> float:
    """The norm's factor per step over a trajectory's second half, so weighted that a rotation's share averages out."""
    factors = states[len(states) // 2 :].norm(dim=1).log().diff()
    weights = torch.hann_window(len(factors), dtype=factors.dtype)
    return (factors @ weights / weights.sum()).exp().item()


def spectrum(step: Step) -> Tensor:
    """Eigenvalues of a map's Jacobian at the equilibrium, by autograd."""
    return torch.linalg.eigvals(torch.autograd.functional.jacobian(step, torch.zeros(2, dtype=torch.float64)))


def field_spectrum(game: Game) -> Tensor:
    """Eigenvalues of the velocity's Jacobian at the equilibrium, by autograd."""
    return spectrum(partial(velocity, game))


def slope(game: Game) -> float:
    """|∂v_θ/∂ψ| at the equilibrium: f′(0) = ½ for f(t) = −log(1 + e⁻ᵗ), 1 for Wasserstein."""
    return 1.0 if game.loss == "wasserstein" else 0.5


def damping(game: Game) -> float:
    """γ/2 + σ²/4: how strongly R₁ and noise damp the rotation.

    Noise acts through the curvature f″(0) = −¼, so it does nothing in a Wasserstein game, whose losses are straight.
    """
    return game.r1 / 2 + (0.0 if game.loss == "wasserstein" else game.noise**2 / 4)


def exact_spectrum(game: Game) -> tuple[complex, complex]:
    """λ = −d ± √(d² − f′(0)²) with the damping d, on the imaginary axis where nothing damps.

    Mescheder et al. 2018: lemma 2.2 (d = 0), section 3 (noise: d = −f″(0) σ²; R₁: d = γ/2). From the critical damping
    d = f′(0) on the game does not rotate: γ = 2 f′(0) = 1, or σ² = 2.
    """
    d = damping(game)
    root = cmath.sqrt(d**2 - slope(game) ** 2)
    return -d + root, -d - root


def exact_growth(game: Game, rate: float) -> float:
    """max |1 + h λ|, the growth per simultaneous step near the equilibrium: √(1 + h² f′(0)²) > 1 where nothing damps.

    Mescheder et al. 2018, lemma 2.4.
    """
    return max(abs(1 + rate * eigenvalue) for eigenvalue in exact_spectrum(game))


def alternating_spectrum(game: Game, rate: float, n_critic: int = 1) -> tuple[complex, complex]:
    """1 − α²/2 ± √((1 − α²/2)² − 1), α = √n_critic h f′(0), for games without damping: on the unit circle while α ≤ 2.

    Mescheder et al. 2018, lemma 2.5.
    """
    half = 1 - n_critic * (rate * slope(game)) ** 2 / 2
    root = cmath.sqrt(half**2 - 1)
    return half + root, half - root


def slow_decay(start: float, time: float) -> float:
    """The norm r in the non-saturating game after a time, 1/r² = 1/r₀² + t/8: too slow for any eigenvalue.

    There d(θ² + ψ²)/dt = −2 ψθ tanh(ψθ/2) ≈ −(ψθ)², which is −r⁴/8 on average over a turn. In the minimax game it is 0:
    Mescheder et al. 2018, lemma 2.3.
    """
    return 1 / sqrt(1 / start**2 + time / 8)


def cycle(weight: float) -> float:
    """The largest θ, 2λ (1 + ρ) / (1 − ρ), of the cycle on which WGAN-GP with λ < 1 ends, for small steps.

    Where ψ > 0, v = (ψ, 2λ (1 − ψ) − θ) turns around (2λ, 0), and each half turn brings θ − 2λ to −ρ times itself,
    ρ = exp(−π λ / √(1 − λ²)); where ψ < 0 the same happens around (−2λ, 0). A cycle from −A to A has
    A − 2λ = ρ (A + 2λ). With λ ≥ 1 nothing turns, and training may stop at (±2λ, 0) for good. That a WGAN-GP need not
    converge is in section 3 of Mescheder et al. 2018; this orbit is derived here.
    """
    rest = exp(-pi * weight / sqrt(1 - weight**2))
    return 2 * weight * (1 + rest) / (1 - rest)


def best_slope(distance: float, weight: float) -> float:
    """|ψ| = 1 + m/(2λ): the slope that minimises −m |ψ| + λ (|ψ| − 1)².

    It is the Wasserstein critic between two Diracs at distance m under the penalty of Gulrajani et al. 2017, eq. 3,
    https://arxiv.org/abs/1704.00028: steeper than the slope 1 that the distance itself asks for.
    """
    return 1 + distance / (2 * weight)


def learned_slope(distance: float, weight: float, steps: int = 40) -> float:
    """The same slope, learned by the critic alone while θ stands still at the distance."""
    game = Game("wasserstein", penalty=weight)
    step = partial(_critic_step, game, 1 / (4 * weight))  # half of what one Newton step would take
    return -trajectory(step, (distance, -1.0), steps)[-1, 1].item()


def _critic_step(game: Game, rate: float, state: Tensor) -> Tensor:
    return state + rate * velocity(game, state) * CRITIC
