"""Progress on the terminal: a bar where there is one, short lines where there is none."""

from datetime import timedelta
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar


class Progress(ProgressBar):
    """Shows the iteration, each player's loss, images a second and the time left, as of the last flush.

    Args:
        console: where to; the standard error by default.
    """

    def __init__(self, console: Console | None = None):
        super().__init__()
        self.console = console or Console(stderr=True)
        self._enabled = True
        self._bar: Bar | None = None
        self._record: dict[str, float] = {}

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Prints above the bar."""
        self.console.print(*args, **kwargs)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}")
        self._bar = Bar(*columns, console=self.console, disable=not (self._enabled and self.console.is_terminal))
        self._task = self._bar.add_task("", total=_end(trainer), completed=trainer.global_step)
        self._bar.start()
        self._record = {"progress/iter": trainer.global_step}

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self._bar.update(self._task, completed=trainer.global_step)
        if pl_module.latest.get("progress/iter", 0) > self._record["progress/iter"]:
            self._record |= pl_module.latest  # a record of validation has no training losses: the last ones stay
            self._show(status(self._record, pl_module.weights, _end(trainer)))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._bar.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._bar:
            self._bar.stop()

    def _show(self, text: str) -> None:
        self._bar.update(self._task, description=text)
        if self._enabled and not self.console.is_terminal:
            self.console.print(text, soft_wrap=True, highlight=False)


def status(record: dict[str, float], weights: dict[str, float], end: int | None) -> str:
    """One line on a record: iteration, players' losses, images a second, time left.

    Args:
        record: the latest one.
        weights: of the terms in a player's loss.
        end: the last iteration, None without one.
    """
    parts = [f"iteration {record['progress/iter']}"]
    parts += [f"{player} {loss:.4g}" for player, loss in losses(record, weights).items()]
    if speed := record.get("throughput/images_per_second"):
        parts.append(f"{speed:,.1f} images/s")
    if end and (step_ms := record.get("throughput/step_ms")):
        parts.append(f"{timedelta(seconds=round((end - record['progress/iter']) * step_ms / 1000))} left")
    return "  ".join(parts)


def losses(record: dict[str, float], weights: dict[str, float]) -> dict[str, float]:
    """Each player's loss, Σ wᵢ termᵢ, from the unweighted terms `train/<player>/<term>` of a record."""
    totals: dict[str, float] = {}
    for key, value in record.items():
        match key.split("/"):
            case ["train", player, term] if term in weights:
                totals[player] = totals.get(player, 0.0) + weights[term] * value
    return totals


def _end(trainer: Trainer) -> int | None:
    return trainer.max_steps if trainer.max_steps > 0 else None
