"""The pictures. Each function returns its figure and the numbers that it shows, measured beside exact."""

from collections.abc import Iterator
from functools import partial
from math import log
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from experiments.theory import dirac, gaussians
from experiments.theory.dirac import Game, alternating, simultaneous, trajectory
from genlit.losses.adversarial import LOSSES, LossName, cross_entropy

BLUE, ORANGE, GREEN, PINK, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"  # Okabe and Ito's
GREY = "0.55"
RATE = 0.1

GP = Game("wasserstein", penalty=0.25)
PORTRAITS = {
    "minimax, simultaneous steps": (Game(), partial(simultaneous, rate=0.2), 150),
    "minimax, alternating steps": (Game(), partial(alternating, rate=0.2), 300),
    "non-saturating, alternating": (Game("non-saturating"), partial(alternating, rate=0.2), 300),
    "WGAN, 5 critic steps": (Game("wasserstein"), partial(alternating, rate=0.1, n_critic=5), 300),
    "WGAN-GP, λ = 0.25: a cycle": (GP, partial(alternating, rate=RATE), 300),
    "WGAN-GP, λ = 1: stuck at (2λ, 0)": (Game("wasserstein", penalty=1.0), partial(alternating, rate=RATE), 300),
    "minimax, noise of σ = 1": (Game(noise=1.0), partial(alternating, rate=0.2), 300),
    "minimax, R₁ of γ = 0.5": (Game(r1=0.5), partial(alternating, rate=0.2), 300),
}


class Row(NamedTuple):
    """A number that a picture shows.

    Args:
        what: its name.
        measured: by autograd, training or samples.
        exact: by the closed form or numerical integration.
    """

    what: str
    measured: float
    exact: float


Drawing = tuple[Figure, list[Row]]


