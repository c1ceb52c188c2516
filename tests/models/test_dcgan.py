import pytest
import torch
from torch import nn

from genlit.models import DCGAN

LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


def small(**options) -> DCGAN:
    torch.manual_seed(0)
    return DCGAN((1, 8, 8), **{"latent": 4, "width": 4} | options)


def test_initial_weights_have_a_standard_deviation_of_a_fiftieth():
    torch.manual_seed(0)
    model = DCGAN((3, 32, 32))
    for layer in [*model.generator, *model.critic]:
        if isinstance(layer, LAYERS):
            assert layer.weight.mean().item() == pytest.approx(0, abs=0.002)
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
    scales = torch.cat([layer.weight for layer in model.generator if isinstance(layer, nn.BatchNorm2d)])
    assert scales.mean().item() == pytest.approx(1, abs=0.005)
    assert scales.std().item() == pytest.approx(0.02, rel=0.15)


def test_codes_are_uniform_between_minus_one_and_one():
    torch.manual_seed(0)
    z = small(latent=100).prior(500, torch.device("cpu"))
    assert z.shape == (500, 100)
    assert -1 <= z.min() < -0.999 < 0.999 < z.max() <= 1
    assert z.mean().item() == pytest.approx(0, abs=0.01)
    assert z.var().item() == pytest.approx(1 / 3, abs=0.01)
