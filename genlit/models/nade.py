"""The neural autoregressive distribution estimator."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from genlit.families.autoregressive import Conditional
from genlit.families.inorder import InOrder

BLOCK = 16  # pixels that are worked on at once: the fastest on a CPU at 784 pixels and 500 hidden units


class NADE(InOrder):
    """p(x_d = 1 | x_<d) = sigm(b_d + V_d h_d), h_d = sigm(a_d), with a_1 = c, a_{d+1} = a_d + W_{:,d} x_d, x in {0, 1}.

    Larochelle & Murray 2011, "The Neural Autoregressive Distribution Estimator",
    https://proceedings.mlr.press/v15/larochelle11a.html; written as in Uria et al. 2016, section 2,
    https://arxiv.org/abs/1605.02226

    Departs from the paper: Adam instead of stochastic gradient descent with a falling rate.

    Args:
        shape: (C, H, W).
        hidden: H, the units that all conditionals share.
        engine: options of InOrder and GenerativeModel.
    """

    def __init__(self, shape: tuple[int, int, int], *, hidden: int = 500, **engine):
        super().__init__(shape, **engine)
        self.require_counts(hidden=hidden)
        self.network = Estimator(math.prod(self.shape), hidden)

    def conditionals(self, canvas: Tensor, labels: Tensor | None = None) -> Iterator[Conditional]:
        W, V, b = self.network.W, self.network.V, self.network.b  # noqa: N806
        activation = self.network.c.repeat(len(canvas), 1)
        for d, position in enumerate(self.order()):
            yield position, (b[d] + torch.sigmoid(activation) @ V[d])[:, None]
            activation.addr_(self.newest(canvas, position), W[d])


class Estimator(nn.Module):
    """All logits b_d + V_d h_d at once.

    h_{d+1} is h_d where x_d = 0, and only where it is not is it worked out anew: the cost and the memory of the hidden
    units are those of the pixels that are 1, not of all. Gradients with respect to the values take them all.

    Args:
        pixels: D.
        hidden: H.
    """

    def __init__(self, pixels: int, hidden: int):
        super().__init__()
        bound = max(pixels, hidden) ** -0.5
        self.W = nn.Parameter(torch.empty(pixels, hidden).uniform_(-bound, bound))  # each pixel's, by rows
        self.V = nn.Parameter(torch.empty(pixels, hidden).uniform_(-bound, bound))
        self.b, self.c = nn.Parameter(torch.zeros(pixels)), nn.Parameter(torch.zeros(hidden))

    def forward(self, values: Tensor) -> Tensor:
        activation, logits = self.c.expand(values.shape[0], -1), []
        for x, W, V in zip(values.split(BLOCK, 1), self.W.split(BLOCK), self.V.split(BLOCK)):  # noqa: N806
            logits.append(within_block(activation, x, W, V))
            activation = activation + x @ W
        return torch.cat(logits, 1) + self.b


def within_block(activation: Tensor, x: Tensor, W: Tensor, V: Tensor) -> Tensor:  # noqa: N803
    """V_d h_d for the pixels of a block, (B, K).

    Args:
        activation: a of the block's first pixel, (B, H).
        x: the block's values, (B, K).
        W: its rows, (K, H).
        V: its rows, (K, H).
    """
    changed = pad((x != 0) | x.requires_grad, (1, -1), value=True)  # whether h_d is not h_{d-1}
    image, d = changed.nonzero(as_tuple=True)
    before = x[image] * (torch.arange(x.shape[1], device=x.device) < d[:, None])
    hidden = torch.sigmoid(torch.addmm(activation.index_select(0, image), before, W))
    latest = changed.flatten().cumsum(0).view_as(x) - 1  # the row of `hidden` that each pixel meets
    return (hidden @ V.T).gather(0, latest)
