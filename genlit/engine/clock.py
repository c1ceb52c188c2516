"""Everything is a function of the clock: seeds from (seed, iteration, slot, turn), rates from images seen.

A run that resumes at iteration `it` needs no saved random state: it derives the same numbers again.
"""

import hashlib
from contextlib import AbstractContextManager

import torch


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


def ramp(images: float, duration: float) -> float:
    """Rises linearly from 0 to 1 over `duration` images, 1 at once when the duration is 0."""
    return min(1.0, images / duration) if duration else 1.0


def fall(images: float, start: float, end: float) -> float:
    """1 until `start` images, then linearly down to 0 at `end`: Zhu et al. 2017, appendix 7.1."""
    return min(1.0, max(0.0, (end - images) / (end - start)))


def rate(images: int, warmup: int, decay: tuple[int, int] | None) -> float:
    """The learning rate's factor after `images` images: ramp(images, warmup) · fall(images, *decay)."""
    return ramp(images, warmup) * (fall(images, *decay) if decay else 1.0)
