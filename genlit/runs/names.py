"""Names that are safe as folders."""

import re

from genlit.errors import GenlitError


def slug(name: str) -> str:
    """A folder's name for any text: `[A-Za-z0-9._-]`, 1 to 80 characters, no leading dot or dash.

    Raises:
        GenlitError: nothing of the name is left.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".-")[:80]
    if not safe:
        raise GenlitError(f"{name!r} cannot name a run folder; use letters, digits, '.', '_' and '-'.")
    return safe
