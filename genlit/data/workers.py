"""The processes that read batches, which outlive a signal to the whole group so that their parent can save first."""

import signal
from collections.abc import Iterator
from multiprocessing.util import Finalize
from typing import Any

from torch.utils.data import DataLoader

HELD = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class ShieldedLoader(DataLoader):
    """A DataLoader whose workers are born with signals held back, until each has been shielded."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, worker_init_fn=shield, **kwargs)

    def __iter__(self) -> Iterator[Any]:
        before, known = signal.pthread_sigmask(signal.SIG_BLOCK, HELD), self._iterator  # a child inherits the mask
        try:
            batches = super().__iter__()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if batches is not known:
            for worker in getattr(batches, "_workers", ()):
                # At its end a program sends each worker one SIGTERM, and would wait for ever for one that is shielded.
                Finalize(None, worker.kill, exitpriority=0)
        return batches


def shield(worker: int) -> None:
    """Makes a worker ignore the first SIGTERM, which is the cluster's; a second, the parent's, ends it.

    Args:
        worker: its index.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
