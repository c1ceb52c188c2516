"""Macros, as W&B's agent expands them."""

import json
import sys
from pathlib import Path

import pytest

from genlit.errors import GenlitError
from genlit.sweep.command import check, expand, flags

VALUES = {"model.lr": 1e-4, "fast": True, "slow": False, "data.path": "my photos", "none": None}


def expanded(tmp_path, *words):
    return expand(list(words), "train.py", VALUES, tmp_path, {"HOME_OF": "there"})


def test_each_macro_is_the_words_that_it_stands_for(tmp_path):
    assert expanded(tmp_path, "${env}", "${interpreter}", "${program}") == ["/usr/bin/env", sys.executable, "train.py"]
    args = ["--model.lr=0.0001", "--fast=True", "--slow=False", "--data.path=my photos", "--none=None"]
    assert expanded(tmp_path, "${args}") == args
    assert expanded(tmp_path, "${args_no_hyphens}") == [word[2:] for word in args]
    assert expanded(tmp_path, "${args_append_hydra}")[0] == "+model.lr=0.0001"
    assert expanded(tmp_path, "${args_override_hydra}")[0] == "++model.lr=0.0001"
    assert expanded(tmp_path, "${args_no_equals}")[:4] == ["--model.lr", "0.0001", "--fast", "True"]
    assert expanded(tmp_path, "${args_no_boolean_flags}")[:3] == [
        "--model.lr=0.0001",
        "--fast",
        "--data.path=my photos",
    ]
    assert json.loads(*expanded(tmp_path, "${args_json}")) == VALUES
    (file,) = expanded(tmp_path, "${args_json_file}")
    assert json.loads(Path(file).read_text()) == VALUES


def test_variables_of_the_environment_stand_within_a_word(tmp_path):
    assert expanded(tmp_path, "--at=${envvar:HOME_OF}/x", "${envvar:MISSING}") == ["--at=there/x", "MISSING"]


def test_an_unknown_macro_is_named_with_the_nearest():
    with pytest.raises(GenlitError, match=r"unknown name 'arg'; did you mean 'args'"):
        check(["train.py", "${arg}", "${envvar:HOME}"])


def test_flags_are_read_back_by_the_command_line_as_they_were():
    assert flags({"a": True, "b": None, "c": [1, 2.5], "d": "x"}) == ["--a=true", "--b=null", "--c=[1, 2.5]", "--d=x"]
