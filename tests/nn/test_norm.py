import pytest
import torch
from torch import Tensor, nn

from genlit.nn.norm import NORMS, InstanceNorm, spectral, still

FORMATS = [torch.contiguous_format, torch.channels_last]


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def exactly(x: Tensor) -> Tensor:
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("gradient_format", FORMATS)
def test_instance_norm_is_its_formula_in_every_memory_format(batch: int, image_format, gradient_format):
    x = draw(0, batch, 6, 8, 8).mul(3).add(1).contiguous(memory_format=image_format)
    upstream = draw(1, batch, 6, 8, 8).contiguous(memory_format=gradient_format)
    x.requires_grad_(True)
    reference = x.detach().double().contiguous().requires_grad_(True)

    y, expected = InstanceNorm(6)(x), exactly(reference)
    torch.testing.assert_close(y.double(), expected, rtol=1e-4, atol=1e-5)
    slope, expected_slope = (
        torch.autograd.grad(y, x, upstream)[0],
        torch.autograd.grad(expected, reference, upstream)[0],
    )
    torch.testing.assert_close(slope.double(), expected_slope, rtol=1e-4, atol=1e-5)


def test_instance_norm_keeps_images_apart():
    x = draw(0, 4, 3, 8, 8)
    alone = torch.cat([InstanceNorm(3)(image[None]) for image in x])
    torch.testing.assert_close(InstanceNorm(3)(x), alone)


def test_every_norm_keeps_the_shape():
    x = draw(0, 2, 6, 4, 4)
    assert all(norm(6)(x).shape == x.shape for norm in NORMS.values())
    assert NORMS["none"](6)(x) is x


@pytest.mark.parametrize(
    ("made", "x", "matrix"),
    [
        (lambda: nn.Conv2d(3, 8, 4), draw(0, 2, 3, 8, 8), lambda w: w.flatten(1)),
        (lambda: nn.ConvTranspose2d(3, 8, 4), draw(0, 2, 3, 4, 4), lambda w: w.transpose(0, 1).flatten(1)),
        (lambda: nn.Linear(5, 7), draw(0, 2, 5), lambda w: w),
    ],
    ids=["convolution", "transposed", "linear"],
)
def test_spectral_normalisation_brings_the_largest_singular_value_to_one(made, x: Tensor, matrix):
    torch.manual_seed(0)
    layer = made()
    raw = layer.weight.detach().clone()
    network = spectral(nn.Sequential(layer))
    for _ in range(50):
        network(x)
    weight = network.eval()[0].weight
    assert torch.linalg.matrix_norm(matrix(weight), 2).item() == pytest.approx(1, abs=1e-3)
    torch.testing.assert_close(weight, raw / torch.linalg.matrix_norm(matrix(raw), 2), rtol=1e-3, atol=1e-4)


def test_passes_through_a_still_network_leave_no_trace():
    torch.manual_seed(0)
    network = nn.Sequential(spectral(nn.Linear(5, 4)), nn.BatchNorm1d(4))
    x = draw(0, 8, 5)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with still(network):
        inside = network(x)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert inside.mean(0).abs().max() < 1e-5  # normalised by the batch
    network(x)
    moved = [name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])]
    assert any("running_mean" in name for name in moved)
    assert any(name.endswith("_u") for name in moved)


def test_a_network_in_evaluation_stays_in_evaluation():
    network = spectral(nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4))).eval()
    with still(network):
        pass
    assert not any(layer.training for layer in network.modules())
