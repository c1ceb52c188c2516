"""Pixels that take a few equally spaced values, and distributions over them."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from genlit.errors import GenlitError
from genlit.losses.likelihood import bernoulli


class Levels:
    """n equally spaced values in [-1, 1] and a distribution over them by logits: softmax, or sigm for two.

    Args:
        n: how many values, at least 2; 2 are -1 and 1, 256 are a byte's.
    """

    def __init__(self, n: int):
        self.n = n
        self.outputs = 1 if n == 2 else n  # logits per pixel and channel; of two values, the upper one's

    def index(self, images: Tensor) -> Tensor:
        """Which of the values 0 … n − 1 each is, int64."""
        return ((images + 1) * ((self.n - 1) / 2)).round().long()

    def value(self, index: Tensor, dtype: torch.dtype) -> Tensor:
        """2k / (n − 1) − 1."""
        return index.to(dtype) * 2 / (self.n - 1) - 1

    def nll(self, logits: Tensor, images: Tensor) -> Tensor:
        """−log P(x) in nats, summed over pixels and channels, (B,).

        Args:
            logits: (B, outputs, C, H, W).
            images: (B, C, H, W).
        """
        logits = wide(logits)
        if self.n == 2:
            return bernoulli(logits[:, 0], images)
        return cross_entropy(logits, self.index(images), reduction="none").flatten(1).sum(1)

    def log_prob(self, logits: Tensor, values: Tensor) -> Tensor:
        """log P of one pixel's channel, (B,), by its logits (B, outputs)."""
        return -self.nll(logits[:, :, None, None, None], values[:, None, None, None])

    def draw(self, logits: Tensor, uniform: Tensor) -> Tensor:
        """The values that uniform numbers draw, (B,): equal numbers give equal draws.

        Of two values the upper one where u < p, of more that at which the distribution function passes u.

        Args:
            logits: (B, outputs).
            uniform: (B,) in [0, 1).
        """
        logits = wide(logits)
        index = uniform < torch.sigmoid(logits[:, 0]) if self.n == 2 else drawn(logits, uniform)
        return self.value(index, uniform.dtype)

    def check(self, images: Tensor) -> Tensor:
        """The images.

        Raises:
            GenlitError: some value is none of these.
        """
        if torch.compiler.is_exporting():  # a graph cannot look at values
            return images
        steps = (images + 1) * ((self.n - 1) / 2)
        if not ((steps - steps.round()).abs().max() <= 1e-3 and images.abs().max() <= 1 + 1e-3):
            raise GenlitError(
                f"the model gives probabilities of {self.n} levels, and the images have other values: set "
                "data.binarize, or choose a likelihood of their levels"
            )
        return images


def checked(images: Tensor, levels: int | None) -> Tensor:
    """The images, which must have one of so many values where a model gives probabilities of them: Levels.check."""
    return Levels(levels).check(images) if levels else images


def drawn(logits: Tensor, uniform: Tensor) -> Tensor:
    """The place k with F(k − 1) ≤ u < F(k), F the distribution function of softmax(logits), int64 (B,).

    Args:
        logits: (B, K).
        uniform: u, (B,) in [0, 1).
    """
    return (logits.softmax(1).cumsum(1)[:, :-1] <= uniform[:, None]).sum(1)


def wide(x: Tensor) -> Tensor:
    """Single precision for the 8 bits of bfloat16, which are coarser than 256 grey levels."""
    return x.float() if x.dtype == torch.bfloat16 else x
