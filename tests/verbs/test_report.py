import json

import pytest

from genlit.errors import GenlitError
from tests.verbs.conftest import command


def test_a_training_leaves_a_page_with_its_pictures_and_curves(trained_run):
    page = (trained_run("unpaired") / "report.html").read_text()
    for words in ("unpaired/001", "a to b", "b to a", "Losses of critics", "after 128 images", "2 <small>of 2"):
        assert words in page


def test_an_evaluation_comes_to_the_page(trained_run):
    run = trained_run("codes")
    assert 'id="metrics"' not in (run / "report.html").read_text()
    command("eval", run)
    page = (run / "report.html").read_text()
    (table,) = (json.loads(file.read_text()) for file in run.glob("eval-*.json"))
    assert all(row["name"].partition("/")[2] in page for row in table["metrics"])


def test_runs_are_shown_side_by_side_in_a_file_of_ones_choice(trained_run, tmp_path, capsys):
    runs = [trained_run(name) for name in ("unpaired", "codes")]
    command("report", *runs, runs[0], "--out", tmp_path / "page.html")
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'page.html'}: 2 runs, ")
    page = (tmp_path / "page.html").read_text()
    assert page.count("Runs shown") == 2
    assert "CycleGAN" in page
    assert "reconstructions" in page


def test_a_run_that_is_not_there_is_told(tmp_path):
    with pytest.raises(GenlitError, match="dcgna is no run"):
        command("report", "dcgna")
