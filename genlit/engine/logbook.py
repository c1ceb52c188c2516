"""What is logged stays on the device until it is flushed: one read every k iterations instead of one per value."""

import torch
from torch import Tensor

from genlit.engine.processes import gather

Totals = dict[str, tuple[float, float]]


class Logbook:
    """Running means of named scalars: m = Σ nᵢ vᵢ / Σ nᵢ, added up one after the other in double precision.

    Its state is part of the checkpoint, so a resumed run flushes the same numbers as an uninterrupted one.
    """

    def __init__(self) -> None:
        self.totals: Totals = {}  # Σ nᵢ vᵢ and Σ nᵢ of what has been read
        self.unread: list[tuple[str, Tensor | float, float]] = []

    def add(self, name: str, value: Tensor | float, n: float = 1) -> None:
        """Adds a scalar that stands for `n` observations; it is detached."""
        self.unread.append((name, value.detach() if isinstance(value, Tensor) else value, n))

    def flush(self) -> dict[str, float]:
        """The means over all processes since the last flush, in the order of first mention; starts anew."""
        self._read()
        totals, self.totals = self.totals, {}
        return {name: total / count for name, (total, count) in _over_processes(totals).items()}

    def state_dict(self) -> Totals:
        """The totals so far, as plain numbers."""
        self._read()
        return dict(self.totals)

    def load_state_dict(self, state: Totals) -> None:
        """Goes on from another book's totals."""
        self.totals = dict(state)

    def _read(self) -> None:
        tensors = [value for _, value, _ in self.unread if isinstance(value, Tensor)]
        numbers = iter(torch.stack(tensors).tolist() if tensors else [])
        for name, value, n in self.unread:
            number = next(numbers) if isinstance(value, Tensor) else value
            _count(self.totals, name, n * number, n)
        self.unread = []


def _over_processes(totals: Totals) -> Totals:
    """Adds up every process's totals; one that saw nothing takes part too."""
    added: Totals = {}
    for share in gather(totals):
        for name, (total, count) in share.items():
            _count(added, name, total, count)
    return added


def _count(totals: Totals, name: str, total: float, count: float) -> None:
    before = totals.get(name, (0.0, 0.0))
    totals[name] = (before[0] + total, before[1] + count)
