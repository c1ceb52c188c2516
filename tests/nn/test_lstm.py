import pytest
import torch
from torch import nn

from genlit.nn.lstm import LineLSTM, update


def test_the_update_is_equation_3():
    o, f, i, g, cell = torch.randn(5, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    h, c = update(torch.cat([o, f, i, g], -1), cell)
    torch.testing.assert_close(c, f.sigmoid() * cell + i.sigmoid() * g.tanh())
    torch.testing.assert_close(h, o.sigmoid() * c.tanh())


@pytest.mark.parametrize("directions", [1, 2])
def test_lines_of_one_position_are_a_sequence(directions: int):
    torch.manual_seed(0)
    lines, h = LineLSTM(4, (0, 0), directions=directions).double(), 4
    inputs = torch.randn(6, directions, 3, 1, 4 * h, dtype=torch.float64)
    states = lines(inputs)[:, :, :, 0]
    for direction in range(directions):
        sequence = nn.LSTM(4 * h, h).double()
        order = torch.arange(4 * h).view(4, h)[[2, 1, 3, 0]].flatten()  # torch's gates are i, f, g, o
        with torch.no_grad():
            sequence.weight_ih_l0.copy_(torch.eye(4 * h)[order])
            sequence.weight_hh_l0.copy_(lines.weight[direction].T[order])
            sequence.bias_ih_l0.zero_()
            sequence.bias_hh_l0.zero_()
        torch.testing.assert_close(states[:, direction], sequence(inputs[:, direction, :, 0])[0])


@pytest.mark.parametrize("reach", [(1, 1), (1, 0)])
def test_a_state_sees_its_neighbourhood_in_the_line_before(reach: tuple[int, int]):
    lines = LineLSTM(2, reach)
    inputs = torch.randn(2, 1, 1, 7, 8, requires_grad=True)
    lines(inputs)[1, 0, 0, 3].sum().backward()
    seen = inputs.grad[0, 0, 0].abs().sum(1) > 0
    assert seen.nonzero().flatten().tolist() == [*range(3 - reach[0], 3 + reach[1] + 1)]


def test_gates_keep_colours_in_order():
    """Channels are colour, direction, gate, unit; a direction's gates hold each gate's units by colour."""
    lines = LineLSTM(6, (1, 0), colours=3, directions=2)
    channels = torch.arange(48.0).view(1, 48, 1, 1)
    gates = lines.gates(channels).view(2, 4, 3, 2)
    assert torch.equal(gates, channels.view(3, 2, 4, 2).permute(1, 2, 0, 3))
