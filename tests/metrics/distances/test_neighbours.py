"""Neighbourhoods beside their definitions, beside torch-fidelity's, and where images repeat."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_prc import prc_features_to_metric

from genlit.errors import GenlitError
from genlit.metrics.distances import neighbours
from genlit.metrics.distances.neighbours import authenticity, neighbourhoods, radii


def draw(n, width=12, seed=0, scale=1.0):
    return scale * torch.randn(n, width, generator=torch.Generator().manual_seed(seed))


def apart(a, b):
    """Every distance, from differences."""
    return np.linalg.norm(a.double().numpy()[:, None] - b.double().numpy()[None], axis=2)


def by_definition(fake, real):
    between, n, m = apart(fake, real), len(fake), len(real)
    of_real, of_fake = np.sort(apart(real, real), 1), np.sort(apart(fake, fake), 1)
    precision = sum(any(between[j, i] <= of_real[i, 3] for i in range(m)) for j in range(n)) / n
    recall = sum(any(between[j, i] <= of_fake[j, 3] for j in range(n)) for i in range(m)) / m
    density = sum(between[j, i] <= of_real[i, 5] for i in range(m) for j in range(n)) / (5 * n)
    coverage = sum(any(between[j, i] <= of_real[i, 5] for j in range(n)) for i in range(m)) / m
    return precision, recall, density, coverage


@pytest.fixture(params=[1024, 37], ids=["one-block", "blocks"])
def rows(request, monkeypatch):
    monkeypatch.setattr(neighbours, "ROWS", request.param)


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(("n", "m"), [(120, 120), (150, 80), (80, 150)])
@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5])
def test_agrees_with_the_definitions_and_with_torch_fidelity(n, m, scale):
    fake, real = draw(n, scale=scale), draw(m, seed=1)
    measured = neighbourhoods(fake, real)
    assert measured[:4] == pytest.approx(by_definition(fake, real), rel=1e-12)
    protocol = {"prc_neighborhood": 3, "prc_batch_size": 64, "save_cpu_ram": False, "verbose": False}
    other = prc_features_to_metric(fake, real, **protocol)
    assert measured[:2] == pytest.approx((other["precision"], other["recall"]), rel=1e-6)


def test_a_known_radius_is_the_distance_to_that_neighbour():
    line = torch.arange(8.0)[:, None]
    assert radii(line)[0].tolist() == pytest.approx([3, 5])
    assert radii(line)[3].tolist() == pytest.approx([2, 3])


def test_radii_of_the_real_set_may_be_kept():
    fake, real = draw(60), draw(50, seed=1)
    assert neighbourhoods(fake, real, radii(real)) == neighbourhoods(fake, real)


def test_precision_and_recall_are_not_swapped():
    narrow, wide = draw(200, scale=0.2), draw(200, seed=1)
    assert neighbourhoods(narrow, wide).precision > 0.9 > 0.5 > neighbourhoods(narrow, wide).recall


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("offset", [0, 100])
def test_a_set_against_itself(offset):
    features = draw(150, 300) + offset
    assert neighbourhoods(features, features) == (1, 1, pytest.approx(6 / 5), 1)
    shuffled = features[torch.randperm(150, generator=torch.Generator().manual_seed(0))]
    assert neighbourhoods(shuffled, features) == (1, 1, pytest.approx(6 / 5), 1)


@pytest.mark.usefixtures("rows")
def test_repeated_images_are_within_reach_of_each_other():
    repeated = draw(20, 300).repeat(8, 1) + 10
    shuffled = repeated[torch.randperm(160, generator=torch.Generator().manual_seed(0))]
    assert neighbourhoods(shuffled, repeated) == (1, 1, pytest.approx(8 / 5), 1)
    assert neighbourhoods(repeated + 1, repeated) == (0, 0, 0, 0)


@pytest.mark.usefixtures("rows")
def test_copies_have_no_authenticity_and_no_distance():
    train = draw(150, 300) + 100
    order = torch.randperm(150, generator=torch.Generator().manual_seed(0))[:60]
    copied = authenticity(train[order], train)
    assert copied.share == 0
    assert torch.equal(copied.nearest, order)
    assert copied.distance.eq(0).all()


@pytest.mark.usefixtures("rows")
def test_authenticity_agrees_with_its_definition():
    fake, train = draw(90, 3), draw(150, 3, seed=1)
    between, within = apart(fake, train), apart(train, train) + np.diag(np.full(150, np.inf))
    nearest = between.argmin(1)
    measured = authenticity(fake, train)
    assert measured.nearest.tolist() == nearest.tolist()
    assert measured.distance.numpy() == pytest.approx(between.min(1))
    assert measured.share == (between.min(1) > within.min(1)[nearest]).mean()


def test_new_images_are_authentic_and_near_copies_are_not():
    train = draw(2000, 2)
    assert authenticity(draw(1000, 2, seed=1), train).share == pytest.approx(0.4, abs=0.05)
    assert authenticity(draw(500, 128, seed=1), draw(1000, 128)).share > 0.5
    assert authenticity(train + 1e-4 * draw(2000, 2, seed=1), train).share < 0.05
    assert authenticity(draw(100, 2, seed=1) + 20, train).share == 1


@pytest.mark.usefixtures("rows")
def test_nearly_equal_images_keep_their_distance():
    train = draw(50, 64) + 10
    step = torch.tensor(2.0**-18)
    measured = authenticity(train + step, train)
    exact = ((train + step).double() - train.double()).norm(dim=1)
    assert torch.equal(measured.nearest, torch.arange(50))
    assert measured.distance.numpy() == pytest.approx(exact.numpy(), rel=1e-12)


def test_repeated_training_images_are_their_own_nearest_neighbours():
    train = draw(30).repeat(2, 1)
    assert authenticity(train[:30], train).share == 0
    assert authenticity(train[:30] + 0.01, train).share == 1


def test_refusals():
    with pytest.raises(GenlitError, match="5 images are too few: this metric needs at least 6"):
        neighbourhoods(draw(50), draw(5))
    with pytest.raises(GenlitError, match="5 images are too few"):
        neighbourhoods(draw(5), draw(50))
    with pytest.raises(GenlitError, match="5 images are too few"):
        radii(draw(5))
    with pytest.raises(GenlitError, match="1 images are too few"):
        authenticity(draw(5), draw(1))
    with pytest.raises(GenlitError, match="12 and 11 wide"):
        authenticity(draw(50), draw(50, 11))
    with pytest.raises(GenlitError, match="not finite"):
        neighbourhoods(draw(50), draw(50) / 0)
