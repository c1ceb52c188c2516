"""The run folder's page, kept up to date while a model trains."""

import logging
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from genlit.report import write_page

log = logging.getLogger("genlit")

SHARE = 0.01  # of the training's wall time, that writing pages may take


class Report(Callback):
    """Writes `report.html` in the run folder after every validation and measurement, and at the end.

    A page that would take more than a hundredth of the wall time so far is left to the next time. One that cannot be
    written is told once, and training goes on.
    """

    def __init__(self) -> None:
        self._due = self._told = False
        self._spent = self._last = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begun = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._due = True

    def on_evaluation(self, trainer: Trainer, model: LightningModule, values: dict[str, float]) -> None:
        """Notes that there is something new; its record is written after this."""
        self._due = True

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if self._due and self._affordable():
            self.refresh(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.refresh(trainer)

    def refresh(self, trainer: Trainer) -> None:
        """Writes the page now; in the first process alone."""
        self._due = False
        if not trainer.is_global_zero:
            return
        started = time.perf_counter()
        try:
            write_page([Path(trainer.default_root_dir)])
        except Exception as error:  # whatever is wrong with a page, it is not worth a training run
            if not self._told:
                log.warning("no report.html (%s: %s); training goes on", type(error).__name__, error)
            self._told = True
        self._last = time.perf_counter() - started
        self._spent += self._last

    def _affordable(self) -> bool:
        return self._spent + self._last <= SHARE * (time.perf_counter() - self._begun)
