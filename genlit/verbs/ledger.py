"""`genlit ledger`: what runs reached, written down, and the table of it."""

from collections.abc import Sequence

from genlit import runs
from genlit.ledger import page, records


def ledger(names: Sequence[str], *, name: str | None = None) -> None:
    """Adds the records of runs that have been measured, then builds the table of all records.

    Args:
        names: run folders or experiments, whose newest run it is; none builds the table alone.
        name: what the records are called; by default the experiments' names.

    Raises:
        GenlitError: a run has not been measured, or is of another configuration than the records of its name.
    """
    for run in names:
        for file in records.add(runs.folder_of(runs.resolve(run)), name):
            print(file)
    page.build()
    print(page.PAGE)
