"""A measured number, with how it was come by."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Measure:
    """One row of a table.

    Args:
        name: the metric and its protocol: `fid/inception-tf1.n10000.test`.
        value: the number.
        n: images or pairs that it is about.
        details: what else a reader needs to compare it: the reference's size, the spread, k ...
        seconds: what it took, with the passes that it shares with other rows; None until it is known.
    """

    name: str
    value: float
    n: int
    details: dict[str, Any] = field(default_factory=dict)
    seconds: float | None = None

    def record(self) -> dict[str, Any]:
        """The row as plain containers; JSON has no word for a value that is not finite, which becomes None."""
        value = self.value if math.isfinite(self.value) else None
        return {"name": self.name, "value": value, "n": self.n, **self.details, "seconds": self.seconds}


def timed(measure: Callable[[], Iterable[Measure]], shared: float = 0.0) -> list[Measure]:
    """Measures, and says what all took together, of the rows that do not say what they took themselves.

    Args:
        measure: gives the rows.
        shared: seconds of passes that came before.
    """
    start = time.perf_counter()
    measures = list(measure())
    seconds = round(shared + time.perf_counter() - start, 3)
    return [each if each.seconds is not None else replace(each, seconds=seconds) for each in measures]
