"""The gated PixelCNN's stacks on inputs that are no pixels."""

import torch

from genlit.nn.gated import GatedStack
from genlit.nn.incremental import incremental


def test_the_stack_maps_any_input_pixel_by_pixel_as_whole():
    torch.manual_seed(0)
    stack, codes = GatedStack(5, 7, 6, 3).double(), torch.randn(2, 5, 4, 3, dtype=torch.float64)
    with torch.no_grad():
        whole = stack(codes)
        with incremental(stack, codes) as cursor:
            for row in range(4):
                for column in range(3):
                    cursor.row, cursor.column = row, column
                    torch.testing.assert_close(stack(codes)[:, :, 0, 0], whole[:, :, row, column])
    assert whole.shape == (2, 7, 4, 3)
