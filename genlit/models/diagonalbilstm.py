"""Diagonal BiLSTM."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from genlit.families.pixelrnn import PixelRNN
from genlit.nn.incremental import Causal, Cursor
from genlit.nn.lstm import LineLSTM

State = tuple[Tensor, Tensor]  # h and c of an image, each (B, H + 1, W + 1, h), with a margin above and to the left


class Diagonals(Causal):
    """Two LSTMs whose lines are diagonals: gates (B, 8h, H, W) to the sum of their states, (B, h, H, W).

    The right one works on the mirrored image; its states go down by a row, so that none is of a pixel to come.
    """

    def __init__(self, h: int, colours: int):
        super().__init__()
        self.lstm = LineLSTM(h, (1, 0), colours, directions=2)

    def whole(self, x: Tensor) -> Tensor:
        """All diagonals, one after another, both directions at once."""
        left, right = self.lstm.gates(x)
        diagonals = self.lstm(skew(torch.stack([left, right.flip(2)])).movedim(3, 0))
        left, right = unskew(diagonals.movedim(0, 3))
        lowered = pad(right.flip(2)[:, :-1], (0, 0, 0, 0, 1, 0))
        return (left + lowered).movedim(3, 1)

    def at(self, x: Tensor, cursor: Cursor) -> Tensor:
        """The sum at the cursor; where a row begins, the right LSTM first catches up with the row above."""
        left, right, waiting = cursor.memory.get(self) or cursor.memory.setdefault(self, self._remembered(x, cursor))
        (row, column), width = (cursor.row, cursor.column), cursor.size[1]
        if row and not column:
            for mirrored in range(width):
                self._visit(right, row - 1, mirrored, waiting[:, row - 1, width - 1 - mirrored], direction=1)
        gates, waiting[:, row, column] = self.lstm.gates(x)[:, :, 0, 0]
        self._visit(left, row, column, gates, direction=0)
        return (left[0][:, row + 1, column + 1] + right[0][:, row, width - column])[:, :, None, None]

    def _visit(self, state: State, row: int, column: int, gates: Tensor, direction: int) -> None:
        """Steps one direction at one pixel, by the states above and before it, and remembers the result."""
        hidden, cell = state
        seen = torch.stack([hidden[:, row, column + 1], hidden[:, row + 1, column]], 1)
        stepped = self.lstm.step(gates, seen, cell[:, row + 1, column], direction)
        hidden[:, row + 1, column + 1], cell[:, row + 1, column + 1] = stepped

    def _remembered(self, x: Tensor, cursor: Cursor) -> tuple[State, State, Tensor]:
        """Room for both directions' states, and for the gates of the right one."""
        height, width = cursor.size
        room = x.new_zeros(4, len(x), height + 1, width + 1, self.lstm.h)
        return (room[0], room[1]), (room[2], room[3]), x.new_zeros(len(x), height, width, 4 * self.lstm.h)


def skew(x: Tensor) -> Tensor:
    """Moves row i to the right by i, so that diagonals become columns: (..., H, W, K) to (..., H, W + H − 1, K)."""
    height, width = x.shape[-3:-1]
    return pad(x, (0, 0, 0, height)).flatten(-3, -2)[..., :-height, :].unflatten(-2, (height, width + height - 1))


def unskew(x: Tensor) -> Tensor:
    """Moves row i back to the left by i: (..., H, W + H − 1, K) to (..., H, W, K)."""
    height, columns = x.shape[-3:-1]
    padded = pad(x.flatten(-3, -2), (0, 0, 0, height)).unflatten(-2, (height, columns + 1))
    return padded[..., : columns - height + 1, :]


class DiagonalBiLSTM(PixelRNN):
    """p(x) = Π_i p(x_i | x_<i), every conditional by LSTMs along the diagonals, from the left and from the right.

    A 7x7 convolution with mask A, residual layers (input-to-state 1x1 with mask B; state-to-state over the pixel before
    and the one above, in both directions; the right one's states a row lower), two 1x1 layers. A logit sees all pixels
    drawn before but the last one of the row above, where that is out of the 7x7 convolution's reach: mask A keeps each
    pixel out of its own states, and the lowered ones are of no pixel after it.

    van den Oord et al. 2016, "Pixel Recurrent Neural Networks", section 3.2 and table 1,
    https://arxiv.org/abs/1601.06759

    Args:
        shape: (C, H, W).
        engine: options of PixelRNN.
    """

    recurrence, kernel = Diagonals, (1, 1)
