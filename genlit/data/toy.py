"""Points of the plane drawn from known mixtures, as images of shape (2, 1, 1)."""

import math
from itertools import product
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from genlit.data.base import Source
from genlit.data.store import Contents, Stream
from genlit.errors import GenlitError


class Mixture(Source):
    """Points x ~ 1/K Σₖ N(cₖ, σ² I), labelled by their component k; 50,000 to train on and 10,000 to test.

    Args:
        centres: cₖ, (K, 2).
        std: σ, above 0.
        batch_size: points per iteration, over all processes and accumulated micro-batches; or several: see Source.
        holdout: share of the training points, the last ones, kept for validation.
        workers: processes that read batches.
        seed: fixes the points and their order.
        root: folder of the stores; by default the variable GENLIT_DATA, else ~/.cache/genlit.

    Raises:
        GenlitError: there is no component, or the standard deviation is not above 0.
    """

    licence = "none: points that are drawn by a formula"
    sizes: ClassVar[dict[str, int]] = {"train": 50_000, "test": 10_000}

    def __init__(
        self,
        centres: Tensor,
        std: float,
        batch_size: int | dict[int, int] = 256,
        holdout: float = 0.05,
        workers: int = 0,
        seed: int = 0,
        root: str | None = None,
    ):
        super().__init__(batch_size=batch_size, holdout=holdout, workers=workers, seed=seed, root=root)
        if not len(centres):
            raise GenlitError("The mixture has no component: data.modes or data.side must be at least 1.")
        if not std > 0:
            raise GenlitError(f"data.std is {std}: it must be above 0.")
        self.centres, self.std = centres, std

    def identity(self) -> object:
        """Gives what the points are drawn by."""
        return [self.centres.tolist(), self.std, self.seed]

    def contents(self) -> Contents:
        """Draws the points."""
        splits = {split: [self._stream(k, n)] for k, (split, n) in enumerate(self.sizes.items())}
        return Contents(splits, [str(k) for k in range(len(self.centres))])

    def _stream(self, split: int, n: int) -> Stream:
        random = np.random.default_rng([self.seed, split])
        label = random.integers(len(self.centres), size=n)
        points = self.centres.numpy()[label] + self.std * random.standard_normal((n, 2))
        return {"image": points.astype(np.float32).reshape(n, 2, 1, 1), "label": label}


class Ring(Mixture):
    """Normal components evenly on a circle: cₖ = r (cos 2πk/K, sin 2πk/K).

    Args:
        modes: K, at least 1.
        radius: r.
        std: σ, above 0.
        kwargs: those of Mixture.
    """

    def __init__(self, modes: int = 8, radius: float = 1.0, std: float = 0.02, **kwargs: Any):
        angles = torch.arange(modes) * (2 * math.pi / modes)
        super().__init__(radius * torch.stack([angles.cos(), angles.sin()], dim=1), std, **kwargs)


class Grid(Mixture):
    """Normal components on a square lattice around the origin.

    Args:
        side: components per side, at least 1.
        spacing: distance of neighbours.
        std: σ, above 0.
        kwargs: those of Mixture.
    """

    def __init__(self, side: int = 5, spacing: float = 0.5, std: float = 0.0125, **kwargs: Any):
        ticks = [(k - (side - 1) / 2) * spacing for k in range(side)]
        super().__init__(torch.tensor(list(product(ticks, ticks))), std, **kwargs)
