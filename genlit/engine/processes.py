"""Collectives that a single process passes through."""

from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer
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


def agree(trainer: Trainer, value: int) -> int:
    """The `highest` value as a number.

    On CUDA an answer costs a wait for the device, so processes talk every 16 iterations and the answer is 0 between.

    Args:
        trainer: the trainer, at an iteration boundary.
        value: 0 or more.
    """
    device = trainer.strategy.root_device
    if world_size() == 1:
        return value
    if device.type == "cuda" and trainer.global_step % 16:
        return 0
    return int(highest(torch.tensor(value, device=device)))
