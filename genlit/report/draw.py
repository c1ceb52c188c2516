"""From what runs hold to one HTML page: the templates beside this file, filled."""

import base64
import hashlib
import json
import os
from datetime import datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from genlit.errors import GenlitError
from genlit.files import write
from genlit.report import curves
from genlit.report.films import films, stills, webp
from genlit.report.gather import Run, Trials, gather, trials_of

LIMIT = 20_000_000  # bytes of a page
FILE = "report.html"


def write_page(folders: list[Path], out: Path | None = None) -> Path:
    """Writes the page of some run folders; returns its file.

    Args:
        folders: of the runs.
        out: the file; by default `report.html` in the folder that holds them all, which of one run is its own.

    Raises:
        GenlitError: a run folder is damaged, the page would be too large, or it cannot be written.
    """
    home = Path(os.path.commonpath([folder.resolve() for folder in folders]))
    beside = {path.stem: webp(path) for path in sorted(home.glob("*.png"))}
    page = render(_gathered(folders, home), _title(folders, home), beside, trials_of(home)).encode()
    if len(page) > LIMIT:
        size = f"{len(page) / 1e6:.0f} MB of {len(folders)} runs"
        raise GenlitError(f"the page would hold {size}, more than {LIMIT / 1e6:.0f} MB: name fewer runs")
    write(out or home / FILE, page)
    return out or home / FILE


def render(runs: list[Run], title: str, beside: dict[str, str], trials: Trials | None = None) -> str:
    """The page of some runs.

    Args:
        runs: in the order of their colours.
        title: of the page.
        beside: pictures of all runs, such as a sweep's parameters, as data URIs by name.
        trials: of the sweep that the runs are, if they are one.
    """
    style, script = (_file(name) for name in ("style.css", "script.js"))
    return _template().render(
        title=title,
        runs=runs,
        written=datetime.now().astimezone(),
        beside=beside,
        trials=trials,
        films=films(runs),
        stills=stills(runs),
        charts=curves.charts(runs),
        plot=curves,
        colours=curves.COLOURS,
        evaluations=evaluations(runs),
        rows=configuration(runs),
        style=style,
        script=script,
        allowed={"style": digest(style), "script": digest(script)},
    )


def configuration(runs: list[Run]) -> list[dict[str, Any]]:
    """Every key of the runs' configurations: its values, whether they differ, and what the experiments had instead."""
    flat = [run.keys for run in runs]
    return [_row(key, flat, runs) for key in dict.fromkeys(key for keys in flat for key in keys)]


def evaluations(runs: list[Run]) -> dict[str, dict[str, Any]]:
    """What was measured, by split: what holds of each run's table, and the rows of all by their names."""
    splits = dict.fromkeys(split for run in runs for split in run.evaluations)
    return {split: _evaluation([run.evaluations.get(split) for run in runs]) for split in splits}


def said(value: Any) -> str:
    """A value of a configuration or a table in words: text as it is, the rest as JSON has it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def number(value: float | None) -> str:
    """A measured number; a dash for one that is not finite."""
    return "–" if value is None else f"{value:,.5g}"


def digest(text: str) -> str:
    """By which a page's security policy names a script or style that may work in it, and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _gathered(folders: list[Path], home: Path) -> list[Run]:
    """The runs, each by the shortest name that tells it from the others."""
    if len(folders) == 1:
        return [gather(folders[0], _title(folders, home))]
    return [gather(folder, folder.resolve().relative_to(home).as_posix()) for folder in folders]


def _title(folders: list[Path], home: Path) -> str:
    return f"{home.parent.name}/{home.name}" if len(folders) == 1 else home.name


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("genlit.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"short": curves.short, "said": said, "number": number}
    return environment.get_template("page.html")


def _evaluation(tables: list[dict[str, Any] | None]) -> dict[str, Any]:
    rows = [{row["name"]: row for row in (table or {}).get("metrics", [])} for table in tables]
    measured = [(index, table) for index, table in enumerate(tables) if table]
    return {
        "tables": [{"run": index, "claim": table.get("claim"), "about": _about(table)} for index, table in measured],
        "rows": {
            name: [each.get(name) for each in rows] for name in dict.fromkeys(name for each in rows for name in each)
        },
    }


def _about(table: dict[str, Any]) -> str:
    """What holds of all rows of a table: the checkpoint, and by which network they were measured."""
    network = {key: value for key, value in table.get("extractor", {}).items() if isinstance(value, str | int | float)}
    words = {"checkpoint": "{}", "images": "{:,} images seen", "seed": "seed {}"}
    told = [form.format(table[key]) for key, form in words.items() if key in table]
    return ", ".join(told + [f"{key} {said(value)[:16]}" for key, value in network.items()])


def _row(key: str, flat: list[dict[str, Any]], runs: list[Run]) -> dict[str, Any]:
    values = [said(keys[key]) if key in keys else "–" for keys in flat]
    departs = [key in (run.departures or {}) for run in runs]
    return {"key": key, "values": values, "differ": len(set(values)) > 1, "departs": departs}


def _file(name: str) -> Markup:
    return Markup(files("genlit.report").joinpath("templates", name).read_text(encoding="utf-8"))
