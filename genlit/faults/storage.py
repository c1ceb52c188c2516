"""Disks that are full or refuse to be written, and checkpoints that are damaged."""

import shutil
from collections.abc import Callable
from pathlib import Path

from genlit.engine import checkpoint
from genlit.faults.harness.base import hold, needs_namespaces
from genlit.faults.harness.compare import same
from genlit.faults.harness.training import TINY, Training

WORDS = ("dcgan", *TINY, "--run.checkpoint_every=1", "--run.keep=50")
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
# A small disk on "$1", of "$2" bytes, "$3" (ro or rw); the disk is gone with the command, so its files go to "$4".
SCRIPT = """
mount -t tmpfs -o size="$2" none "$1" && mount -o remount,"$3" "$1" || exit 99
disk="$1" kept="$4"; shift 4
"$@"; code=$?
cp -r "$disk/." "$kept"; exit $code
"""


def disk_full(folder: Path) -> str:
    """Trains onto a disk that has room for a few checkpoints."""
    training = _on_a_small_disk(folder, "640k", "rw")
    training.start().ends(2).says("No space left on device", "it needs at least")
    faults = [checkpoint.damage(path) for path in checkpoint.checkpoints(training.checkpoints)]
    hold(len(faults) > 0, "no checkpoint was left on the full disk")
    hold(not any(faults), f"of the checkpoints on the full disk, one is bad: {faults}")
    hold(not list(training.checkpoints.glob(".*.tmp")), "a temporary file was left on the full disk")
    return f"exit code 2: {training.sentence} The {len(faults)} checkpoints before it are good."


def readonly(folder: Path) -> str:
    """Trains onto a disk that is mounted read-only."""
    training = _on_a_small_disk(folder, "640k", "ro")
    training.start().ends(2).says("Read-only file system")
    hold(not training.run.exists(), "something was written to a read-only disk")
    return f"exit code 2 before training: {training.sentence}"


def _on_a_small_disk(folder: Path, size: str, how: str) -> Training:
    needs_namespaces(*NAMESPACE)
    disk, kept = folder / "disk", folder / "kept"
    disk.mkdir()
    kept.mkdir()
    under = (*NAMESPACE, "sh", "-c", SCRIPT, "sh", str(disk), size, how, str(kept))
    training = Training(folder, *WORDS, "--trainer.max_steps=40", under=under)
    training.words = (*training.words, f"--trainer.default_root_dir={disk}")
    training.runs = kept
    return training


def _truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _emptied(data: bytes) -> bytes:
    return b""


def _garbage(data: bytes) -> bytes:
    return bytes((byte * 7 + place) % 251 for place, byte in enumerate(data))


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": _truncated, "empty": _emptied, "garbage": _garbage, "one bit flipped": _flipped,
}  # fmt: skip


def corrupt(folder: Path) -> str:
    """Damages the newest checkpoint in four ways, and goes on."""
    reference = Training(folder / "reference", *WORDS, "--trainer.max_steps=8").start().ends(0)
    stopped = Training(folder / "stopped", *WORDS, "--trainer.max_steps=6").start().ends(0)
    for name, damage in DAMAGES.items():
        training = Training(folder / name, *WORDS, "--trainer.max_steps=8")
        shutil.copytree(stopped.runs, training.runs)
        newest = checkpoint.named(training.checkpoints, 6)
        newest.write_bytes(damage(newest.read_bytes()))
        training.start("--resume").ends(0).says("skipped a checkpoint", newest.name)
        same(reference.run, training.run, 8)
    return f"{', '.join(DAMAGES)}: each skipped by its name, gone on from the one before, and ended identically"
