"""The processes that read batches."""

import signal


def shield(worker: int) -> None:
    """Lets a data worker outlive a signal to the whole process group, so that its parent reaches the iteration's end.

    The first SIGTERM is the cluster's and is ignored; a second, the parent's, ends it.

    Args:
        worker: its index.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))
