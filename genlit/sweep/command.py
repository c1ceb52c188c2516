"""W&B's command macros: what a trial runs, from a list of words with `${...}` in it."""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genlit.errors import known
from genlit.files import write

MACROS = (
    "env", "interpreter", "program", "args", "args_no_equals", "args_no_hyphens", "args_no_boolean_flags", "args_json",
    "args_json_file", "args_append_hydra", "args_override_hydra",
)  # fmt: skip
_MACRO = re.compile(r"\$\{(\w+)\}")
_VARIABLE = re.compile(r"\$\{envvar:(\w+)\}")


def check(command: list[str]) -> None:
    """Refuses macros that W&B does not have.

    Raises:
        GenlitError: the nearest is named.
    """
    known("command", [found[1] for word in command if (found := _MACRO.fullmatch(word))], MACROS)


def expand(
    command: list[str], program: str | None, parameters: dict[str, Any], folder: Path, variables: dict[str, str]
) -> list[str]:
    """The words of a trial's command.

    Args:
        command: words; one that is a macro becomes as many words as it stands for.
        program: what `${program}` stands for.
        parameters: values by dotted name, written as W&B writes them.
        folder: where `${args_json_file}` is written.
        variables: of the environment, for `${envvar:NAME}`; one that is not set leaves its name.
    """
    meanings = _meanings(parameters) | {
        "env": ["/usr/bin/env"],
        "interpreter": [sys.executable],
        "program": [program] if program else [],
        "args_json_file": [os.fspath(folder / "args.json")],
    }
    if "${args_json_file}" in command:
        write(folder / "args.json", json.dumps(parameters) + "\n")
    words = (_VARIABLE.sub(lambda found: variables.get(found[1], found[1]), word) for word in command)
    return [each for word in words for each in _stood_for(word, meanings)]


def flags(parameters: dict[str, Any]) -> list[str]:
    """`--name=value` as genlit's command line reads it: text as it is, all else as JSON, which is YAML."""
    return [f"--{name}={v if isinstance(v, str) else json.dumps(v)}" for name, v in parameters.items()]


def _stood_for(word: str, meanings: dict[str, list[str]]) -> list[str]:
    macro = _MACRO.fullmatch(word)
    return meanings[macro[1]] if macro else [word]


def _meanings(parameters: dict[str, Any]) -> dict[str, list[str]]:
    plain = [f"{name}={value}" for name, value in parameters.items()]
    return {
        "args": [f"--{each}" for each in plain],
        "args_no_equals": [word for name, value in parameters.items() for word in (f"--{name}", str(value))],
        "args_no_hyphens": plain,
        "args_no_boolean_flags": list(_without_false(parameters)),
        "args_json": [json.dumps(parameters)],
        "args_append_hydra": [f"+{each}" for each in plain],
        "args_override_hydra": [f"++{each}" for each in plain],
    }


def _without_false(parameters: dict[str, Any]) -> Iterator[str]:
    for name, value in parameters.items():
        if not isinstance(value, bool):
            yield f"--{name}={value}"
        elif value:
            yield f"--{name}"
