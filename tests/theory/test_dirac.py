"""The Dirac-GAN under genlit's losses and penalties against the closed forms of Mescheder et al. 2018."""

import pytest
import torch
from torch import Tensor

from experiments.theory import dirac
from experiments.theory.dirac import Game, alternating, simultaneous, trajectory

NEAR = (1e-3, 0.0)
GAMES = [
    Game(),
    Game("non-saturating"),
    Game("relativistic"),
    Game("wasserstein"),
    Game(r1=0.5),
    Game(r1=3.0),
    Game("non-saturating", r1=0.5),
    Game("wasserstein", r1=0.5),
    Game(noise=1.0),
    Game("non-saturating", noise=2.0),
    Game("wasserstein", noise=2.0),
    Game(r1=0.25, noise=0.5),
]


def ordered(values) -> Tensor:
    values = torch.as_tensor(values, dtype=torch.complex128)
    return values[(values.real + 1e-3 * values.imag).argsort()]


def states(count: int = 20) -> Tensor:
    return 2 * torch.randn(count, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("game", GAMES, ids=str)
def test_the_fields_eigenvalues(game: Game):
    torch.testing.assert_close(ordered(dirac.field_spectrum(game)), ordered(dirac.exact_spectrum(game)))


@pytest.mark.parametrize("game", [Game(r1=1.0), Game(noise=2**0.5)], ids=str)
def test_critical_damping_is_real_and_the_fastest(game: Game):
    rates = dirac.field_spectrum(game)
    torch.testing.assert_close(rates.real, torch.full((2,), -0.5, dtype=torch.float64), atol=1e-6, rtol=0)
    assert rates.imag.abs().max() < 1e-6
    slowest = [max(z.real for z in dirac.exact_spectrum(Game(r1=gamma))) for gamma in (0.25, 0.9, 1.1, 4.0)]
    assert min(slowest) > -0.5


@pytest.mark.parametrize(("gamma", "turns"), [(0.5, True), (0.9, True), (1.0, False), (2.0, False)])
def test_only_below_critical_damping_does_the_point_swing_past_the_target(gamma: float, turns: bool):
    theta = trajectory(simultaneous(Game(r1=gamma), 0.1), NEAR, 400)[:, 0]
    assert bool((theta < 0).any()) == turns


def test_the_minimax_field_keeps_the_norm_everywhere():
    for state in states():
        assert (dirac.velocity(Game(), state) @ state).item() == pytest.approx(0, abs=1e-12)


def test_the_non_saturating_field_shrinks_the_norm_at_fourth_order():
    for state in states():
        product = state.prod()
        shrinking = (dirac.velocity(Game("non-saturating"), state) @ state).item()
        assert shrinking == pytest.approx((-product * torch.tanh(product / 2)).item(), abs=1e-12)
    norm = trajectory(alternating(Game("non-saturating"), 0.1), (0.5, 0.0), 800)[-1].norm().item()
    assert norm == pytest.approx(dirac.slow_decay(0.5, 80), rel=0.02)


@pytest.mark.parametrize("game", [Game(), Game("non-saturating"), Game(r1=0.5), Game(r1=2.0), Game(noise=1.0)], ids=str)
def test_simultaneous_steps_grow_or_shrink_by_the_largest_eigenvalue(game: Game):
    step = simultaneous(game, 0.1)
    assert dirac.spectrum(step).abs().max().item() == pytest.approx(dirac.exact_growth(game, 0.1))
    assert dirac.growth(trajectory(step, NEAR, 400)) == pytest.approx(dirac.exact_growth(game, 0.1), abs=3e-4)


def test_simultaneous_steps_without_regularisation_move_away_at_every_step():
    norms = trajectory(simultaneous(Game(), 0.2), (1.0, 1.0), 200).norm(dim=1)
    assert (norms.diff() > 0).all()
    norms = trajectory(simultaneous(Game("wasserstein"), 0.2), (1.0, 1.0), 50).norm(dim=1)
    torch.testing.assert_close(norms[1:] / norms[:-1], torch.full((50,), 1.04, dtype=torch.float64).sqrt())


@pytest.mark.parametrize("n_critic", [1, 5])
@pytest.mark.parametrize("game", [Game(), Game("non-saturating"), Game("wasserstein")], ids=str)
def test_alternating_steps_have_eigenvalues_on_the_unit_circle(game: Game, n_critic: int):
    measured = dirac.spectrum(alternating(game, 0.3, n_critic))
    torch.testing.assert_close(ordered(measured), ordered(dirac.alternating_spectrum(game, 0.3, n_critic)))
    torch.testing.assert_close(measured.abs(), torch.ones(2, dtype=torch.float64))


def test_alternating_steps_leave_the_circle_where_alpha_exceeds_two():
    assert dirac.spectrum(alternating(Game(), 4.1)).abs().max() > 1.1


def test_alternating_wasserstein_steps_stay_on_an_ellipse():
    rate = 0.2
    theta, psi = trajectory(alternating(Game("wasserstein"), rate), (1.0, 1.0), 300).T
    ellipse = theta**2 + psi**2 - rate * theta * psi
    torch.testing.assert_close(ellipse, torch.full_like(ellipse, 2 - rate))


def test_alternating_minimax_steps_stay_near_their_circle():
    norms = trajectory(alternating(Game(), 0.1), (1.0, 1.0), 400).norm(dim=1)
    assert (norms - 2**0.5).abs().max() < 0.05


@pytest.mark.parametrize("game", [Game(r1=0.5), Game("non-saturating", r1=0.5), Game(noise=1.0)], ids=str)
@pytest.mark.parametrize("rule", [simultaneous, alternating])
def test_penalty_and_noise_end_at_the_equilibrium(game: Game, rule):
    assert trajectory(rule(game, 0.2), (1.0, 1.0), 250)[-1].norm() < 1e-4


@pytest.mark.parametrize("game", [Game(), Game("wasserstein"), Game("wasserstein", noise=1.0)], ids=str)
def test_without_them_training_never_comes_near(game: Game):
    assert trajectory(alternating(game, 0.2), (1.0, 1.0), 200).norm(dim=1).min() > 1


@pytest.mark.parametrize("weight", [0.1, 0.5])
def test_a_weak_gradient_penalty_ends_on_a_cycle(weight: float):
    late = trajectory(alternating(Game("wasserstein", penalty=weight), 0.05), (1.0, 1.0), 600)[-150:]
    for end in (late[:, 0].max(), -late[:, 0].min()):
        assert end.item() == pytest.approx(dirac.cycle(weight), rel=0.02)


def test_a_strong_gradient_penalty_stops_far_from_the_equilibrium():
    end = trajectory(alternating(Game("wasserstein", penalty=1.0), 0.1), (1.0, 1.0), 300)[-1]
    torch.testing.assert_close(end, torch.tensor([2.0, 0.0], dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize("weight", [0.5, 10.0])
@pytest.mark.parametrize("distance", [0.5, 3.0])
def test_the_critic_learns_the_penalised_slope(distance: float, weight: float):
    assert dirac.learned_slope(distance, weight) == pytest.approx(dirac.best_slope(distance, weight), rel=1e-9)
