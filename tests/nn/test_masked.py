"""Masked convolutions: what they see, by gradient, whole and pixel by pixel."""

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from genlit.nn.incremental import incremental
from genlit.nn.masked import MaskedConv2d


def double(*arguments) -> MaskedConv2d:
    torch.manual_seed(0)
    return MaskedConv2d(*arguments).double()


@pytest.mark.parametrize("colours", [1, 2, 3])
@pytest.mark.parametrize("mask", ["A", "B"])
@pytest.mark.parametrize("kernel", [(1, 1), (1, 3), (3, 1), (3, 3), (5, 3), (7, 7)])
def test_an_output_sees_what_comes_before_it_within_the_kernel(kernel: tuple[int, int], mask: str, colours: int):
    layer, height, width = double(2 * colours, colours, kernel, mask, colours), 4, 5
    x = torch.randn(1, 2 * colours, height, width, dtype=torch.float64)
    slopes = jacobian(lambda x: layer(x)[0], x)[:, :, :, 0]
    up, side = kernel[0] // 2, kernel[1] // 2
    for c, row, column in product(range(colours), range(height), range(width)):
        for k, i, j in product(range(2 * colours), range(height), range(width)):
            earlier = (i, j, k // 2) < (row, column, c) if mask == "A" else (i, j, k // 2) <= (row, column, c)
            seen = earlier and row - i <= up and abs(column - j) <= side
            assert bool(slopes[c, row, column, k, i, j] != 0) == seen


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("kernel", [(1, 1), (1, 3), (3, 3), (7, 7)])
@pytest.mark.parametrize("size", [(4, 5), (1, 1), (1, 4), (5, 1)])
def test_pixel_by_pixel_is_whole(size: tuple[int, int], kernel: tuple[int, int], colours: int):
    layer, x = double(colours, 2 * colours, kernel, "A", colours), torch.randn(2, colours, *size, dtype=torch.float64)
    with torch.no_grad():
        whole = layer(x)
        torch.testing.assert_close(visited(layer, x, lambda row, column: x), whole)
        torch.testing.assert_close(visited(layer, x, lambda row, column: x[:, :, row, column, None, None]), whole)


def visited(layer: MaskedConv2d, x: Tensor, given) -> Tensor:
    """The layer's outputs at each pixel in turn, from the image or from the newest pixel."""
    height, width = x.shape[-2:]
    with incremental(layer, x) as cursor:
        outputs = []
        for cursor.row, cursor.column in product(range(height), range(width)):
            outputs.append(layer(given(cursor.row, cursor.column)))
    return torch.cat(outputs, -1).view(len(x), -1, height, width)


def test_checkpoints_hold_no_masks():
    assert set(double(1, 1, (3, 3)).state_dict()) == {"conv.weight", "conv.bias"}
