"""Collectives that a single process passes through."""

from typing import Any

import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather(thing: Any) -> list[Any]:
    """Every process's `thing`, in order of rank, on every process."""
    everyone: list[Any] = [thing] * world_size()
    if len(everyone) > 1:
        dist.all_gather_object(everyone, thing)
    return everyone


def highest(value: Tensor) -> Tensor:
    """The largest of all processes' values, in place."""
    if world_size() > 1:
        dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return value
