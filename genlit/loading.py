"""Trained models from their runs."""

from collections.abc import Iterable
from pathlib import Path

import torch

from genlit import config, runs
from genlit.engine import checkpoint
from genlit.errors import GenlitError
from genlit.export.folder import read
from genlit.model import GenerativeModel


def load(run_or_checkpoint: str | Path, *, device: str = "cpu", trust: Iterable[str] = ()) -> GenerativeModel:
    """A trained model with its averaged weights, in evaluation mode.

    Args:
        run_or_checkpoint: a checkpoint, a run folder, or an experiment's name: its newest run's newest good checkpoint;
            or an exported model, a folder or `hf:owner/name` on a hub; or `wandb:entity/project/run`.
        device: where the model goes.
        trust: packages of the user's own whose models may be built.

    Raises:
        GenlitError: there is no such run, no good checkpoint in it, or no such model.
    """
    config.trust(trust)
    path = runs.resolve(run_or_checkpoint)
    saved = read(path.parent) if path.name == runs.WEIGHTS else checkpoint.load(path, map_location="cpu")
    model = config.offered("model", saved["model"])(**saved["hyper_parameters"] | {"compile": False})
    model.configure_model()
    try:
        model.load_state_dict(saved["state_dict"])
    except (RuntimeError, KeyError, TypeError) as error:
        raise GenlitError(f"{path} does not fit {saved['model']} as genlit has it now: {_line(error)}") from error
    model._past = (saved["global_step"], saved["images"])
    if model.ema:
        model.ema.exchange(model)
        model.ema = None
    return model.requires_grad_(False).eval().to(usable(device))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def usable(device: str) -> torch.device:
    """The device of a name.

    Raises:
        GenlitError: there is no such device here.
    """
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise GenlitError(
            f"--device={device} cannot be used ({reason}); choose cpu, cuda or another that is here"
        ) from error
