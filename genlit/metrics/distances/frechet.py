"""Fréchet distance between two sets of features: FID, where the features are those of its own network."""

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from genlit.errors import GenlitError

CLOSE = 1e-3  # of the traces: distances below are measured again


@dataclass(frozen=True)
class Moments:
    """Mean and covariance S of a set of features, S as a matrix or as a factor F with S = FᵀF.

    Args:
        n: number of images; None where published statistics do not tell it.
        mean: (D,), float64.
        factor: F, (r, D), float64.
        covariance: S, (D, D), float64, unbiased.
        negative: sum of the eigenvalues of S below zero, which the factor leaves out; what rounding has spoilt.
    """

    n: int | None
    mean: Tensor
    factor: Tensor | None = None
    covariance: Tensor | None = None
    negative: float = 0.0

    @classmethod
    def of(cls, features: Tensor) -> Self:
        """Measures a set of features: S = Σ (x − μ)(x − μ)ᵀ / (n − 1), by its factor where n ≤ D.

        Args:
            features: (n, D), n at least 2.

        Raises:
            GenlitError: there are fewer than two images, or a feature is not finite.
        """
        require_features(features, 2)
        n, width = features.shape
        mean = features.mean(0, dtype=torch.float64)
        factor = (features - mean) / (n - 1) ** 0.5
        return cls(n, mean, factor=factor) if n <= width else cls(n, mean, covariance=factor.T @ factor)

    @property
    def trace(self) -> float:
        """tr S: how much the features vary, in their squared units."""
        return (self.covariance.trace() if self.factor is None else self.factor.square().sum()).item()

    def rooted(self) -> Self:
        """Gives the same moments with a factor: F = Λ^½ Vᵀ of S = VΛVᵀ, without what lies below rounding."""
        if self.factor is not None:
            return self
        values, vectors = torch.linalg.eigh(self.covariance)
        kept = values > len(values) * torch.finfo(values.dtype).eps * values[-1]
        factor = (vectors[:, kept] * values[kept].sqrt()).T
        return replace(self, factor=factor, negative=values.clamp(max=0).sum().item())


class Distance(NamedTuple):
    """A Fréchet distance.

    Args:
        value: the distance, in squared units of the features.
        negative: what was below zero and left out, in the same units: −Σ√|λ| of FₐS_bFₐᵀ, or the sum of the negative
            eigenvalues of both covariances where their roots were taken; far from 0 where one is no covariance.
    """

    value: float
    negative: float


def frechet(a: Moments, b: Moments) -> Distance:
    """‖μₐ − μ_b‖² + tr Sₐ + tr S_b − 2 tr (SₐS_b)^½, the last trace being the nuclear norm of FₐF_bᵀ.

    Dowson & Landau 1982, eq. 4, https://doi.org/10.1016/0047-259X(82)90077-X; Heusel et al. 2017, eq. 6,
    https://arxiv.org/abs/1706.08500. Where one factor is known (of real images it is kept), the trace comes from the
    eigenvalues of FₐS_bFₐᵀ. Their square roots lose accuracy where features are nearly dependent, some 10⁻⁷ of the
    traces, so sets that are nearly alike are measured again by the singular values of the factors' product.

    Raises:
        GenlitError: a set has fewer than two images, the widths differ, or a mean is not finite.
    """
    require_comparable(a.mean[None], b.mean[None], 1)
    for n in (a.n, b.n):
        if n is not None and n < 2:
            raise GenlitError(f"{n} images have no covariance: a Fréchet distance needs at least 2.")
    if (a.factor is None) != (b.factor is None):
        rooted, whole = (a, b) if b.factor is None else (b, a)
        apart, (overlap, negative) = _apart(a, b), _overlap(rooted.factor, whole.covariance)
        if apart - 2 * overlap > CLOSE * apart:
            return Distance(apart - 2 * overlap, rooted.negative + negative)
    a, b = a.rooted(), b.rooted()
    overlap = torch.linalg.svdvals(a.factor @ b.factor.T).sum().item()
    return Distance(_apart(a, b) - 2 * overlap, a.negative + b.negative)


def _apart(a: Moments, b: Moments) -> float:
    return (a.mean - b.mean).square().sum().item() + a.trace + b.trace


def _overlap(factor: Tensor, covariance: Tensor) -> tuple[float, float]:
    """Σ √λ of FSFᵀ, and −Σ√|λ| of the negative λ: three times as fast as S's own root and singular values."""
    values = torch.linalg.eigvalsh(factor @ covariance @ factor.T)
    return values.clamp(min=0).sqrt().sum().item(), -values.clamp(max=0).neg().sqrt().sum().item()


def fd_infinity(features: Tensor, real: Moments, points: int = 15, smallest: int | None = None, seed: int = 0) -> float:
    """Distance extrapolated to infinitely many generated images: the intercept of a line through FD(N) against 1 / N.

    Chong & Forsyth 2020, https://arxiv.org/abs/1911.07023: each N is a fresh draw without return.
    The bias of a finite real set stays.

    Args:
        features: of generated images, (n, D).
        real: moments of real images.
        points: number of sizes N, evenly spaced.
        smallest: least N, above D and at most n / 2; by default n / 10 as in the paper, or the lesser of 2D and n / 2
            where that is more: the bias falls as 1 / N only well above D.
        seed: fixes the draws.

    Raises:
        GenlitError: the smallest N is not above D, or n is below twice that.
    """
    n, width = features.shape
    smallest = smallest or max(n // 10, min(2 * width, n // 2))
    if not width < smallest <= n // 2:
        raise GenlitError(
            f"FD∞ of {n} images with {width} features needs draws of {width + 1} to {n // 2}: not {smallest}."
        )
    real, generator = real.rooted(), np.random.default_rng(seed)
    sizes = np.linspace(smallest, n, points).round().astype(int)
    draws = (torch.from_numpy(generator.permutation(n)[:size]) for size in sizes)
    values = [frechet(Moments.of(features[draw]), real).value for draw in draws]
    return float(np.polyfit(1 / sizes, values, 1)[1])


def require_features(features: Tensor, least: int) -> None:
    """Refuses features that no distance can be measured from.

    Args:
        features: (n, D).
        least: the smallest n.

    Raises:
        GenlitError: they are fewer than `least`, or one is not finite.
    """
    if len(features) < least:
        raise GenlitError(f"{len(features)} images are too few: this metric needs at least {least}.")
    if not features.isfinite().all():
        raise GenlitError("features are not finite: look for NaN or infinite pixels in the images.")


def require_comparable(a: Tensor, b: Tensor, least: int) -> None:
    """Refuses two sets of features that cannot be compared.

    Args:
        a: (n, D).
        b: (m, D).
        least: the smallest n and m.

    Raises:
        GenlitError: the widths differ, a set is smaller than `least`, or a feature is not finite.
    """
    if a.shape[-1] != b.shape[-1]:
        raise GenlitError(f"features are {a.shape[-1]} and {b.shape[-1]} wide: measure both sets with one extractor.")
    require_features(a, least)
    require_features(b, least)
