"""Oddity, its threshold, and how well it tells sets apart."""

import math

import pytest
import torch
from sklearn.metrics import roc_auc_score

from genlit.errors import GenlitError
from genlit.losses.likelihood import bits_per_dim
from genlit.metrics.capabilities.likelihood import Kind
from genlit.metrics.capabilities.outliers import Scores, auroc, compressed_bits, scores, threshold
from genlit.nn.levels import Levels

BINARY = Kind("threshold", 1.0, Levels(2).check)
REAL = Kind("continuous", None, lambda images: images)


def numbers(n, seed=0):
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def noise(n, channels=1, side=28):
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(0)).round() * 2 - 1


def brightness(images):
    return images.flatten(1).sum(1)


@pytest.mark.parametrize("scale", [1, 1000, 1e-9])
def test_the_area_is_scikit_learns_whatever_the_scale(scale):
    inside, outside = numbers(200) * scale, (numbers(300, 1) + 0.5) * scale
    expected = roc_auc_score([0] * 200 + [1] * 300, torch.cat([inside, outside]))
    assert auroc(inside, outside) == pytest.approx(expected, abs=1e-6)


def test_ties_count_half():
    assert auroc(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0])) == pytest.approx((4 - 0.5) / 4)
    assert auroc(torch.ones(3), torch.ones(5)) == 0.5
    assert auroc(torch.tensor([100.0, 200.0]), torch.tensor([300.0])) == 1


def test_a_share_of_held_out_images_is_beyond_the_threshold():
    oddity = numbers(1000)
    assert (oddity > threshold(oddity, 0.01)).sum() == 10
    assert (oddity > threshold(oddity, 0.5)).sum() == 500


def test_scores_join_batches_in_nats_and_bits():
    images = noise(10)
    found = scores(brightness, BINARY, images.split(4))
    assert torch.equal(found.nats, brightness(images).double())
    assert torch.allclose(found.bits, -found.nats / (784 * math.log(2)))
    assert torch.equal(found.oddity, -found.nats)
    density = scores(brightness, Kind("dequantised", 127.5, lambda x: x), [images])
    assert torch.equal(density.bits, bits_per_dim(-found.nats, 784, 127.5))


def test_of_real_numbers_there_are_no_bits():
    assert scores(brightness, REAL, [noise(2)]).bits.isnan().all()


def test_values_the_model_does_not_speak_of_are_refused():
    with pytest.raises(GenlitError, match="2 levels"):
        scores(brightness, BINARY, [noise(2) / 2])


def test_complexity_is_taken_off_per_dimension():
    images = noise(3)
    found = scores(brightness, BINARY, [images], complexity=True)
    assert torch.allclose(found.oddity, found.bits - compressed_bits(images) / 784)
    assert torch.equal(Scores(torch.ones(1), torch.ones(1), torch.ones(1)).oddity, torch.zeros(1))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_noise_is_complex_and_plain_pictures_are_not(channels):
    images = noise(4, channels)
    plain, complex_ = compressed_bits(-torch.ones_like(images)), compressed_bits(images)
    assert (complex_ >= images[0].numel()).all(), "a bit for each random bit, whatever the format"
    assert (complex_ > 2 * plain).all()
    assert complex_.dtype == torch.float64


def test_black_and_white_needs_hardly_more_than_a_bit_per_pixel():
    assert (compressed_bits(noise(4, side=64)) < 1.5 * 64 * 64).all()


def test_a_grey_picture_keeps_its_greys():
    grey = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert (compressed_bits(grey) > 6 * 784).all()
