"""Workers and signals."""

import os
import signal
import subprocess
import sys
import time

import torch
from torch.utils.data import Dataset

from genlit.data.workers import ShieldedLoader


class Slow(Dataset):
    """Signals its own process, as a cluster does, from its second row on; tells which process read."""

    def __init__(self, signals: int):
        self.signals = signals

    def __len__(self) -> int:
        return 6

    def __getitem__(self, row: int) -> torch.Tensor:
        if 2 <= row < 2 + self.signals:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
        return torch.tensor([row, os.getpid()])


def test_a_worker_outlives_the_first_signal():
    rows = list(ShieldedLoader(Slow(signals=1), batch_size=None, num_workers=1))
    assert [int(row) for row, _ in rows] == list(range(6))
    assert {int(pid) for _, pid in rows}.isdisjoint({os.getpid()})


def test_a_signal_while_workers_are_born_is_kept_for_the_parent(monkeypatch):
    """The parent's handler runs once the workers are there; they never see it."""
    got = []
    before = signal.signal(signal.SIGTERM, lambda *_: got.append("parent"))
    start = torch.multiprocessing.Process.start

    def signalled(process):
        start(process)
        os.kill(process.pid, signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(torch.multiprocessing.Process, "start", signalled)
    try:
        rows = list(ShieldedLoader(Slow(signals=0), batch_size=None, num_workers=2))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(rows) == 6
    assert got


def test_shielded_workers_do_not_keep_a_program_from_its_end():
    """It raises while they wait for work: `multiprocessing` then sends each one SIGTERM, and waits."""
    program = (
        "from genlit.data.workers import ShieldedLoader\n"
        "batches = iter(ShieldedLoader(range(9), batch_size=None, num_workers=1, persistent_workers=True))\n"
        "print(next(batches), flush=True)\n"
        "raise RuntimeError('after the first')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (1, "0\n")
    assert "after the first" in done.stderr
