"""`python -m tests.bench`: every ratio beside its bound, on the terminal and in experiments/runs/bench.json."""

import json
import sys
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from genlit import runs
from genlit.files import write
from tests.bench import data_rate, training


@click.command()
@click.option("--quick", is_flag=True, help="Fewer blocks, and no reading.")
def main(quick: bool) -> None:
    """Measure genlit beside plain loops; exit with 1 when a bound is missed."""
    rows = training.measure(quick) + ([] if quick else data_rate.measure())
    write(runs.ROOT / "bench.json", json.dumps(rows, indent=2).encode())
    Console().print(table(rows))
    sys.exit(not all(map(met, rows)))


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
