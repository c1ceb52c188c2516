"""genlit: train, compare and use generative image models.

import genlit
model = genlit.load("dcgan")          # a run, an experiment's newest run, or a checkpoint
images = model.sample(64, seed=0)     # (64, C, H, W) in [-1, 1]
"""

from importlib import import_module
from typing import Any

__all__ = ["data", "load", "models"]


def load(run_or_checkpoint: str, **options: Any) -> Any:
    """A trained model with its averaged weights: see `genlit.loading.load`."""
    return import_module("genlit.loading").load(run_or_checkpoint, **options)


def __getattr__(name: str) -> Any:
    """`genlit.models` and `genlit.data`, imported when asked for: `genlit -h` must not wait for torch."""
    if name in ("data", "models"):
        return import_module(f"genlit.{name}")
    raise AttributeError(f"module 'genlit' has no attribute '{name}'")
