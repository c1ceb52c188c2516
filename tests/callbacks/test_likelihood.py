import re

import pytest

from genlit.callbacks.likelihood import Likelihood
from genlit.cli import verbs
from genlit.errors import GenlitError
from genlit.logging import history
from genlit.models import DCGAN, VAE

TINY = [
    "--model.hidden=[8]", "--model.latent=2", "--data.batch_size=100", "--trainer.max_steps=4", "--run.wandb=disabled",
    "--run.pictures=4", "--trainer.accelerator=cpu", "--run.progress=false", "--run.evaluate_every=200",
    "--run.evaluate_share=1", "--trainer.limit_val_batches=1",
]  # fmt: skip


@pytest.fixture
def vae(tmp_path):
    """Trains a tiny VAE through the command line, which measures every second iteration; returns its measurements."""

    def train(*flags):
        words = ["train", "vae", *TINY, f"--trainer.default_root_dir={tmp_path}", *flags]
        verbs.main(words, standalone_mode=False)
        records = history.read(max((tmp_path / "vae").iterdir()) / "history.jsonl")
        found = [
            {name: value for name, value in record.items() if re.search(r"elbo/|iwae|bits-per-dim/", name)}
            for record in records
        ]
        return [record for record in found if record]

    return train


@pytest.mark.parametrize("binarize", ["dynamic", "threshold"])
def test_names_carry_binarisation_number_of_draws_images_and_split(vae, binarize):
    measured = vae(f"--data.binarize={binarize}", "--run.likelihood=[1, 5]")
    assert len(measured) == 2
    for record in measured:
        assert list(record) == [
            f"elbo/{binarize}.n500.val", f"bits-per-dim/elbo.{binarize}.n500.val",
            f"iwae-5/{binarize}.n500.val", f"bits-per-dim/iwae-5.{binarize}.n500.val",
        ]  # fmt: skip
        assert record[f"elbo/{binarize}.n500.val"] < record[f"iwae-5/{binarize}.n500.val"] < 0


def test_a_bound_of_bytes_says_that_they_are(vae):
    (*_, last) = vae("--data.binarize=null", "--model.likelihood=logistic", "--run.likelihood=[1]")
    assert list(last) == ["elbo/256-levels.n500.val", "bits-per-dim/elbo.256-levels.n500.val"]


def test_the_measured_values_rise_with_training_and_are_the_same_again(vae):
    first, second = vae("--run.likelihood=[1]"), vae("--run.likelihood=[1]", "--resume=never")
    assert first == second
    assert first[1]["elbo/dynamic.n500.val"] > first[0]["elbo/dynamic.n500.val"]


def refuse_training(*args):
    raise AssertionError("it trains")


def test_a_game_without_a_likelihood_is_refused_before_training(dcgan, monkeypatch):
    monkeypatch.setattr(DCGAN, "training_step", refuse_training)
    with pytest.raises(GenlitError, match=r"run\.likelihood: DCGAN neither gives nor bounds one; set it to null"):
        dcgan("--run.fidelity=null", "--run.likelihood=[1]")


@pytest.mark.parametrize("k", [(), (0,), (1, -1)])
def test_numbers_of_draws_that_are_none_are_refused(k):
    with pytest.raises(GenlitError, match=r"run\.likelihood is \[.*\]: it must be numbers of draws"):
        Likelihood(k)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--data.binarize=null"], "2 levels"),
        (["--model.likelihood=gaussian"], "data.binarize is dynamic"),
    ],
)
def test_images_that_it_says_nothing_about_are_refused_before_training(vae, monkeypatch, flags, sentence):
    monkeypatch.setattr(VAE, "training_step", refuse_training)
    with pytest.raises(GenlitError, match=sentence):
        vae(*flags)
