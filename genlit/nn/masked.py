"""Convolutions that see only pixels drawn before."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from genlit.nn.incremental import Causal, Cursor


class MaskedConv2d(Causal):
    """A convolution over the rows above and the pixels to the left; at the pixel itself, over earlier channels.

    Channels belong to `colours` groups of equal size, in order. Mask A sees the groups before one's own (in the first
    layer), mask B also one's own. van den Oord et al. 2016, section 3.4 and figure 2, https://arxiv.org/abs/1601.06759

    Args:
        inputs: channels of the input, a multiple of `colours`.
        outputs: of the output, a multiple of `colours`.
        kernel: (height, width), odd.
        mask: A or B.
        colours: groups.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: tuple[int, int], mask: Literal["A", "B"] = "B", colours: int = 1
    ):
        super().__init__()
        self.reach = kernel[0] // 2, kernel[1] // 2
        self.conv = nn.Conv2d(inputs, outputs, (self.reach[0] + 1, kernel[1]))  # rows below are never seen
        self.register_buffer("mask", _mask(self.conv.weight, mask, colours), persistent=False)

    def whole(self, x: Tensor) -> Tensor:
        """The layer on whole images, (B, inputs, H, W) to (B, outputs, H, W)."""
        padded = conv2d(x, self.conv.weight * self.mask, self.conv.bias, padding=self.reach)
        return padded[:, :, : x.shape[2]]  # the convolution's own padding, faster than a copy, adds rows below

    def at(self, x: Tensor, cursor: Cursor) -> Tensor:
        """The layer at the cursor."""
        weight, seen = cursor.memory.get(self) or cursor.memory.setdefault(self, self._remembered(x, cursor))
        (up, side), (row, column) = self.reach, (cursor.row, cursor.column)
        if self.reach == (0, 0) and x.shape[-2:] == (1, 1):  # nothing else is seen
            return torch.addmm(self.conv.bias, x.flatten(1), weight)[:, :, None, None]
        if x.shape[-2:] == cursor.size:  # the image itself, of which this row and the end of the last are new
            first = max(row - 1, 0)
            seen[:, :, up + first : up + row + 1, side : side + cursor.size[1]] = x[:, :, first : row + 1]
        else:
            seen[:, :, up + row, side + column] = x[:, :, 0, 0]
        window = seen[:, :, row : row + up + 1, column : column + 2 * side + 1]
        return torch.addmm(self.conv.bias, window.flatten(1), weight)[:, :, None, None]

    def _remembered(self, x: Tensor, cursor: Cursor) -> tuple[Tensor, Tensor]:
        """The weights as a matrix, and room for the input with its margins."""
        (up, side), (height, width) = self.reach, cursor.size
        weight = (self.conv.weight * self.mask).flatten(1).T
        return weight, x.new_zeros(len(x), x.shape[1], up + height, width + 2 * side)


def pixel_stack(layers: list[nn.Module], h: int, colours: int, outputs: int) -> nn.Sequential:
    """A 7x7 convolution with mask A to 2h channels, layers between 2h channels, two 1x1 convolutions after a ReLU each.

    van den Oord et al. 2016, table 1, https://arxiv.org/abs/1601.06759
    """
    return nn.Sequential(
        MaskedConv2d(colours, 2 * h, (7, 7), "A", colours),
        *layers,
        nn.ReLU(),
        MaskedConv2d(2 * h, 2 * h, (1, 1), "B", colours),
        nn.ReLU(),
        MaskedConv2d(2 * h, colours * outputs, (1, 1), "B", colours),
    )


def _mask(weight: Tensor, kind: str, colours: int) -> Tensor:
    """Ones where (output, input, row, column) of a weight may be used."""
    outputs, inputs, _, width = weight.shape
    mask = torch.ones(weight.shape)
    mask[:, :, -1, width // 2 + 1 :] = 0
    group_out, group_in = (torch.arange(n) * colours // n for n in (outputs, inputs))
    earlier = group_in < group_out[:, None] if kind == "A" else group_in <= group_out[:, None]
    mask[:, :, -1, width // 2] = earlier.float()
    return mask
