"""The endless row of a seed's samples."""

import pytest
import torch
from scipy import stats
from torch import nn

from genlit.capabilities import Interpolates, Samples, Traverses, codes_of
from genlit.errors import GenlitError
from genlit.families.sampling import BLOCK, FromDraws, FromPrior, one_of, truncated
from genlit.model import GenerativeModel


class Echo(FromPrior, GenerativeModel):
    """Images are the draws themselves, so what is seen is which draws were made."""

    players = {"generator": ["generator"]}
    terms = {}

    def __init__(self):
        super().__init__((1, 1, 3))
        self.generator = nn.Linear(1, 1)
        self.passes = []

    def prior(self, n, device):
        return torch.rand(n, 3, device=device)

    def decode(self, z):
        self.passes.append(len(z))
        return z[:, None, None]


@pytest.fixture
def row():
    return Echo().sample(3 * BLOCK + 20)


@pytest.mark.parametrize("start", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 100, 3 * BLOCK])
@pytest.mark.parametrize("n", [1, 17, BLOCK])
@pytest.mark.parametrize("batch_size", [1, 7, 64, 100])
def test_a_piece_is_what_the_whole_has_there(row, start, n, batch_size):
    expected = row[start : start + n]
    assert torch.equal(Echo().sample(n, start=start, batch_size=batch_size)[: len(expected)], expected)


def test_the_row_goes_on_and_never_repeats():
    images = torch.cat([Echo().sample(50, start=start) for start in (0, 50, 1000, 10**9)])
    assert len(images.flatten(1).unique(dim=0)) == 200


def test_seeds_have_rows_of_their_own():
    assert not torch.equal(Echo().sample(4, seed=1, start=70), Echo().sample(4, seed=0, start=70))


def test_passes_are_full_wherever_they_start():
    model = Echo()
    model.sample(10, start=5, batch_size=48)
    model.sample(100, start=63, batch_size=48)
    assert model.passes == [48] * 4


def test_a_later_start_leaves_no_trace():
    model = Echo()
    state = torch.get_rng_state()
    model.sample(10, start=200)
    assert torch.equal(torch.get_rng_state(), state)


class Shifted(FromDraws, GenerativeModel):
    """Draws that no line joins, moved by what is asked for."""

    players, terms = {}, {}

    def draws(self, n, device):
        return torch.rand(n, 3, device=device)

    def decode(self, draws, by=0.0):
        return draws[:, None, None] + by


def test_what_images_are_conditioned_on_reaches_every_pass():
    model = Shifted((1, 1, 3))
    torch.testing.assert_close(model.sample(100, batch_size=7, by=2.0), model.sample(100) + 2)


def test_only_codes_of_a_prior_can_be_interpolated():
    assert isinstance(Shifted((1, 1, 3)), Samples)
    assert not isinstance(Shifted((1, 1, 3)), Interpolates)
    assert isinstance(Echo(), Interpolates)


def test_interpolation_goes_straight_from_one_seeds_first_sample_to_anothers():
    model = Echo()
    start, end = (model.sample(1, seed=seed) for seed in (4, 5))
    torch.testing.assert_close(model.interpolate(3, seeds=(4, 5)), torch.cat([start, (start + end) / 2, end]))


class Labelled(FromDraws, GenerativeModel):
    """Draws beside the label."""

    players, terms = {}, {}

    def __init__(self, classes=3):
        super().__init__((1, 1, 3))
        self.classes = classes

    def draws(self, n, device):
        return torch.rand(n, 3, device=device)

    def decode(self, draws, label=None):
        labels = one_of(self.classes, draws[:, -1], label).to(draws)
        return torch.cat([draws[:, :2], labels[:, None]], dim=1)[:, None, None]


class Tilted(Labelled):
    """A second code, by itself."""

    @property
    def traversals(self):
        return (*super().traversals, "tilt")

    def span(self, code, steps):
        return torch.linspace(-1, 1, steps).tolist() if code == "tilt" else super().span(code, steps)

    def varied(self, draws, code, value):
        return self.decode(draws + value) if code == "tilt" else super().varied(draws, code, value)


def test_a_models_label_can_be_varied_and_nothing_of_one_without():
    assert isinstance(Labelled(), Traverses)
    assert [codes_of(model) for model in (Labelled(), Labelled(classes=0), Echo(), nn.Identity())] == [
        ("label",),
        *[()] * 3,
    ]
    assert codes_of(Tilted()) == ("label", "tilt")


def test_a_row_is_of_one_draw_and_a_column_of_one_value():
    model = Labelled()
    grid = model.traverse("label", 70, seed=4)
    assert grid.shape == (70, 3, 1, 1, 3)
    for label in range(3):
        torch.testing.assert_close(grid[:, label], model.sample(70, seed=4, label=label))
    torch.testing.assert_close(model.traverse("label", 2, values=[2, 0]), model.traverse("label", 2)[:, [2, 0]])
    assert model.traverse("label", 2, steps=2).shape[1] == 2
    assert Labelled(classes=40).traverse("label", 1).shape[1] == 10


def test_a_code_may_be_anything_that_a_model_says():
    model = Tilted()
    grid = model.traverse("tilt", 2, steps=5)
    torch.testing.assert_close(grid[:, 4, 0, 0, :2] - grid[:, 0, 0, 0, :2], torch.full((2, 2), 2.0))


def test_traversals_leave_the_random_state_alone():
    state = torch.get_rng_state()
    Labelled().traverse("label", 2)
    assert torch.equal(torch.get_rng_state(), state)


def test_unknown_codes_and_values_are_refused():
    with pytest.raises(GenlitError, match="code is hue: it must be one of label, tilt"):
        Tilted().traverse("hue", 2)
    with pytest.raises(GenlitError, match="code is label: it must be one of none"):
        Echo().traverse("label", 2)
    with pytest.raises(GenlitError, match="label is 3: it must be one of the 3 classes 0 to 2"):
        Labelled().traverse("label", 2, values=[3])


def test_truncated_codes_are_normal_codes_within_the_bound():
    z = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    narrow = truncated(z, 0.7)
    assert narrow.abs().max() <= 0.7
    assert stats.kstest(narrow.numpy(), stats.truncnorm(-0.7, 0.7).cdf).pvalue > 0.01
    assert torch.equal(narrow.argsort(), z.argsort())
    torch.testing.assert_close(truncated(z, 9.0), z)
