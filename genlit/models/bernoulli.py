"""Independent binary pixels."""

from collections.abc import Iterator

import torch
from torch import Tensor

from genlit.families.autoregressive import Conditional
from genlit.families.counted import Counted


class Bernoulli(Counted):
    """p(x) = Π_d p(x_d): every pixel a coin of its own, p(x_d = 1) = (n_d + λ) / (n + 2λ).

    With λ = 0 the mean of −log p(x) over the training images is the sum of the pixels' entropies.

    Args:
        shape: (C, H, W).
        laplace: λ ≥ 0, how often each value is taken to have been seen before; 0 is maximum likelihood.
    """

    contexts = 1

    def context(self, pixels: Tensor) -> Tensor:
        return torch.zeros_like(pixels, dtype=torch.int64)

    def conditionals(self, canvas: Tensor, labels: Tensor | None = None) -> Iterator[Conditional]:
        logits = self.logits(canvas).flatten(2)
        for d in self.order():
            yield d, logits[..., d]
