"""Arrays of an .npz file: no code of it runs, and no more is unpacked than an honest file would hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from genlit.errors import GenlitError

SMALL, RATIO = 64 << 20, 100  # bytes that any array may have; how often over its compressed size a larger one may be


def names(path: Path) -> list[str]:
    """The names of its arrays.

    Raises:
        GenlitError: there is no such file, or it is none.
    """
    with _opened(path) as file:
        return file.files


def read(path: Path, *keys: str) -> list[np.ndarray]:
    """The arrays of these names, or none if one of them is missing; pickled objects are refused.

    Raises:
        GenlitError: there is no such file, it is none, or an array in it is damaged, pickled or blown up.
    """
    with _opened(path) as file:
        return [_array(path, file, key) for key in keys] if set(keys) <= {*file.files} else []


@contextmanager
def _opened(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    try:
        file = np.load(path, allow_pickle=False)
    except Exception as error:  # a missing, damaged or foreign file: operating system, zip, pickle and value errors
        raise GenlitError(f"{path} cannot be read ({error}): give an .npz file that numpy.savez wrote.") from error
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise GenlitError(f"{path} holds a single array: save it by numpy.savez, under a name.")
    with file:
        yield file


def _array(path: Path, file: np.lib.npyio.NpzFile, key: str) -> np.ndarray:
    try:
        member = file.zip.getinfo(key if key in file.zip.namelist() else f"{key}.npy")  # of several, numpy's choice
        if member.file_size > max(SMALL, RATIO * member.compress_size):
            raise ValueError(f"{member.compress_size} bytes would become {member.file_size}; store it uncompressed")
        return file[key]
    except Exception as error:  # pickled objects, a wrong checksum, a cut-off file, no memory
        raise GenlitError(
            f"{path}: {key} cannot be read ({error}): save it as a plain array by numpy.savez."
        ) from error
