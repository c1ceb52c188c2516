"""`genlit list`: what can be trained, and what was."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from genlit import config, runs
from genlit.engine import checkpoint
from genlit.errors import GenlitError


def show(root: str) -> None:
    """Prints the experiments with their cost, the overlays, the sweeps, and the runs with how far they came."""
    console = Console()
    console.print(_table("experiments", ("make train EXP=", "model", "data", "cost"), _experiments()))
    console.print(_table("overlays", ("--with", "what it says"), _overlays()))
    console.print(_table("sweeps", ("--config", "what it says"), _sweeps()))
    console.print(_table(f"runs in {root}", ("run", "iterations", "of"), _runs(Path(root))))


def _experiments() -> list[tuple[str, ...]]:
    rows = []
    for name in config.listed("experiments"):
        merged = config.merged(config.compose(name, []))
        rows.append((name, merged["model"]["name"], merged["data"]["name"], merged.get("cost") or ""))
    return rows


def _overlays() -> list[tuple[str, ...]]:
    names = [name for name in config.listed("configs") if name != "base" and not name.startswith("sweep/")]
    return _described(names)


def _sweeps() -> list[tuple[str, ...]]:
    return _described([name for name in config.listed("configs") if name.startswith("sweep/")])


def _described(names: list[str]) -> list[tuple[str, ...]]:
    return [
        (name.removeprefix("sweep/"), config.find("configs", name).read_text().partition("\n")[0].lstrip("# "))
        for name in names
    ]


def _runs(root: Path) -> list[tuple[str, ...]]:
    rows = []
    for run in runs.every(root):
        done = [checkpoint.iteration(path) for path in checkpoint.checkpoints(run / "checkpoints")]
        rows.append((f"{run.parent.name}/{run.name}", str(max(done, default=0)), _budget(run)))
    return rows


def _budget(run: Path) -> str:
    """A run's iterations in all; nothing of a folder that has no configuration of a training."""
    try:
        return str(config.read(run / "config.yaml")["trainer"]["max_steps"])
    except (GenlitError, KeyError, TypeError):
        return ""


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    return table
