"""Every fault that genlit promises something of."""

from genlit.errors import GenlitError, known
from genlit.faults import configurations
from genlit.faults.base import Fault

FAULTS = (
    Fault(
        "resume-must",
        "`--resume` fails where there is no run to go on with, instead of training from scratch.",
        configurations.resume_must,
        quick=True,
    ),
)


def chosen(names: tuple[str, ...]) -> list[Fault]:
    """The faults meant by names, in the table's order; `all` are those that are not long.

    Raises:
        GenlitError: there is none of a name.
    """
    known("genlit faults", names, ("all", *(fault.name for fault in FAULTS)))
    if not names:
        raise GenlitError(f"name a fault, or all: {', '.join(fault.name for fault in FAULTS)}")
    return [fault for fault in FAULTS if fault.name in names or ("all" in names and not fault.long)]
