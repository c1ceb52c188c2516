"""Checkpoints as artifacts of W&B runs: the best and the last one, and the way back from `wandb:entity/project/run`."""

import json
import re
from pathlib import Path
from typing import Any

import wandb

from genlit.data.store import data_root
from genlit.engine import checkpoint
from genlit.errors import GenlitError
from genlit.logging.wandb import Dashboard
from genlit.runs import slug

SCHEME = "wandb:"
RECORDS = ("config.yaml", "environment.json")  # what makes a checkpoint's folder a run's
_ALLOWED = re.compile(rf"{'|'.join(map(re.escape, RECORDS))}|checkpoints/it-\d+\.ckpt(\.sha256)?")


def keep(run: Path, board: Dashboard) -> None:
    """Uploads a run's best and last checkpoint, each with its note, its configuration and what it is.

    They are one artifact's versions, `checkpoint-RUN`, under the aliases `best` and `last`. W&B reads the files where
    they lie, by its policy for what never changes, instead of copying them first.

    Args:
        run: the folder of a training that has ended.
        board: its run; offline it takes no artifacts.
    """
    last, best = checkpoint.newest(run / "checkpoints"), _best(run)
    if not board.url or not last:
        return
    paths = {"best": best and checkpoint.named(last.parent, best["iteration"]), "last": last}
    for path in dict.fromkeys(filter(None, paths.values())):
        aliases = [alias for alias, one in paths.items() if one == path]
        board.log_artifact(_artifact(path, board.version, best if "best" in aliases else {}), aliases)


def fetched(name: str) -> Path:
    """The checkpoint of a W&B run, downloaded, its digest verified.

    Args:
        name: `wandb:entity/project/run`, with `@best` behind it the best instead of the last.

    Raises:
        GenlitError: the name is not of this form, W&B gives no such artifact, or it is not one of `keep`'s.
    """
    form = re.fullmatch(rf"{SCHEME}([\w.-]+)/([\w.-]+)/([\w.-]+?)(?:@(best|last))?", name)
    if not form:
        raise GenlitError(f"{name} names no run of W&B: write wandb:entity/project/run, or ...run@best")
    entity, project, run, alias = form.groups()
    try:
        wandb.login(prompt=False, verify=False)
        artifact = wandb.Api().artifact(f"{entity}/{project}/checkpoint-{run}:{alias or 'last'}")
        folder = data_root().joinpath("wandb", *map(slug, (entity, project, f"{run}-{artifact.version}")))
        _refuse_strangers(name, artifact)
        artifact.download(root=str(folder))
    except GenlitError:
        raise
    except Exception as error:  # no key, no network, no such artifact, a wrong digest: each raises its own
        reason = str(error).partition("\n")[0]
        raise GenlitError(
            f"{name} cannot be had ({reason}): are there a network and a key, and was the run trained with "
            "--run.artifacts=true?"
        ) from error
    (path,) = checkpoint.checkpoints(folder / "checkpoints")
    if fault := checkpoint.damage(path):
        raise GenlitError(fault)
    return path


def _artifact(path: Path, run_id: str, best: dict[str, Any]) -> wandb.Artifact:
    """A checkpoint with its note and its run's records, laid out as in a run folder."""
    run = path.parent.parent
    environment = json.loads((run / "environment.json").read_text())
    metadata = {
        "iteration": checkpoint.iteration(path),
        "images": checkpoint.load(path, "meta")["images"],
        "experiment": run.parent.name,
        "commit": environment["commit"],
        "metric": best.get("metric"),
        "value": best.get("value"),
    }
    artifact = wandb.Artifact(f"checkpoint-{run_id}", "model", metadata=metadata)
    for file in (path, path.with_name(f"{path.name}.sha256"), *(run / name for name in RECORDS)):
        artifact.add_file(str(file), str(file.relative_to(run)), policy="immutable")
    return artifact


def _best(run: Path) -> dict[str, Any]:
    note = run / "best.json"
    return json.loads(note.read_text()) if note.is_file() else {}


def _refuse_strangers(name: str, artifact: wandb.Artifact) -> None:
    """Refuses an artifact with files that `keep` does not write, or with several checkpoints."""
    files = list(artifact.manifest.entries)
    strange = [file for file in files if not _ALLOWED.fullmatch(file)]
    if strange or sum(file.endswith(".ckpt") for file in files) != 1:
        raise GenlitError(f"{name} is not a checkpoint that genlit uploaded: it holds {', '.join(strange or files)}")
