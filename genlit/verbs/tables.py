"""Tables of measures: on the terminal, in a file, against an experiment's claim."""

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from genlit import config
from genlit.capabilities import Samples
from genlit.data import Source
from genlit.errors import GenlitError
from genlit.files import write
from genlit.logging.media import png, side_by_side
from genlit.metrics.images import to_float
from genlit.metrics.measure import Measure
from genlit.metrics.sets import Stored
from genlit.runs.records import carries


def busy(what: str) -> AbstractContextManager:
    """Shows on a terminal that something is going on."""
    return Console(stderr=True).status(what)


def report(title: str, measured: list[Measure], about: dict[str, Any], out: Path | None) -> None:
    """Prints a table and, where a file is given, saves it: {**about, "metrics": [{"name", "value", "n", ...}, ...]}.

    Args:
        title: over the table.
        measured: its rows.
        about: what holds of all rows; an `extractor` is said below the table.
        out: the file.
    """
    table = Table(title=title, caption=_said_of(about.get("extractor", {})))
    table.add_column("metric", overflow="fold")
    for column in ("value", "±", "n", "seconds"):
        table.add_column(column, justify="right", no_wrap=True)  # a narrow screen may cut no number
    for row in measured:
        spread = f"{row.details['std']:.2g}" if "std" in row.details else ""
        table.add_row(row.name, f"{row.value:.6g}", spread, str(row.n), f"{row.seconds:.3g}")
    Console().print(table)
    if out:
        record = about | {"metrics": [row.record() for row in measured]}
        write(out, json.dumps(record, indent=2, allow_nan=False) + "\n")


def show_closest(file: Path, model: Samples, source: Source, seed: int, measured: list[Measure]) -> None:
    """Draws the samples that are most like training images, each beside the one it is nearest to; nothing without.

    Args:
        file: where to.
        model: that was measured.
        source: of the training images.
        seed: of the samples.
        measured: the rows; that of `authenticity` tells the pairs.
    """
    for row in measured:
        if closest := row.details.get("closest"):
            samples = [model.sample(1, seed=seed, start=start) for start, _, _ in closest]
            images = Stored.of(source, "train").array[[position for _, position, _ in closest]]
            write(file, png(side_by_side(torch.cat(samples).cpu(), to_float(torch.from_numpy(images)))))


def _said_of(network: dict[str, Any]) -> str | None:
    """The extractor in a line: what it is, and how good a classifier."""
    if not network:
        return None
    accuracy = f", right on {network['accuracy']:.1%} of {network['accuracy split']}" if "accuracy" in network else ""
    return f"{network['family']} {network['digest'][:8]}, {network['resize']}, {network['dtype']}{accuracy}"


def broken(claim: config.Namespace | list[config.Namespace] | None, measured: list[Measure]) -> list[str] | None:
    """Those of an experiment's claims that do not hold, in words; None where it claims nothing.

    Raises:
        GenlitError: nothing of a claim's name was measured.
    """
    claims = claim if isinstance(claim, list) else [claim] * (claim is not None)
    failed = [_said(each, found) for each in claims if (found := _outside(each, measured))]
    return failed if claims else None


def _said(claim: config.Namespace, found: list[float]) -> str:
    """A claim in words, and what was found instead."""
    bounds = {"at most": claim.at_most, "at least": claim.at_least}
    said = (f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None)
    return f"{claim.metric} {' and '.join(said)} (it is {', '.join(f'{value:.4g}' for value in found)})"


def _outside(claim: config.Namespace, measured: list[Measure]) -> list[float]:
    """The values of a claim's name, whatever the protocol, of which it does not hold."""
    values = [row.value for row in measured if carries(row.name, claim.metric)]
    if not values:
        raise GenlitError(f"claim.metric: nothing measured is called '{claim.metric}'")
    low = claim.at_least if claim.at_least is not None else float("-inf")
    high = claim.at_most if claim.at_most is not None else float("inf")
    return [value for value in values if not low <= value <= high]
