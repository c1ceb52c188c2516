"""Sweeps of W&B: its server suggests, its agents train here."""

import os
import sys
from pathlib import Path
from typing import Any

from genlit.errors import GenlitError
from genlit.runs.records import OBJECTIVE
from genlit.sweep.schema import Spec


def available() -> bool:
    """Whether W&B finds a key, and is not switched off."""
    import wandb

    if os.environ.get("WANDB_MODE") in ("offline", "disabled", "dryrun"):
        return False
    wandb.setup(wandb.Settings(silent=True))
    return bool(wandb.api.api_key)


def described(spec: Spec, words: list[str], cap: int | None) -> dict[str, Any]:
    """A sweep for W&B's server: parameters by their dotted names, and the training as its command.

    Args:
        spec: as its file says.
        words: of `genlit train`: the experiment, overlays and flags.
        cap: how many trials there are at most.
    """
    parameters = {each.name: {"distribution": each.distribution} | each.settings for each in spec.parameters}
    # Every training begins a run of its own, and records the metric by the name that the server knows it by.
    train = ["${env}", f"{OBJECTIVE}={spec.metric.name}", "${interpreter}", "-m", "genlit", "train", *words]
    own = {} if spec.command else {"command": [*train, "--resume=never", "${args}"], "program": "genlit"}
    return spec.content | own | {"parameters": parameters} | ({"run_cap": cap} if cap else {})


def create(content: dict[str, Any], project: str) -> str:
    """Creates a sweep on W&B's server; gives its id.

    Args:
        content: in W&B's schema.
        project: where, unless the content names one.

    Raises:
        GenlitError: the server refuses it or cannot be reached.
    """
    import wandb

    try:
        return wandb.sweep(content, entity=content.get("entity"), project=content.get("project", project))
    except Exception as error:  # each failure of W&B's has an exception of its own
        reason = str(error).partition("\n")[0]
        raise GenlitError(f"W&B creates no sweep ({reason}); run it here: --local") from error


def agent(sweep: str, count: int | None, project: str, entity: str | None = None) -> None:
    """Runs trials of a sweep of W&B's until it is through.

    Args:
        sweep: its id.
        count: how many trials at most.
        project: where it lies.
        entity: whose it is; by default the user's.
    """
    import wandb

    # W&B's macro ${interpreter} is whatever `python` is found first.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    wandb.agent(sweep, entity=entity, project=project, count=count)
