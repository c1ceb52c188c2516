"""history.jsonl: every record of a run, one JSON object a line; `read` gives them back."""

import json
import math
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger

from genlit.engine import checkpoint
from genlit.errors import GenlitError
from genlit.files import write
from genlit.runs.records import Record, read

__all__ = ["History", "read"]


class History(Logger):
    """Appends every record to `history.jsonl`, flushed line by line, so that a killed run loses none.

    JSON has no word for numbers that are not finite: they are written as null under their key.

    Args:
        run_folder: where the file lies.
    """

    def __init__(self, run_folder: str | Path):
        super().__init__()
        self.path = Path(run_folder) / "history.jsonl"

    @property
    def name(self) -> str:
        return "history"

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Writes nothing: the run folder holds the configuration."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Appends one record; `step` is already in it as `progress/iter`."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(metrics))
        except OSError as error:
            raise GenlitError(f"cannot write {self.path}: {error.strerror}; free its disk and resume") from error

    def rewind(self, it: int) -> None:
        """Drops what a run that resumes at iteration `it` writes again, and a torn last line.

        That is all of later iterations and, where the run's checkpoint of `it` came before its validation, that too.
        """
        if not self.path.exists():
            return
        saved = checkpoint.named(self.path.parent / "checkpoints", it)
        owing = saved.exists() and checkpoint.owes_validation(saved)
        kept = [record for record in read(self.path) if not _comes_again(record, it, owing)]
        write(self.path, "".join(map(_line, kept)))


def cost(path: str | Path) -> dict[str, float]:
    """Hours that a training took by its history: of wall time, and of the processor in iterations; 0 without one."""
    hours = cpu = done = 0.0
    for record in read(path) if Path(path).exists() else []:
        hours = max(hours, record.get("progress/hours") or 0.0)
        cpu += (record.get("throughput/cpu_ms") or 0.0) * (record["progress/iter"] - done) / 3.6e6
        done = record["progress/iter"] if "throughput/cpu_ms" in record else done
    return {"hours": hours, "cpu_hours": cpu}


def _comes_again(record: Record, it: int, owing: bool) -> bool:
    at = record.get("progress/iter", 0)
    return at > it or (owing and at == it and any(key.startswith("val/") for key in record))


def _line(record: dict[str, float]) -> str:
    finite = {key: value if value is not None and math.isfinite(value) else None for key, value in record.items()}
    return json.dumps(finite, allow_nan=False, default=float) + "\n"
