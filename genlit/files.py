"""Files and folders that are whole or absent, whatever happens while they are written."""

import errno
import hashlib
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from genlit.errors import GenlitError

_STALE_SECONDS = 3600
_FORCE_UNSAFE = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"  # of torch, which then runs whatever code a file holds
_HOST = socket.gethostname().replace(".", "-")


def write(path: Path, data: bytes | str) -> None:
    """Writes a file atomically; its folder is made.

    Raises:
        GenlitError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(data.encode() if isinstance(data, str) else data)
    except OSError as error:
        raise GenlitError(f"cannot write {path}: {error.strerror}; free its disk or choose another folder") from error


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes `path`'s place, on the disk too, when the block ends well and vanishes when it does not."""
    with _stand_in(path) as temporary, temporary.open("wb") as file:
        yield file
        flush(file)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A folder that becomes `path` when the block ends well and vanishes when it does not.

    One process at a time builds it, so what a killed one left is removed first. The files in it are written by `write`
    or `replacing`.
    """
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        shutil.rmtree(left)
    with _stand_in(path) as temporary:
        temporary.mkdir()
        yield temporary


def flush(file: BinaryIO) -> None:
    """Brings what was written to a file onto the disk."""
    file.flush()
    os.fsync(file.fileno())


def sha256(path: Path) -> str:
    """Gives the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_unsafe(path: str | Path) -> None:
    """Refuses to load a file of torch's where the environment would have torch run code from it.

    Raises:
        GenlitError: it would.
    """
    if os.environ.get(_FORCE_UNSAFE):
        raise GenlitError(f"{_FORCE_UNSAFE} is set, so loading {path} could run code hidden in it; unset the variable.")


def require_space(folder: Path, needed: int) -> None:
    """Refuses to begin what cannot end.

    Args:
        folder: an existing one.
        needed: bytes.

    Raises:
        OSError: the folder's volume has less room.
    """
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def sweep(folder: Path) -> None:
    """Removes temporary files whose writer is dead: its process is gone, or it wrote nothing for an hour."""
    for path in folder.glob(".*.tmp"):
        if _stale(path):
            path.unlink(missing_ok=True)


@contextmanager
def _stand_in(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stale(temporary: Path) -> bool:
    name = re.fullmatch(r"\..+\.([\w-]+)\.(\d+)\.tmp", temporary.name)
    if not name or not temporary.exists():
        return False
    silent = time.time() - temporary.stat().st_mtime > _STALE_SECONDS
    return silent or (name[1] == _HOST and not _alive(int(name[2])))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
