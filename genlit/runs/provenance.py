"""What made a run: its configuration, its environment and its command."""

import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
from pathlib import Path
from typing import Any

from genlit.files import write
from genlit.runs.changes import Differences
from genlit.secrets import redact


def record(run: Path, config_yaml: str, argv: list[str], departures: Differences | None = None) -> None:
    """Writes what made a run: config.yaml, environment.json, command.txt and departures.json.

    Args:
        run: the run folder.
        config_yaml: the resolved configuration.
        argv: the command line; values of keys that name a secret are struck out.
        departures: what the configuration has in place of the experiment's, without secrets; None: unknown.
    """
    environment = json.dumps(_environment(), indent=2)
    texts = {"config.yaml": config_yaml, "environment.json": environment, "command.txt": shlex.join(redact(argv))}
    texts |= {"departures.json": json.dumps(departures, indent=2)}
    for name, text in texts.items():
        write(run / name, f"{text.rstrip()}\n")


def _environment() -> dict[str, Any]:
    import torch

    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in ("genlit", "torch", "lightning")},
        "commit": _commit(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    # `describe` of a file git does not track would name whatever repository an environment happens to lie in.
    here = Path(__file__)
    if not _git("ls-files", here.name, folder=here.parent):
        return None
    return _git("describe", "--always", "--dirty", "--abbrev=40", folder=here.parent)


def _git(*words: str, folder: Path) -> str | None:
    try:
        done = subprocess.run(["git", "-C", folder, *words], check=False, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None
