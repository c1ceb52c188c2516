"""Runs: where a training's outputs lie, what made them, and whether it may go on."""

from genlit.runs.changes import MAY_CHANGE, Differences, check_same, differences, flat
from genlit.runs.folders import (
    ROOT,
    WEIGHTS,
    create,
    ended,
    every,
    folder_of,
    lock,
    named,
    newest,
    note_end,
    reached,
    resolve,
    runs,
    unfinished,
)
from genlit.runs.launch import FOLDER, check_launch, offered, primary, take
from genlit.runs.names import slug
from genlit.runs.provenance import record

__all__ = [
    "FOLDER",
    "MAY_CHANGE",
    "ROOT",
    "WEIGHTS",
    "Differences",
    "check_launch",
    "check_same",
    "create",
    "differences",
    "ended",
    "every",
    "flat",
    "folder_of",
    "lock",
    "named",
    "newest",
    "note_end",
    "offered",
    "primary",
    "reached",
    "record",
    "resolve",
    "runs",
    "slug",
    "take",
    "unfinished",
]
