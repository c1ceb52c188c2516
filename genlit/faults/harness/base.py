"""What a fault is, and the two ways in which showing one ends other than well."""

import shutil
import subprocess
from collections.abc import Callable
from typing import NamedTuple

from genlit.errors import GenlitError


class Broken(Exception):  # noqa: N818
    """A promise was not kept: what was seen, in a sentence."""


class NotShown(Exception):  # noqa: N818
    """This machine cannot show a fault: what it lacks, in a sentence."""


class Fault(NamedTuple):
    """A fault, and what genlit promises where it strikes.

    Args:
        name: what `genlit faults` knows it by.
        promise: what genlit does, in one sentence.
        show: makes it happen in an empty folder and gives what was seen, in one sentence; raises Broken or NotShown.
        quick: whether it takes at most half a minute, and `make test` shows it.
        long: whether it takes so long that `all` leaves it out.
        options: those of `genlit faults` that `show` takes by name.
    """

    name: str
    promise: str
    show: Callable[..., str]
    quick: bool = False
    long: bool = False
    options: tuple[str, ...] = ()


def hold(kept: bool, otherwise: str) -> None:
    """Says that a promise was not kept, where it was not.

    Args:
        kept: whether it was.
        otherwise: what was seen instead.

    Raises:
        Broken: it was not.
    """
    if not kept:
        raise Broken(otherwise)


def needs_namespaces(*command: str) -> None:
    """Says that a fault cannot be shown, where this machine refuses the namespaces that a command makes.

    Args:
        command: `unshare`, and of what.

    Raises:
        NotShown: it does.
    """
    if not shutil.which(command[0]) or subprocess.run([*command, "true"], capture_output=True).returncode:
        raise NotShown(f"this machine gives no user namespaces: `{' '.join(command)}` fails")


def refusal(call: Callable[[], object], part: str) -> str:
    """The sentence by which genlit refuses a call.

    Args:
        call: what it should refuse.
        part: of the sentence.

    Raises:
        Broken: it does not, or says something else.
    """
    try:
        call()
    except GenlitError as error:
        hold(part in str(error), f"it was refused otherwise: {error}")
        return str(error)
    raise Broken(f"it was not refused, which would have said '{part}'")
