"""Sums of what is logged, kept on the device: one read every k iterations instead of one per value."""

import torch
from torch import Tensor

from genlit.engine.processes import gather


class Logbook:
    """Running means of named scalars: m = Σ n_i v_i / Σ n_i, summed in float64 where the device has it.

    Its state is part of the checkpoint, so a resumed run flushes the same numbers as an uninterrupted one.
    """

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, float] = {}

    def add(self, name: str, value: Tensor | float, n: float = 1) -> None:
        """Adds a detached scalar that stands for `n` observations."""
        value = torch.as_tensor(value).detach()
        value = value.to(torch.float32 if value.device.type == "mps" else torch.float64) * n  # mps has no doubles
        before = self.sums.get(name)
        self.sums[name] = value if before is None else before.to(value.device) + value  # restored sums: on the CPU
        self.counts[name] = self.counts.get(name, 0) + n

    def flush(self) -> dict[str, float]:
        """The means over all processes since the last flush, in the order of first mention; starts anew."""
        names, device = list(self.sums), next(iter(self.sums.values())).device if self.sums else "cpu"
        sums = torch.stack([self.sums[name].to(device) for name in names]).tolist() if names else []
        totals = {name: (total, self.counts[name]) for name, total in zip(names, sums, strict=True)}
        self.__init__()
        return {name: total / count for name, (total, count) in _over_processes(totals).items()}

    def state_dict(self) -> dict[str, dict]:
        return {"sums": {name: total.cpu() for name, total in self.sums.items()}, "counts": dict(self.counts)}

    def load_state_dict(self, state: dict[str, dict]) -> None:
        self.sums, self.counts = dict(state["sums"]), dict(state["counts"])


def _over_processes(totals: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Adds up the (sum, count) of every process; one that saw nothing takes part too."""
    added: dict[str, tuple[float, float]] = {}
    for share in gather(totals):
        for name, (total, count) in share.items():
            before = added.get(name, (0.0, 0.0))
            added[name] = (before[0] + total, before[1] + count)
    return added
