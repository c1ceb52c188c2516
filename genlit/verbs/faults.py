"""`genlit faults`: makes faults happen in real trainings, and tells what came of each."""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from genlit.errors import GenlitError
from genlit.faults.harness.base import Broken, Fault, NotShown
from genlit.faults.harness.results import Result, keep, result
from genlit.faults.harness.training import end_all
from genlit.faults.table import FAULTS, chosen

COLOURS = {"ok": "green", "failed": "red", "not shown": "yellow"}


def faults(names: tuple[str, ...], **options: Any) -> None:
    """Shows faults, a line for each as it ends; in a checkout the page of promises is written anew.

    Args:
        names: of faults; `all` are those that do not take long.
        options: of single faults; those that are None are left out.

    Raises:
        GenlitError: there is no such fault, or it has no such option.
        SystemExit: with 1, where a promise was not kept.
    """
    given = {name: value for name, value in options.items() if value is not None}
    faults, console = chosen(names), Console()
    for fault in faults:
        _refuse_foreign(fault, given)
    found = {}
    for fault in faults:
        found[fault.name] = attempt(fault, given)
        console.print(_line(fault, found[fault.name]), soft_wrap=True, highlight=False)
        if not given:  # the page names the command without options
            keep(FAULTS, found)
    if any(each.outcome == "failed" for each in found.values()):
        sys.exit(1)


def attempt(fault: Fault, options: dict[str, Any]) -> Result:
    """Shows one fault in a folder that is gone afterwards; whatever else goes wrong there is a failure, too."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"{fault.name}-", ignore_cleanup_errors=True) as folder:
        try:
            outcome, seen = "ok", fault.show(Path(folder), **options)
        except NotShown as reason:
            outcome, seen = "not shown", str(reason)
        except Broken as broken:
            outcome, seen = "failed", str(broken)
        except Exception as error:
            outcome, seen = "failed", f"{type(error).__name__}: {error}"
        finally:
            end_all()
    return result(outcome, seen.replace(f"{folder}/", ""), time.monotonic() - start)


def _line(fault: Fault, found: Result) -> str:
    colour = COLOURS[found.outcome]
    seen = found.seen.replace("[", r"\[")
    return f"[{colour}]{found.outcome:9}[/] {fault.name}: {seen} ({found.seconds:.1f} s)"


def _refuse_foreign(fault: Fault, given: dict[str, Any]) -> None:
    for name in given:
        if name not in fault.options:
            raise GenlitError(f"genlit faults: {fault.name} has no option --{name}; leave it out")
