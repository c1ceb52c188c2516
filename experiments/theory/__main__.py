"""`python -m experiments.theory`: the theory of GANs in pictures, with every number beside its exact value."""

from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table

from experiments.theory.figures import FIGURES, Row
from genlit import runs


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=runs.ROOT / "theory")
def main(folder: Path) -> None:
    """Draw every figure into FOLDER as PNG."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in FIGURES.items():
        figure, rows = draw()
        figure.savefig(folder / f"{name}.png", dpi=110)
        Console().print(table(folder / f"{name}.png", rows))


def table(path: Path, rows: list[Row]) -> Table:
    shown = Table("what", "measured", "exact", title=str(path), title_justify="left")
    for row in rows:
        shown.add_row(row.what, f"{row.measured:.5f}", f"{row.exact:.5f}")
    return shown


if __name__ == "__main__":
    main()
