import pytest
import torch
from torch import Tensor, nn

from genlit.errors import GenlitError
from genlit.nn.norm import spectral
from genlit.nn.residual import Residual, down, first, glorot, plain, residual_generator, residual_trunk, up


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("side", [8, 16, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_range(channels: int, side: int):
    shape = (channels, side, side)
    images = residual_generator(shape, 5, 4).double()(draw(2, 5))
    assert (images.shape, images.dtype) == ((2, *shape), torch.float64)
    assert images.abs().max() < 1
    features = residual_trunk(shape, 6)[0].double()(images)
    assert (features.shape, features.dtype) == ((2, 6), torch.float64)


@pytest.mark.parametrize(("side", "places"), [(8, 4), (16, 8), (32, 8), (64, 8)])
def test_the_trunk_ends_at_eight_pixels(side: int, places: int):
    trunk = residual_trunk((3, side, side), 4)[0].double()
    assert trunk[:-1](draw(1, 3, side, side)).shape == (1, 4, places, places)
    torch.testing.assert_close(trunk(draw(2, 3, side, side)), trunk[:-1](draw(2, 3, side, side)).sum((2, 3)))


def test_networks_for_cifar_are_the_papers():
    # 4.28 and 1.05 million, by the layers of the paper's table 4
    convolution = 256 * 256 * 9 + 256
    blocks = 3 * (2 * convolution + 256 * 256 + 256 + 2 * 512)
    assert count(residual_generator((3, 32, 32), 128, 256)) == 129 * 4096 + blocks + 512 + 256 * 27 + 3 == 4_276_739
    convolution, shortcut = 128 * 128 * 9 + 128, 128 * 128 + 128
    start = 3 * 128 * 9 + 128 + convolution + 3 * 128 + 128
    assert count(residual_trunk((3, 32, 32), 128)[0]) == start + 6 * convolution + shortcut == 1_053_696


def without_body(block: Residual) -> Residual:
    for layer in block.body.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
    return block.double()


@pytest.mark.parametrize("made", [lambda: up(4), lambda: first(4, 4), lambda: down(4), lambda: plain(4)])
def test_a_block_without_convolutions_is_its_shortcut(made):
    block, x = without_body(made()), draw(2, 4, 8, 8)
    assert torch.equal(block(x), block.shortcut(x))


def test_shortcuts_keep_double_or_halve():
    x = draw(2, 4, 8, 8)
    assert torch.equal(plain(4).shortcut(x), x)
    assert torch.equal(_identity(up(4))(x), x.repeat_interleave(2, 2).repeat_interleave(2, 3))
    halved = x.unflatten(3, (4, 2)).unflatten(2, (4, 2)).mean((3, 5))
    torch.testing.assert_close(_identity(first(4, 4))(x), halved)
    torch.testing.assert_close(_identity(down(4))(x), halved)


def _identity(block: Residual) -> nn.Module:
    convolution = next(layer for layer in block.shortcut if isinstance(layer, nn.Conv2d))
    nn.init.dirac_(convolution.weight)
    nn.init.zeros_(convolution.bias)
    return block.double().shortcut


def test_only_the_first_block_sees_negative_values():
    x = -draw(2, 4, 8, 8).abs()
    for block in (down(4), plain(4)):
        nn.init.zeros_(block.body[1].bias)
        assert not block.double().body[:2](x).any()
    assert first(4, 4).double().body[:2](x).any()


def test_blocks_leave_their_input_alone():
    for block in (up(4), first(4, 4), down(4), plain(4)):
        x = draw(2, 4, 8, 8)
        block.double()(x)
        assert torch.equal(x, draw(2, 4, 8, 8))


def test_channels_last_gives_the_same_values():
    torch.manual_seed(0)
    generator, trunk = residual_generator((3, 16, 16), 5, 8).double(), residual_trunk((3, 16, 16), 8)[0].double()
    images = generator(draw(4, 5))
    features = trunk(images)
    generator.to(memory_format=torch.channels_last)
    trunk.to(memory_format=torch.channels_last)
    torch.testing.assert_close(generator(draw(4, 5)), images, rtol=1e-12, atol=1e-12)
    laid_out = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(trunk(laid_out), features, rtol=1e-12, atol=1e-12)


def test_the_trunk_takes_spectral_norms_and_penalties():
    trunk, images = spectral(residual_trunk((1, 8, 8), 4)[0]).double(), draw(2, 1, 8, 8).requires_grad_(True)
    slope = torch.autograd.grad(trunk(images).sum(), images, create_graph=True)[0]
    slope.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in trunk.parameters() if p.grad is not None)
    assert trunk[0].body[0].parametrizations.weight.original.grad.any()


def test_weights_start_as_glorot_has_them():
    torch.manual_seed(0)
    layer = glorot(nn.Conv2d(16, 48, 3))
    bound = (6 / (9 * (16 + 48))) ** 0.5
    assert bound * 0.99 < layer.weight.abs().max() <= bound
    assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.03)
    assert not layer.bias.any()


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 28, 28), (3, 32, 16)])
def test_other_sides_are_refused(shape: tuple[int, int, int]):
    for made in (lambda: residual_generator(shape, 5, 4), lambda: residual_trunk(shape, 4)[0]):
        with pytest.raises(GenlitError, match=f"not {shape[1]}x{shape[2]}: choose --data.size"):
            made()
