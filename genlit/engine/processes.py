"""Collectives that a single process passes through."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer
from torch import Tensor

from genlit.errors import GenlitError


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather(thing: Any) -> list[Any]:
    """Every process's `thing`, in order of rank, on every process."""
    everyone: list[Any] = [thing] * world_size()
    if len(everyone) > 1:
        dist.all_gather_object(everyone, thing)
    return everyone


def rank() -> int:
    """This process's number among them, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def collect(thing: Any) -> list[Any] | None:
    """Every process's `thing`, in order of rank, on the first process; None on the others."""
    if world_size() == 1:
        return [thing]
    everyone: list[Any] | None = [None] * world_size() if rank() == 0 else None
    dist.gather_object(thing, everyone, dst=0)
    return everyone


def broadcast(thing: Any) -> Any:
    """The first process's `thing`, on every process."""
    if world_size() == 1:
        return thing
    box = [thing]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def total(value: Tensor) -> Tensor:
    """The sum of all processes' values, on every process, where `value` lies."""
    if world_size() == 1:
        return value
    summed = value.clone().to("cuda" if dist.get_backend() == "nccl" else value.device)
    dist.all_reduce(summed)
    return summed.to(value.device)


@contextmanager
def agreed() -> Iterator[None]:
    """A block without collectives that fails in all processes when it fails in one: none waits for one that left.

    Raises:
        GenlitError: what another process said.
    """
    failure = None
    try:
        yield
    except Exception as error:  # whatever it is, the others must hear of it
        failure = error
    said = gather(None if failure is None else _sentence(failure))
    if failure:
        raise failure
    if heard := next(filter(None, said), None):
        raise GenlitError(heard)


def _sentence(error: Exception) -> str:
    return str(error) if isinstance(error, GenlitError) else f"process {rank()}: {type(error).__name__}: {error}"


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
