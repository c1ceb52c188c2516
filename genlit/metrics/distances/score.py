"""Inception Score, from sums that any number of processes can add in any order without changing a bit."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from genlit.errors import GenlitError

SPLITS, SEED = 10, 2020


class Score(NamedTuple):
    """An Inception Score.

    Args:
        mean: over the splits.
        std: over the splits (ddof 0).
    """

    mean: float
    std: float


class ScoreSums:
    """Inception Score exp(E KL(p(y|x) ‖ p(y))) = exp(h / n − Σ q̄ log q̄) of every split, kept as n, h and q.

    h = Σ p log p and q = Σ p, over the images of the split; q̄ = q / n. Salimans et al. 2016, section 4,
    https://arxiv.org/abs/1606.03498. Every p is rounded to a multiple of 2⁻³⁶ and every image's Σ p log p to one of
    2⁻³², so up to 2¹⁶ images of a split add without rounding in float64, in any order and over any processes.

    Args:
        n: number of images, over all processes.
        classes: number of classes.

    Raises:
        GenlitError: there are fewer images than splits.
    """

    def __init__(self, n: int, classes: int):
        self._splits = splits_of(n)
        self._sums = torch.zeros(SPLITS, 2 + classes, dtype=torch.float64)

    def add(self, logits: Tensor, positions: Tensor) -> None:
        """Adds images.

        Args:
            logits: (B, classes).
            positions: which of the n images these are, (B,), int64; each is added once.

        Raises:
            GenlitError: a logit is not finite.
        """
        if not logits.isfinite().all():
            raise GenlitError("logits are not finite: look for NaN or infinite pixels in the images.")
        self._sums.index_add_(0, self._splits[positions.cpu()], contributions(logits.cpu()))

    def tensor(self) -> Tensor:
        """Gives the sums, to be added over processes, (splits · (2 + classes),), float64."""
        return self._sums.flatten()

    def result(self, total: Tensor) -> Score:
        """Gives the score of sums.

        Args:
            total: what `tensor` gave, added over all processes.
        """
        n, h, q = total.view_as(self._sums).split([1, 1, self._sums.shape[1] - 2], 1)
        scores = torch.exp((h / n).squeeze(1) + torch.special.entr(q / n).sum(1))
        return Score(scores.mean().item(), scores.std(correction=0).item())


def contributions(logits: Tensor) -> Tensor:
    """1, Σ p log p and p of every image, p = softmax(logits), (B, 2 + K), float64, rounded so that they add exactly.

    Args:
        logits: (B, K).
    """
    p = logits.double().softmax(1)
    h = -torch.special.entr(p).sum(1, keepdim=True)
    return torch.cat([torch.ones_like(h), _to_multiples(h, 32), _to_multiples(p, 36)], 1)


def splits_of(n: int) -> Tensor:
    """Gives the split of every image, (n,), int64: ten shuffled parts whose sizes differ by at most one.

    The image that stands at rank r of the shuffled order is in the split i with i·n // 10 ≤ r < (i + 1)·n // 10, as in
    torch-fidelity.

    Args:
        n: number of images, at least 10.

    Raises:
        GenlitError: there are fewer.
    """
    if n < SPLITS:
        raise GenlitError(
            f"{n} images are too few for an Inception Score over {SPLITS} splits: give it at least {SPLITS}."
        )
    starts = np.arange(1, SPLITS) * n // SPLITS
    splits = np.empty(n, dtype=np.int64)
    splits[np.random.RandomState(SEED).permutation(n)] = np.searchsorted(starts, np.arange(n), side="right")
    return torch.from_numpy(splits)


def _to_multiples(x: Tensor, bits: int) -> Tensor:
    return (x * 2**bits).round() / 2**bits
