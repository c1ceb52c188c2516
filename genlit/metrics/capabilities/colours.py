"""What a translation has to beat: colours as they are in the other domain, at every pixel by itself."""

import torch
from torch import Tensor

from genlit.data import Source
from genlit.data.domains import ByDomain
from genlit.metrics.images import to_float
from genlit.metrics.sets import BLOCK, Stored

LEAST = 1e-6  # variance that is added to every colour's, so that a set without some colour is mapped, too


class Colours:
    """x ↦ T (x − μ) + μ′, T = Σ^−½ (Σ^½ Σ′ Σ^½)^½ Σ^−½, which brings mean and covariance of colours to the other's.

    Pitié & Kokaram 2007, "The linear Monge-Kantorovitch linear colour mapping for example-based colour transfer",
    section 3, https://doi.org/10.1049/cp:20070055: of the linear maps that do so, the one that changes colours least.

    Args:
        source: of the domains; their training images are read.
        domains: by name.
    """

    def __init__(self, source: Source | ByDomain, domains: list[str]):
        self.moments = {domain: moments(Stored.of(source, "train", domain)) for domain in domains}

    def moved(self, images: Tensor, start: str, end: str) -> Tensor:
        """Images (B, C, H, W) of one domain in the colours of another, within [-1, 1]."""
        (mean, covariance), (wanted, spread) = self.moments[start], self.moments[end]
        half = power(covariance, 0.5)
        matrix = power(covariance, -0.5) @ power(half @ spread @ half, 0.5) @ power(covariance, -0.5)
        colours = images.double().movedim(1, -1) - mean.to(images.device)
        return (colours @ matrix.to(images.device) + wanted.to(images.device)).movedim(-1, 1).clamp(-1, 1)


def moments(images: Stored) -> tuple[Tensor, Tensor]:
    """Mean (C,) and covariance (C, C) of all pixels' colours, a little noise among them, float64."""
    n = total = products = 0
    for start in range(0, len(images), BLOCK):
        block = to_float(torch.from_numpy(images.array[start : start + BLOCK].copy())).double()
        colours = block.movedim(1, -1).flatten(0, -2)
        n, total, products = n + len(colours), total + colours.sum(0), products + colours.T @ colours
    mean = total / n
    return mean, products / n - mean.outer(mean) + LEAST * torch.eye(len(mean), dtype=mean.dtype)


def power(matrix: Tensor, exponent: float) -> Tensor:
    """A symmetric positive matrix to a power."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp(min=LEAST**2) ** exponent @ vectors.T
