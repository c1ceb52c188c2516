"""Published weights from a server that sends other bytes."""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from genlit.errors import GenlitError
from genlit.faults.harness.base import Broken, hold
from genlit.faults.hostile.command import served
from genlit.metrics.extractors.weights import cached, obtain


def downloads(folder: Path) -> str:
    """The file, then the file with a flipped byte, a cut one and none, from a server on this machine."""
    good = secrets.token_bytes(100_000)
    digest, published = hashlib.sha256(good).hexdigest(), folder / "published"
    published.mkdir()
    flipped = good[:50_000] + bytes([good[50_000] ^ 1]) + good[50_001:]
    with served(published) as (address, _), _cache(folder / "cache"):
        (published / "good.pth").write_bytes(good)
        hold(obtain("good.pth", f"{address}/good.pth", digest).read_bytes() == good, "other bytes were kept")
        for name, content in {"flipped.pth": flipped, "cut.pth": good[:-1]}.items():
            (published / name).write_bytes(content)
            _refuse(name, address, digest)
        _refuse("missing.pth", address, digest)
        left = sorted(path.name for path in cached("good.pth").parent.iterdir())
    hold(left == ["good.pth"], f"the cache holds {left}")
    return "a flipped byte, a cut file and a missing one were refused, and nothing of them was kept"


def _refuse(name: str, address: str, digest: str) -> None:
    try:
        obtain(name, f"{address}/{name}", digest)
    except GenlitError as error:
        hold("could not be fetched" in str(error), f"{name}: {error}")
    else:
        raise Broken(f"{name} was taken")


@contextmanager
def _cache(folder: Path) -> Iterator[None]:
    before = torch.hub.get_dir()
    torch.hub.set_dir(folder)
    try:
        yield
    finally:
        torch.hub.set_dir(before)
