"""genlit: train, compare and use generative image models.

import genlit
run = genlit.train("dcgan", model={"lr": 1e-4}, trainer={"max_steps": 100})    # the run folder
model = genlit.load(run)              # or an experiment's newest run, a checkpoint, an exported model
images = model.sample(64, seed=0)     # (64, C, H, W) in [-1, 1]
"""

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["data", "load", "models", "train"]


def load(run_or_checkpoint: str, **options: Any) -> Any:
    """A trained model with its averaged weights: see `genlit.loading.load`."""
    return import_module("genlit.loading").load(run_or_checkpoint, **options)


def train(
    experiment: str,
    *,
    overlays: Sequence[str] = (),
    resume: str = "auto",
    override: bool = False,
    trust: Sequence[str] = (),
    **overrides: Any,
) -> Path:
    """Trains an experiment, or goes on with one, as `genlit train` does; returns the run folder, for `genlit.load`.

    Args:
        experiment: its name or file.
        overlays: names or files of overlays, the command line's --with.
        resume: auto, must, never, or the run to go on with.
        override: go on although the configuration has changed.
        trust: packages of your own whose models and sources may be built.
        overrides: what differs from the experiment, by section: model={"lr": 1e-4}, trainer={"max_steps": 20}, seed=1.

    Raises:
        GenlitError: the configuration, the data or the run folder will not do; before any training.
    """
    verb = import_module("genlit.verbs.train").train
    return verb(experiment, [*overlays], _flags(overrides), resume=resume, override=override, trust=tuple(trust))


def _flags(overrides: dict[str, Any]) -> list[str]:
    """The command line's words for keys by section; a value may be a mapping itself."""
    sections = (
        {f"{k}.{key}": x for key, x in v.items()} if isinstance(v, dict) else {k: v} for k, v in overrides.items()
    )
    return [f"--{key}={_word(value)}" for section in sections for key, value in section.items()]


def _word(value: Any) -> str:
    return str(value) if isinstance(value, str | Path) else json.dumps(value, default=str)


def __getattr__(name: str) -> Any:
    """`genlit.models` and `genlit.data`, imported when asked for: `genlit -h` must not wait for torch."""
    if name in ("data", "models"):
        return import_module(f"genlit.{name}")
    raise AttributeError(f"module 'genlit' has no attribute '{name}'")
