"""An exported model: `config.json` says what it is, `model.safetensors` holds its weights; neither can run code."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from shutil import rmtree
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from genlit import config
from genlit.errors import GenlitError
from genlit.files import replacing_folder, sha256, write
from genlit.model import GenerativeModel
from genlit.runs import WEIGHTS

CONFIG = "config.json"


@contextmanager
def begun(folder: Path) -> Iterator[Path]:
    """A folder to export to, which takes the place of an earlier export when the block ends well.

    Raises:
        GenlitError: another folder is there, or none can be made.
    """
    if folder.exists() and not (folder / CONFIG).is_file():
        raise GenlitError(f"{folder} is there already and is no exported model: choose another folder with --out")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replacing_folder(folder) as made:
            yield made
            rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise GenlitError(f"cannot write {folder}: {error.strerror}; free its disk or choose another --out") from error


def save_to(folder: Path, model: GenerativeModel) -> None:
    """Writes the weights and what loading needs besides: class, hyper-parameters, shape, words.

    Args:
        folder: where to.
        model: as `genlit.load` gives it, so its weights are the averaged ones.
    """
    state = model.state_dict()
    tensors = {name: value.cpu().contiguous().clone() for name, value in state.items() if isinstance(value, Tensor)}
    write(folder / WEIGHTS, save(tensors, metadata={"format": "pt"}))
    options = {key: value for key, value in model.hparams.items() if key != "shape"}
    facts = {
        "genlit": version("genlit"),
        "model": type(model).__name__,
        "shape": list(model.shape),
        "hyper_parameters": options,
        "iteration": model.iteration,
        "images": model.images,
        "extra_state": {name: value for name, value in state.items() if name not in tensors},
        "sha256": sha256(folder / WEIGHTS),
    }
    write(folder / CONFIG, json.dumps(facts, indent=2) + "\n")


def read(folder: Path) -> dict[str, Any]:
    """What a checkpoint of the exported model would hold, see `genlit.loading.load`.

    Raises:
        GenlitError: a file is missing or damaged, or does not say what it must.
    """
    try:
        facts = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        kind = config.offered("model", facts["model"])
        options = config.arguments(kind, facts["hyper_parameters"])
        shape, clock = tuple(facts["shape"]), {"global_step": facts["iteration"], "images": facts["images"]}
        return {
            "model": facts["model"],
            "hyper_parameters": options | {"shape": shape, "ema": None},  # the weights are the averaged ones already
            "state_dict": _tensors(folder / WEIGHTS, facts["sha256"]) | facts["extra_state"],
        } | clock
    except (OSError, ValueError, TypeError) as error:
        raise GenlitError(f"{folder / CONFIG} cannot be read ({error}): export the model again") from error
    except KeyError as error:
        raise GenlitError(f"{folder / CONFIG} does not say {error}: export the model again") from error


def _tensors(file: Path, digest: str) -> dict[str, Tensor]:
    if not file.is_file() or sha256(file) != digest:
        raise GenlitError(f"{file} is not what {CONFIG} beside it says: fetch or export the model again")
    try:
        return load_file(file)
    except SafetensorError as error:
        raise GenlitError(f"{file} holds no tensors ({error}): export the model again") from error
