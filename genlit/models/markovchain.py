"""The first-order Markov chain over pixels."""

from collections.abc import Iterator

import torch
from torch import Tensor

from genlit.families.autoregressive import Conditional, ordering
from genlit.families.counted import Counted


class MarkovChain(Counted):
    """p(x) = p(x_1) Π_i p(x_i | x_{i-1}), one table of 2 x 2 counts per position: AR-1.

    p(x_i = b | x_{i-1} = a) = (n_i(a, b) + λ) / (n_i(a) + 2λ).

    Args:
        shape: (C, H, W).
        laplace: λ ≥ 0, how often each pair is taken to have been seen before; 0 is maximum likelihood.
        order: None visits pixels by rows; an integer seeds a random order.
    """

    contexts = 2

    def __init__(self, shape: tuple[int, int, int], *, laplace: float = 1.0, order: int | None = None, **engine):
        super().__init__(shape, laplace=laplace, **engine)
        self.register_buffer("positions", torch.tensor(ordering(self.shape, order)))

    def order(self) -> list[int]:
        return self.positions.tolist()

    def context(self, pixels: Tensor) -> Tensor:
        """Whether the pixel before is 1; of the first, 0."""
        before = torch.zeros_like(pixels, dtype=torch.int64)
        before[:, self.positions[1:]] = (pixels[:, self.positions[:-1]] > 0).long()
        return before

    def conditionals(self, canvas: Tensor, labels: Tensor | None = None) -> Iterator[Conditional]:
        log_odds, pixels = self.log_odds(canvas.dtype), canvas.flatten(1)
        before = torch.zeros_like(pixels[:, 0], dtype=torch.int64)
        for d in self.order():
            yield d, log_odds[before, d][:, None]
            before = (pixels[:, d] > 0).long()
