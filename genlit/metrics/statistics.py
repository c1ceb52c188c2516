"""What is known of a set of images through an extractor: one pass, and the same bits on any number of processes."""

import logging
import math
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from genlit.engine.processes import collect, rank, total
from genlit.errors import GenlitError
from genlit.metrics.distances.frechet import Moments
from genlit.metrics.distances.score import Score, ScoreSums
from genlit.metrics.extractors.base import PASS, Extractor

log = logging.getLogger("genlit")

_STEPS: WeakKeyDictionary[Extractor, dict[torch.Size, float]] = WeakKeyDictionary()
BITS = 17  # of a feature, relative to the extractor's scale: products have 34, which leaves 19 to add up in


@dataclass(frozen=True)
class Summary:
    """A set of n images as an extractor sees it.

    Args:
        moments: mean and covariance of the features.
        features: float32 (n, D) in order of position, or None where they were not kept.
        radii: of the features' neighbourhoods, see `neighbours.radii`; None where they were not asked for.
        score: the Inception Score, or None where it was not asked for.
    """

    moments: Moments
    features: Tensor | None = None
    radii: Tensor | None = None
    score: Score | None = None


class Collector:
    """Collects a set's statistics: `update` with images and their positions, then `compute` on every process.

    Every image counts once, by its position in the whole set; others than 0 to n - 1 are a sampler's padding and left
    out. Σx and Σxxᵀ are exact: features are rounded to multiples of a power of two, 2⁻¹⁷ of the extractor's scale (see
    `step`), whose products float64 adds without rounding while n E[x²] < 2¹⁹ scale², which is warned of. So neither the
    order, nor the batches, nor the number of processes changes a bit, and a reduction costs one sum of D(D + 3)/2
    numbers. Sets of no more images than dimensions keep their features, which are fewer numbers than the sums.

    Args:
        extractor: gives the features.
        n: images in the set, over all processes.
        features: keep them, 4 n D bytes, gathered on the first process.
        score: collect the Inception Score.

    Raises:
        GenlitError: n is below 2, or a score is asked of an extractor without a final layer.
    """

    def __init__(self, extractor: Extractor, n: int, *, features: bool = False, score: bool = False):
        if n < 2:
            raise GenlitError(f"{n} images are too few to compare: give at least 2")
        if score and extractor.classes is None:
            raise GenlitError(
                f"the weights of {extractor.family} lack the final layer, which the Inception Score needs: leave `is` "
                "out of the metrics or give whole weights"
            )
        self.extractor, self.n, self.scored = extractor, n, score
        self.keeps, self.adds = features or n <= extractor.width, n > extractor.width
        self.reset()

    def reset(self) -> None:
        """Starts anew."""
        self.seen = torch.zeros(self.n, dtype=torch.int32)
        self.rows: list[tuple[Tensor, Tensor]] = []
        self.sums = _Sums(self.extractor.width, self.extractor.device) if self.adds else None
        self.scores = ScoreSums(self.n, self.extractor.classes) if self.scored else None

    def update(self, images: Tensor, positions: Tensor | None = None) -> None:
        """Takes a batch in.

        Args:
            images: uint8 (B, C, H, W).
            positions: int64 (B,), of each image in the set; by default those after the images seen so far.
        """
        if positions is None:
            positions = torch.arange(len(images)) + int(self.seen.sum())
        fresh = self._fresh(positions := positions.cpu())
        if not len(fresh):
            return
        images, positions = images[fresh.to(images.device)], positions[fresh]
        pool, logits = self.extractor(images)
        self.seen[positions] = 1  # only now: a batch that was refused may be given again
        if self.keeps:
            self.rows.append((positions, pool.cpu()))
        if self.sums:
            self.sums.add(pool, step(self.extractor, images.shape[1:]))
        if self.scores:
            self.scores.add(logits, positions)

    def compute(self) -> Summary | None:
        """The statistics, on the first process; None on the others. All must call it.

        Raises:
            GenlitError: a position is missing, or was seen by two processes.
        """
        self._refuse_gaps()
        shares = collect(self.rows) if self.keeps else None
        moments = self.sums.moments(self.n) if self.sums else None
        score = self.scores.result(total(self.scores.tensor())) if self.scores else None
        if rank():
            return None
        features = self._in_order(shares) if self.keeps else None
        return Summary(moments or Moments.of(features), features, score=score)

    def _fresh(self, positions: Tensor) -> Tensor:
        """Rows of a batch that count: the first of each position in the set that was not seen before."""
        unique, first = (torch.from_numpy(found) for found in np.unique(positions.numpy(), return_index=True))
        inside = (unique >= 0) & (unique < self.n)
        return first[inside][self.seen[unique[inside]] == 0]

    def _refuse_gaps(self) -> None:
        times = total(self.seen)
        if missing := int((times == 0).sum()):
            raise GenlitError(f"{missing} of {self.n} images were never given: positions are 0 to {self.n - 1}")
        if repeated := int((times > 1).sum()):
            raise GenlitError(f"{repeated} of {self.n} images were given to two processes: each position has one owner")

    def _in_order(self, shares: list[list[tuple[Tensor, Tensor]]]) -> Tensor:
        features = torch.empty(self.n, self.extractor.width, dtype=torch.float32)
        for positions, pool in (batch for share in shares for batch in share):
            features[positions] = pool
        return features


class _Sums:
    """Σx and Σxxᵀ of features rounded to multiples of a power of two, in float64."""

    def __init__(self, width: int, device: torch.device):
        self.device = torch.device("cpu") if device.type == "mps" else device  # Apple's GPUs have no float64
        self.sum = torch.zeros(width, dtype=torch.float64, device=self.device)
        self.outer = torch.zeros(width, width, dtype=torch.float64, device=self.device)
        self.step = math.inf

    def add(self, features: Tensor, step: float) -> None:
        self.step = step
        x = features.to(self.device, torch.float64).div_(step).round_().mul_(step)
        self.sum += x.sum(0)
        self.outer.addmm_(x.T, x)

    def moments(self, n: int) -> Moments:
        """Of all processes' features; they exchange the sum and a triangle of the symmetric one."""
        upper = torch.ones_like(self.outer, dtype=torch.bool).triu_()
        packed = total(torch.cat([self.sum, self.outer[upper]]))
        mean, outer = packed[: len(self.sum)] / n, torch.zeros_like(self.outer)
        outer[upper] = packed[len(self.sum) :]
        outer += outer.triu(1).T
        if outer.diagonal().max() >= 2**53 * self.step**2:  # the largest of all partial sums
            log.warning("the features of %d images are too large to be added exactly: the last bits may differ", n)
        covariance = (outer - n * mean[:, None] * mean) / (n - 1)
        return Moments(n, mean.cpu(), covariance=covariance.cpu())


def step(extractor: Extractor, shape: torch.Size) -> float:
    """What features are rounded to: 2⁻¹⁷ of the power of two above the largest feature of 32 images of noise.

    A power of two of the extractor's own scale, so that it is the same on every process, and known before any image is.
    """
    steps = _STEPS.setdefault(extractor, {})
    if shape not in steps:
        noise = torch.randint(256, (PASS, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        scale = float(extractor(noise).pool.abs().max()) or 1.0
        steps[shape] = 2.0 ** (math.ceil(math.log2(scale)) - BITS)
    return steps[shape]
