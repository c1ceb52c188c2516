"""Measuring while a model trains: every so many images, for a bounded share of the wall time."""

import time
from typing import Any, Protocol

from lightning.pytorch import Callback, LightningModule, Trainer

from genlit.data import Source
from genlit.engine.processes import broadcast
from genlit.errors import GenlitError

Values = dict[str, float]


class Measurement(Protocol):
    """What is measured while a model trains; every process takes part."""

    def prepare(self, trainer: Trainer, model: LightningModule) -> None:
        """Refuses what cannot be measured, and gets ready, before training."""

    def measure(self, trainer: Trainer, model: LightningModule) -> Values:
        """The values by name."""


def selection(source: Source) -> str:
    """The split to measure while training: val, or train where nothing is held out; never the test that is reported."""
    return "val" if min(source.rows("val").sizes) else "train"


class Evaluation(Callback):
    """Measures the averaged weights every `every` images and after the last iteration, and records what it cost.

    A measurement that would take more than its share of the session's wall time is left out; the share so far is
    recorded with every one as `throughput/evaluation_share`. Getting ready, which is done once and kept for later runs,
    is not in it: it is recorded as `throughput/evaluation_setup_seconds`. Callbacks that offer
    `on_evaluation(trainer, model, values)` are told the values and may add to them. The training's random state, its
    weights and its checkpoints are left as they are.

    Args:
        measurements: what is measured.
        every: images between measurements.
        share: of wall time, above 0; 1 leaves none out.

    Raises:
        GenlitError: the share is not one.
    """

    def __init__(self, measurements: list[Measurement], every: int, share: float = 0.1):
        if not 0 < share <= 1:
            raise GenlitError(f"run.evaluate_share is {share}: it must be above 0 and at most 1")
        self.measurements, self.every, self.share = measurements, every, share
        self._last = 0.0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        started = time.perf_counter()
        for measurement in self.measurements:
            measurement.prepare(trainer, pl_module)
        self._setup = time.perf_counter() - started

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begun, self._spent, self._done = time.perf_counter(), 0.0, pl_module.images

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if pl_module.images // self.every > self._done // self.every:
            self.evaluate(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if pl_module.images > self._done:
            self.evaluate(trainer, pl_module)

    def evaluate(self, trainer: Trainer, model: LightningModule) -> None:
        """Measures now, if the share allows."""
        self._done = model.images
        if not broadcast(self._affordable()):  # every process has a clock of its own
            return
        started = time.perf_counter()
        model.unite()
        values: Values = {}
        for measurement in self.measurements:
            values |= measurement.measure(trainer, model)
        for callback in trainer.callbacks:
            if hasattr(callback, "on_evaluation"):
                values |= callback.on_evaluation(trainer, model, values) or {}
        self._last = time.perf_counter() - started
        self._spent += self._last
        model.record(values | self._cost())

    def _affordable(self) -> bool:
        """Whether a measurement as long as the last one keeps to the share."""
        return self._spent + self._last <= self.share * (time.perf_counter() - self._begun + self._last)

    def _cost(self) -> Values:
        cost = {
            "share": self._spent / (time.perf_counter() - self._begun),
            "seconds": self._last,
            "setup_seconds": self._setup,
        }
        return {f"throughput/evaluation_{name}": value for name, value in cost.items()}
