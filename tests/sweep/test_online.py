"""What W&B's server and agents are told."""

from types import SimpleNamespace

import pytest

from genlit.errors import GenlitError
from genlit.logging.wandb import Dashboard
from genlit.runs.records import OBJECTIVE
from genlit.sweep import online, schema


def test_a_server_is_told_dotted_names_and_the_training():
    tree = {"model": {"parameters": {"lr": {"min": 0.0, "max": 1.0}}}, "seed": {"value": 3}}
    content = {"method": "bayes", "metric": {"name": "fd-lenet"}, "parameters": tree, "run_cap": 50, "name": "mine"}
    told = online.described(schema.read(content), ["dcgan", "--trainer.max_steps=9"], 20)
    assert told["parameters"] == {
        "model.lr": {"distribution": "uniform", "min": 0.0, "max": 1.0},
        "seed": {"distribution": "constant", "value": 3},
    }
    assert (told["run_cap"], told["name"], told["method"]) == (20, "mine", "bayes")
    assert told["command"] == [
        "${env}", f"{OBJECTIVE}=fd-lenet", "${interpreter}", "-m", "genlit", "train", "dcgan", "--trainer.max_steps=9",
        "--resume=never", "${args}",
    ]  # fmt: skip


def test_a_command_of_the_file_is_kept():
    content = {"method": "random", "metric": {"name": "loss"}, "parameters": {"x": {"value": 1}}, "command": ["train"]}
    assert online.described(schema.read(content), ["dcgan"], None)["command"] == ["train"]


def test_a_program_of_the_file_is_left_to_wandbs_own_command():
    content = {"method": "random", "metric": {"name": "loss"}, "parameters": {"x": {"value": 1}}, "program": "train.py"}
    told = online.described(schema.read(content), ["dcgan"], None)
    assert told["program"] == "train.py"
    assert "command" not in told


def test_a_trainings_records_carry_what_the_server_seeks_by_its_name(monkeypatch):
    sent = []
    board = Dashboard(SimpleNamespace(define_metric=lambda *a, **k: None, log=sent.append))
    record = {"progress/images": 3, "fd-lenet/1a2b.n10.val": 5.0, "fd-lenet-floor": 1.0}
    board.log_metrics(record)
    monkeypatch.setenv(OBJECTIVE, "fd-lenet")
    board.log_metrics(record)
    board.log_metrics({"progress/images": 4})
    assert sent == [record, record | {"fd-lenet": 5.0}, {"progress/images": 4}]


def test_without_a_key_or_told_to_stay_offline_there_is_no_server(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "NETRC", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    assert not online.available()
    monkeypatch.setenv("WANDB_API_KEY", "c" * 40)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert not online.available()


def test_a_server_that_is_not_there_is_one_sentence(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "short")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(GenlitError, match=r"W&B creates no sweep .*: --local"):
        online.create({"method": "random", "parameters": {"x": {"value": 1}}, "program": "x"}, "p")
