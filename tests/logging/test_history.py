import json
import os
import signal
import subprocess
import sys

import pytest
import torch

from genlit.engine.checkpoint import SafeIO, named
from genlit.errors import GenlitError
from genlit.logging.history import History, read


def record(it: int, **more: float) -> dict[str, float]:
    return {"progress/iter": it, "progress/images": 64 * it, "train/critic/adversarial": 1 / 3 + it} | more


@pytest.fixture
def history(tmp_path):
    history = History(tmp_path)
    for it in (10, 20, 30):
        history.log_metrics(record(it), step=it)
    return history


def test_every_record_is_a_line_and_comes_back_bit_for_bit(history):
    assert read(history.path) == [record(10), record(20), record(30)]
    assert type(read(history.path)[0]["progress/iter"]) is int


def test_numbers_that_are_not_finite_are_null_in_strict_json(history):
    history.log_metrics(record(40, nan=float("nan"), inf=float("inf"), minus=float("-inf"), none=torch.tensor(2.5)))
    last = history.path.read_text().splitlines()[-1]
    parsed = json.loads(last, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert [parsed[key] for key in ("nan", "inf", "minus", "none")] == [None, None, None, 2.5]


def test_a_torn_last_line_is_left_out(history):
    with history.path.open("a") as file:
        file.write('{"progress/iter": 40, "trai')
    assert [r["progress/iter"] for r in read(history.path)] == [10, 20, 30]


def test_a_bad_line_in_the_middle_is_named(history):
    lines = history.path.read_text().splitlines(keepends=True)
    history.path.write_text("".join([lines[0], "not json\n", lines[2]]))
    with pytest.raises(GenlitError, match=r"history\.jsonl, line 2 is not JSON \('not json"):
        read(history.path)


def test_a_missing_history_is_named(tmp_path):
    with pytest.raises(GenlitError, match=r"cannot read .*history\.jsonl"):
        read(tmp_path / "history.jsonl")


def test_rewinding_drops_the_future_and_the_torn_line_and_keeps_the_rest_bit_for_bit(history):
    before = history.path.read_bytes().splitlines(keepends=True)
    with history.path.open("a") as file:
        file.write('{"progress/iter": 15')
    history.rewind(20)
    assert history.path.read_bytes() == b"".join(before[:2])
    history.log_metrics(record(30), step=30)
    assert history.path.read_bytes() == b"".join(before)


@pytest.mark.parametrize("owing", [True, False])
def test_rewinding_drops_a_validation_that_comes_again(history, tmp_path, owing):
    before = {"progress/iter": 20, "val/critic/adversarial": 0.5}
    history.log_metrics(before | {"progress/iter": 10})
    history.log_metrics(before)
    saved = {"callbacks": {"Checkpoints": {"owes_validation": owing}}}
    SafeIO().save_checkpoint(saved, named(tmp_path / "checkpoints", 20))
    history.rewind(20)
    expected = [record(10), record(20), before | {"progress/iter": 10}, before]
    assert read(history.path) == (expected[:-1] if owing else expected)


def test_rewinding_a_run_without_history_makes_none(tmp_path):
    History(tmp_path).rewind(0)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_loses_no_record(tmp_path):
    child = (
        "import os, signal, sys; from genlit.logging.history import History; history = History(sys.argv[1])\n"
        "for it in range(5): history.log_metrics({'progress/iter': it})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", child, tmp_path], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert killed.returncode == -signal.SIGKILL
    assert [r["progress/iter"] for r in read(tmp_path / "history.jsonl")] == [0, 1, 2, 3, 4]


def test_a_folder_that_takes_no_file_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GenlitError, match=r"cannot write .*history\.jsonl"):
        History(tmp_path / "file").log_metrics(record(1))
