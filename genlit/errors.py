"""The one exception that genlit raises for bad input."""


class GenlitError(Exception):
    """Bad input, told in one sentence: the value, the file or key, and the remedy."""
