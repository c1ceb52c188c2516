"""The priors' moments, and where their segments lie."""

import math

import pytest
import torch
from torch import Tensor

from genlit.nn.priors import ARMS, PRIORS, segment

N = 200_000


def draws(prior: str, latent: int = 2, u: Tensor | None = None) -> Tensor:
    torch.manual_seed(0)
    return PRIORS[prior](torch.rand(N, dtype=torch.float64) if u is None else u, latent)


@pytest.mark.parametrize(
    ("prior", "latent", "variance"),
    # of the mixture (1.5² + 0.4² + 0.1²) / 2
    [("gaussian", 5, 1.0), ("uniform", 3, 4 / 3), ("mixture", 2, 1.21)],
)
def test_moments(prior: str, latent: int, variance: float):
    z = draws(prior, latent)
    assert z.shape == (N, latent)
    assert z.dtype == torch.float64
    torch.testing.assert_close(z.mean(0), z.new_zeros(latent), rtol=0, atol=0.01)
    torch.testing.assert_close(z.T.cov(), variance * torch.eye(latent, dtype=z.dtype), rtol=0, atol=0.02)


def test_the_uniform_priors_bounds():
    z = draws("uniform")
    assert z.min() >= -2
    assert z.max() <= 2
    assert z.abs().max() > 1.999


def test_the_mixture_has_ten_equal_arms():
    torch.manual_seed(0)
    arm = torch.arange(ARMS).repeat_interleave(N // ARMS)
    z = draws("mixture", u=(arm + torch.rand(N, dtype=torch.float64)) / ARMS)
    for k, part in enumerate(z.chunk(ARMS)):
        angle = torch.tensor(2 * math.pi * k / ARMS, dtype=torch.float64)
        axis = torch.stack([angle.cos(), angle.sin()])
        across = torch.stack([-angle.sin(), angle.cos()])
        torch.testing.assert_close(part.mean(0), 1.5 * axis, rtol=0, atol=0.02)
        expected = 0.16 * axis.outer(axis) + 0.01 * across.outer(across)
        torch.testing.assert_close(part.T.cov(), expected, rtol=0, atol=0.01)


def test_the_mixtures_arms_are_drawn_equally_often():
    z = draws("mixture")
    nearest = (torch.atan2(z[:, 1], z[:, 0]) * (ARMS / (2 * math.pi))).round().long() % ARMS
    assert nearest.bincount().double().div(N).sub(0.1).abs().max() < 0.005


def test_a_position_that_rounds_to_one_is_in_the_last_arm():
    z = draws("mixture", u=torch.ones(1000))
    assert (torch.atan2(z[:, 1], z[:, 0]).mean() + 2 * math.pi / ARMS).abs() < 0.05


def test_the_swiss_rolls_radius_grows_with_its_angle():
    u = torch.linspace(0, 1, 1000, dtype=torch.float64)[1:]
    z = draws("swiss-roll", u=u)
    radius = z.norm(dim=1)
    turned = torch.atan2(z[:, 1], z[:, 0]).diff() % (2 * math.pi)
    assert (radius.diff() > 0).all()
    assert (turned < math.pi / 4).all()
    assert turned.sum().item() == pytest.approx(4 * math.pi * (1 - u[0].sqrt().item()))
    torch.testing.assert_close(radius, 2 * u.sqrt())


def test_the_swiss_roll_is_drawn_from_evenly_along_its_length():
    z = draws("swiss-roll", u=torch.linspace(0.1, 1, 100_000, dtype=torch.float64))
    steps = z.diff(dim=0).norm(dim=1)
    assert steps.max() / steps.min() < 1.2


def test_labels_have_segments_of_their_own():
    torch.manual_seed(0)
    u, labels = torch.rand(N), torch.randint(-1, 10, (N,))
    moved = segment(u, labels, 10)
    assert torch.equal(moved[labels < 0], u[labels < 0])
    assert torch.equal((moved * 10).floor().long()[labels >= 0], labels[labels >= 0])
