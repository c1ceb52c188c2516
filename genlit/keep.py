"""Tensors that are computed once and kept in a file: whole or absent, verified when read, made by one at a time."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from genlit.errors import GenlitError
from genlit.files import write

log = logging.getLogger("genlit")


Kept = tuple[dict[str, Tensor], dict[str, Any]]


def once(path: Path, what: str, make: Callable[[], Kept]) -> Kept:
    """The tensors and facts that are kept at a path, else those that `make` gives, which are kept there.

    Args:
        path: of a .safetensors file.
        what: they are, for who waits while they are made.
        make: them.

    Raises:
        GenlitError: nothing can be written there.
    """
    with held(path):
        if (found := kept(path)) is None:
            log.warning("making %s, once: it will be kept as %s", what, path)
            found = make()
            keep(path, *found)
        return found


def keep(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Writes tensors with facts about them, plain containers.

    Raises:
        GenlitError: the file cannot be written.
    """
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    about = {"facts": facts, "digest": _digest(whole, facts)}
    write(path, save(whole, {"about": json.dumps(about)}))  # of several words, safetensors would shuffle the order


def kept(path: Path) -> Kept | None:
    """What `keep` wrote; None where there is no such file, or a damaged one, which is named in a warning."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            names, about = list(file.keys()), json.loads(file.metadata()["about"])
            # copied to where torch would put them: products depend on the alignment in the last bit
            tensors = {name: file.get_tensor(name).clone() for name in names}
        if _digest(tensors, about["facts"]) != about["digest"]:
            raise ValueError("its digest is not the recorded one")
        return tensors, about["facts"]
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s is damaged (%s) and made again", path, error)
        return None


def digest_of(state: dict[str, Tensor]) -> str:
    """SHA-256, in hexadecimal digits, of the names, types, shapes and bytes of weights, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        if not name.endswith("num_batches_tracked"):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _digest(tensors: dict[str, Tensor], facts: dict[str, Any]) -> str:
    return hashlib.sha256(f"{digest_of(tensors)} {json.dumps(facts)}".encode()).hexdigest()


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Holds the right to make a file; who comes second waits, and finds it made.

    Raises:
        GenlitError: nothing can be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{path}.lock").acquire()
    except OSError as error:
        raise GenlitError(
            f"{path.parent} cannot be written ({error.strerror}): set data.root or GENLIT_DATA"
        ) from error
    with lock:
        yield
