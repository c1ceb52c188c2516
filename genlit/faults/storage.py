"""Disks that are full or refuse to be written, and checkpoints that are damaged."""

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from genlit.engine import checkpoint
from genlit.faults.base import NotShown, hold
from genlit.faults.training import TINY, Training

WORDS = ("dcgan", *TINY, "--run.checkpoint_every=1", "--run.keep=50")
ROOM = "512k"  # of the small disk: three checkpoints


def disk_full(folder: Path) -> str:
    """Trains onto a disk that has room for a few checkpoints: the training ends, and those there are stay good."""
    disk = folder / "disk"
    disk.mkdir()
    training = Training(folder / "training", *WORDS, "--trainer.max_steps=40", f"--trainer.default_root_dir={disk}")
    script = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && "$@"; code=$?; cp -r "$DISK/." "$KEPT"; exit $code'
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", ROOM, str(disk)]
    require_namespaces()
    kept = folder / "kept"
    kept.mkdir()
    training.runs = kept
    training.wrapped(words, {"DISK": str(disk), "KEPT": str(kept)}).start().ends(2).says(
        "No space left on device", str(disk)
    )
    good = [checkpoint.damage(path) for path in checkpoint.checkpoints(training.checkpoints)]
    hold(len(good) > 0 and not any(good), f"of the checkpoints on the full disk: {good}")
    hold(not list(training.checkpoints.glob(".*")), "a temporary file was left on the full disk")
    return f"ended with 2 ({training.sentence}); the {len(good)} checkpoints before it are good"


def require_namespaces() -> None:
    """Wants a user who may mount a small disk of his own.

    Raises:
        NotShown: he may not.
    """
    probe = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    if not shutil.which("unshare") or subprocess.run(probe, capture_output=True).returncode:
        raise NotShown("this machine gives no user namespaces to mount a small disk in")
