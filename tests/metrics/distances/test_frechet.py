"""Fréchet distances beside other people's routes, at and below full rank, and where accuracy is lost elsewhere."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

from genlit.errors import GenlitError
from genlit.metrics.distances.frechet import Moments, fd_infinity, frechet


def draw(n, width=32, seed=0, decades=0.0, shift=0.0):
    """Features whose covariance falls over so many decades, in directions of their own."""
    generator = torch.Generator().manual_seed(seed)
    scales = 10 ** (-torch.linspace(0, decades / 2, width))
    turn = torch.linalg.qr(torch.randn(width, width, generator=generator)).Q
    return (torch.randn(n, width, generator=generator) * scales) @ turn + shift


def by_sqrtm(a, b):
    """‖μₐ − μ_b‖² + tr(Sₐ + S_b − 2 (SₐS_b)^½), word for word."""
    a, b = a.double().numpy(), b.double().numpy()
    of_a, of_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    return np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(of_a + of_b - 2 * sqrtm(of_a @ of_b).real)


@pytest.mark.parametrize("n", [16, 32, 33, 64])
@pytest.mark.parametrize("m", [16, 33, 200])
def test_agrees_with_square_roots_and_eigenvalues_of_the_product(n, m):
    a, b = draw(n), draw(m, seed=1, shift=0.3)
    distance = frechet(Moments.of(a), Moments.of(b)).value
    statistics = [fid_features_to_statistics(x.double()) for x in (a, b)]
    assert distance == pytest.approx(fid_statistics_to_metric(*statistics, False)[KEY_METRIC_FID], rel=1e-5)
    assert distance == pytest.approx(by_sqrtm(a, b), rel=1e-5)


def test_full_rank_agrees_to_rounding():
    a, b = draw(200), draw(300, seed=1, shift=0.3)
    assert frechet(Moments.of(a), Moments.of(b)).value == pytest.approx(by_sqrtm(a, b), rel=1e-11)


def test_gaussians_whose_distance_is_known():
    scales = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    a = Moments(None, torch.zeros(3, dtype=torch.float64), covariance=torch.diag(scales**2))
    b = Moments(10, torch.ones(3, dtype=torch.float64), covariance=torch.diag(4 * scales**2))
    assert frechet(a, b).value == pytest.approx(3 + (scales**2).sum().item())


def test_agrees_at_the_width_of_inception():
    a, b = draw(200, 2048), draw(150, 2048, seed=1, shift=0.1)
    low_rank = frechet(Moments.of(a), Moments.of(b)).value
    factor = Moments.of(b).factor
    overlap = torch.linalg.eigvalsh(factor @ a.double().T.cov() @ factor.T).clamp(min=0).sqrt().sum()
    spread = a.double().var(0).sum() + b.double().var(0).sum()
    apart = (a.double().mean(0) - b.double().mean(0)).square().sum()
    assert low_rank == pytest.approx((apart + spread - 2 * overlap).item(), rel=1e-6)


@pytest.mark.parametrize("n", [2000, 2048, 2200])
def test_agrees_with_torch_fidelity_around_the_width_of_inception(n):
    a, b = draw(n, 2048, decades=4), draw(2300, 2048, seed=1, decades=4, shift=0.01)
    theirs = fid_statistics_to_metric(*(fid_features_to_statistics(x.double()) for x in (a, b)), False)
    assert frechet(Moments.of(a), Moments.of(b).rooted()).value == pytest.approx(theirs[KEY_METRIC_FID], rel=1e-4)


@pytest.mark.parametrize("n", [100, 128, 129, 400])
@pytest.mark.parametrize("decades", [0, 10])
def test_a_set_is_at_no_distance_from_itself(n, decades):
    moments = Moments.of(draw(n, 128, decades=decades))
    assert abs(frechet(moments, moments).value) <= 1e-12
    assert abs(frechet(moments, moments.rooted()).value) <= 1e-12


def test_square_roots_of_eigenvalues_lose_that_accuracy():
    moments = Moments.of(draw(400, 256, decades=10))
    root = moments.rooted().factor
    trace = moments.covariance.trace()
    naive = 2 * trace - 2 * torch.linalg.eigvalsh(root @ moments.covariance @ root.T).clamp(min=0).sqrt().sum()
    assert abs(naive) > 1e-8 * trace
    assert abs(frechet(moments, moments).value) < 1e-12 * trace


def test_single_precision_is_the_trap_below_full_rank():
    a, b = draw(40, 128), draw(40, 128, seed=1)
    naive = torch.linalg.eigvals(a.T.cov() @ b.T.cov()).sqrt().real.sum()
    naive = (a.mean(0) - b.mean(0)).square().sum() + a.var(0).sum() + b.var(0).sum() - 2 * naive
    truth = by_sqrtm(a, b)
    assert abs(naive.item() - truth) > 1e-4 * truth
    assert frechet(Moments.of(a), Moments.of(b)).value == pytest.approx(truth, rel=1e-5)


def test_features_that_depend_on_others_add_no_noise():
    few, other = draw(300, 8), draw(300, 128, seed=1)
    dependent = few.double() @ torch.randn(8, 128, generator=torch.Generator().manual_seed(2)).double()
    factors = [(x.double() - x.double().mean(0)) / 299**0.5 for x in (dependent, other)]
    overlap = torch.linalg.svdvals(factors[0] @ factors[1].T).sum()
    apart = (dependent.mean(0) - other.double().mean(0)).square().sum()
    truth = (apart + sum(factor.square().sum() for factor in factors) - 2 * overlap).item()
    assert frechet(Moments.of(dependent), Moments.of(other)).value == pytest.approx(truth, rel=1e-12)


def test_one_picture_over_and_over_has_no_spread():
    collapsed, real = torch.ones(200, 32), draw(100)
    expected = (1 - real.double().mean(0)).square().sum() + real.double().var(0).sum()
    assert frechet(Moments.of(collapsed), Moments.of(real)).value == pytest.approx(expected.item())
    assert frechet(Moments.of(collapsed), Moments.of(collapsed)).value == 0


def test_what_is_no_covariance_shows():
    moments = Moments.of(draw(100))
    spoilt = Moments(100, moments.mean, covariance=moments.covariance - 0.5 * torch.eye(32))
    below = torch.linalg.eigvalsh(spoilt.covariance).clamp(max=0).sum().item()
    assert below < -0.01
    assert frechet(moments, spoilt).negative == pytest.approx(below)
    assert frechet(moments, moments).negative == 0
    assert frechet(spoilt, spoilt).value == pytest.approx(0, abs=1e-12)


def test_infinitely_many_images_are_nearer_to_the_truth():
    width, n = 16, 640
    real = Moments(10**6, torch.zeros(width, dtype=torch.float64), covariance=torch.eye(width, dtype=torch.float64))
    fakes = [1.2 * torch.randn(n, width, generator=torch.Generator().manual_seed(seed)) for seed in range(6)]
    truth = 0.2**2 * width
    plain = np.mean([frechet(Moments.of(fake), real).value - truth for fake in fakes])
    extrapolated = np.mean([fd_infinity(fake, real) - truth for fake in fakes])
    assert abs(extrapolated) < plain / 4
    assert fd_infinity(fakes[0], real) == fd_infinity(fakes[0], real) != fd_infinity(fakes[0], real, seed=1)


def test_extrapolation_refuses_sizes_where_the_bias_is_no_line():
    real = Moments.of(draw(100))
    with pytest.raises(GenlitError, match="FD∞ of 60 images with 32 features"):
        fd_infinity(draw(60), real)
    with pytest.raises(GenlitError, match="not 20"):
        fd_infinity(draw(100), real, smallest=20)
    with pytest.raises(GenlitError, match="not 80"):
        fd_infinity(draw(100), real, smallest=80)


def test_refusals():
    moments = Moments.of(draw(100))
    with pytest.raises(GenlitError, match="1 images are too few"):
        Moments.of(draw(1))
    with pytest.raises(GenlitError, match="1 images have no covariance"):
        frechet(moments, Moments(1, moments.mean, factor=torch.zeros(1, 32)))
    with pytest.raises(GenlitError, match="32 and 31 wide"):
        frechet(moments, Moments.of(draw(100, 31)))
    with pytest.raises(GenlitError, match="not finite"):
        Moments.of(draw(100).log())


def test_random_numbers_are_left_alone():
    torch.manual_seed(0)
    np.random.seed(0)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    fd_infinity(draw(200), Moments.of(draw(100)))
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])
