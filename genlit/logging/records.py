"""Reading history.jsonl, without torch: the report and whoever watches a run need no more."""

import json
from pathlib import Path

from genlit.errors import GenlitError

Record = dict[str, float | None]


def read(path: str | Path) -> list[Record]:
    """The records of a history file; a last line torn by a crash is left out.

    Args:
        path: a `history.jsonl`.

    Raises:
        GenlitError: for a file that is not there, or a line before the last that is not JSON.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    except OSError as error:
        raise GenlitError(f"cannot read {path}: {error.strerror}; name the history.jsonl of a run") from error
    whole = [line for line in lines if line.endswith("\n")]
    return [_parse(path, number, line) for number, line in enumerate(whole, start=1)]


def _parse(path: Path, number: int, line: str) -> Record:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise GenlitError(f"{path}, line {number} is not JSON ({line[:40]!r}); remove that line") from error
