"""`genlit eval`: what a trained model's capabilities allow to be measured, with its protocol and cost."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from genlit import config, runs
from genlit.capabilities import Translates
from genlit.data import Source
from genlit.errors import GenlitError
from genlit.files import write
from genlit.loading import load
from genlit.metrics.translation import paired_errors
from genlit.model import GenerativeModel


def evaluate(run: str, *, split: str = "test", device: str = "cpu", trust: tuple[str, ...] = ()) -> dict[str, float]:
    """Measures a run's newest checkpoint (averaged weights); prints a table and saves `eval-<split>.json` beside it.

    Raises:
        GenlitError: there is no such run, or its data are gone.
    """
    path = runs.resolve(run)
    folder, model = path.parent.parent, load(path, device=device, trust=trust)
    settings = config.parse([folder / "config.yaml"], [])
    source = config.source(settings)
    measured = [row for measure in measures(model, source, split) for row in _timed(measure)]
    _show(path, measured)
    claim = _claim(settings.claim, measured)
    saved = {"checkpoint": path.name, "split": split, "seed": model.seed, "claim": claim}
    saved["metrics"] = {name: {"value": value, "seconds": seconds} for name, value, seconds in measured}
    write(folder / f"eval-{split}.json", json.dumps(saved, indent=2) + "\n")
    if claim is False:
        raise GenlitError(f"{path} does not hold the experiment's claim: {settings.claim.as_dict()}")
    return {name: value for name, value, _ in measured}


def measures(model: GenerativeModel, source: Source, split: str) -> list[Callable[[], dict[str, float]]]:
    """What this model on these data allows."""
    offered = [lambda: held_out_terms(model, source, split)]
    if isinstance(model, Translates) and source.paired(split):
        offered.append(lambda: paired_errors(model, source, split))
    return offered


@torch.no_grad()
def held_out_terms(model: GenerativeModel, source: Source, split: str) -> dict[str, float]:
    """Means of the game's terms over a split, every image once; the names carry how it was binarised, if it was."""
    for index, batch in enumerate(source.loader(split)):
        moved = {k: v.to(model.device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
        model.examine(moved, index, source)
    protocol = f"{source.binarize}.{split}" if source.binarize else split
    return {f"{name.removeprefix('val/')}.{protocol}": value for name, value in model.examined().items()}


def _timed(measure: Callable[[], dict[str, float]]) -> list[tuple[str, float, float]]:
    start = time.perf_counter()
    values = measure()
    seconds = round(time.perf_counter() - start, 2)
    return [(name, value, seconds) for name, value in values.items()]


def _show(path: Path, measured: list[tuple[str, float, float]]) -> None:
    table = Table(title=str(path))
    for column, side in (("metric", "left"), ("value", "right"), ("seconds", "right")):
        table.add_column(column, justify=side)
    for name, value, seconds in measured:
        table.add_row(name, f"{value:.6g}", f"{seconds:g}")
    Console().print(table)


def _claim(claim: config.Namespace | None, measured: list[tuple[str, float, float]]) -> bool | None:
    """Whether the experiment's claim holds of every metric that its name begins; None without a claim."""
    if claim is None:
        return None
    values = [value for name, value, _ in measured if name.startswith(claim.metric)]
    if not values:
        raise GenlitError(f"claim.metric: nothing measured is called '{claim.metric}'")
    low = claim.at_least if claim.at_least is not None else float("-inf")
    high = claim.at_most if claim.at_most is not None else float("inf")
    return all(low <= value <= high for value in values)
