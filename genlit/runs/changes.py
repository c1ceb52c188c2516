"""What differs between two configurations, and what may."""

from typing import Any

from genlit.errors import GenlitError

MAY_CHANGE = ("trainer.max_steps", "trainer.default_root_dir", "run", "data.root", "data.workers", "claim", "cost")

Differences = dict[str, tuple[Any, Any]]  # {"model.lr": (old, new)}

_ABSENT = "(absent)"


def differences(old: dict[str, Any], new: dict[str, Any]) -> Differences:
    """What differs between two configurations: `{"model.lr": (old, new)}`, with `(absent)` where a key is missing."""
    before, after = flat(old), flat(new)
    pairs = {key: (before.get(key, _ABSENT), after.get(key, _ABSENT)) for key in before | after}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """A configuration in one level: `{"model.lr": 1e-4}`."""
    if not isinstance(tree, dict) or not tree:
        return {prefix: tree} if prefix else {}
    branches = (flat(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in tree.items())
    return {key: value for branch in branches for key, value in branch.items()}


def check_same(old: dict[str, Any], new: dict[str, Any], allow: bool = False) -> None:
    """Refuses to resume a run under another configuration, except for `MAY_CHANGE`.

    Those are the budget, places, and what only looks on. How often a run validates and logs may not change: it shapes
    the history, and a checkpoint may owe a validation.

    Args:
        old: the run's configuration.
        new: the present one.
        allow: accept any difference.

    Raises:
        GenlitError: a key differs that may not change; every such key is listed.
    """
    changed = {key: pair for key, pair in differences(old, new).items() if not _may_change(key)}
    if changed and not allow:
        listed = ", ".join(f"{key}: {a} -> {b}" for key, (a, b) in changed.items())
        raise GenlitError(f"This configuration is not the run's ({listed}); undo it, begin a run or pass --override.")


def _may_change(key: str) -> bool:
    return any(key == name or key.startswith(name + ".") for name in MAY_CHANGE)
