"""Whether two runs ended in the same place, bit for bit."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

from genlit.engine import checkpoint
from genlit.faults.harness.base import Broken
from genlit.logging import history

COMPARED = ("global_step", "hyper_parameters", "state_dict", "optimizer_states", "processes")
TIMES = ("throughput/", "progress/hours")


def same(one: Path, other: Path, it: int) -> None:
    """Compares two runs: their checkpoints of an iteration, and their histories but for the times in them.

    Args:
        one: a run folder.
        other: another.
        it: the iteration.

    Raises:
        Broken: they differ; the first differences are told.
    """
    found = list(between(one, other, it))
    if found:
        raise Broken(f"{len(found)} differences from the uninterrupted run: {'; '.join(found[:4])}")


def between(one: Path, other: Path, it: int) -> Iterator[str]:
    """What differs between two runs, a sentence for each difference."""
    states = (checkpoint.load(checkpoint.named(run / "checkpoints", it)) for run in (one, other))
    yield from differences(*({key: state[key] for key in COMPARED} for state in states), "checkpoint")
    records = (history.read(run / "history.jsonl") for run in (one, other))
    yield from differences(*([_timeless(record) for record in run] for run in records), "history")


def differences(one: Any, other: Any, where: str) -> Iterator[str]:
    """What differs between two trees of containers and tensors, leaf by leaf."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if one.dtype != other.dtype or not torch.equal(one, other):
            yield f"{where}: {_distance(one, other)}"
    elif isinstance(one, dict) and isinstance(other, dict):
        for key in one | other:
            yield from differences(one.get(key, "absent"), other.get(key, "absent"), f"{where}.{key}")
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        for index, pair in enumerate(zip_longest(one, other, fillvalue="absent")):
            yield from differences(*pair, f"{where}[{index}]")
    elif one != other:
        yield f"{where}: {one} and {other}"


def _distance(one: torch.Tensor, other: torch.Tensor) -> str:
    if one.shape != other.shape or one.dtype != other.dtype:
        return f"{one.dtype} {tuple(one.shape)} and {other.dtype} {tuple(other.shape)}"
    return f"up to {(one.double() - other.double()).abs().max():.3g} apart"


def _timeless(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if not key.startswith(TIMES)}
