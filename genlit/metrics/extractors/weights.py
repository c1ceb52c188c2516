"""Files of weights: read without running code, found in torch's cache or fetched into it."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from genlit.errors import GenlitError
from genlit.files import refuse_unsafe


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by their names.

    Args:
        path: `.safetensors`, or whatever `torch.save` wrote a state dict to.

    Raises:
        GenlitError: the file is missing or holds anything but named tensors, or the environment forces unsafe loading.
    """
    if not path.is_file():
        raise GenlitError(f"the file of weights {path} does not exist: check --weights.")
    refuse_unsafe(path)
    try:
        plain = path.suffix == ".safetensors"
        state = load_file(path) if plain else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file that holds no weights makes of the reader
        reason = str(error).partition("\n")[0]
        raise GenlitError(f"{path} is not a file of weights ({reason}): check --weights.") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise GenlitError(f"{path} holds more than named tensors: give --weights a plain state dict.")
    return state


def cached(name: str) -> Path:
    """Where torch keeps a file of that name; it may be missing."""
    return Path(torch.hub.get_dir()) / "checkpoints" / name


def obtain(name: str, url: str, digest: str) -> Path:
    """A published file in torch's cache, fetched into it whole or not at all where it is missing.

    Args:
        name: of the file.
        url: where it is published.
        digest: the first digits of its SHA-256, or "" where none is published.

    Raises:
        GenlitError: it is not there and cannot be fetched, or what was fetched is another file.
    """
    path = cached(name)
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digest or None)
    except (OSError, RuntimeError) as error:  # no network, no room; not the file that was asked for
        raise GenlitError(
            f"the weights {name} are not in {path.parent} and could not be fetched ({error}): put the file there, "
            f"from {url}, or name another with --weights (run.fidelity_weights in training)."
        ) from error
    return path
