"""`genlit doctor`: whether this machine can train, and what it would train on."""

import os
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version

import torch
import wandb
from rich.console import Console

from genlit import data, runs
from genlit.engine import checkpoint
from genlit.errors import GenlitError
from genlit.metrics.extractors import inception, weights

PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "torch-fidelity", "wandb", "omegaconf", "jsonargparse")


def doctor() -> None:
    """Runs every check; prints one line each.

    Raises:
        GenlitError: a check that training needs has failed.
    """
    console = Console()
    failed = [name for name, check in CHECKS.items() if not _passes(console, name, check)]
    if failed:
        raise GenlitError(f"{', '.join(failed)}: see above")


def _passes(console: Console, name: str, check: Callable[[], str]) -> bool:
    try:
        console.print(f"[green]ok[/]     {name}: {check()}", soft_wrap=True, highlight=False)
    except GenlitError as error:
        console.print(f"[red]failed[/] {name}: {error}", soft_wrap=True, highlight=False)
        return False
    return True


def _packages() -> str:
    return f"Python {sys.version.split()[0]}, " + ", ".join(f"{name} {version(name)}" for name in PACKAGES)


def _devices() -> str:
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f"{os.cpu_count()} CPU cores; " + (", ".join(gpus) if gpus else "no GPU: train with the CPU experiments")


def _gradients() -> str:
    """The layers that the models use must have the gradients of double precision."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.GroupNorm(8, 8), torch.nn.Tanh())
    images = torch.randn(1, 3, 16, 16)
    single = torch.autograd.grad(network(images).square().sum(), network[0].weight)[0]
    double = torch.autograd.grad(network.double()(images.double()).square().sum(), network[0].weight)[0]
    error = ((single - double).norm() / double.norm()).item()
    if error > 1e-4:
        raise GenlitError(f"a convolution's gradient is off by {error:.1e}; install the pinned torch")
    return f"relative error {error:.0e} against float64"


def _shipped() -> str:
    digits, emoji = data.Digits(), data.Emoji().require(("a", "b"))
    return f"{digits.train_size:,} digits and {emoji.train_size:,} emoji to train on, stores in {digits.root}"


def _folder() -> str:
    checkpoint.probe(runs.ROOT)
    return f"{runs.ROOT} can be written; temporary files go to {tempfile.gettempdir()}"


def _extractors() -> str:
    """Which networks fidelity can be measured by without fetching anything."""
    if inception.available():
        return f"FID's network lies in {weights.cached(inception.NAME).parent}"
    return "FID's network is not here: fetched when it is asked for, or given by --weights; lenet needs nothing"


def _dashboard() -> str:
    wandb.setup(wandb.Settings(silent=True))
    key = wandb.api.api_key
    return "online, a key was found" if key else "offline, no key was found: `wandb login`, later `wandb sync`"


CHECKS = {
    "packages": _packages,
    "devices": _devices,
    "gradients": _gradients,
    "data": _shipped,
    "metrics": _extractors,
    "run folder": _folder,
    "Weights & Biases": _dashboard,
}
