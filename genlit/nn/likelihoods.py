"""p(x|z) of whole images, given a decoder's output: −log p(x|z), the mean image, and the levels that pixels have."""

import math

import torch
from torch import Tensor, nn

from genlit.losses.likelihood import bernoulli, discretised_logistic, gaussian
from genlit.nn.levels import wide


class BernoulliPixels(nn.Module):
    """p(x|z) of binary images, the decoder giving logits."""

    levels = 2

    def forward(self, output: Tensor, images: Tensor) -> Tensor:
        """−log p(x|z), (B,), in nats."""
        return bernoulli(output, images)

    def mean(self, output: Tensor) -> Tensor:
        """E[x|z] in [-1, 1]: 2 sigm(a) − 1 = tanh(a / 2)."""
        return torch.tanh(output / 2)

    def output(self, mean: Tensor) -> Tensor:
        """The logits of a mean, kept off those that are infinite."""
        return 2 * torch.atanh(mean.clamp(-0.98, 0.98))


class GaussianPixels(nn.Module):
    """N(x; μ(z), s² I), s shared by all pixels.

    Args:
        variance: s²; None learns it.
    """

    levels = None

    def __init__(self, variance: float | None = None):
        super().__init__()
        self.log_variance = nn.Parameter(torch.tensor(math.log(variance or 1.0)), requires_grad=variance is None)

    def forward(self, output: Tensor, images: Tensor) -> Tensor:
        """−log p(x|z), (B,), in nats."""
        return gaussian(wide(output), images, self.log_variance)

    def mean(self, output: Tensor) -> Tensor:
        """E[x|z], within [-1, 1]."""
        return output.clamp(-1, 1)

    def output(self, mean: Tensor) -> Tensor:
        """The decoder's output for a mean."""
        return mean


class LogisticPixels(nn.Module):
    """The logistic density of mean tanh(output) and a learned scale, integrated over each of 256 levels."""

    levels = 256

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-2.0))

    def forward(self, output: Tensor, images: Tensor) -> Tensor:
        """−log P(x|z), (B,), in nats."""
        return discretised_logistic(torch.tanh(wide(output)), images, self.log_scale)

    def mean(self, output: Tensor) -> Tensor:
        """The centre of p(x|z), in [-1, 1]."""
        return torch.tanh(output)

    def output(self, mean: Tensor) -> Tensor:
        """The decoder's output for a centre, kept off those that are infinite."""
        return torch.atanh(mean.clamp(-0.98, 0.98))


LIKELIHOODS = {"bernoulli": BernoulliPixels, "gaussian": GaussianPixels, "logistic": LogisticPixels}
