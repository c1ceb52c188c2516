"""Secrets are struck out wherever they stand, and nothing else is."""

import pytest

from genlit.secrets import redact


@pytest.mark.parametrize(
    "name", ["key", "API_KEY", "apikey", "wandb.api-key", "HF_TOKEN", "db_password", "client_secret_id", "credentials"]
)
def test_a_secret_is_hidden_at_any_depth(name):
    assert redact({"hub": [{name: "canary"}, "plain"]}) == {"hub": [{name: "***"}, "plain"]}
    assert redact([f"--{name}=canary", f"{name}=canary"]) == [f"--{name}=***", f"{name}=***"]
    assert redact([f"--{name}", "canary", "next"]) == [f"--{name}", "***", "next"]


def test_a_password_in_an_address_is_hidden():
    assert redact("--storage=postgres://me:canary@host/db") == "--storage=postgres://me:***@host/db"


def test_the_rest_is_left_alone():
    argv = [
        "train",
        "--model.keypoints=3",
        "--model.key_dim",
        "0.1",
        "--tokenizer=bpe",
        "monkey=1",
        "https://host/path",
    ]
    assert redact(argv) == argv
    config = {"tokens": 4, "keypoints": [1], "keys": None, "lr": 0.1, "monkey": {"passes": True}}
    assert redact(config) == config


def test_what_is_given_stays_as_it_is():
    config = {"hub": {"token": "canary"}}
    redact(config)
    assert config["hub"]["token"] == "canary"