def panels(rows: int, columns: int, size: tuple[float, float], **shared: bool | str) -> tuple[Figure, np.ndarray]:
    """A figure of equal panels, each as wide and high as said, in inches."""
    figure = Figure(figsize=(columns * size[0], rows * size[1]), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def named(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.25)


def critics(distances: tuple[int, ...] = (0, 1, 3)) -> Drawing:
    """Densities, the critic's logit and its probability: learned by a network from samples, beside the closed form."""
    figure, axes = panels(3, len(distances), (4.0, 2.6), sharex="col", sharey="row")
    rows = []
    for m, column in zip(distances, axes.T):
        critic = gaussians.fit(gaussians.network(), *gaussians.points(4000, m))
        _draw_critic(column, critic, m)
        with torch.no_grad():
            loss = cross_entropy(*map(critic, gaussians.points(200_000, m))).item()
        rows.append(Row(f"critic's loss on held-out points, m = {m}", loss, log(4) - 2 * gaussians.divergence(m)))
    for axis, label in zip(axes[:, 0], ("density", "logit a(x)", "D(x) = sigm(a(x))")):
        axis.set_ylabel(label)
    axes[0, 0].legend(fontsize=8)
    axes[1, 0].legend(fontsize=8)
    axes[1, 0].set_ylim(-8, 8)
    return figure, rows


def _draw_critic(axes: np.ndarray, critic: torch.nn.Module, m: int) -> None:
    x = torch.linspace(-3, m + 3, 300, dtype=torch.float64)
    with torch.no_grad():
        learned, exact = critic(x[:, None])[:, 0], gaussians.best_logit(x, m)
    axes[0].fill_between(x, gaussians.density(x.numpy()), color=BLUE, alpha=0.4, label="real: N(0, 1)")
    axes[0].fill_between(x, gaussians.density(x.numpy(), m), color=ORANGE, alpha=0.4, label="generated: N(m, 1)")
    axes[0].set_title(f"m = {m}")
    for axis, shown in ((axes[1], lambda a: a), (axes[2], torch.sigmoid)):
        axis.plot(x, shown(learned), color=GREEN, lw=3, alpha=0.7, label="learned from 4,000 points of each")
        axis.plot(x, shown(exact), "k--", lw=1.2, label="exact: −m x + m²/2")
    axes[2].axhline(0.5, color=GREY, lw=0.8)
    axes[2].set(xlabel="x", ylim=(-0.05, 1.05))
    for axis in axes:
        axis.grid(alpha=0.25)


def divergences() -> Drawing:
    """½ (log 4 − loss) against the exact JSD: a lower bound on held-out points, but not on the critic's own."""
    figure, ((axes,),) = panels(1, 1, (6.6, 4.4))
    curve = np.linspace(0, 4.1, 83)
    axes.plot(curve, [gaussians.divergence(m) for m in curve], "k-", label="exact JSD")
    axes.axhline(log(2), color=GREY, ls=":", label="log 2: no overlap")
    ample = {m: _estimates(4000, m)[1] for m in np.arange(0, 4.1, 0.5)}
    axes.plot(ample.keys(), ample.values(), "o", color=BLUE, label="4,000 points of each, held-out")
    scarce = np.array([[_estimates(100, m) for _ in range(5)] for m in range(4)])  # (m, repetition, own or held-out)
    for values, where, style, colour in zip(scarce.T, ("on these points", "held-out"), "^v", (ORANGE, PINK)):
        label = f"100 points of each, {where}: mean ± spread of 5"
        axes.errorbar(range(4), values.mean(0), values.std(0), fmt=style, color=colour, capsize=3, label=label)
    named(axes, "The critic's loss estimates a divergence", "m, distance of the means", "½ (log 4 − loss) in nats")
    axes.set_ylim(-0.1, 1.15)
    axes.legend(fontsize=8, loc="upper left")
    return figure, [
        Row(f"JSD in nats from held-out points, m = {m}", ample[m], gaussians.divergence(m)) for m in (1, 2, 3)
    ]


def _estimates(count: int, m: float) -> tuple[float, float]:
    """On the critic's own points, and on held-out ones."""
    own, others = gaussians.points(count, m), gaussians.points(50 * count, m)
    critic = gaussians.fit(gaussians.network(), *own)
    return gaussians.estimate(critic, *own), gaussians.estimate(critic, *others)


def gradients(m: int = 3) -> Drawing:
    """What a generated point's logit teaches the generator, and where the best critic puts these logits early on."""
    figure, ((losses, slopes),) = panels(1, 2, (5.0, 4.0), sharex=True)
    logits = torch.linspace(-10, 6, 321, dtype=torch.float64)
    for name, label, colour, style in (
        ("minimax", "minimax: −log(1 + eᵃ)", BLUE, "-"),
        ("non-saturating", "non-saturating: log(1 + e⁻ᵃ)", ORANGE, "-"),
        ("wasserstein", "Wasserstein and hinge: −a", GREEN, "--"),
        ("least-squares", "least squares: (a − 1)²", PINK, ":"),
    ):
        losses.plot(logits, [LOSSES[name].generator(a, None) for a in logits], style, color=colour, lw=2, label=label)
        slopes.plot(logits, per_logit(name, logits), style, color=colour, lw=2)
    named(losses, "Generator's loss", "logit a of a generated point", "loss")
    named(slopes, "Its gradient per logit", "logit a of a generated point", "∂loss / ∂a")
    losses.set_ylim(-9, 12)
    losses.legend(fontsize=8, loc="lower left")
    slopes.set_ylim(-3, 0.5)
    seen = gaussians.best_logit(gaussians.points(50_000, m)[1][:, 0], m)
    _draw_histogram(slopes, seen, f"grey: logits that the best critic\ngives generated points, m = {m}")
    exact = {"minimax": gaussians.fooled(m), "non-saturating": 1 - gaussians.fooled(m)}
    measured = {name: -per_logit(name, seen).mean().item() for name in exact}
    return figure, [Row(f"mean |gradient|, {name}, m = {m}", measured[name], exact[name]) for name in exact]


def _draw_histogram(axes: Axes, logits: Tensor, words: str) -> None:
    behind = axes.twinx()
    behind.hist(logits, bins=80, range=(-10, 6), density=True, color=GREY, alpha=0.35)
    behind.set(ylim=(0, 0.6), yticks=[])
    axes.text(-9.8, -1.95, words, fontsize=8)


def per_logit(name: LossName, logits: Tensor) -> Tensor:
    """The generator's gradient on every logit, as if each were a batch of one."""
    logits = logits.clone().requires_grad_(True)
    return torch.autograd.grad(LOSSES[name].generator(logits, None), logits)[0] * len(logits)


def portraits() -> Drawing:
    """Where the velocity points, and the way that training takes through it from (1, 1)."""
    figure, axes = panels(2, 4, (3.5, 3.8), sharex=True, sharey=True)
    for axis, (title, (game, rule, steps)) in zip(axes.flat, PORTRAITS.items()):
        _draw_field(axis, game)
        _draw_way(axis, trajectory(rule(game), (1.0, 1.0), steps))
        axis.set(title=title, xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), aspect="equal")
    for axis in axes[-1]:
        axis.set_xlabel("θ, where the generator puts its point")
    for axis in axes[:, 0]:
        axis.set_ylabel("ψ, the critic's slope")
    axes[0, 0].legend(fontsize=8, loc="lower left")
    cycle = trajectory(alternating(GP, 0.02), (1.0, 1.0), 1500)[-400:, 0].max().item()
    return figure, [*_spectra(), Row("WGAN-GP's cycle, λ = 0.25: largest θ", cycle, dirac.cycle(GP.penalty))]


def _draw_field(axes: Axes, game: Game, side: int = 15) -> None:
    states = torch.cartesian_prod(*[torch.linspace(-2.4, 2.4, side, dtype=torch.float64)] * 2)
    arrows = torch.stack([dirac.velocity(game, state).detach() for state in states])
    arrows = arrows / arrows.norm(dim=1, keepdim=True).clamp(min=1e-9)
    axes.quiver(*states.T.numpy(), *arrows.T.numpy(), color=GREY, pivot="mid", scale=24, width=0.005)


