"""Leaving when the cluster or the user asks: at an iteration's end, with a checkpoint and the right exit code."""

import logging
import os
import signal
import subprocess
import threading
from types import FrameType
from typing import Any

from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch import Callback, LightningModule, Trainer

from genlit.engine.checkpoint import Checkpoints
from genlit.engine.processes import agree
from genlit.runs.launch import FOLDER

log = logging.getLogger("genlit")

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Preempted(SystemExit):
    """Ends the process with an exit code a scheduler understands: 128 + signal, or 0 when the job is queued again."""


class Preemption(Callback):
    """Turns SIGTERM, SIGUSR1 and SIGINT into a checkpoint at the next iteration boundary and an exit.

    The exit code is 143 for SIGTERM, 130 for SIGINT, which W&B's stop button sends, too, and 138 for SIGUSR1; SIGUSR1
    under SLURM queues the job again and exits with 0, but of a sweep's trial: the job is its worker's. A second SIGINT
    interrupts at once. Before training there is nothing to save: a signal exits at once. A signal to any process stops
    all of them at the same iteration. SIGCHLD, at which PyTorch raises where a data worker has died, waits for the
    iteration's end, too, so that there is something to save.
    """

    def __init__(self) -> None:
        self._signal = 0
        self._training = False
        self._previous: dict[int, Any] = {}
        self._owner = 0
        self._of_workers: Any = None  # PyTorch's handler of SIGCHLD, while ours stands in its place
        self._died = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Takes the signals over."""
        # Lightning's SIGTERM handler and its broadcast in every iteration deadlock when every process gets the signal.
        trainer._signal_connector.register_signal_handlers = _nothing
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing
        self._owner = os.getpid()
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._receive) for number in SIGNALS}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Makes a signal, from here on, wait for the iteration's end."""
        self._training = True

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *batch: Any) -> None:
        """Holds back what PyTorch raises where a data worker dies."""
        if self._previous:
            self._died, self._of_workers = False, signal.signal(signal.SIGCHLD, self._hear)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *batch: Any) -> None:
        """Leaves if any process was told to.

        Raises:
            Preempted: after the checkpoint has been saved.
            RuntimeError: a data worker has died.
        """
        self._release()
        number = agree(trainer, self._signal)
        if number and trainer.global_step != trainer.max_steps:  # the last iteration ends the run by itself
            self._leave(trainer, number)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Gives the signals back."""
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Gives the signals back."""
        self._restore()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:  # a forked data worker: its parent decides
            return
        if not self._training:
            raise Preempted(128 + number)
        if self._signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._signal = number

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._died = True

    def _release(self) -> None:
        """Gives SIGCHLD back, and tells its handler what it has missed."""
        handler, self._of_workers = self._of_workers, None
        if handler is not None:
            signal.signal(signal.SIGCHLD, handler)
        if self._died and callable(handler):
            handler(signal.SIGCHLD, None)

    def _leave(self, trainer: Trainer, number: int) -> None:
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, Checkpoints):
                callback.save_now(trainer)
        code = _requeue(trainer) if number == signal.SIGUSR1 and _has_a_job() else 128 + number
        _tell_dashboards(trainer, number)
        log.warning("stopped by %s at iteration %d, which is saved", signal.Signals(number).name, trainer.global_step)
        # The launching process kills everything, itself included, when one that it started ends with a code above 0.
        raise Preempted(0 if _launched(trainer) else code)

    def _restore(self) -> None:
        self._died = False
        self._release()
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous, self._signal, self._training = {}, 0, False


def _nothing() -> None:
    pass


def _tell_dashboards(trainer: Trainer, number: int) -> None:
    """Closes dashboards with the signal's code: left to themselves they would show the run as finished."""
    how = "preempted" if number == signal.SIGUSR1 else "finish"
    for logger in trainer.loggers:
        if hasattr(logger, how):
            getattr(logger, how)(128 + number)


def _launched(trainer: Trainer) -> bool:
    return trainer.local_rank > 0 and isinstance(trainer.strategy.cluster_environment, LightningEnvironment)


def _has_a_job() -> bool:
    """Whether a job of SLURM's is this training's own; of a sweep's trial it is the worker's."""
    return "SLURM_JOB_ID" in os.environ and FOLDER not in os.environ


def _requeue(trainer: Trainer) -> int:
    if not trainer.is_global_zero:
        return 0
    command = ["scontrol", "requeue", os.environ["SLURM_JOB_ID"]]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        log.warning("`%s` failed (%s); queue the job again by hand", " ".join(command), error)
        return 128 + signal.SIGUSR1
    return 0
