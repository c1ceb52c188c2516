"""Real signals to real trainings. Run as a module, this file is such a training: FOLDER PROCESSES WORKERS."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lightning.pytorch import Callback

from genlit.engine.checkpoint import Checkpoints, SafeIO, checkpoints, iteration, load, newest
from genlit.engine.preempt import SIGNALS, Preempted, Preemption
from genlit.engine.strategy import SyncAtStep
from genlit.runs import FOLDER
from tests.games import Game, digits, trainer


class Diary(Callback):
    """Writes where each process is and why it ended; the slow step leaves time for a signal."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def on_train_batch_start(self, trainer, *_):
        time.sleep(0.002)

    def on_train_batch_end(self, trainer, *_):
        (self.folder / f"at-{trainer.global_rank}").write_text(f"{trainer.global_step} {os.getpid()}")

    def on_exception(self, trainer, pl_module, exception):
        (self.folder / f"end-{trainer.global_rank}").write_text(f"{trainer.global_step} {exception!r}")


class Signalling(Callback):
    """Sends this process signals at an iteration, before the first player of the game has stepped."""

    def __init__(self, at, *numbers):
        self.at, self.numbers = at, numbers

    def on_before_optimizer_step(self, trainer, *_):
        if trainer.global_step + 1 == self.at:
            for number in self.numbers:
                os.kill(os.getpid(), number)
            self.numbers = ()


def trainer_of(folder, *callbacks, max_steps=1_000_000, **options):
    options = {"enable_checkpointing": True, "plugins": [SafeIO()]} | options
    return trainer(folder, max_steps, callbacks=list(callbacks), **options)


def fit(folder, *callbacks, resume=None, workers=0, **options):
    model = Game()
    trained = trainer_of(
        folder, Checkpoints(), Preemption(), *callbacks, val_check_interval=4, limit_val_batches=1, **options
    )
    trained.fit(model, digits(workers=workers), ckpt_path=resume, weights_only=True)
    return model


def main(folder, processes, workers):
    spread = {"devices": int(processes), "strategy": SyncAtStep()} if int(processes) > 1 else {}
    trained = trainer_of(folder, Preemption(), Checkpoints(), Diary(folder), **spread)
    trained.fit(Game(), digits(workers=int(workers)))


