import pytest
import torch

from genlit.models.diagonalbilstm import DiagonalBiLSTM, Diagonals, skew, unskew


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 4), (4, 1), (3, 5), (5, 3)])
def test_skewing_can_be_undone(height: int, width: int):
    x = torch.randn(2, height, width, 3)
    skewed = skew(x)
    assert skewed.shape == (2, height, width + height - 1, 3)
    assert torch.equal(unskew(skewed), x)


def test_skewing_moves_each_row_by_one_more():
    skewed = skew(torch.arange(1, 7).view(3, 2, 1))[..., 0]
    assert skewed.tolist() == [[1, 2, 0, 0], [0, 3, 4, 0], [0, 0, 5, 6]]


def test_a_layer_sees_all_that_is_drawn_before_and_no_more():
    torch.manual_seed(0)
    gates = torch.randn(1, 16, 4, 5, dtype=torch.float64, requires_grad=True)
    states = Diagonals(2, 1).double()(gates)[0].sum(0).flatten()
    for place, state in enumerate(states):
        (slope,) = torch.autograd.grad(state, gates, retain_graph=True)
        seen = slope[0].abs().sum(0).flatten() > 0
        assert torch.equal(seen, torch.arange(20) <= place), place


def test_the_left_direction_sees_no_pixel_to_the_right_and_the_right_one_only_rows_above():
    torch.manual_seed(0)
    gates = torch.randn(1, 16, 4, 5, dtype=torch.float64, requires_grad=True)
    Diagonals(2, 1).double()(gates)[0, :, 2, 1].sum().backward()
    left, right = (half.abs().sum(0) > 0 for half in gates.grad[0].chunk(2))
    rows, columns = torch.meshgrid(torch.arange(4), torch.arange(5), indexing="ij")
    assert torch.equal(left, (rows <= 2) & (columns <= 1))
    assert torch.equal(right, (rows <= 1) & (columns >= 1))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_logit_sees_all_that_is_drawn_before_but_the_end_of_the_row_above(channels: int, layers: int):
    """The last channel of that row's last pixel is in none of its states; 7x7 reaches it from three columns away."""
    torch.manual_seed(0)
    model = DiagonalBiLSTM((channels, 3, 7), width=4, layers=layers).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    images = torch.randn(20, channels, 3, 7, dtype=torch.float64, requires_grad=True)
    logits = model.logits(images)[:, 0, 0].sum(0)
    for row, column in [(0, 2), (1, 0), (1, 3), (2, 0), (2, 2), (2, 3), (2, 6)]:
        (slopes,) = torch.autograd.grad(logits[row, column], images, retain_graph=True)
        expected = torch.zeros(3, 7, channels, dtype=torch.bool)
        expected.view(21, channels)[: row * 7 + column] = True
        if row and column + 3 < 6:
            expected[row - 1, 6, -1] = False
        assert torch.equal(slopes.abs().sum(0) > 0, expected.movedim(2, 0)), (row, column)
