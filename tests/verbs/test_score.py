"""What `genlit score` says of images."""

import csv
import math
import re

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

import genlit
from genlit.errors import GenlitError
from genlit.metrics.capabilities.outliers import compressed_bits
from genlit.verbs.score import score
from tests.verbs.conftest import command

DIMENSIONS = 64


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """Black and white noise, and plain pictures."""
    noise = np.random.default_rng(0).integers(0, 2, (70, 8, 8), dtype=np.uint8) * 255
    folder = tmp_path_factory.mktemp("arrays")
    np.savez(folder / "noise.npz", images=noise)
    np.savez(folder / "plain.npz", images=noise * 0)
    return folder, torch.from_numpy(noise).float()[:, None] / 127.5 - 1


def table(file):
    with file.open() as lines:
        return list(csv.DictReader(lines))


def column(rows, name):
    return [float(row[name]) for row in rows]


def test_scores_are_the_models_and_an_outlier_is_odder_than_held_out_images(trained_run, arrays, capsys):
    run, (folder, noise) = trained_run("pixels"), arrays
    command("score", run, "--images", folder / "noise.npz")
    shown, rows = capsys.readouterr().out, table(run / "scores.csv")
    nats = genlit.load(run).log_prob(noise).tolist()
    assert [row["name"] for row in rows] == [f"{k:05d}" for k in range(70)]
    assert {row["measure"] for row in rows} == {"log-prob"}
    assert column(rows, "log_prob") == pytest.approx(nats, rel=1e-5)
    assert column(rows, "bits_per_dim") == pytest.approx([-x / DIMENSIONS / math.log(2) for x in nats], rel=1e-5)
    limit = float(re.search(r"oddity above ([\d.]+)\s+nats", shown)[1])
    assert column(rows, "outlier") == [float(-x > limit) for x in nats]
    assert "Nalisnick et al. 2019" in shown
    assert shown.strip().endswith(str(run / "scores.csv"))


def test_the_share_of_held_out_images_called_outliers_is_the_quantile(trained_run, tmp_path):
    command("score", trained_run("pixels"), "--images", "val", "--quantile", 0.1, "--out", tmp_path / "s.csv")
    outliers = column(table(tmp_path / "s.csv"), "outlier")
    assert len(outliers) == 500
    assert np.mean(outliers) == pytest.approx(0.1, abs=0.01)


def test_how_well_sets_are_told_apart(trained_run, arrays, capsys, tmp_path):
    folder, _ = arrays
    words = {"images": str(folder / "noise.npz"), "against": "test", "out": str(tmp_path / "s.csv")}
    _, noise, real = score(str(trained_run("pixels")), **words).values()
    known = roc_auc_score([0] * len(real.nats) + [1] * len(noise.nats), torch.cat([-real.nats, -noise.nats]))
    shown = capsys.readouterr().out
    assert len(real.nats) == 2000
    assert float(re.search(r"AUROC ([\d.]+):", shown)[1]) == pytest.approx(known, abs=1e-4)


def test_complexity_is_taken_off(trained_run, arrays, capsys, tmp_path):
    folder, noise = arrays
    for name in ("noise", "plain"):
        words = ["--images", folder / f"{name}.npz", "--complexity", "--out", tmp_path / f"{name}.csv"]
        command("score", trained_run("pixels"), *words)
    rows = table(tmp_path / "noise.csv")
    expected = np.array(column(rows, "bits_per_dim")) - compressed_bits(noise).numpy() / DIMENSIONS
    assert column(rows, "oddity") == pytest.approx(expected.tolist(), rel=1e-9)
    assert "Nalisnick" not in capsys.readouterr().out


@pytest.mark.parametrize(("k", "measure"), [(1, "elbo"), (3, "iwae-3")])
def test_a_bound_is_called_one(trained_run, photos, tmp_path, k, measure):
    tables = []
    for _ in range(2):
        command("score", trained_run("codes"), "--images", photos, "--k", k, "--out", tmp_path / "s.csv")
        tables.append(table(tmp_path / "s.csv"))
    assert {row["measure"] for row in tables[0]} == {measure}
    assert [row["name"] for row in tables[0]] == ["a.png", "b.jpg", "c.png", "half.png", "more/d.png"]
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("name", "words", "sentence"),
    [
        ("game", [], "DCGAN cannot score images"),
        ("pixels", ["--k", 0], "--k is 0 and --quantile 0.01: they must be at least 1"),
        ("pixels", ["--quantile", 1], "and between 0 and 1"),
        ("pixels", ["--against", "nowhere"], "nowhere is not there"),
        ("ring", [], "the run's data are not pictures"),
        ("ring", ["--complexity"], "--complexity compares bits"),
    ],
)
def test_what_will_not_do_is_one_sentence(trained_run, photos, name, words, sentence):
    with pytest.raises(GenlitError, match=sentence) as refused:
        command("score", trained_run(name), "--images", photos, *words)
    assert "\n" not in str(refused.value)
