"""What a trained run becomes for others."""

import json

import pytest
import torch
import yaml
from PIL import Image

import genlit
from genlit import runs
from genlit.errors import GenlitError
from genlit.files import write
from tests.verbs.conftest import command

EVALUATION = {"metrics": [{"name": "elbo/threshold.n2000.test", "value": -12.5, "n": 2000, "seconds": 1.5}]}


def test_a_run_becomes_a_folder_that_loads_samples_and_evaluates(trained_run, tmp_path):
    run = trained_run("codes")
    command("export", run, "--out", tmp_path / "vae", "--format", "torch")
    files = {path.name for path in (tmp_path / "vae").iterdir()}
    assert files == {
        "README.md", "config.json", "config.yaml", "decode.pt2", "encode.pt2", "reconstruct.pt2", "model.safetensors",
        "samples.png",
    }  # fmt: skip
    model, again = genlit.load(run), genlit.load(tmp_path / "vae")
    assert torch.equal(model.sample(5, seed=2), again.sample(5, seed=2))
    assert (again.iteration, again.images) == (model.iteration, model.images)
    command("sample", tmp_path / "vae", "-n", 2)
    assert Image.open(tmp_path / "vae" / "samples" / "00001.png").size == (8, 8)
    command("eval", tmp_path / "vae", "--metrics", "diversity", "--split", "val", "--json", tmp_path / "table.json")
    assert json.loads((tmp_path / "table.json").read_text())["checkpoint"] == "model.safetensors"


def test_the_card_says_what_it_is_and_how_good(trained_run, tmp_path):
    run = trained_run("codes")
    checkpoint = runs.resolve(run).name
    write(run / "eval-test.json", json.dumps(EVALUATION | {"checkpoint": checkpoint}))
    write(run / "eval-val.json", json.dumps({"metrics": [{"name": "of-another"}], "checkpoint": "it-00000001.ckpt"}))
    command("export", run, "--out", tmp_path / "vae", "--format", "torch")
    for name in ("eval-test.json", "eval-val.json"):
        (run / name).unlink()
    card = (tmp_path / "vae" / "README.md").read_text()
    assert "# codes: VAE on Digits" in card
    assert "Kingma & Welling 2014" in card
    assert "CC BY-SA 3.0" in card
    assert "| `elbo/threshold.n2000.test` | -12.5 | 2000 | 1.5 |" in card
    assert "of-another" not in card
    assert "| `decode.pt2` | batch x 3 | batch x 1 x 8 x 8 | 0 |" in card
    assert "2 iterations, 128 images" in card
    header = yaml.safe_load(card.split("---")[1])
    assert header == {"library_name": "genlit", "tags": ["generative-model", "VAE"]}


def test_a_model_that_draws_nothing_shows_its_training(trained_run, tmp_path):
    command("export", trained_run("unpaired"), "--out", tmp_path / "cyclegan")
    newest = (trained_run("unpaired") / "pictures").glob("*/it-00000002.png")
    assert (tmp_path / "cyclegan" / "samples.png").read_bytes() in {path.read_bytes() for path in newest}
    card = (tmp_path / "cyclegan" / "README.md").read_text()
    assert "has not been measured" in card
    assert 'model.translate(images, "b")  # to b, a' in card


def test_what_no_graph_can_hold_keeps_its_weights(trained_run, tmp_path, caplog):
    command("export", trained_run("pixels"), "--out", tmp_path / "pixels", "--format", "torch")
    assert "PixelCNN.decode is no graph" in caplog.text
    assert (tmp_path / "pixels" / "log_prob.pt2").is_file()
    with pytest.raises(GenlitError, match="--format torch: PuzzleGAN has no function of one tensor"):
        command("export", trained_run("puzzle"), "--out", tmp_path / "puzzle", "--format", "torch")
    assert not (tmp_path / "puzzle").exists()
    command("export", trained_run("puzzle"), "--out", tmp_path / "puzzle")
    assert type(genlit.load(tmp_path / "puzzle")).__name__ == "PuzzleGAN"


def test_an_exported_model_is_not_exported_again(trained_run, tmp_path):
    command("export", trained_run("game"), "--out", tmp_path / "game")
    with pytest.raises(GenlitError, match="is no checkpoint in a run folder"):
        command("export", tmp_path / "game")
