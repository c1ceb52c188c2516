"""KID beside torch-fidelity's and beside its definition."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_kid import kid_features_to_metric

from genlit.errors import GenlitError
from genlit.metrics.distances import kernel
from genlit.metrics.distances.kernel import kernel_distance


def draw(n, width=48, seed=0, shift=0.0):
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed)).relu() + shift


def by_torch_fidelity(fake, real, subsets, size, seed=2020):
    protocol = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None}
    protocol |= {"kid_kernel_poly_coef0": 1.0, "rng_seed": seed, "verbose": False}
    result = kid_features_to_metric(fake, real, kid_subsets=subsets, kid_subset_size=size, **protocol)
    return result["kernel_inception_distance_mean"], result["kernel_inception_distance_std"]


@pytest.fixture(params=[True, False], ids=["gram", "subsets"])
def route(request, monkeypatch):
    monkeypatch.setattr(kernel, "_gram_is_cheaper", lambda *_: request.param)


@pytest.mark.usefixtures("route")
@pytest.mark.parametrize(("n", "m"), [(700, 700), (1100, 650), (610, 1030)])
def test_agrees_with_torch_fidelity(n, m):
    fake, real = draw(n), draw(m, seed=1, shift=0.05)
    estimate = kernel_distance(fake, real, subsets=20, size=600)
    exact = by_torch_fidelity(fake.double(), real.double(), 20, 600)
    assert estimate[:2] == pytest.approx(exact, rel=1e-11)
    assert estimate[:2] == pytest.approx(by_torch_fidelity(fake, real, 20, 600), abs=1e-6)
    assert estimate.size == 600


@pytest.mark.usefixtures("route")
def test_a_single_subset_of_everything_is_the_definition():
    fake, real = draw(30), draw(30, seed=1, shift=0.2)
    values = [(a.double() @ b.double().T / 48 + 1) ** 3 for a, b in ((fake, fake), (real, real), (fake, real))]
    own = sum((k.sum() - k.trace()) / (30 * 29) for k in values[:2])
    estimate = kernel_distance(fake, real)
    assert estimate.mean == pytest.approx((own - 2 * values[2].mean()).item())
    assert estimate.std == pytest.approx(0, abs=1e-14)


def test_subsets_are_cut_to_the_smaller_set():
    fake, real = draw(90), draw(40, seed=1)
    estimate = kernel_distance(fake, real, subsets=5)
    assert estimate.size == 40
    assert estimate[:2] == pytest.approx(by_torch_fidelity(fake.double(), real.double(), 5, 40))


def test_the_seed_fixes_the_subsets():
    fake, real = draw(90), draw(80, seed=1)
    assert kernel_distance(fake, real, 5, 50) == kernel_distance(fake, real, 5, 50)
    reseeded = kernel_distance(fake, real, 5, 50, seed=1)
    assert reseeded[:2] == pytest.approx(by_torch_fidelity(fake.double(), real.double(), 5, 50, seed=1))


def test_sets_of_one_distribution_are_at_about_no_distance():
    near, far = (kernel_distance(draw(400, shift=shift), draw(400, seed=1), 20, 200) for shift in (0, 0.2))
    assert abs(near.mean) < 0.02 * far.mean
    assert kernel_distance(draw(400), draw(400), 20, 400).mean < 0  # the unbiased estimate never meets an image itself


def test_the_cheaper_route_is_taken():
    sets = [torch.empty(n, 2048, device="meta") for n in (1000, 5000, 12_000)]
    assert [kernel._gram_is_cheaper(x, x, 100, 1000) for x in sets] == [True, True, False]


def test_products_in_reduced_precision_do_not_reach_the_value():
    fake, real = draw(90), draw(80, seed=1)
    expected = kernel_distance(fake, real)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert kernel_distance(fake, real) == expected
    finally:
        torch.set_float32_matmul_precision(before)


def test_refusals():
    with pytest.raises(GenlitError, match="1 images are too few"):
        kernel_distance(draw(50), draw(1))
    with pytest.raises(GenlitError, match="48 and 47 wide"):
        kernel_distance(draw(50), draw(50, 47))
    with pytest.raises(GenlitError, match="not finite"):
        kernel_distance(draw(50) / 0, draw(50))


def test_random_numbers_are_left_alone():
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    kernel_distance(draw(50), draw(50), 3, 20)
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])
