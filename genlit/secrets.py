"""What must not be written down: keys, tokens, secrets and passwords."""

import re
from typing import Any

HIDDEN = "***"

# `key` and `token` only as a name's last word: models have keypoints, tokens and a key_dim.
_SECRET = re.compile(r"[^=]*(?:secret|passw|credential)[^=]*|(?:[^=]*[^a-z0-9=])?(?:api)?(?:key|token)", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"(\w+://[^/\s:@]*):[^/\s@]+@")


def redact(value: Any) -> Any:
    """A copy with `***` for each secret: a secret's value in a mapping, in `name=value` and after `--name`, and the
    password of an address, at any depth.

    Args:
        value: a configuration, a command line, or a part of either.
    """
    if isinstance(value, dict):
        return {key: HIDDEN if _SECRET.fullmatch(str(key)) else redact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [HIDDEN if _announces(before) else redact(item) for before, item in zip(["", *value], value)]
    return _strike(value) if isinstance(value, str) else value


def _announces(word: Any) -> bool:
    return isinstance(word, str) and word.startswith("--") and bool(_SECRET.fullmatch(word[2:]))


def _strike(word: str) -> str:
    name, equals, _ = word.partition("=")
    if equals and _SECRET.fullmatch(name.removeprefix("--")):
        return f"{name}={HIDDEN}"
    return _IN_ADDRESS.sub(rf"\1:{HIDDEN}@", word)
