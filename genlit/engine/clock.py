"""Everything is a function of the clock: seeds from (seed, iteration, slot, turn), rates from images seen.

A run that resumes at iteration `it` needs no saved random state: it derives the same numbers again.
"""

import hashlib
from contextlib import AbstractContextManager
from itertools import pairwise

import torch

from genlit.errors import GenlitError


def derive(*key: int | str) -> int:
    """A 63-bit seed from the words of a key, the same on every machine and in every process."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def reseed(device: torch.device, *key: int | str) -> None:
    """Sets torch's global random state on the CPU and on `device` from a key."""
    seed = derive(*key)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed costs 20 times as much: it asks every back end
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def untouched(device: torch.device) -> AbstractContextManager[None]:
    """A block after which torch's global random state, on the CPU and on `device`, is what it was."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


class Batches:
    """The images of each iteration, which may depend on the images seen before it.

    A stage ends at the first iteration boundary at or after the next one's number of images.

    Args:
        sizes: images per iteration: one number, or by the images seen from which on it holds, ascending from 0.

    Raises:
        GenlitError: there is no first stage, the stages are out of order, or a batch holds no image.
    """

    def __init__(self, sizes: int | dict[int, int]):
        self._starts = {0: sizes} if isinstance(sizes, int) else sizes
        self._named = not isinstance(sizes, int)
        self._refuse_disorder(list(self._starts))
        for name, size in self.sizes.items():
            if size < 1:
                raise GenlitError(f"{name} is {size}: it must be at least 1")
        self._stages = [(0, 0, self._starts[0])]  # first iteration, images before it, images of each
        for start, size in list(self._starts.items())[1:]:
            iteration, images, previous = self._stages[-1]
            lasts = max(0, -((images - start) // previous))  # iterations, rounded up
            self._stages.append((iteration + lasts, images + lasts * previous, size))

    @property
    def sizes(self) -> dict[str, int]:
        """Every stage's batch by its key."""
        return {f"data.batch_size{f'.{start}' * self._named}": size for start, size in self._starts.items()}

    @property
    def largest(self) -> int:
        """The largest batch of all."""
        return max(self._starts.values())

    def at(self, iteration: int) -> tuple[int, int]:
        """Images before an iteration, and its own."""
        first, images, size = next(stage for stage in reversed(self._stages) if stage[0] <= iteration)
        return images + (iteration - first) * size, size

    def _refuse_disorder(self, starts: list[int]) -> None:
        if starts[:1] != [0] or any(late <= early for early, late in pairwise(starts)):
            raise GenlitError(
                f"data.batch_size has the stages {starts}: they must be numbers of images, ascending from 0, such as "
                "{0: 64, 40000: 32}"
            )


def ramp(images: float, duration: float) -> float:
    """Rises linearly from 0 to 1 over `duration` images, 1 at once when the duration is 0."""
    return min(1.0, images / duration) if duration else 1.0


def fall(images: float, start: float, end: float) -> float:
    """1 until `start` images, then linearly down to 0 at `end`: Zhu et al. 2017, appendix 7.1."""
    return min(1.0, max(0.0, (end - images) / (end - start)))


def rate(images: int, warmup: int, decay: tuple[int, int] | None) -> float:
    """The learning rate's factor after `images` images: ramp(images, warmup) · fall(images, *decay)."""
    return ramp(images, warmup) * (fall(images, *decay) if decay else 1.0)