# One process, in-process signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 138)])
def test_a_signal_saves_the_iteration_and_tells_the_scheduler(tmp_path, number, code, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    before = [signal.getsignal(n) for n in SIGNALS]
    with pytest.raises(Preempted) as stopped:
        fit(tmp_path, Signalling(3, number))
    assert stopped.value.code == code
    assert load(newest(tmp_path / "checkpoints"))["global_step"] == 3
    assert [signal.getsignal(n) for n in SIGNALS] == before


def test_a_validation_that_the_signal_pushed_aside_opens_the_resumed_run(tmp_path):
    with pytest.raises(Preempted):
        fit(tmp_path, Signalling(4, signal.SIGTERM))
    assert iteration(newest(tmp_path / "checkpoints")) == 4
    assert fit(tmp_path, resume=newest(tmp_path / "checkpoints"), max_steps=8).validated == [(4, 0), (8, 0)]


def test_a_signal_in_the_last_iteration_lets_the_run_end(tmp_path):
    assert fit(tmp_path, Signalling(8, signal.SIGTERM), max_steps=8).validated == [(4, 0), (8, 0)]
    assert iteration(newest(tmp_path / "checkpoints")) == 8


def test_a_second_interrupt_does_not_wait(tmp_path):
    with pytest.raises(SystemExit) as stopped:  # Lightning's answer to KeyboardInterrupt
        fit(tmp_path, Signalling(3, signal.SIGINT, signal.SIGINT))
    assert not isinstance(stopped.value, Preempted)
    assert not (tmp_path / "checkpoints").exists()


class Deadly(Callback):
    """Kills a data worker in the third iteration, before a player has stepped."""

    def on_before_optimizer_step(self, trainer, *_):
        if trainer.global_step == 2:
            for worker in trainer.train_dataloader._iterator._workers:
                worker.kill()
                worker.join()


def test_a_data_workers_death_waits_for_the_iterations_end(tmp_path):
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        fit(tmp_path, Deadly(), workers=1)
    assert iteration(newest(tmp_path / "checkpoints")) == 3
    assert not hasattr(signal.getsignal(signal.SIGCHLD), "__self__")  # PyTorch's again, which is a function


class Early(Callback):
    def on_fit_start(self, *_):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_before_training_exits_at_once(tmp_path):
    with pytest.raises(Preempted) as stopped:
        fit(tmp_path, Early())
    assert stopped.value.code == 143
    assert not (tmp_path / "checkpoints").exists()


def queue(folder, monkeypatch, script):
    (folder / "scontrol").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setenv("SLURM_JOB_ID", "1234")


def test_a_trial_leaves_its_workers_job_alone(tmp_path, monkeypatch):
    queue(tmp_path, monkeypatch, f'echo "$@" > {tmp_path}/asked')
    monkeypatch.setenv(FOLDER, str(tmp_path))
    with pytest.raises(Preempted) as stopped:
        fit(tmp_path, Signalling(3, signal.SIGUSR1))
    assert stopped.value.code == 138
    assert not (tmp_path / "asked").exists()


def test_slurm_queues_the_job_again(tmp_path, monkeypatch):
    queue(tmp_path, monkeypatch, f'echo "$@" > {tmp_path}/asked')
    with pytest.raises(Preempted) as stopped:
        fit(tmp_path, Signalling(3, signal.SIGUSR1))
    assert stopped.value.code == 0
    assert (tmp_path / "asked").read_text() == "requeue 1234\n"
    assert iteration(newest(tmp_path / "checkpoints")) == 3


def test_a_job_that_cannot_be_queued_again_does_not_look_finished(tmp_path, monkeypatch):
    queue(tmp_path, monkeypatch, "exit 1")
    with pytest.raises(Preempted) as stopped:
        fit(tmp_path, Signalling(3, signal.SIGUSR1))
    assert stopped.value.code == 138


def test_lightnings_private_names_are_there(tmp_path):
    trainer = trainer_of(tmp_path)
    assert callable(trainer._signal_connector.register_signal_handlers)
    assert callable(trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor)


# Processes of their own


def start(folder, processes, workers):
    root = Path(__file__).parents[2]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "RANK", "LOCAL_RANK"))}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.engine.test_preempt", str(folder), str(processes), str(workers)],
        env=environment | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_iteration(process, folder, processes, it=5):
    diaries = [folder / f"at-{rank}" for rank in range(processes)]
    while process.poll() is None:
        pages = [diary.read_text().split() for diary in diaries if diary.exists()]
        if len(pages) == processes and all(page and int(page[0]) >= it for page in pages):
            return [int(page[1]) for page in pages]
        time.sleep(0.02)
    raise AssertionError(process.stderr.read())


def ends(folder, processes):
    return [(folder / f"end-{rank}").read_text().split() for rank in range(processes)]


def finish(process):
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, errors


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_to_the_whole_process_group_ends_cleanly(tmp_path, number, code):
    process = start(tmp_path, 1, workers=1)
    wait_for_iteration(process, tmp_path, 1)
    os.killpg(process.pid, number)
    returned, errors = finish(process)
    assert returned == code, errors
    assert "Traceback" not in errors
    [[it, reason]] = ends(tmp_path, 1)
    assert reason == f"Preempted({code})"
    assert [iteration(path) for path in checkpoints(tmp_path / "checkpoints")] == [int(it)]


@pytest.mark.parametrize("to_all", [True, False])
def test_two_processes_stop_at_the_same_iteration(tmp_path, to_all):
    process = start(tmp_path, 2, 0)
    pids = wait_for_iteration(process, tmp_path, 2)
    for pid in pids if to_all else pids[1:]:
        os.kill(pid, signal.SIGTERM)
    returned, errors = finish(process)
    assert returned == 143, errors
    assert "Traceback" not in errors
    (it, first), (same, second) = ends(tmp_path, 2)
    assert it == same == str(load(newest(tmp_path / "checkpoints"))["global_step"])
    assert first == "Preempted(143)"
    assert second == "Preempted(0)"  # with another code, Lightning's observer would kill the first while it tidies up


if __name__ == "__main__":
    main(*sys.argv[1:])