def _draw_way(axes: Axes, states: Tensor) -> None:
    axes.plot(*states.T, color=BLUE, lw=1, marker=".", ms=3)
    axes.plot(*states[0], "o", color=GREEN, ms=8, label="start")
    axes.plot(*states[-1], "s", color=ORANGE, ms=8, label="end")
    axes.plot(0, 0, "k+", ms=14, mew=2, label="equilibrium")


def _spectra() -> Iterator[Row]:
    games = {"no regularisation": Game(), "noise of σ = 1": Game(noise=1.0), "R₁ of γ = 0.5": Game(r1=0.5)}
    for title, game in games.items():
        measured, exact = dirac.field_spectrum(game)[0], dirac.exact_spectrum(game)[0]
        yield Row(f"Re λ, {title}", measured.real.item(), exact.real)
        yield Row(f"|Im λ|, {title}", measured.imag.abs().item(), abs(exact.imag))


def convergence(steps: int = 400) -> Drawing:
    """The distance from the equilibrium in training; growth per step against the strength of R₁ and of noise."""
    figure, ((ways, rates),) = panels(1, 2, (5.6, 4.4))
    _draw_distances(ways, steps)
    rows = []
    for label, colour, marker, game in (
        ("R₁: d = γ/2", ORANGE, "o", lambda d: Game(r1=2 * d)),
        ("noise: d = σ²/4", SKY, "x", lambda d: Game(noise=2 * d**0.5)),
    ):
        for d in (0.0, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0):
            measured = dirac.growth(trajectory(simultaneous(game(d), RATE), (1e-3, 0.0), steps))
            rows.append(Row(f"growth per step, {label} = {d}", measured, dirac.exact_growth(game(d), RATE)))
            rates.plot(d, measured, marker, color=colour, mew=2, label=None if d else f"measured, {label}")
    curve = np.linspace(0, 2, 201)
    rates.plot(
        curve, [dirac.exact_growth(Game(r1=2 * d), RATE) for d in curve], "k-", lw=1, label="exact: max |1 + hλ|"
    )
    rates.axvline(0.5, color=GREY, ls=":", label="critical damping, d = f′(0) = ½")
    named(rates, f"Growth per simultaneous step, h = {RATE}", "damping d", "factor on |(θ, ψ)|")
    rates.legend(fontsize=8)
    return figure, rows


def _draw_distances(axes: Axes, steps: int) -> None:
    games = {
        "minimax, simultaneous": (simultaneous(Game(), RATE), PINK, "-"),
        "minimax, alternating": (alternating(Game(), RATE), BLUE, "-"),
        "minimax, noise of σ = 1": (simultaneous(Game(noise=1.0), RATE), SKY, "--"),
        "minimax, R₁ of γ = 0.5": (simultaneous(Game(r1=0.5), RATE), ORANGE, "-"),
        "non-saturating, alternating": (alternating(Game("non-saturating"), RATE), GREEN, "-"),
    }
    for label, (step, colour, style) in games.items():
        axes.semilogy(trajectory(step, (1.0, 1.0), steps).norm(dim=1), style, color=colour, label=label)
    predicted = [dirac.slow_decay(2**0.5, RATE * n) for n in range(steps)]
    axes.semilogy(predicted, "k:", label="the same: 1/r² = 1/r₀² + t/8")
    named(axes, f"Distance from the equilibrium, h = {RATE}", "steps", "r = |(θ, ψ)|")
    axes.legend(fontsize=8, loc="lower left")


def slopes() -> Drawing:
    """WGAN-GP between two points: the slope that the critic learns against the closed form."""
    figure, ((axes,),) = panels(1, 1, (5.6, 4.0))
    distances = np.linspace(0, 5, 11)
    rows = []
    for weight, colour, marker in ((1.0, BLUE, "o"), (10.0, ORANGE, "s")):
        learned = [dirac.learned_slope(m, weight) for m in distances]
        axes.plot(distances, learned, marker, color=colour, label=f"learned, λ = {weight:g}")
        axes.plot(distances, dirac.best_slope(distances, weight), color=colour, lw=1, label="exact: 1 + m / (2λ)")
        rows.append(Row(f"slope, m = 3, λ = {weight:g}", learned[6], dirac.best_slope(3, weight)))
    axes.axhline(1, color=GREY, ls=":", label="slope 1 of the Wasserstein distance")
    named(axes, "Slope of a WGAN-GP critic between two points", "m, distance of the points", "slope |ψ|")
    axes.legend(fontsize=8)
    return figure, rows


FIGURES = {draw.__name__: draw for draw in (critics, divergences, gradients, portraits, convergence, slopes)}
