"""How fast training goes: the only numbers of a history that differ from one machine to the next."""

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class Throughput(Callback):
    """Times training as it is: reading, pictures and checkpoints count in the speed, validation in `hours` alone.

    A record of validation has no speed.
    """

    def __init__(self) -> None:
        self._validating = False
        self._hours = 0.0  # of the runs that this one resumes
        self._started: float | None = None
        self._forget()

    @property
    def hours(self) -> float:
        """Wall-clock hours of training so far, over all resumptions."""
        return self._hours + (0.0 if self._started is None else (time.perf_counter() - self._started) / 3600)

    def metrics(self) -> dict[str, float]:
        """Hours and, in training, the speed since the last call and the peak memory of the GPU."""
        record = {"progress/hours": self.hours}
        if self._iterations and not self._validating:
            record |= self._speed()
            self._forget()
        return record

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = self._last = time.perf_counter()
        self._cpu_last, self._seen = time.process_time(), pl_module.images
        self._forget()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        now, cpu_now = time.perf_counter(), time.process_time()
        self._seconds += now - self._last
        self._cpu_seconds += cpu_now - self._cpu_last
        self._last, self._cpu_last = now, cpu_now
        self._iterations += 1
        self._images, self._seen = self._images + pl_module.images - self._seen, pl_module.images

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validating = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validating = False
        self._last, self._cpu_last = time.perf_counter(), time.process_time()

    def state_dict(self) -> dict[str, float]:
        return {"hours": self.hours}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        self._hours = state_dict["hours"]

    def _speed(self) -> dict[str, float]:
        speed = {
            "throughput/images_per_second": self._images / self._seconds,
            "throughput/step_ms": 1000 * self._seconds / self._iterations,
            "throughput/cpu_ms": 1000 * self._cpu_seconds / self._iterations,
        }
        if torch.cuda.is_available():
            speed["throughput/memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
        return speed

    def _forget(self) -> None:
        # The clocks stay: the iteration that writes the record began before it, and counts in the next.
        self._iterations = self._images = 0
        self._seconds = self._cpu_seconds = 0.0
