"""Published weights from a server that sends other bytes."""

import hashlib
import os
import secrets
from functools import partial
from pathlib import Path
from unittest.mock import patch

from genlit.faults.harness.base import hold, refusal
from genlit.faults.hostile.command import served
from genlit.metrics.extractors.weights import cached, obtain


def downloads(folder: Path) -> str:
    """The file, then the file with a flipped byte, a cut one and none, from a server on this machine."""
    good = secrets.token_bytes(100_000)
    digest, published = hashlib.sha256(good).hexdigest(), folder / "published"
    published.mkdir()
    flipped = good[:50_000] + bytes([good[50_000] ^ 1]) + good[50_001:]
    with served(published) as (address, _), patch.dict(os.environ, TORCH_HOME=str(folder / "cache")):
        (published / "good.pth").write_bytes(good)
        hold(obtain("good.pth", f"{address}/good.pth", digest).read_bytes() == good, "other bytes were kept")
        for name, content in {"flipped.pth": flipped, "cut.pth": good[:-1]}.items():
            (published / name).write_bytes(content)
            refusal(partial(obtain, name, f"{address}/{name}", digest), "could not be fetched")
        refusal(partial(obtain, "missing.pth", f"{address}/missing.pth", digest), "could not be fetched")
        left = sorted(path.name for path in cached("good.pth").parent.iterdir())
    hold(left == ["good.pth"], f"the cache holds {left}")
    return "a flipped byte, a cut file and a missing one were refused, and nothing of them was kept"
