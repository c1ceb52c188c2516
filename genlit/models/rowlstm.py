"""Row LSTM."""

from torch import Tensor

from genlit.families.pixelrnn import PixelRNN
from genlit.nn.incremental import Causal, Cursor
from genlit.nn.lstm import LineLSTM


class Rows(Causal):
    """An LSTM whose lines are rows: gates (B, 4h, H, W) to states (B, h, H, W)."""

    def __init__(self, h: int, colours: int):
        super().__init__()
        self.lstm = LineLSTM(h, (1, 1), colours)

    def whole(self, x: Tensor) -> Tensor:
        """All rows, one after another."""
        rows = self.lstm(self.lstm.gates(x).movedim(2, 0))
        return rows[:, 0].permute(1, 3, 0, 2)

    def at(self, x: Tensor, cursor: Cursor) -> Tensor:
        """The state at the cursor, by three of the row above."""
        hidden, cell = cursor.memory.get(self) or cursor.memory.setdefault(self, self._remembered(x, cursor))
        row, column = cursor.row, cursor.column
        gates, seen = self.lstm.gates(x)[0, :, 0, 0], hidden[:, row, column : column + 3]
        state, cell[:, row + 1, column] = self.lstm.step(gates, seen, cell[:, row, column])
        hidden[:, row + 1, column + 1] = state
        return state[:, :, None, None]

    def _remembered(self, x: Tensor, cursor: Cursor) -> tuple[Tensor, Tensor]:
        """Room for h, with a margin above and on both sides, and for c, with one above."""
        height, width = cursor.size
        return tuple(x.new_zeros(len(x), height + 1, columns, self.lstm.h) for columns in (width + 2, width))


class RowLSTM(PixelRNN):
    """p(x) = Π_i p(x_i | x_<i), every conditional by LSTMs that go down the image by rows.

    A 7x7 convolution with mask A, residual layers (input-to-state 1x3 with mask B, state-to-state 1x3 over the row
    above), two 1x1 layers. Of the pixels drawn before, a layer sees a triangle that widens upwards.

    van den Oord et al. 2016, "Pixel Recurrent Neural Networks", section 3.1 and table 1,
    https://arxiv.org/abs/1601.06759

    Args:
        shape: (C, H, W).
        engine: options of PixelRNN.
    """

    recurrence, kernel = Rows, (1, 3)
