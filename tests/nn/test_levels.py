"""Distributions over equally spaced values."""

import math

import pytest
import torch

from genlit.errors import GenlitError
from genlit.nn.levels import Levels, wide


@pytest.mark.parametrize("n", [2, 3, 5, 256])
def test_values_and_indices_are_inverse_and_span_the_range(n: int):
    levels, index = Levels(n), torch.arange(n)
    values = levels.value(index, torch.float32)
    assert torch.equal(levels.index(values), index)
    torch.testing.assert_close(values, torch.linspace(-1, 1, n))


def test_256_levels_are_a_bytes():
    bytes = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(Levels(256).index(bytes.float() / 127.5 - 1), bytes.long())


@pytest.mark.parametrize("n", [2, 3, 256])
def test_probabilities_sum_to_one(n: int):
    levels = Levels(n)
    logits = torch.randn(4, levels.outputs, dtype=torch.float64)
    values = levels.value(torch.arange(n), torch.float64)
    total = sum(levels.log_prob(logits, value.expand(4)).exp() for value in values)
    torch.testing.assert_close(total, torch.ones(4, dtype=torch.float64))


@pytest.mark.parametrize("n", [2, 4])
def test_an_images_loss_is_the_sum_over_its_pixels_and_channels(n: int):
    levels = Levels(n)
    logits = torch.randn(3, levels.outputs, 2, 2, 2, dtype=torch.float64)
    images = levels.value(torch.randint(n, (3, 2, 2, 2)), torch.float64)
    each = [
        -levels.log_prob(logits[:, :, c, i, j], images[:, c, i, j])
        for c in range(2)
        for i in range(2)
        for j in range(2)
    ]
    torch.testing.assert_close(levels.nll(logits, images), sum(each))


@pytest.mark.parametrize("n", [2, 3, 256])
def test_draws_have_their_probabilities(n: int):
    levels = Levels(n)
    logits = torch.randn(1, levels.outputs, dtype=torch.float64)
    uniform = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000  # equally spaced, so no chance is left
    drawn = levels.index(levels.draw(logits.expand(len(uniform), -1), uniform))
    values = levels.value(torch.arange(n), torch.float64)
    p = levels.log_prob(logits.expand(n, -1), values).exp()
    torch.testing.assert_close(drawn.bincount(minlength=n) / 100_000, p.float(), rtol=0, atol=2e-5)


@pytest.mark.parametrize("n", [2, 3])
def test_extreme_numbers_draw_extreme_values(n: int):
    levels = Levels(n)
    uniform = torch.tensor([0.0, math.nextafter(1, 0)], dtype=torch.float64)
    ends = set(levels.draw(torch.zeros(2, levels.outputs, dtype=torch.float64), uniform).tolist())
    assert ends == {-1.0, 1.0}


@pytest.mark.parametrize(("n", "value"), [(2, 0.0), (3, 0.5), (256, 2 / 255), (2, 3.0), (2, math.nan)])
def test_other_values_are_refused(n: int, value: float):
    with pytest.raises(GenlitError, match=f"{n} levels"):
        Levels(n).check(torch.tensor([[-1.0, value]]))


@pytest.mark.parametrize("n", [2, 3, 256])
def test_its_own_values_pass_as_they_are(n: int):
    values = Levels(n).value(torch.arange(n), torch.float32)
    assert Levels(n).check(values) is values


def test_logits_of_eight_bits_are_widened():
    assert wide(torch.zeros(1, dtype=torch.bfloat16)).dtype == torch.float32
    assert wide(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64
