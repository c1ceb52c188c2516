"""Captions as a pretrained sentence encoder embeds them."""

import hashlib
import json
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genlit.data.store import data_root
from genlit.errors import GenlitError
from genlit.files import sha256
from genlit.keep import once
from genlit.nn.text import Vocabulary, scaled

PARTS = ["*.json", "*.txt", "*.safetensors"]  # files of an encoder
SAFE = ("Transformer", "Pooling", "Normalize")  # parts of an encoder whose settings name no code


class Sentences(Vocabulary):
    """Embeddings e(t) of captions by a fixed encoder, and some captions, as of a vocabulary that knows every word.

    Reimers & Gurevych 2019, "Sentence-BERT", section 3, https://arxiv.org/abs/1908.10084. The encoder is no part of a
    checkpoint, which remembers its digest. Embeddings of captions that are expected are kept under the data root, by
    the content of encoder and captions.

    Args:
        encoder: the folder of a sentence-transformers model, or its name on the hub, `name@revision` to pin it, from
            which settings and safetensors alone are fetched.

    Raises:
        GenlitError: the package is missing, there is no such encoder, or it would run code of its own.
    """

    def __init__(self, encoder: str):
        super().__init__(0)
        if find_spec("sentence_transformers") is None:
            raise GenlitError("model.encoder needs the package sentence-transformers: install genlit[text]")
        folder = Path(encoder).expanduser() if Path(encoder).expanduser().is_dir() else _fetched(encoder)
        self.digest, self._encoder = _digest(folder), [_opened(folder)]  # in a list: no network of the model's
        self.width: int = self._encoder[0].get_embedding_dimension()
        self._known: dict[str, Tensor] = {}

    def learn(self, captions: Iterable[str], examples: list[str]) -> None:
        """Keeps the examples."""
        self.examples = examples

    def expect(self, captions: Iterable[str]) -> None:
        """Embeds captions that will be asked for, or takes their embeddings from the disk."""
        distinct = sorted({*captions})
        content = hashlib.sha256(json.dumps([self.digest, distinct]).encode()).hexdigest()
        path = data_root() / "sentences" / f"{content}.safetensors"
        tensors, _ = once(path, "embeddings of captions", lambda: ({"embeddings": self._embedded(distinct)}, {}))
        self._known = dict(zip(distinct, tensors["embeddings"], strict=True))

    def numbers(self, captions: Iterable[str]) -> Tensor:
        """e of each caption, (B, width)."""
        captions = list(captions)
        if missing := [caption for caption in dict.fromkeys(captions) if caption not in self._known]:
            self._known |= dict(zip(missing, self._embedded(missing), strict=True))
        return torch.stack([self._known[caption] for caption in captions])

    def unknown(self, caption: str) -> list[str]:
        """No word."""
        return []

    def _embedded(self, captions: list[str]) -> Tensor:
        return torch.from_numpy(self._encoder[0].encode(captions, batch_size=128, show_progress_bar=False)).float()

    def get_extra_state(self) -> dict[str, Any]:
        return {"examples": self.examples, "digest": self.digest}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.words, self.examples = [], state["examples"]
        if "digest" in state and state["digest"] != self.digest:
            raise GenlitError("model.encoder is another one than in training, by the digest of its files: give that")


class SentenceEncoder(nn.Module):
    """h = √D f / ‖f‖, f a linear map of a sentence's embedding e.

    Args:
        width: length of e.
        embedding: D.
    """

    def __init__(self, width: int, embedding: int):
        super().__init__()
        self.last = nn.Linear(width, embedding)

    def forward(self, sentences: Tensor) -> Tensor:
        """h, (B, D), of embeddings (B, width)."""
        return scaled(self.last(sentences.to(self.last.weight)))


def _opened(folder: Path) -> Any:
    """The encoder, if all of its parts are of the library's own."""
    from sentence_transformers import SentenceTransformer

    parts = [part["type"].rpartition(".") for part in json.loads((folder / "modules.json").read_text())]
    if strange := [
        name for place, _, name in parts if name not in SAFE or not place.startswith("sentence_transformers")
    ]:
        raise GenlitError(f"model.encoder: {folder} has parts that may run code, {', '.join(strange)}; choose another")
    offline = {"local_files_only": True, "trust_remote_code": False, "model_kwargs": {"use_safetensors": True}}
    with torch.random.fork_rng(devices=[]):
        return SentenceTransformer(str(folder), device="cpu", **offline)


def _fetched(name: str) -> Path:
    """A model's folder in the hub's cache, fetched if it is not there; of `name@revision` that revision."""
    from huggingface_hub import snapshot_download

    name, _, revision = name.partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=PARTS))
    except Exception as error:  # whatever the hub, the network or its cache say
        reason = str(error).partition("\n")[0]
        raise GenlitError(f"model.encoder: {name} is no folder, and cannot be fetched: {reason}") from error


def _digest(folder: Path) -> str:
    """Of every file that it is made of: weights, words, settings."""
    if not [*folder.rglob("*.safetensors")] or not (folder / "modules.json").is_file():
        raise GenlitError(f"model.encoder: {folder} is no sentence-transformers model with weights as safetensors")
    files = sorted(path for pattern in PARTS for path in folder.rglob(pattern))
    return hashlib.sha256(" ".join(map(sha256, files)).encode()).hexdigest()
