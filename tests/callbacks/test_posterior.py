"""Active units while a model trains, and what is said when there are none."""

import pytest
import torch

from genlit.cli import verbs
from genlit.logging import history
from genlit.models import VAE
from tests.callbacks.test_likelihood import TINY


@pytest.fixture
def vae(tmp_path, caplog):
    """Trains a tiny VAE through the command line, measuring four times; returns its active units, and what is said."""

    def train(*flags):
        flags = [*TINY, "--trainer.max_steps=8", "--run.likelihood=[1]", *flags]
        verbs.main(["train", "vae", *flags, f"--trainer.default_root_dir={tmp_path}"], standalone_mode=False)
        records = history.read(max((tmp_path / "vae").iterdir()) / "history.jsonl")
        name = "active-units/codes.dynamic.n500.val"
        said = [record.message for record in caplog.records if "collapse" in record.message]
        return [record[name] for record in records if name in record], said

    return train


def test_active_units_are_measured_with_the_likelihood(vae, monkeypatch):
    half = torch.tensor([1, 0])
    monkeypatch.setattr(VAE, "encode", lambda model, images, **options: images[:, 0, 14, 13:15] * half)
    assert vae() == ([1, 1, 1, 1], [])


def test_a_collapsed_posterior_is_warned_of_once(vae, monkeypatch):
    monkeypatch.setattr(VAE, "encode", lambda model, images, **options: torch.ones(len(images), 2))
    units, (said,) = vae()
    assert units == [0, 0, 0, 0]
    assert "active-units/codes.dynamic.n500.val is 0 (the codes say nothing of the images: a smaller rate" in said


def test_no_look_is_taken_where_none_is_wanted(vae, monkeypatch):
    monkeypatch.setattr(VAE, "encode", lambda model, images, **options: torch.ones(len(images), 2))
    assert vae("--run.sentinel=null") == ([0, 0, 0, 0], [])
