"""`genlit report`: one HTML page of a run, or of several side by side."""

from collections.abc import Sequence
from pathlib import Path

from genlit.report import found, write_page


def report(names: Sequence[str], out: str | None = None) -> Path:
    """Writes the page of runs; returns its file.

    Args:
        names: run folders, folders of runs such as a sweep's, experiments (their newest run) or `experiment/number`.
        out: the file; by default `report.html` in the folder that holds all the runs.

    Raises:
        GenlitError: there is no such run, or a file in its folder is damaged.
    """
    folders = dict.fromkeys(folder for name in names for folder in found(name))
    page = write_page(list(folders), Path(out) if out else None)
    print(f"{page}: {len(folders)} run{'s' * (len(folders) > 1)}, {page.stat().st_size / 1e6:.1f} MB")
    return page
