"""Means over images, to the last bit the same in any order, in batches of any size, on any number of processes."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor
from torch.utils.data import default_convert

from genlit.data import Source
from genlit.engine.clock import reseed, untouched
from genlit.engine.processes import gather, rank, world_size
from genlit.errors import GenlitError
from genlit.families.sampling import BLOCK  # rows per pass, too: no batch size changes a draw or a rounding


class PerImage:
    """Means of named values over the images at positions 0 … n − 1, each counted once, added exactly in float64.

    Every value is kept with its position. The repeats with which samplers pad, and positions from `n` on, do not count.

    Args:
        n: number of images, over all processes.
    """

    def __init__(self, n: int):
        self.n = n
        self.reset()

    def update(self, values: dict[str, Tensor], positions: Tensor) -> None:
        """Takes in the values of some images.

        Args:
            values: by name, (B,).
            positions: which images they are, int64 (B,), the same for every batch size and number of processes.
        """
        for name, value in values.items():
            pairs = torch.stack([part.detach().cpu().double() for part in (positions, value)], dim=1)
            self.kept.setdefault(name, []).append(pairs.numpy())

    def compute(self) -> dict[str, float]:
        """The means, on every process; all of them must ask, also one that has seen no image.

        Raises:
            GenlitError: the value of some image is missing.
        """
        return merged(gather({name: np.concatenate(pairs) for name, pairs in self.kept.items()}), self.n)

    def reset(self) -> None:
        """Forgets all values."""
        self.kept: dict[str, list[np.ndarray]] = {}


def merged(shares: list[dict[str, np.ndarray]], n: int) -> dict[str, float]:
    """Means over positions 0 … n − 1 of what processes hold.

    Args:
        shares: of each process, by name, pairs of position and value, float64 (M, 2).
        n: number of images.

    Raises:
        GenlitError: a position is missing.
    """
    names = dict.fromkeys(name for share in shares for name in share)
    if not names:
        raise GenlitError(f"there is no value to average over {n} images: give the metric images before asking for it")
    return {name: _mean(name, np.concatenate([share[name] for share in shares if name in share]), n) for name in names}


def counted(source: Source, split: str, limit: int | None) -> int:
    """How many rows of a split are measured: all that its streams have in common, `limit` at most.

    Raises:
        GenlitError: there is none.
    """
    stored = min(source.rows(split).sizes)
    n = stored if limit is None else min(stored, limit)
    if n < 1:
        raise GenlitError(f"there is no image to measure: {stored} in {split}, and the limit is {limit}")
    return n


def blocks(
    source: Source, split: str, n: int, device: torch.device, seed: int
) -> Iterator[tuple[dict[str, Any], Tensor]]:
    """This process's transformed batches of the first n rows of a split, and their positions: int64 (B,).

    Rank r takes blocks r, r + world, ... of 64 rows, and the last may reach beyond n. Whatever is drawn for a block, or
    while it is worked on, is drawn from (seed, split, block); the global random state is put back.

    Args:
        source: where the rows are.
        split: a split of the source.
        n: see `counted`.
        device: where the batches go.
        seed: of the draws.
    """
    rows = source.rows(split)
    for block in range(rank(), -(-n // BLOCK), world_size()):
        positions = np.arange(block * BLOCK, min((block + 1) * BLOCK, *rows.sizes))  # whole blocks whatever n is
        batch = move_data_to_device(default_convert(rows[[positions] * len(rows.sizes)]), device)
        with untouched(device), torch.no_grad():
            reseed(device, "per-image", seed, split, block)
            yield source.transform(batch, training=False), torch.from_numpy(positions)


def per_image(
    measure: Callable[[dict[str, Any]], dict[str, Tensor]],
    source: Source,
    split: str,
    device: torch.device,
    *,
    limit: int | None = None,
    seed: int = 0,
) -> tuple[dict[str, float], int]:
    """Means of a measure over the first rows of a split, and how many they are.

    Args:
        measure: gives values (B,) by name, of a transformed batch; its draws depend on the seed, see `blocks`.
        source: where the rows are.
        split: a split of the source.
        device: where the batches go.
        limit: at most this many rows.
        seed: of the draws.

    Raises:
        GenlitError: there is no such row.
    """
    means = PerImage(counted(source, split, limit))
    for batch, positions in blocks(source, split, means.n, device, seed):
        means.update(measure(batch), positions)
    return means.compute(), means.n


def protocol(source: Source, n: int, split: str, what: str = "") -> str:
    """The part of a measure's name that says of what it is: `codes.dynamic.n2000.test`."""
    return ".".join(filter(None, [what, source.binarize, f"n{n}", split]))


def _mean(name: str, pairs: np.ndarray, n: int) -> float:
    within = pairs[(pairs[:, 0] >= 0) & (pairs[:, 0] < n)]
    ordered = within[np.lexsort((within[:, 1], within[:, 0]))]  # by position, and of repeats the smallest value first
    positions, first = np.unique(ordered[:, 0], return_index=True)
    if len(positions) < n:
        missing = np.setdiff1d(np.arange(n), positions)
        raise GenlitError(f"{name}: {len(missing)} of {n} images are missing, the first at position {missing[0]}")
    return math.fsum(ordered[first, 1]) / n
