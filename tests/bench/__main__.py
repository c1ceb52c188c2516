"""`python -m tests.bench`: every ratio beside its bound, on the terminal and in experiments/runs/bench.json.

`python -m tests.bench metrics` measures the metrics, `python -m tests.bench sampling` drawing pixel by pixel.
"""

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from genlit import runs
from genlit.files import write
from tests.bench import data_rate, metrics, sampling, training


@click.command()
@click.argument("what", type=click.Choice(["training", "metrics", "sampling"]), default="training")
@click.option("--quick", is_flag=True, help="Fewer blocks, and neither reading nor memory.")
def main(what: str, quick: bool) -> None:
    """Measure genlit beside plain loops, or its metrics beside other libraries'; exit with 1 when a bound is missed."""
    rows = {"training": trained, "metrics": metrics.measure, "sampling": lambda quick: sampling.measure()}[what](quick)
    record(runs.ROOT / "bench.json", rows)
    Console().print(table(rows))
    sys.exit(not all(map(met, rows)))


def trained(quick: bool) -> list[dict[str, Any]]:
    return training.measure(quick) + ([] if quick else data_rate.measure() + sampling.measure())


def record(path: Path, rows: list[dict[str, Any]]) -> None:
    """Puts rows in the place of those of the same names; the others stay."""
    earlier = json.loads(path.read_text()) if path.exists() else []
    write(path, json.dumps(list({row["name"]: row for row in earlier + rows}.values()), indent=2))


def met(row: dict[str, Any]) -> bool:
    return row["ratio"] <= row["bound"] if row["better"] == "lower" else row["ratio"] >= row["bound"]


def table(rows: list[dict[str, Any]]) -> Table:
    shown = Table("what", "ratio", "bound", "wall", "genlit ms", "theirs ms", "met", title="CPU time of one thread")
    for row in rows:
        numbers = [_number(row, key) for key in ("ratio", "bound", "wall_ratio", "ours_ms", "theirs_ms")]
        shown.add_row(row["name"], *numbers, "yes" if met(row) else "[red]no")
    return shown


def _number(row: dict[str, Any], key: str) -> str:
    return f"{row[key]:.3f}" if key in row else ""


if __name__ == "__main__":
    main()
