"""What `genlit eval` says of a run, and of an experiment's claim."""

import json

import pytest
import torch

import genlit
from genlit.cli import verbs
from genlit.errors import GenlitError
from genlit.verbs.evaluate import evaluate

SMALL = [
    "--model.hidden=[8]", "--model.latent=2", "--data.batch_size=300", "--trainer.max_steps=2", "--run.wandb=disabled",
    "--run.pictures=4", "--trainer.accelerator=cpu", "--run.progress=false",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    verbs.main(["train", "vae", *SMALL, f"--trainer.default_root_dir={root}"], standalone_mode=False)
    return root / "vae" / "001"


def test_values_are_means_over_every_held_out_image(run):
    measured = evaluate(str(run))
    assert measured["elbo.dynamic.test"] == pytest.approx(
        -measured["autoencoder/reconstruction.dynamic.test"] - measured["autoencoder/kl.dynamic.test"], rel=1e-6
    )
    saved = json.loads((run / "eval-test.json").read_text())
    assert {name: row["value"] for name, row in saved["metrics"].items()} == measured
    assert saved["checkpoint"] == "it-00000002.ckpt"
    assert saved["claim"] is None
    assert evaluate(str(run)) == measured


def test_a_claim_that_fails_is_an_error(run):
    config = (run / "config.yaml").read_text()
    for bound, holds in (("at_least: -10000.0", True), ("at_least: 0.0", False)):
        claim = f"claim:\n  metric: elbo\n  {bound}\n"
        (run / "config.yaml").write_text(config.replace("claim: null\n", claim))
        if holds:
            evaluate(str(run))
        else:
            with pytest.raises(GenlitError, match="claim"):
                evaluate(str(run))
        assert json.loads((run / "eval-test.json").read_text())["claim"] is holds
    (run / "config.yaml").write_text(config)


def test_a_claim_about_nothing_is_named(run):
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("claim: null\n", "claim: {metric: beauty, at_least: 1.0}\n"))
    with pytest.raises(GenlitError, match="'beauty'"):
        evaluate(str(run))
    (run / "config.yaml").write_text(config)


def test_a_loaded_model_keeps_its_clock(run):
    model = genlit.load(run)
    assert (model.iteration, model.images) == (2, 600)
    assert model.bound(torch.ones(3, 1, 28, 28), k=2).shape == (3,)
