import pytest
import torch
from torch import nn

from genlit.errors import GenlitError
from genlit.losses.adversarial import LOSSES
from genlit.models import SNGAN

SMALL = {"latent": 4, "width": 8, "critic_width": 8}


def test_it_is_the_hinge_game_with_five_critic_updates():
    model = SNGAN((3, 8, 8), **SMALL)
    assert model.loss is LOSSES["hinge"]
    assert (model.n_critic, model.betas) == (5, (0.0, 0.9))


def test_every_weight_of_the_critic_is_bounded_and_none_of_the_generator():
    torch.manual_seed(0)
    model = SNGAN((1, 16, 16), **SMALL)
    for _ in range(100):
        model.critic(torch.randn(2, 1, 16, 16))
    layers = [layer for layer in model.critic.eval().modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    norms = [torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() for layer in layers]
    assert norms == pytest.approx([1.0] * len(norms), abs=5e-3)
    assert not any("parametrizations" in name for name, _ in model.generator.named_modules())


def test_the_papers_sizes():
    model = SNGAN((3, 32, 32))
    assert sum(p.numel() for p in model.generator.parameters()) == 4_276_739
    assert sum(p.numel() for p in model.critic.parameters()) == 1_053_825


def test_samples_are_images():
    images = SNGAN((3, 8, 8), **SMALL).sample(3)
    assert images.shape == (3, 3, 8, 8)
    assert images.abs().max() <= 1


def test_a_size_that_no_block_reaches_is_refused():
    with pytest.raises(GenlitError, match=r"choose --data\.size"):
        SNGAN((1, 28, 28), **SMALL)
