"""The two stacks of the gated PixelCNN.

van den Oord et al. 2016, "Conditional Image Generation with PixelCNN Decoders", eqs. 2 to 4 and figure 2,
https://arxiv.org/abs/1606.05328
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from genlit.nn.incremental import Causal, Cursor
from genlit.nn.masked import MaskedConv2d


class GatedStack(nn.Module):
    """A map of (B, inputs, H, W) to (B, outputs, H, W) whose value at a pixel depends on earlier pixels alone.

    Args:
        inputs: channels of the input, a multiple of `colours`.
        outputs: of the output, a multiple of `colours`.
        width: of both stacks, a multiple of `colours`.
        blocks: layers of either stack, the first with kernels of 7 pixels, the others of 3.
        colours: groups of channels; a pixel's groups depend on the groups before them, too.
        classes: number of classes that condition every layer; 0 for none.
    """

    def __init__(self, inputs: int, outputs: int, width: int, blocks: int, *, colours: int = 1, classes: int = 0):
        super().__init__()
        self.above = Above(inputs, width, blocks, classes)
        self.first = Along(inputs, width, 7, "A", colours, classes)
        self.rest = nn.ModuleList(Along(width, width, 3, "B", colours, classes) for _ in range(blocks - 1))
        self.head = nn.Sequential(
            nn.ReLU(),
            MaskedConv2d(width, width, (1, 1), "B", colours),
            nn.ReLU(),
            MaskedConv2d(width, outputs, (1, 1), "B", colours),
        )

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        first, *rest = self.above(x, labels)
        x = self.first(x, first, labels)
        for layer, above in zip(self.rest, rest, strict=True):
            x = x + layer(x, above, labels)
        return self.head(x)


class Along(nn.Module):
    """The horizontal stack's layer: what is to the left, and at each pixel the vertical stack's map of it."""

    def __init__(self, inputs: int, width: int, kernel: int, mask: str, colours: int, classes: int):
        super().__init__()
        self.conv = MaskedConv2d(inputs, 2 * width, (1, kernel), mask, colours)
        self.gate = Gate(width, classes)
        self.mix = MaskedConv2d(width, width, (1, 1), "B", colours)

    def forward(self, x: Tensor, above: Tensor, labels: Tensor | None) -> Tensor:
        return self.mix(self.gate(self.conv(x) + above, labels))


class Above(Causal):
    """The vertical stack: for each layer a map of the rows above, (B, 2 · width, H, W), for the horizontal one to add.

    A row's maps are evaluated once, with its first pixel: then the row above is complete.
    """

    def __init__(self, inputs: int, width: int, blocks: int, classes: int):
        super().__init__()
        reaches = [(2, 3)] + [(1, 1)] * (blocks - 1)  # 3 rows of 7 pixels above one's own, then 2 rows of 3
        widths = pairwise([inputs] + [width] * blocks)
        self.convs = nn.ModuleList(RowsConv2d(a, 2 * b, reach) for (a, b), reach in zip(widths, reaches, strict=True))
        self.gates = nn.ModuleList(Gate(width, classes) for _ in range(blocks - 1))
        self.links = nn.ModuleList(nn.Conv2d(2 * width, 2 * width, 1) for _ in range(blocks))

    def whole(self, x: Tensor, labels: Tensor | None) -> list[Tensor]:
        """The maps of whole images."""
        return self._maps(pad(x, (0, 0, 1, -1)), labels)

    def at(self, x: Tensor, cursor: Cursor, labels: Tensor | None) -> list[Tensor]:
        """The maps at the cursor, remembered from the row's first pixel."""
        row, maps = cursor.memory.get(self, (None, []))
        if row != cursor.row:
            above = x[:, :, cursor.row - 1 : cursor.row] if cursor.row else torch.zeros_like(x[:, :, :1])
            maps = self._maps(above, labels)
            cursor.memory[self] = cursor.row, maps
        return [each[..., cursor.column, None] for each in maps]

    def _maps(self, above: Tensor, labels: Tensor | None) -> list[Tensor]:
        """The maps by the input shifted down by a row."""
        maps = [self.convs[0](above)]
        for conv, gate in zip(self.convs[1:], self.gates, strict=True):
            maps.append(conv(gate(maps[-1], labels)))
        return [link(each) for link, each in zip(self.links, maps, strict=True)]


class RowsConv2d(Causal):
    """A convolution over a row and those above it; within `incremental`, of whole rows.

    Args:
        inputs: channels of the input.
        outputs: of the output.
        reach: rows above, and pixels to either side, that it sees.
    """

    def __init__(self, inputs: int, outputs: int, reach: tuple[int, int]):
        super().__init__()
        self.reach = reach
        self.conv = nn.Conv2d(inputs, outputs, (reach[0] + 1, 2 * reach[1] + 1))

    def whole(self, x: Tensor) -> Tensor:
        """The layer on whole images."""
        return conv2d(x, self.conv.weight, self.conv.bias, padding=self.reach)[:, :, : x.shape[2]]

    def at(self, x: Tensor, cursor: Cursor) -> Tensor:
        """The layer on the newest row, (B, inputs, 1, W), from the rows it remembers."""
        seen = cursor.memory.get(self)
        seen = pad(x, (0, 0, self.reach[0], 0)) if seen is None else torch.cat([seen[:, :, 1:], x], 2)
        cursor.memory[self] = seen
        return conv2d(seen, self.conv.weight, self.conv.bias, padding=(0, self.reach[1]))


class Gate(nn.Module):
    """tanh(a + V_a y) ⊙ sigm(b + V_b y), a and b side by side so that colours stay together: eqs. 2 and 4."""

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.bias = nn.Embedding(classes, 2 * width) if classes else None

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        if self.bias is not None:
            x = x + self.bias(labels)[:, :, None, None]
        return torch.tanh(x[:, ::2]) * torch.sigmoid(x[:, 1::2])
