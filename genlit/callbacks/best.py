"""Keeping the best checkpoint beside the latest ones."""

import json
import math
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from genlit.engine import checkpoint
from genlit.engine.checkpoint import the_checkpoints
from genlit.engine.processes import broadcast
from genlit.files import write
from genlit.logging import history

FILE = "best.json"


class Best(Callback):
    """Keeps the checkpoint with the lowest Fréchet distance, named in the run folder's `best.json`.

    It is chosen by samples and images that `genlit eval` does not report, so its score there is not the luckiest of
    many. What was best so far is read from the history, which a resumed run rewinds.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._better = False
        run = Path(trainer.default_root_dir)
        self._best = broadcast(_best_so_far(run) if trainer.is_global_zero else None)
        if self._best:
            self._spare(trainer)
        if trainer.is_global_zero:
            self._write(run)

    def on_evaluation(self, trainer: Trainer, model: LightningModule, values: dict[str, float]) -> None:
        """Notes whether this iteration is the best yet."""
        metric = next(filter(is_distance, values), None)
        if metric and self._improves(metric, values[metric]):
            self._best = {"metric": metric, "value": values[metric], "iteration": trainer.global_step}
            self._better = True

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if self._better:
            self._keep(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._better:
            self._keep(trainer)

    def _keep(self, trainer: Trainer) -> None:
        self._better = False
        self._spare(trainer)
        the_checkpoints(trainer).save_now(trainer)
        if trainer.is_global_zero:
            self._write(Path(trainer.default_root_dir))

    def _improves(self, metric: str, value: float) -> bool:
        """Whether a distance is lower than the best, or the first of its extractor and protocol."""
        comparable = self._best is not None and self._best["metric"] == metric
        return math.isfinite(value) and (not comparable or value < self._best["value"])

    def _write(self, run: Path) -> None:
        if self._best:
            write(run / FILE, json.dumps(self._best, indent=2) + "\n")
        else:
            (run / FILE).unlink(missing_ok=True)

    def _spare(self, trainer: Trainer) -> None:
        the_checkpoints(trainer).spared["best"] = self._best["iteration"]


def _best_so_far(run: Path) -> dict[str, Any] | None:
    """The lowest distance in a run's history, in its last record's extractor and protocol, of checkpoints there are."""
    path = run / "history.jsonl"
    records = history.read(path) if path.exists() else []
    found = [
        {"metric": metric, "value": value, "iteration": record["progress/iter"]}
        for record in records
        for metric, value in record.items()
        if is_distance(metric) and value is not None and _kept(run, record)
    ]
    alike = [each for each in found if each["metric"] == found[-1]["metric"]]
    return min(alike, key=lambda each: each["value"], default=None)


def _kept(run: Path, record: dict[str, float | None]) -> bool:
    return checkpoint.named(run / "checkpoints", record["progress/iter"]).is_file()


def forget_after(run: Path, iteration: int) -> None:
    """Takes back a best iteration that a run no longer has."""
    note = run / FILE
    if note.is_file() and json.loads(note.read_text())["iteration"] > iteration:
        note.unlink()


def is_distance(metric: str) -> bool:
    """Whether a metric's name is that of a Fréchet distance."""
    return metric.startswith(("fid/", "fd-"))
