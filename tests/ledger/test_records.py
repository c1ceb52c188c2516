"""Records of runs: which are taken, and which may not stand beside each other."""

import json
import shutil

import pytest

from genlit.errors import GenlitError
from genlit.ledger import page, records
from tests.verbs.conftest import SMALL, command

TINY = "model: {name: Bernoulli}\ndata: {name: Digits, size: 8, binarize: threshold, batch_size: 50}\n"
TINY += "trainer: {max_steps: 5}\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with an experiment, and two runs of it by other seeds, measured."""
    place = tmp_path_factory.mktemp("ledger")
    (place / "experiments").mkdir()
    (place / "experiments" / "tiny.yaml").write_text(TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for seed in (0, 1):
            command("train", "tiny", *SMALL, f"--seed={seed}")
            run = place / "experiments" / "runs" / "tiny" / f"{seed + 1:03d}"
            table = {"iteration": 2, "images": 100, "split": "test", "claim": None}
            rows = [{"name": "log-prob/threshold.n9.test", "value": -20.0 - seed, "n": 9, "seconds": 1.0}]
            rows += [{"name": f"kid/lenet-{seed}.n9.test", "value": 0.5, "n": 9, "seconds": 1.0}]
            (run / "eval-test.json").write_text(json.dumps(table | {"metrics": rows}))
    return place


@pytest.fixture
def runs(place, tmp_path, monkeypatch):
    """The two run folders, in a copy that a test may change."""
    shutil.copytree(place, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return [f"experiments/runs/tiny/{number}" for number in ("001", "002")]


def test_seeds_stand_in_one_row_and_protocols_in_rows_of_their_own(runs):
    command("ledger", *runs)
    assert sorted(path.name for path in (records.ROOT / "tiny").iterdir()) == ["0.json", "1.json"]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.PAGE.read_text().splitlines()[3:-1]]
    assert [row[1:4] for row in rows] == [
        ["`log-prob/threshold.n9.test`", "0: -20, 1: -21", "-20.5 ± 0.71"],
        ["`kid/lenet-0.n9.test`", "0: 0.5", "0.5"],
        ["`kid/lenet-1.n9.test`", "1: 0.5", "0.5"],
    ]
    assert rows[0][0].startswith("**tiny** Bernoulli, Digits `--")
    assert "--trainer.max_steps=2" in rows[0][0]
    assert "100 images" in rows[0][-1]
    record = records.read(records.ROOT / "tiny")[0]
    assert record["machine"]["cpus"] > 0
    assert set(record["cost"]) == {"hours", "cpu_hours"}


def test_what_stands_around_the_table_stays(runs):
    page.PAGE.write_text(f"Before.\n{page.BEGIN}\nstale\n{page.END}\nAfter.\n")
    command("ledger", runs[0])
    text = page.PAGE.read_text()
    assert text.startswith("Before.\n")
    assert text.endswith("After.\n")
    assert "stale" not in text
    page.PAGE.write_text("No place.")
    with pytest.raises(GenlitError, match="has no place for the table"):
        command("ledger")


def test_another_configuration_is_refused_with_the_keys_that_differ(runs):
    command("ledger", runs[0])
    command("train", "tiny", *SMALL, "--model.laplace=0.5")
    table = json.loads((page.PAGE.parent / "runs" / "tiny" / "001" / "eval-test.json").read_text())
    (page.PAGE.parent / "runs" / "tiny" / "003" / "eval-test.json").write_text(json.dumps(table))
    with pytest.raises(GenlitError, match=r"model\.laplace: (0\.5 -> 1\.0|1\.0 -> 0\.5).*another --name"):
        command("ledger", "experiments/runs/tiny/003")
    command("ledger", "experiments/runs/tiny/003", "--name", "tiny-half")
    assert "**tiny-half** Bernoulli, Digits `--model.laplace=0.5`" in page.PAGE.read_text()


def test_runs_that_have_not_been_measured_or_have_gone_on_are_refused(runs):
    file = page.PAGE.parent / "runs" / "tiny" / "001" / "eval-test.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"iteration": 1}))
    with pytest.raises(GenlitError, match=r"was measured at iteration 1, and is it-00000002\.ckpt now"):
        command("ledger", runs[0])
    file.unlink()
    with pytest.raises(GenlitError, match="has no table of its test images: genlit eval"):
        command("ledger", runs[0])
