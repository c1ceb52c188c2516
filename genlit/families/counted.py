"""Models of binary images whose training counts."""

import math
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from genlit.engine.processes import total
from genlit.families.autoregressive import Autoregressive
from genlit.losses.likelihood import bits_per_dim
from genlit.model import Batch, Turn

CERTAIN = 1e4  # the logit of a probability of 0 or 1: rounds to just that, and stays finite


class Counted(Autoregressive):
    """log p(x) = Σ_d log p(x_d | c_d) of binary images, c_d one of few contexts of pixel d: training counts images.

    p(x_d | c_d) = (n_d(x_d, c_d) + λ) / (n_d(c_d) + 2λ), n counting images; 1/2 where all of these are 0.

    Nothing is minimised: there is no player, and one pass over the images is the whole training.

    Args:
        shape: (C, H, W).
        laplace: λ ≥ 0, how often each value is taken to have been seen before; 0 is maximum likelihood.
    """

    players = {}
    terms = {}
    averaged = ()
    contexts: ClassVar[int]  # of a pixel

    def __init__(self, shape: tuple[int, int, int], *, laplace: float = 1.0, **engine):
        super().__init__(shape, **engine)
        self.require("laplace", laplace, laplace >= 0, "at least 0")
        self.laplace = laplace
        self.register_buffer("counts", torch.zeros(2, self.contexts, math.prod(self.shape), dtype=torch.float64))

    def context(self, pixels: Tensor) -> Tensor:
        """c_d of every pixel of flattened images, int64: (B, D) to (B, D)."""
        raise NotImplementedError(f"{type(self).__name__} defines no contexts")

    def turns(self, batch: Batch) -> Iterator[Turn]:
        images = batch["image"]
        if self.training:
            self.count(images)
        nll = self.nll(images).mean()
        self.observe("nll", nll)
        self.observe("bits_per_dim", bits_per_dim(nll, math.prod(self.shape)))
        yield from ()

    def count(self, images: Tensor) -> None:
        """Adds images to the counts; in several processes, everyone's."""
        pixels = self.pixels.check(images).flatten(1)
        pairs = self.pixels.index(pixels) * self.contexts + self.context(pixels)
        seen = torch.stack([(pairs == pair).sum(0) for pair in range(2 * self.contexts)])
        self.counts += total(seen.view_as(self.counts).double())

    def table(self, dtype: torch.dtype) -> Tensor:
        """log p(x_d | c_d), (2, contexts, D)."""
        counts = self.counts.double() + self.laplace
        sums = counts.sum(0)
        return torch.where(sums > 0, counts / sums, 0.5).log().to(dtype)

    def log_odds(self, dtype: torch.dtype) -> Tensor:
        """The logit of the upper value, (contexts, D)."""
        lower, upper = self.table(dtype)
        return (upper - lower).clamp(-CERTAIN, CERTAIN)

    def logits(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        each = self.log_odds(images.dtype).gather(0, self.context(images.flatten(1)))
        return each.view(-1, 1, *self.shape)

    def nll(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """−log p(x) in nats, (B,), by the probabilities: infinite where one is 0."""
        pixels = images.flatten(1)
        lower, upper = (table.gather(0, self.context(pixels)) for table in self.table(images.dtype))
        return -torch.where(pixels > 0, upper, lower).sum(1)
