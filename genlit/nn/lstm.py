"""Long short-term memory along the lines of an image."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from genlit.nn.masked import MaskedConv2d


class LineLSTM(nn.Module):
    """States by lines, each from a neighbourhood in the line before: (o, f, i, g) = a_t + K ∗ h_{t−1}, then `update`.

    K sees all colours of h_{t−1}, whose pixels are drawn before; what a_t sees is up to the masks of the input.

    van den Oord et al. 2016, eq. 3, https://arxiv.org/abs/1601.06759

    Args:
        h: units at a position, a multiple of `colours`.
        reach: positions before and after its own that K covers.
        colours: groups of the input's channels.
        directions: LSTMs side by side, each with its own K.
    """

    def __init__(self, h: int, reach: tuple[int, int], colours: int = 1, directions: int = 1):
        super().__init__()
        self.h, self.reach, self.colours, self.directions = h, reach, colours, directions
        seen = (1 + sum(reach)) * h
        self.weight = nn.Parameter(torch.empty(directions, seen, 4 * h).uniform_(-(seen**-0.5), seen**-0.5))

    def gates(self, x: Tensor) -> Tensor:
        """a by direction and gate, (directions, B, H, W, 4h), of channels by colour, (B, directions · 4h, H, W)."""
        by_colour = x.unflatten(1, (self.colours, self.directions, 4, -1))
        return by_colour.permute(2, 0, 5, 6, 3, 1, 4).flatten(4)

    def forward(self, gates: Tensor) -> Tensor:
        """h of all lines, (T, directions, B, N, h), by their a, (T, directions, B, N, 4h)."""
        hidden = cell = gates.new_zeros(*gates.shape[1:-1], self.h)
        states = []
        for line in gates:
            seen = self._neighbours(hidden)
            summed = torch.baddbmm(line.flatten(1, 2), seen.flatten(1, 2), self.weight)
            hidden, cell = update(summed.view_as(line), cell)
            states.append(hidden)
        return torch.stack(states)

    def step(self, gates: Tensor, seen: Tensor, cell: Tensor, direction: int = 0) -> tuple[Tensor, Tensor]:
        """h, c at one position, each (B, h), by its a, its neighbours' h in order, (B, k, h), and the c before."""
        return update(torch.addmm(gates, seen.flatten(1), self.weight[direction]), cell)

    def _neighbours(self, hidden: Tensor) -> Tensor:
        """What K covers at each position, (directions, B, N, k · h)."""
        padded = pad(hidden, (0, 0, *self.reach))
        return torch.cat([padded[:, :, i : i + hidden.shape[2]] for i in range(1 + sum(self.reach))], -1)


def update(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """c_t = σ(f) ⊙ c_{t−1} + σ(i) ⊙ tanh(g) and h_t = σ(o) ⊙ tanh(c_t); returns h_t, c_t.

    Args:
        gates: o, f, i and g in the last dimension, (..., 4h).
        cell: c_{t−1}, (..., h).
    """
    o, f, i, g = gates.chunk(4, -1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


class Residual(nn.Module):
    """x + f(x): a masked convolution to a recurrence's gates, the recurrence to h channels, and a 1x1 back to 2h.

    van den Oord et al. 2016, section 3.3 and figure 5, right.

    Args:
        recurrence: takes its LSTM's gates, (B, directions · 4h, H, W), to (B, h, H, W).
        kernel: of the convolution, (height, width).
    """

    def __init__(self, recurrence: nn.Module, kernel: tuple[int, int]):
        super().__init__()
        lstm = recurrence.lstm
        h, colours, gates = lstm.h, lstm.colours, lstm.directions * 4 * lstm.h
        entry = MaskedConv2d(2 * h, gates, kernel, "B", colours)
        self.f = nn.Sequential(entry, recurrence, MaskedConv2d(h, 2 * h, (1, 1), "B", colours))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x)
