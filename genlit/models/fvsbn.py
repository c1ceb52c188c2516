"""The fully visible sigmoid belief network."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from genlit.families.autoregressive import Conditional
from genlit.families.inorder import InOrder


class FVSBN(InOrder):
    """p(x_d = 1 | x_<d) = sigm(b_d + Σ_{k<d} A_dk x_k), x in {0, 1}: logistic regressions on the pixels before.

    Neal 1992, "Connectionist learning of belief networks"; Frey et al. 1996; compared with NADE in Larochelle & Murray
    2011, https://proceedings.mlr.press/v15/larochelle11a.html

    Args:
        shape: (C, H, W).
        engine: options of InOrder and GenerativeModel.
    """

    def __init__(self, shape: tuple[int, int, int], **engine):
        super().__init__(shape, **engine)
        self.network = Regressions(math.prod(self.shape))

    def conditionals(self, canvas: Tensor, labels: Tensor | None = None) -> Iterator[Conditional]:
        weight, bias, values = self.network.weight, self.network.bias, self.in_order(canvas)
        for d, position in enumerate(self.order()):
            yield position, (bias[d] + values[:, :d] @ weight[d, :d])[:, None]
            values[:, d] = self.newest(canvas, position)


class Regressions(nn.Module):
    """b + A x, A strictly lower triangular; from 0."""

    def __init__(self, pixels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(pixels, pixels))
        self.bias = nn.Parameter(torch.zeros(pixels))

    def forward(self, values: Tensor) -> Tensor:
        return linear(values, self.weight.tril(-1), self.bias)
