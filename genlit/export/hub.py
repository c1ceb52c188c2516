"""Exported models on the Hugging Face hub, or one that speaks its language (the variable HF_ENDPOINT)."""

import os
from pathlib import Path
from typing import Any

from genlit.errors import GenlitError
from genlit.export.folder import CONFIG
from genlit.runs import WEIGHTS


def push(folder: Path, name: str) -> str:
    """Uploads an exported model to a repository, which is made where it is missing; gives its address.

    Args:
        folder: that holds it.
        name: of the repository, `owner/name`.

    Raises:
        GenlitError: the hub cannot be reached, or does not let this user in.
    """
    api = _client().HfApi()
    try:
        api.create_repo(name, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="genlit export")
    except Exception as error:  # the client's errors share no base
        raise GenlitError(f"{name} cannot be pushed ({_line(error)}); log in with `hf auth login`") from error
    return f"{api.endpoint}/{name}"


def fetch(name: str) -> Path:
    """The folder, in the hub's cache, of the files of a model that loading reads: tensors and JSON, and no others.

    Args:
        name: `owner/name`, or `owner/name@revision`.

    Raises:
        GenlitError: there is no such model, or the hub cannot be reached and the cache does not have it.
    """
    repository, _, revision = name.partition("@")
    try:
        found = _client().snapshot_download(repository, revision=revision or None, allow_patterns=[CONFIG, WEIGHTS])
    except Exception as error:  # the client's errors share no base
        raise GenlitError(
            f"hf:{name} cannot be fetched ({_line(error)}); is there a network, is it public, or are you logged in?"
        ) from error
    folder = Path(found)
    if not (folder / WEIGHTS).is_file() or not (folder / CONFIG).is_file():
        raise GenlitError(f"hf:{name} is no model of genlit: it has no {CONFIG} beside {WEIGHTS}")
    return folder


def _client() -> Any:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import huggingface_hub
    except ImportError as error:
        raise GenlitError("models on a hub need huggingface_hub: pip install 'genlit[hub]'") from error
    return huggingface_hub


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
