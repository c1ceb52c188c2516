"""Which rows are read at which iteration: a function of (seed, iteration), and of nothing else."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import count

import numpy as np
from torch.utils.data import Sampler

from genlit.engine.clock import Batches
from genlit.errors import GenlitError


class Order:
    """An endless order of `n` rows: one permutation after another, each a function of (seed, name, epoch).

    Position p is row π_e(p mod n) of epoch e = ⌊p / n⌋.

    Args:
        n: number of rows, at least 1.
        seed: at least 0.
        name: tells apart orders with the same seed.

    Raises:
        GenlitError: there is no row, or the seed is negative.
    """

    def __init__(self, n: int, seed: int, name: str):
        if n < 1:
            raise GenlitError("There is no image to train on: add images, or lower data.holdout.")
        if seed < 0:
            raise GenlitError(f"The seed is {seed}: it must be 0 or more.")
        self.n, self._entropy = n, (seed, int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]))
        self._permutations: dict[int, np.ndarray] = {}

    def permutation(self, epoch: int) -> np.ndarray:
        """Gives the rows of one epoch in order, int64 (n,)."""
        if epoch not in self._permutations:
            self._permutations = {e: p for e, p in self._permutations.items() if e == epoch - 1}
            # Sorting raw bits: unlike Generator.permutation, numpy keeps these streams the same for ever.
            bits = np.random.Philox(np.random.SeedSequence((*self._entropy, epoch))).random_raw(self.n)
            self._permutations[epoch] = np.argsort(bits, kind="stable")
        return self._permutations[epoch]

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Gives the rows at positions start <= p < stop, int64 (stop - start,)."""
        epochs, offsets = np.divmod(np.arange(start, stop), self.n)
        return np.concatenate([self.permutation(int(e))[offsets[epochs == e]] for e in np.unique(epochs)])


class ClockedBatches(Sampler[list[np.ndarray]]):
    """Endless training batches: iteration `it`, of B images after n, reads positions [n, n + B) of every order.

    Rank r takes the r-th of `world` equal slices, so the union over ranks does not depend on `world`.

    Args:
        sizes: rows of each stream.
        batch_size: B, images per iteration over all processes, or several: see Batches.
        seed: at least 0.
        rank: this process, 0 <= rank < world.
        world: number of processes; divides every B.
        start: gives the iteration to begin at, asked each time iteration begins.

    Raises:
        GenlitError: `world` does not divide a B.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        batch_size: int | dict[int, int],
        seed: int,
        rank: int,
        world: int,
        start: Callable[[], int],
    ):
        self.batches = Batches(batch_size)
        for name, size in self.batches.sizes.items():
            if size % world:
                raise GenlitError(f"{name} is {size}, which {world} processes cannot share equally.")
        self.orders = [Order(n, seed, f"stream {k}") for k, n in enumerate(sizes)]
        self.rank, self.world, self.start = rank, world, start

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        for iteration in count(self.start()):
            images, size = self.batches.at(iteration)
            share = size // self.world
            position = images + self.rank * share
            yield [order.rows(position, position + share) for order in self.orders]


class OrderedBatches(Sampler[list[np.ndarray]]):
    """Every row once, in order: rank r takes batches r, r + world, ...; ranks may be uneven, the last batch short.

    A batch has B / world rows, as in training, or fewer where some rank would have no batch: all must take part.

    Args:
        sizes: rows of each stream; unpaired streams end together, with the shorter.
        batch_size: B, images per batch of all processes.
        rank: this process, 0 <= rank < world.
        world: number of processes.

    Raises:
        GenlitError: there are rows, but fewer than processes.
    """

    def __init__(self, sizes: Sequence[int], batch_size: int, rank: int, world: int):
        self.streams, n = len(sizes), min(sizes)
        if 0 < n < world:
            raise GenlitError(
                f"The {n} images to evaluate on are too few for {world} processes: raise data.holdout, or set "
                "trainer.devices to at most their number."
            )
        share = max(1, min(batch_size, n) // world)
        self.spans = [(i, min(i + share, n)) for i in range(0, n, share)][rank::world]

    def __len__(self) -> int:
        return len(self.spans)

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        for span in self.spans:
            yield [np.arange(*span)] * self.streams
