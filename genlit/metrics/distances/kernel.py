"""Kernel distance between two sets of features: KID, the squared maximum mean discrepancy, unbiased at any number."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from genlit.metrics.distances.frechet import require_comparable

ROWS = 512


class Estimate(NamedTuple):
    """A kernel distance.

    Args:
        mean: over the subsets.
        std: over the subsets (ddof 0); 0 says nothing where every subset is the whole of both sets.
        size: images of either set in a subset.
    """

    mean: float
    std: float
    size: int


def kernel_distance(fake: Tensor, real: Tensor, subsets: int = 100, size: int = 1000, seed: int = 2020) -> Estimate:
    """Σ_{i≠j} [k(xᵢ, xⱼ) + k(yᵢ, yⱼ)] / s(s − 1) − 2 Σᵢⱼ k(xᵢ, yⱼ) / s², k(x, y) = (x·y / D + 1)³, over random subsets.

    Bińkowski et al. 2018, section 4, https://arxiv.org/abs/1801.01401. The subsets are those that torch-fidelity draws.
    Values slightly below zero are valid.

    Args:
        fake: features of generated images, (n, D).
        real: features of real images, (m, D).
        subsets: number of subsets.
        size: s, cut to the smaller set.
        seed: fixes the subsets.

    Raises:
        GenlitError: a set has fewer than two images, the widths differ, or a feature is not finite.
    """
    require_comparable(fake, real, 2)
    size = min(size, len(fake), len(real))
    chosen = _draw((len(fake), len(real)), subsets, size, seed)
    measure = _all_at_once if _gram_is_cheaper(fake, real, subsets, size) else _one_by_one
    values = measure(fake, real, chosen)
    return Estimate(values.mean().item(), values.std(correction=0).item(), size)


def _draw(sizes: tuple[int, int], subsets: int, size: int, seed: int) -> list[Tensor]:
    """Two (subsets, size) tables of rows, drawn in turns."""
    generator = np.random.RandomState(seed)
    pairs = [[generator.choice(n, size, replace=False) for n in sizes] for _ in range(subsets)]
    return [torch.from_numpy(np.stack(rows)) for rows in zip(*pairs)]


def _gram_is_cheaper(fake: Tensor, real: Tensor, subsets: int, size: int) -> bool:
    """Compares multiplications: a kernel value costs D, and its share in the sums one for every subset it may be in."""
    n, m, width = len(fake), len(real), fake.shape[1]
    return (n * n / 2 + n * m + m * m / 2) * (width + subsets) < subsets * 2 * size * size * width


def _all_at_once(fake: Tensor, real: Tensor, chosen: list[Tensor]) -> Tensor:
    """Every subset from one pass over the Gram matrices."""
    return _discrepancies(fake, real, *(_members(rows, x) for rows, x in zip(chosen, (fake, real))))


def _one_by_one(fake: Tensor, real: Tensor, chosen: list[Tensor]) -> Tensor:
    """Every subset by itself."""
    everyone = torch.ones(chosen[0].shape[1], 1, dtype=torch.float64, device=fake.device)
    return torch.cat([_discrepancies(fake[i], real[j], everyone, everyone) for i, j in zip(*chosen)])


def _members(rows: Tensor, x: Tensor) -> Tensor:
    """(n, subsets): 1 where the row of x is in the subset."""
    return torch.zeros(len(x), len(rows), dtype=torch.float64).scatter_(0, rows.T, 1).to(x.device)


def _discrepancies(fake: Tensor, real: Tensor, in_fake: Tensor, in_real: Tensor) -> Tensor:
    size = in_fake[:, 0].sum()
    within = _sums(fake, fake, in_fake, in_fake, own=True) + _sums(real, real, in_real, in_real, own=True)
    return within / (size * (size - 1)) - 2 * _sums(fake, real, in_fake, in_real) / size**2


def _sums(x: Tensor, y: Tensor, in_x: Tensor, in_y: Tensor, own: bool = False) -> Tensor:
    """uᵀKv for every column u of `in_x` and v of `in_y`, (subsets,); K's diagonal left out where x is y (`own`)."""
    total = torch.zeros(in_x.shape[1], dtype=torch.float64, device=x.device)
    for start in range(0, len(x), ROWS):
        rows, columns = slice(start, start + ROWS), slice(start if own else 0, None)
        kernel = _kernel(x[rows], y[columns])
        if own:  # K is symmetric: what lies right of the block on the diagonal counts for what lies below it
            kernel.fill_diagonal_(0)
            kernel[:, ROWS:] *= 2
        total += (in_x[rows] * (kernel @ in_y[columns])).sum(0)
    return total


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    # float64, so that no setting of float32 products (TF32, bfloat16) reaches the value
    return (x.double() @ y.double().T).div_(x.shape[1]).add_(1).pow_(3)
