"""Random faults over many families of models, one after the other, and a long stretch of none that must not grow."""

import os
import random
import signal
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

from genlit.engine import checkpoint
from genlit.faults.harness.base import hold
from genlit.faults.harness.compare import same
from genlit.faults.harness.training import ENDLESS, TINY, Training
from genlit.faults.resuming import STEPS, training

FAMILIES = ("dcgan", "vae", "cyclegan", "made", "pixelcnn", "aae", "progressivegan", "vqvae", "stargan", "text2image")
GROWTH = 0.05  # of the memory, that the second half of a stretch may add: noise of the allocator
STRETCH = 0.2  # of the time, that is left alone


def soak(folder: Path, minutes: int = 30) -> str:
    """Strikes trainings of two processes for some minutes, one family after the other.

    Args:
        folder: an empty one.
        minutes: in all, or until every family has been struck; the last one begun is played to its end.
    """
    memory = _stretch(folder / "stretch", STRETCH * minutes * 60)
    until, faults, runs = time.monotonic() + (1 - STRETCH) * minutes * 60, [], 0
    references: dict[str, Training] = {}
    for name in cycle(FAMILIES):
        if time.monotonic() > until and len(references) == len(FAMILIES):
            break
        if name not in references:
            references[name] = training(folder / f"{name}-uninterrupted", name, processes=2).start().ends(0)
        faults += _struck(folder / f"{name}-{runs}", name, references[name])
        runs += 1
    kinds = ", ".join(f"{faults.count(kind)} × {kind}" for kind in FAULTS)
    return f"{runs} trainings of {len(references)} families in two processes ended identically after {kinds}; {memory}"


def _struck(folder: Path, name: str, reference: Training) -> list[str]:
    """Strikes one training until it has ended; gives what struck it."""
    struck, faults = training(folder, name, processes=2), []
    while struck.saved < STEPS:
        before, codes = struck.saved, ()
        struck.start()
        if struck.saves_beyond(before):
            faults.append(random.choice(list(FAULTS)))
            time.sleep(random.uniform(0, 1))
            strike, codes = FAULTS[faults[-1]]
            strike(struck)
        struck.ends(0, *codes)  # 0 where it had ended by itself
        struck.send(signal.SIGKILL)
    same(reference.run, struck.run, STEPS)
    return faults


def _kill_one(struck: Training) -> None:
    for pid in struck.left()[:1]:
        os.kill(pid, signal.SIGKILL)


def _flip(struck: Training) -> None:
    """Kills all, then flips a bit in the newest of several checkpoints."""
    struck.kill()
    listed = checkpoint.checkpoints(struck.checkpoints)
    if len(listed) > 1 and struck.saved < STEPS:
        data = bytearray(listed[0].read_bytes())
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        listed[0].write_bytes(data)


KILLED = -signal.SIGKILL  # where one process ends before the other, Lightning may kill that
FAULTS: dict[str, tuple[Callable[[Training], None], tuple[int, ...]]] = {  # what strikes, and what it may end with
    "one killed": (_kill_one, (1, KILLED)),
    "all killed": (Training.kill, (KILLED,)),
    "a bit flipped": (_flip, (KILLED,)),
    "SIGTERM": (lambda struck: struck.send(signal.SIGTERM), (128 + signal.SIGTERM, -signal.SIGTERM, KILLED)),
}


def _stretch(folder: Path, seconds: float) -> str:
    """Trains for so long without a fault; memory and open files of its second half must be those of its first."""
    alone = Training(folder, "dcgan", *TINY, *ENDLESS, "--run.checkpoint_every=50").start()
    alone.saves_beyond(0)
    sizes, files, pid = [], [], alone.process.pid
    until = time.monotonic() + seconds
    while time.monotonic() < until and alone.running:
        time.sleep(seconds / 20)
        sizes.append(_resident(pid))
        files.append(len(os.listdir(f"/proc/{pid}/fd")))
    its = alone.saved
    alone.send(signal.SIGTERM)
    alone.ends(128 + signal.SIGTERM)
    half = len(sizes) // 2
    hold(max(sizes[half:]) < (1 + GROWTH) * max(sizes[:half]), f"its memory grew, in MB: {sizes}")
    least = min(files[half:])  # beside those that are open for the moment of a save
    hold(least <= min(files[:half]), f"its open files grew: {files}")
    return f"{its:,} iterations kept {sizes[half]} to {sizes[-1]} MB and {least} files open"


def _resident(pid: int) -> int:
    """A process's memory in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000
