"""Players over several processes: the gradients of one optimiser are averaged just before it consumes them.

Lightning's `ddp` wraps the whole module and counts on every parameter taking part in every backward, which a game never
does. Without the wrapper, parameters are broadcast once, and each step all-reduces one flat buffer per dtype: the same
bytes, and equal to one process on the global batch for any number of players, penalties, accumulation or clipping.
"""

from collections import defaultdict
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch.overrides.distributed import _sync_module_states
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.optim import Optimizer

from genlit.errors import GenlitError


def parameters(optimizer: Optimizer) -> list[Tensor]:
    """The parameters that an optimiser owns, in order."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def average_gradients(optimizer: Optimizer) -> None:
    """g ← (1/P) Σ_p g_p over P processes, for every parameter of one optimiser, in one flat buffer per dtype.

    Zeros stand in where this process has no gradient. A flag per parameter travels with the buffer, so that a parameter
    without a gradient anywhere keeps none, as in a single process.
    """
    by_dtype = defaultdict(list)
    for parameter in parameters(optimizer):
        by_dtype[parameter.dtype].append(parameter)
    for group in by_dtype.values():
        _average(group)


def _average(group: list[Tensor]) -> None:
    here = [p.grad is not None for p in group]
    flags = torch.tensor(here, dtype=group[0].dtype, device=group[0].device)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in group]
    flat = torch.cat([flags, *(g.reshape(-1) for g in gradients)])
    dist.all_reduce(flat)
    anywhere = here if all(here) else flat[: len(group)].tolist()  # reading waits for the device: only if needed
    parts = flat[len(group) :].div_(dist.get_world_size()).split([p.numel() for p in group])
    # copied, not viewed: a fused optimiser reads memory and needs gradients laid out as their parameters are
    torch._foreach_copy_(gradients, [part.view(p.shape) for part, p in zip(parts, group, strict=True)])
    for parameter, gradient, present in zip(group, gradients, anywhere, strict=True):
        parameter.grad = gradient if present else None


class SyncAtStep(DDPStrategy):
    """Data parallelism for games. Buffers are rank 0's after `broadcast_buffers`; parameters never drift."""

    def configure_ddp(self) -> None:
        """Broadcasts rank 0's parameters and buffers once, instead of wrapping the module."""
        _sync_module_states(self.model)

    def setup_optimizers(self, trainer: Any) -> None:
        """Makes every optimiser refuse a step whose gradients were not averaged."""
        super().setup_optimizers(trainer)
        self._averaged: Optimizer | None = None
        for optimizer in self.optimizers:
            optimizer.register_step_pre_hook(self._refuse_unsynchronised)

    def optimizer_step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """Averages the optimiser's gradients, then steps it."""
        average_gradients(optimizer)
        self._averaged = optimizer
        try:
            return super().optimizer_step(optimizer, *args, **kwargs)
        finally:
            self._averaged = None

    def _refuse_unsynchronised(self, optimizer: Optimizer, *_: Any) -> None:
        if self._averaged is not optimizer:
            raise GenlitError(
                "an optimiser was stepped without averaging its gradients over the processes; "
                "yield the turn from `turns` instead of calling `optimizer.step()`"
            )

    def broadcast_buffers(self) -> None:
        """Gives every process rank 0's buffers (BatchNorm's statistics, spectral norm's vectors)."""
        for buffer in self.lightning_module.buffers():
            dist.broadcast(buffer, src=0)
