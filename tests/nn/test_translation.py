import pytest
import torch
from torch import nn

from genlit.nn.norm import InstanceNorm
from genlit.nn.translation import patch_critic, translator


@pytest.mark.parametrize("size", [(32, 32), (36, 44), (40, 64), (64, 32)])
def test_a_translator_keeps_every_size_divisible_by_four(size: tuple[int, int]):
    x = torch.randn(2, 3, *size)
    y = translator(3, 3, 4, 2, halvings=2)(x)
    assert y.shape == x.shape
    assert y.abs().max() < 1


def test_the_papers_generator_and_patch_critic():
    widths = [layer.weight.shape[0] for layer in patch_critic(3, 64, 3) if isinstance(layer, nn.Conv2d)]
    assert widths == [64, 128, 256, 512, 1]
    convolutions = [layer for layer in translator(3, 3, 64, 9, halvings=2).modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 1 + 2 + 2 * 9 + 1
    assert max(layer.weight.shape[0] for layer in convolutions) == 256


@pytest.mark.parametrize(("layers", "field"), [(1, 16), (2, 34), (3, 70)])
def test_a_logit_of_the_critic_sees_a_patch(layers: int, field: int):
    patches = patch_critic(1, 2, layers).double()
    for i, layer in enumerate(patches):
        if isinstance(layer, InstanceNorm):  # its statistics reach over the whole image
            patches[i] = nn.Identity()
    x = torch.randn(1, 1, 256, 256, dtype=torch.float64, requires_grad=True)
    logits = patches(x)
    middle = logits.shape[-1] // 2
    seen = torch.autograd.grad(logits[0, 0, middle, middle], x)[0][0, 0] != 0
    rows, columns = seen.any(1).nonzero(), seen.any(0).nonzero()
    assert rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == field
    assert seen.sum() == field**2


def test_a_first_layer_without_norm_tells_constant_maps_apart_and_one_with_it_cannot():
    torch.manual_seed(0)
    image, maps = torch.randn(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)
    for first_norm in (False, True):
        network = translator(4, 3, 8, 1, halvings=1, first_norm=first_norm)
        off, on = (network(torch.cat([image, maps + label], 1)) for label in (0.0, 1.0))
        assert ((off - on).abs().max() < 1e-4) == first_norm
