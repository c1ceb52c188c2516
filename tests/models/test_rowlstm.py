import pytest
import torch

from genlit.models.rowlstm import RowLSTM, Rows


def test_a_state_sees_the_triangle_above_it():
    torch.manual_seed(0)
    gates = torch.randn(1, 8, 5, 11, dtype=torch.float64, requires_grad=True)
    Rows(2, 1).double()(gates)[0, :, 4, 5].sum().backward()
    seen = gates.grad[0].abs().sum(0) > 0
    rows, columns = torch.meshgrid(torch.arange(5), torch.arange(11), indexing="ij")
    assert torch.equal(seen, (columns - 5).abs() <= 4 - rows)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_logit_sees_a_triangle_that_layers_widen_to_the_left(layers: int):
    """r rows up, by 7x7 and layers that each reach one further left: columns −(3 + layers + r) … r + 2, or −1 at 0."""
    torch.manual_seed(0)
    model = RowLSTM((1, 5, 17), width=2, layers=layers).double()
    image = torch.randn(20, 1, 5, 17, dtype=torch.float64, requires_grad=True)
    model.logits(image)[:, 0, 0, 4, 9].sum().backward()
    seen = image.grad[:, 0].abs().sum(0) > 0
    rows, columns = torch.meshgrid(torch.arange(5), torch.arange(17), indexing="ij")
    up, right = 4 - rows, columns - 9
    assert torch.equal(seen, (right >= -(3 + layers + up)) & (right <= torch.where(up > 0, up + 2, -1)))
