import pytest
import torch

from genlit.nn.noise import instance_noise


def test_noise_has_its_standard_deviation_and_no_mean():
    torch.manual_seed(0)
    images = torch.rand(64, 3, 16, 16)
    noise = instance_noise(images, 0.3) - images
    assert noise.mean().item() == pytest.approx(0, abs=0.01)
    assert noise.std().item() == pytest.approx(0.3, rel=0.02)


def test_no_noise_draws_nothing():
    images = torch.rand(2, 1, 4, 4)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert instance_noise(images, 0.0) is images
    assert torch.equal(torch.get_rng_state(), before)
