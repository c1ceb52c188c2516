"""What each fault last led to, and the page made of it."""

import json
import os
import platform
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import NamedTuple

import torch

from genlit.errors import GenlitError
from genlit.faults.harness.base import Fault
from genlit.files import write

FOLDER = Path("docs")  # in a checkout; elsewhere nothing is kept
RESULTS, PAGE = "promises.json", "promises.md"
COLUMNS = ("shown by", "what genlit does", "last shown", "what was seen")
ABOUT = """# What genlit does when things go wrong

Each row is a fault that a command makes happen in a real training, and what genlit then promises. `make faults` shows
all of them that a machine can, in {minutes} minutes; rows marked * take longer, and are shown when they are named. In a
checkout every row that is shown is written here.
"""


class Result(NamedTuple):
    """How showing a fault ended.

    Args:
        outcome: ok, failed or not shown.
        seen: in a sentence.
        seconds: that it took.
        day: when.
        machine: on what kind of machine.
    """

    outcome: str
    seen: str
    seconds: float
    day: str
    machine: str


def result(outcome: str, seen: str, seconds: float) -> Result:
    """A result of today, on this machine."""
    return Result(outcome, " ".join(seen.split()), round(seconds, 1), date.today().isoformat(), _machine())


def read(folder: Path = FOLDER) -> dict[str, Result]:
    """The last results by the fault's name.

    Raises:
        GenlitError: the file is damaged.
    """
    file = folder / RESULTS
    try:
        return {name: Result(**one) for name, one in json.loads(file.read_text(encoding="utf-8")).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise GenlitError(f"{file} cannot be read ({error}); delete it and run `make faults`") from error


def keep(faults: Iterable[Fault], new: dict[str, Result], folder: Path = FOLDER) -> None:
    """Writes new results over the older ones, and the page.

    Args:
        faults: all that there are, in the page's order; results of others are dropped.
        new: by name.
        folder: where to; nothing is written where it is missing.
    """
    if not folder.is_dir():
        return
    faults, found = list(faults), read(folder) | new
    found = {fault.name: found[fault.name] for fault in faults if fault.name in found}
    plain = {name: one._asdict() for name, one in found.items()}
    write(folder / RESULTS, json.dumps(plain, indent=2, ensure_ascii=False) + "\n")
    write(folder / PAGE, page(faults, found))


def page(faults: Iterable[Fault], found: dict[str, Result]) -> str:
    """The page of all faults, with what was last seen of each."""
    faults = list(faults)
    lines = [COLUMNS, ("---",) * len(COLUMNS), *(_row(fault, found.get(fault.name)) for fault in faults)]
    about = ABOUT.format(minutes=_minutes([fault for fault in faults if not fault.long], found))
    return about + "\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _minutes(faults: Iterable[Fault], found: dict[str, Result]) -> int:
    """What faults last took together, rounded up to five minutes."""
    seconds = sum(found[fault.name].seconds for fault in faults if fault.name in found)
    return 5 * (int(seconds) // 300 + 1)


def _row(fault: Fault, found: Result | None) -> tuple[str, ...]:
    name = f"`genlit faults {fault.name}`" + " \\*" * fault.long
    if not found:
        return name, fault.promise, "not yet", ""
    when = f"{found.outcome}, {found.day}, {found.seconds:.0f} s; {found.machine}"
    return name, fault.promise, when, found.seen.replace("|", "\\|")


def _machine() -> str:
    gpus = {torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())}
    return f"{os.cpu_count()} CPU cores, {', '.join(sorted(gpus)) or 'no GPU'}, {platform.system()}"
