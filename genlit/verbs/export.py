"""`genlit export`: a trained model as a folder that others can use."""

import logging
from collections.abc import Sequence
from pathlib import Path
from shutil import copy
from typing import Any

import torch
from torch import Tensor

from genlit import runs
from genlit.errors import GenlitError
from genlit.export import folder as exported
from genlit.export import graphs, hub
from genlit.export.card import write_card
from genlit.export.functions import functions
from genlit.loading import load
from genlit.model import GenerativeModel
from genlit.verbs.tables import busy

log = logging.getLogger("genlit")


def export(
    run: str,
    *,
    out: str | None = None,
    formats: Sequence[str] = (),
    batch: int | None = None,
    push: str | None = None,
    trust: tuple[str, ...] = (),
) -> Path:
    """Writes weights, configuration and card, and graphs of what the model can do; returns the folder.

    Args:
        run: a run folder, an experiment's name or a checkpoint in its run folder; `RUN@best` for the best in training.
        out: the folder; by default `export` in the run's. It takes the place of an earlier export.
        formats: torch and onnx, for graphs beside the weights.
        batch: rows that graphs take; any number by default.
        push: where on a hub it goes, too: `owner/name`.
        trust: packages of the user's own.

    Raises:
        GenlitError: there is no such run, a graph or what is read back differs from the model, or no graph can hold it.
    """
    path = runs.resolve(run)
    home = runs.folder_of(path)
    if path.name == runs.WEIGHTS or not (home / "environment.json").is_file():
        raise GenlitError(f"{path} is no checkpoint in a run folder, which says what made it: export that")
    model, folder = load(path, trust=trust), Path(out) if out else home / "export"
    with busy(f"exporting {path}"), exported.begun(folder) as made:
        exported.save_to(made, model)
        copy(home / "config.yaml", made)
        refuse_other(model.state_dict(), load(made, trust=trust).state_dict())
        written = [graph for kind in ("torch", "onnx") if kind in formats for graph in drawn(model, kind, batch, made)]
        write_card(made, home, path, model, written)
    print(folder)
    if push:
        print(hub.push(folder, push))
    return folder


def drawn(model: GenerativeModel, kind: str, batch: int | None, folder: Path) -> list[dict[str, Any]]:
    """Graphs of all functions that one can hold; of the others it is said why not.

    Raises:
        GenlitError: it can hold none.
    """
    found, reasons = [], []
    for function in functions(model):
        try:
            found.append(graphs.write_checked(model, function, kind, batch, folder))
        except graphs.UntraceableError as error:
            reasons.append(str(error))
    if not found:
        none = f"{type(model).__name__} has no function of one tensor that gives one"
        raise GenlitError(f"--format {kind}: {'; '.join(reasons) or none}; without --format its weights are exported")
    for reason in reasons:
        log.warning("%s", reason)
    return found


def refuse_other(ours: dict[str, Any], read: dict[str, Any]) -> None:
    """Refuses an export from which other weights are read than went in."""
    same = (torch.equal(x, read[name]) if isinstance(x, Tensor) else x == read[name] for name, x in ours.items())
    if not all(same):
        raise GenlitError("what was exported cannot be read back as it was: the disk may be damaged")
