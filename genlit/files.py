"""Files that are whole or absent, whatever happens while they are written."""

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from genlit.errors import GenlitError

_STALE_SECONDS = 3600
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
    temporary = path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            _flush(file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def sweep(folder: Path) -> None:
    """Remove temporary files whose writer is dead: its process is gone, or it wrote nothing for an hour."""
    for path in folder.glob(".*.tmp"):
        if _stale(path):
            path.unlink(missing_ok=True)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


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
