"""What `genlit features` writes."""

import json
import re

import numpy as np
import pytest
import torch

import genlit
from genlit.data import Digits
from genlit.errors import GenlitError
from tests.verbs.conftest import command


def test_codes_of_a_split_are_the_models_with_names_and_labels(trained_run, capsys):
    run, digits = trained_run("codes"), Digits(size=8, binarize="threshold")
    command("features", run)
    shown = capsys.readouterr().out
    images = digits.first(70, torch.device("cpu"), "test")
    with np.load(run / "features.npz") as file:
        assert file["codes"].shape == (2000, 3)
        assert file["codes"][:70] == pytest.approx(genlit.load(run).encode(images["image"]).numpy(), abs=1e-5)
        assert file["labels"][:70].tolist() == images["label"].tolist()
        assert file["names"][1999] == "test/01999"
        assert file["classes"].tolist() == list("0123456789")
    accuracy = float(re.search(r"linear-probe/codes\.threshold\.n2000\.test\s+│ +([\d.]+)", shown)[1])
    assert 0.15 < accuracy < 1
    assert "2000 codes of 3 numbers" in shown


def test_ones_own_images_have_codes_and_no_labels(trained_run, photos, tmp_path, capsys):
    command("features", trained_run("codes"), "--images", photos, "--out", tmp_path / "mine.npz")
    with np.load(tmp_path / "mine.npz") as file:
        assert sorted(file) == ["codes", "names"]
        assert file["codes"].shape == (5, 3)
        assert file["names"].tolist() == ["a.png", "b.jpg", "c.png", "half.png", "more/d.png"]
    assert "probe" not in capsys.readouterr().out


def test_eval_measures_the_probe_too(trained_run, tmp_path, hasty_lenet):
    command("eval", trained_run("codes"), "-n", 16, "--json", tmp_path / "table.json")
    rows = json.loads((tmp_path / "table.json").read_text())["metrics"]
    (row,) = [row for row in rows if row["name"] == "linear-probe/codes.threshold.n2000.test"]
    assert (row["n"], row["n_train"]) == (2000, 9500)


@pytest.mark.parametrize(
    ("name", "words", "sentence"),
    [("pixels", [], "PixelCNN cannot encode images"), ("codes", ["--images", "nowhere"], "nowhere is not there")],
)
def test_what_will_not_do_is_one_sentence(trained_run, name, words, sentence):
    with pytest.raises(GenlitError, match=sentence) as refused:
        command("features", trained_run(name), *words)
    assert "\n" not in str(refused.value)
