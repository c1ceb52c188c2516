"""The one exception that genlit raises for bad input."""

from collections.abc import Iterable
from difflib import get_close_matches


class GenlitError(Exception):
    """Bad input, told in one sentence: the value, the file or key, and the remedy."""


def known(where: str, given: Iterable[str], allowed: Iterable[str]) -> None:
    """Refuses a name that is not among the allowed ones, with the nearest."""
    for name in given:
        if name not in allowed:
            near = get_close_matches(name, allowed, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(allowed)}"
            raise GenlitError(f"{where}: unknown name '{name}'; {hint}")
