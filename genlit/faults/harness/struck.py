"""A model and a source to which something happens at an iteration; offered by `--trust genlit.faults.harness.struck`.

What happens is said by a variable of the environment, not by the configuration: the same run goes on without it.
"""

import os
import signal
import time
from collections.abc import Iterator
from typing import NamedTuple

import torch

from genlit.data import Digits
from genlit.data.base import Rows
from genlit.model import Batch, Turn
from genlit.models import DCGAN

VARIABLE = "GENLIT_STRIKE"
MODEL = ("--trust=genlit.faults.harness.struck", "--model.name=Struck")
DATA = ("--trust=genlit.faults.harness.struck", "--data.name=StruckDigits")


class Strike(NamedTuple):
    """What happens, and when.

    Args:
        deed: a signal's name (sent to the process itself), nan, raise, hang or memory.
        at: the iteration, from 0; for a source, the batch of a worker.
        whom: the player whose turn it is, `input`, or `start` before the first iteration.
        rank: of the process, or of the data worker.
    """

    deed: str
    at: int = 5
    whom: str = "generator"
    rank: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """The variable that makes it happen."""
        return {VARIABLE: f"{self.deed} {self.at} {self.whom} {self.rank}"}

    def happens(self, device: torch.device | str = "cpu") -> None:
        """Does the deed to this process, on a device where it is one of memory."""
        if self.deed in signal.Signals.__members__:
            os.kill(os.getpid(), signal.Signals[self.deed])
        elif self.deed == "raise":
            raise RuntimeError("struck")
        elif self.deed == "hang":
            time.sleep(3600)
        elif self.deed == "memory":
            torch.empty(1 << 50, device=device)


def due(at: int, whom: str, rank: int) -> Strike | None:
    """What the environment has happen here and now."""
    deed, *when = os.environ.get(VARIABLE, "none").split()
    return Strike(deed, at, whom, rank) if when == [str(at), whom, str(rank)] else None


class Struck(DCGAN):
    """A DCGAN, until it is struck: between the critic's turn and the generator's, say.

    Args:
        shape: as of DCGAN, as is the rest.
    """

    def on_fit_start(self) -> None:
        """Strikes before the training."""
        super().on_fit_start()
        self._struck("start", {})

    def turns(self, batch: Batch) -> Iterator[Turn]:
        """Plays DCGAN's turns; what strikes a player does before it has stepped."""
        for player, terms in super().turns(self._struck("input", batch)):
            yield player, self._struck(player, terms)

    def _struck(self, whom: str, values: dict) -> dict:
        strike = due(self.iteration, whom, self.global_rank)
        if strike:
            strike.happens(self.device)
        spoilt = strike and strike.deed == "nan"
        return {name: value * torch.nan for name, value in values.items()} if spoilt else values


class StruckDigits(Digits):
    """Digits, until a worker that reads them is struck."""

    def rows(self, split: str) -> Rows:
        """The rows of a split; those of training strike."""
        rows = super().rows(split)
        return StruckRows(rows) if split == "train" else rows


class StruckRows(Rows):
    """Rows that strike the worker which reads its `at`-th batch of them.

    Args:
        rows: all.
    """

    def __init__(self, rows: Rows):
        super().__init__(rows.store, rows.split, rows.spans)
        self.read = 0

    def __getitem__(self, rows: list) -> dict:
        worker = torch.utils.data.get_worker_info()
        self.read += 1
        if worker and (strike := due(self.read, "input", worker.id)):
            strike.happens()
        return super().__getitem__(rows)
