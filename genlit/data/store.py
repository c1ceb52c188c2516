"""The decoded store: every source is decoded once into memory-mapped arrays that all processes share.

A split is a list of streams; a stream is a set of columns of equal length that are read in one order. Paired data are
one stream, unpaired data are two.
"""

import errno
import io
import json
import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from filelock import FileLock

from genlit.data.images import Images
from genlit.errors import GenlitError
from genlit.files import replacing, replacing_folder, require_space, sha256

Stream = dict[str, np.ndarray | Images | list[str]]
IMAGE_COLUMNS = ("image", "a", "b")
LAYOUT = 1  # part of every key: raise it when what is written changes
BLOCK = 4096
_HASHED: set[Path] = set()  # by this process


@dataclass
class Contents:
    """What a source holds, before it is written.

    Args:
        splits: split -> streams -> columns: `image`, `a`, `b` uint8 or float32 (N, C, H, W), `label` int64 (N,),
            `attributes` float32 (N, K) of 0, 1 and -1 for unknown, `text` a list of N strings.
        classes: name of each label.
        attributes: name of each attribute.
    """

    splits: dict[str, list[Stream]]
    classes: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)


class DamagedStoreError(GenlitError):
    """A store's files are not those that were written."""


class Store:
    """An opened store.

    Args:
        folder: where it lies.

    Raises:
        FileNotFoundError: there is none.
        DamagedStoreError: its description cannot be read.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        if not folder.is_dir():
            raise FileNotFoundError(folder)
        try:
            self.meta = json.loads((folder / "meta.json").read_bytes())
        except (FileNotFoundError, ValueError) as error:
            raise DamagedStoreError(f"{folder / 'meta.json'} is damaged ({error})") from error

    def __reduce__(self) -> tuple:
        return Store, (self.folder,)  # a worker maps the files again: pickled, a memory map is a copy

    @cached_property
    def splits(self) -> dict[str, list[dict[str, np.ndarray | list[str]]]]:
        """The columns of every stream of every split."""
        return {split: [self._opened(files) for files in streams] for split, streams in self.meta["splits"].items()}

    def _opened(self, files: dict[str, str]) -> dict[str, np.ndarray | list[str]]:
        return {column: _open(self.folder / file) for column, file in files.items()}

    def verify(self) -> "Store":
        """Compares every file's size, and once per process its sha256, with what was written.

        Raises:
            DamagedStoreError: they differ.
        """
        for name, (size, digest) in self.meta["files"].items():
            path = self.folder / name
            if not path.is_file() or path.stat().st_size != size:
                raise DamagedStoreError(f"{path} is missing or has not its {size} bytes")
            if self.folder not in _HASHED and sha256(path) != digest:
                raise DamagedStoreError(f"{path} is damaged: its sha256 is not the recorded one")
        _HASHED.add(self.folder)
        return self


def obtain(folder: Path, make: Callable[[], Contents]) -> Store:
    """Opens the store in `folder`, built first where there is none or a damaged one, by one process only.

    Args:
        folder: where it lies, or will.
        make: reads the source.

    Raises:
        GenlitError: the folder cannot be written, or the disk is full.
    """
    try:
        return Store(folder).verify()
    except (FileNotFoundError, DamagedStoreError):
        pass
    _refuse_unwritable(folder.parent)
    with FileLock(f"{folder}.lock"):
        try:
            return Store(folder).verify()
        except FileNotFoundError:
            pass
        except DamagedStoreError as error:
            warnings.warn(f"{error}; the store is built again.", stacklevel=2)
            shutil.rmtree(folder)
        _build(folder, make())
    return Store(folder).verify()


def data_root(root: str | Path | None = None) -> Path:
    """Where stores lie: `root`, else what the variable GENLIT_DATA says, else ~/.cache/genlit."""
    return Path(root or os.environ.get("GENLIT_DATA") or "~/.cache/genlit").expanduser()


def stamps(path: Path) -> list[tuple[str, int, int]]:
    """Gives path, size in bytes and time of change in nanoseconds of a file, or of all files in a folder."""
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path] * path.is_file()
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def _open(path: Path) -> np.ndarray | list[str]:
    if path.suffix == ".json":
        return json.loads(path.read_bytes())
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _refuse_unwritable(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        writable = os.access(root, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise GenlitError(
            f"Nothing can be written under {root}: set data.root or the variable GENLIT_DATA to a folder of yours."
        )


def _build(folder: Path, contents: Contents) -> None:
    _refuse_disagreeing(contents)
    needed = sum(_bytes(column) for _, _, column in _columns(contents))
    with _naming_a_full_disk(folder.parent, needed), replacing_folder(folder) as temporary:
        require_space(folder.parent, needed)
        _write(temporary, contents)


def _columns(contents: Contents) -> Iterator[tuple[str, str, np.ndarray | Images | list[str]]]:
    for split, streams in contents.splits.items():
        yield from ((split, name, column) for stream in streams for name, column in stream.items())


def _refuse_disagreeing(contents: Contents) -> None:
    images = [(split, column) for split, name, column in _columns(contents) if name in IMAGE_COLUMNS]
    first = {column.shape[1:]: column.keys[0] if isinstance(column, Images) else split for split, column in images}
    if len(first) > 1:
        found = " and ".join(f"{name} is {' x '.join(map(str, shape))}" for shape, name in first.items())
        raise GenlitError(f"{found} (channels x height x width): set data.size to one for all.")


@contextmanager
def _naming_a_full_disk(root: Path, needed: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise GenlitError(
            f"The disk of {root} is full: the decoded data need {needed} bytes; free them or change data.root."
        ) from error


def _bytes(column: np.ndarray | Images | list[str]) -> int:
    return len(json.dumps(column)) if isinstance(column, list) else math.prod(column.shape) * column.dtype.itemsize


def _write(folder: Path, contents: Contents) -> None:
    splits = {
        split: [_write_stream(folder, f"{split}.{k}", stream) for k, stream in enumerate(streams)]
        for split, streams in contents.splits.items()
    }
    meta = {
        "splits": splits,
        "classes": contents.classes,
        "attributes": contents.attributes,
        "shapes": {name: _open(folder / name).shape for name in _written(folder) if name.endswith(".npy")},
        "files": {name: [(folder / name).stat().st_size, sha256(folder / name)] for name in _written(folder)},
    }
    _write_file(folder / "meta.json", [json.dumps(meta, indent=1).encode()])


def _written(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _write_stream(folder: Path, stem: str, stream: Stream) -> dict[str, str]:
    return {column: _write_column(folder, f"{stem}.{column}", data) for column, data in stream.items()}


def _write_column(folder: Path, stem: str, data: np.ndarray | Images | list[str]) -> str:
    if isinstance(data, list):
        return _write_file(folder / f"{stem}.json", [json.dumps(data).encode()])
    return _write_file(folder / f"{stem}.npy", _npy(data))


def _npy(data: np.ndarray | Images) -> Iterator[bytes | memoryview]:
    # A plain file and not a memory map, where a full disk would be a SIGBUS instead of an error.
    header = io.BytesIO()
    description = {"descr": data.dtype.str, "fortran_order": False, "shape": data.shape}
    np.lib.format.write_array_header_1_0(header, description)
    yield header.getvalue()
    chunks = data.chunks() if isinstance(data, Images) else (data[i : i + BLOCK] for i in range(0, len(data), BLOCK))
    yield from (np.ascontiguousarray(chunk).data for chunk in chunks)


def _write_file(path: Path, blocks: Iterable[bytes | memoryview]) -> str:
    with replacing(path) as file:
        file.writelines(blocks)
    return path.name
