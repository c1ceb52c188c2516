"""A non-finite loss or gradient stops the run before the step, by name, and is never saved."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from genlit.engine.processes import highest
from genlit.errors import GenlitError


class Watched(NamedTuple):
    """One turn's values, kept until they are read."""

    iteration: int
    player: str
    names: list[str]
    values: Tensor
    bad: Tensor


class Guard:
    """Looks at every turn's terms and gradient norm before the optimiser steps.

    On the CPU a bad turn raises at once. On a GPU the look must not wait for the device: a fused optimiser is told to
    leave its weights alone (`found_inf`) and the error is raised when the numbers are read anyway, at the next flush
    or save.
    """

    def __init__(self) -> None:
        self.pending: list[Watched] = []

    def watch(
        self, iteration: int, player: str, terms: list[tuple[str, Tensor]], norm: Tensor, optimizer: Optimizer
    ) -> None:
        """Examines a turn; all processes agree on whether it was bad."""
        names = [f"term '{name}'" for name, _ in terms] + ["gradient norm"]
        values = torch.stack([value.detach().to(norm.dtype) for _, value in terms] + [norm])
        bad = highest((~values.isfinite()).any().to(torch.float32))
        self.pending.append(Watched(iteration, player, names, values, bad))
        if norm.device.type == "cuda" and getattr(optimizer, "_step_supports_amp_scaling", False):
            optimizer.found_inf = bad
        else:
            self.check()

    def check(self) -> None:
        """Reads what is pending; the first bad turn is a GenlitError."""
        pending, self.pending = self.pending, []
        if not pending or not torch.stack([turn.bad for turn in pending]).any():
            return
        turn = next(turn for turn in pending if turn.bad)
        pairs = zip(turn.names, turn.values.tolist(), strict=True)
        found = [f"{name} is {value}" for name, value in pairs if not math.isfinite(value)]
        raise GenlitError(
            f"iteration {turn.iteration}, player '{turn.player}': {', '.join(found) or 'not finite elsewhere'}; the "
            "step was not taken and this state is never saved: go on from the last checkpoint with "
            "--resume --override and a lower --model.lr or a --model.clip"
        )
