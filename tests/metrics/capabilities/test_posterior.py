"""MMD between draws of known distributions."""

import pytest
import torch

from genlit.data import Digits
from genlit.errors import GenlitError
from genlit.metrics.capabilities.posterior import CHUNK, WIDTHS, aggregated_posterior, mmd


def normal(n, seed, d=8):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def naive(z, drawn, std=1.0):
    scale = 2 * z.shape[1] * std**2
    squares = (
        (x[:, None].double() - y[None].double()).square().sum(2) for x, y in ((z, z), (drawn, drawn), (z, drawn))
    )
    a, b, c = (torch.stack([s * scale / (s * scale + d2) for s in WIDTHS]).mean(0) for d2 in squares)
    (n, m), off = c.shape, lambda k: k.sum() - k.diagonal().sum()
    return (off(a) / (n * (n - 1)) + off(b) / (m * (m - 1)) - 2 * c.mean()).item()


def test_chunks_add_up_to_the_definition():
    z, drawn = normal(CHUNK + 200, 0) * 1.2, normal(300, 1)
    assert mmd(z, drawn, std=0.5) == pytest.approx(naive(z, drawn, 0.5), abs=1e-12)


def test_it_is_zero_on_average_where_the_posterior_is_the_prior():
    """With the diagonals it would be about (1 − E k) / 20 = 0.05, whatever the codes."""
    values = torch.tensor([mmd(normal(40, seed), normal(40, 1000 + seed)) for seed in range(200)])
    assert values.min() < 0 < values.max()
    assert abs(values.mean()) < 4 * values.std() / 200**0.5
    assert values.std() < 0.01


def test_it_grows_with_the_distance():
    prior = normal(500, 1)
    values = [mmd(normal(500, 0) + shift, prior) for shift in (0, 0.2, 0.5, 1)]
    assert abs(values[0]) < 1e-3
    assert values == sorted(values)
    assert values[1] > 3 * abs(values[0])


def test_it_sees_a_posterior_that_is_too_narrow():
    assert mmd(0.5 * normal(500, 0), normal(500, 1)) > 0.01


def test_order_changes_no_bit():
    z, drawn = normal(300, 0), normal(200, 1)
    shuffled = mmd(z[torch.randperm(300)], drawn[torch.randperm(200)])
    assert shuffled == mmd(z, drawn)


def test_one_code_is_too_few():
    with pytest.raises(GenlitError, match="not 1 and 5"):
        mmd(normal(1, 0), normal(5, 1))


class Coder:
    """Encodes images as noise of a given width."""

    device = torch.device("cpu")

    def __init__(self, width):
        self.width = width

    def encode(self, images, *, sampled):
        assert sampled
        return self.width * torch.randn(len(images), 8)

    def prior(self, n, device):
        return torch.randn(n, 8, device=device)


def test_codes_of_a_split_against_the_prior():
    state = torch.random.get_rng_state()
    (good,), (again,), (narrow,) = (aggregated_posterior(Coder(w), Digits(), "test", 500) for w in (1, 1, 0.5))
    assert torch.equal(state, torch.random.get_rng_state())
    assert (good.name, good.n, good) == ("mmd/codes.n500.test", 500, again)
    assert abs(good.value) < 2e-3
    assert narrow.value > 0.01


def test_a_model_without_a_prior_has_no_such_distance():
    class Encoder:
        encode = staticmethod(lambda images: images.flatten(1))

    assert aggregated_posterior(Encoder(), Digits(), "test") == []
