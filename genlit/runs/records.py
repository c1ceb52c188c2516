"""What a run's history.jsonl holds, read without the libraries that training needs."""

import json
from pathlib import Path

from genlit.errors import GenlitError

OBJECTIVE = "GENLIT_OBJECTIVE"  # the variable that names the metric which a sweep of W&B's seeks, without its protocol


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


def carries(name: str, metric: str) -> bool:
    """Whether a record's or a table's name is a metric's, whatever the protocol: `fd-lenet/1a2b3c4d.n1000.val`.

    Args:
        name: the full one.
        metric: the full one, or what stands before a `/` or a `.` of it: `fd-lenet`.
    """
    metric = metric.removesuffix("/")
    return name == metric or name.startswith((f"{metric}/", f"{metric}."))
