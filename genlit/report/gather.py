"""What a run folder holds, as plain data; nothing here needs torch, so a report takes a moment."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from genlit.errors import GenlitError
from genlit.runs import ROOT, flat, newest
from genlit.runs.records import Record, read
from genlit.secrets import redact

BELOW = ("*", "*/*", "*/*/*")  # how deep in a folder runs are looked for
STILLS = (  # pictures that verbs leave in a run folder; an image by itself is called by its number
    "pictures/*.png", "samples/[!0-9]*.png", "completions/[!0-9]*.png", "puzzle/[!0-9]*.png",
    "translations/*/side-by-side.png",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A run folder's content.

    Attributes:
        name: what it is called among the runs of a page.
        records: of its history, those that say how many images were seen.
        config: resolved, without secrets.
        departures: what its configuration has in place of the experiment's, `{"model.lr": [2e-4, 1e-4]}`; None where
            that was not recorded.
        environment: packages, commit, machine.
        command: that started it.
        evaluations: tables of `genlit eval`, by split: `test`, `test@best`.
        films: pictures of one kind by iteration: `{"samples": {0: path, 500: path}}`.
        stills: other pictures by name.
    """

    name: str
    records: list[Record]
    config: dict[str, Any]
    departures: dict[str, list[Any]] | None
    environment: dict[str, Any]
    command: str
    evaluations: dict[str, dict[str, Any]]
    films: dict[str, dict[int, Path]]
    stills: dict[str, Path]

    @property
    def iterations(self) -> int:
        """How far its records reach."""
        return int(self._last("progress/iter"))

    @property
    def images(self) -> int:
        """Images seen so far."""
        return int(self._last("progress/images"))

    @property
    def hours(self) -> float:
        """Wall-clock hours of training so far."""
        return self._last("progress/hours")

    @property
    def keys(self) -> dict[str, Any]:
        """Its configuration in one level: `{"model.lr": 1e-4}`."""
        return flat(self.config)

    @property
    def claims(self) -> list[dict[str, Any]]:
        """What its experiment claims: metrics and bounds."""
        claim = self.config.get("claim") or []
        return claim if isinstance(claim, list) else [claim]

    @property
    def claim_held(self) -> bool | None:
        """Whether the last checkpoint's test held it; None where it was not checked."""
        return self.evaluations.get("test", {}).get("claim")

    def images_at(self, iteration: int) -> int:
        """Images seen after an iteration: between two records in proportion, beyond the last at the mean pace."""
        at = [0, *(record["progress/iter"] for record in self.records)]
        seen = [0, *(record["progress/images"] for record in self.records)]
        if iteration <= at[-1]:
            return round(float(np.interp(iteration, at, seen)))
        return round(iteration * seen[-1] / at[-1]) if at[-1] else iteration

    def _last(self, axis: str) -> float:
        return max((record.get(axis) or 0 for record in self.records), default=0)


@dataclass(frozen=True)
class Trials:
    """The table of a sweep.

    Attributes:
        rows: a trial each, in words, by the columns of `trials.csv`.
        best: the number of the best complete one; None where none is complete.
    """

    rows: list[dict[str, str]]
    best: str | None


def trials_of(folder: Path) -> Trials | None:
    """The trials of a sweep's folder; None where there is no table of them.

    Raises:
        GenlitError: the table, or what was searched, is damaged.
    """
    rows = _content(folder / "trials.csv", lambda text: list(csv.DictReader(text.splitlines())))
    if rows is None:
        return None
    metric = (_content(folder / "sweep.yaml", _yaml) or {}).get("sweep", {}).get("metric", {})
    sign = -1 if metric.get("goal") == "maximize" else 1
    worth = {row["trial"]: sign * float(row[metric["name"]]) for row in rows if row["state"] == "complete"}
    return Trials(rows, min(worth, key=worth.get, default=None))


def found(name: str, root: Path = ROOT) -> list[Path]:
    """The run folders that are meant by a run's or sweep's folder, `experiment/number`, or an experiment's name.

    Args:
        name: what the user gave; of a folder of runs all of them are meant, of an experiment the newest.
        root: where all runs lie.

    Raises:
        GenlitError: there is no run.
    """
    if run := next(filter(_is_run, (Path(name), root / name)), None):
        return [run]
    if within := [path for pattern in BELOW for path in sorted(Path(name).glob(pattern)) if _is_run(path)]:
        return within
    if last := newest(root, name):
        return [last]
    raise GenlitError(f"{name} is no run, no folder of runs and no trained experiment: `genlit list` shows {root}")


def gather(folder: Path, name: str) -> Run:
    """Reads a run folder; what is not there yet is left empty.

    Args:
        folder: of the run.
        name: what it is to be called.

    Raises:
        GenlitError: a file in it is damaged.
    """
    history = folder / "history.jsonl"
    records = read(history) if history.is_file() else []
    tables = {path.stem.removeprefix("eval-"): path for path in sorted(folder.glob("eval-*.json"))}
    return Run(
        name=name,
        records=[record for record in records if "progress/iter" in record and "progress/images" in record],
        config=redact(_content(folder / "config.yaml", _yaml) or {}),
        departures=redact(_content(folder / "departures.json", json.loads)),
        environment=flat(_content(folder / "environment.json", json.loads) or {}),
        command=_content(folder / "command.txt", str.strip) or "",
        evaluations={split: _content(path, json.loads) for split, path in tables.items()},
        films={
            path.name: drawn for path in sorted(folder.glob("pictures/*/"), key=_order) if (drawn := dict(_drawn(path)))
        },
        stills={_title(path, folder): path for pattern in STILLS for path in sorted(folder.glob(pattern))},
    )


def _is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file() and any(
        (folder / name).is_file() for name in ("history.jsonl", "environment.json")
    )


def _order(folder: Path) -> tuple[bool, str]:
    """Samples come first."""
    return folder.name not in ("samples", "density"), folder.name


def _drawn(folder: Path) -> Iterator[tuple[int, Path]]:
    for path in sorted(folder.glob("it-*.png")):
        if number := re.fullmatch(r"it-(\d+)", path.stem):
            yield int(number[1]), path


def _title(path: Path, folder: Path) -> str:
    """`pictures/closest.png` is closest, `translations/b/side-by-side.png` translations/b."""
    inside = path.relative_to(folder).with_suffix("")
    return inside.parent.as_posix() if inside.name in ("grid", "side-by-side", inside.parent.name) else inside.name


def _content(path: Path, parse: Callable[[str], Any]) -> Any:
    """What a file holds; None without it."""
    try:
        return parse(path.read_text(encoding="utf-8")) if path.is_file() else None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise GenlitError(f"{path} cannot be read ({' '.join(str(error).split())}); restore or remove it") from error


def _yaml(text: str) -> Any:
    return yaml.load(text, yaml.CSafeLoader)
