"""Several runs in one table."""

import json

import pytest

from genlit.data import Digits
from genlit.errors import GenlitError
from genlit.loading import load
from genlit.metrics.capabilities.likelihood import likelihoods
from tests.verbs.conftest import command


@pytest.fixture(scope="module")
def ranked(trained_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("rank") / "rank.json"
    names = ["game", "codes", "pixels", "dynamic", "larger"]
    command("eval", *map(trained_run, names), "-n", 100, "--json", out)
    return json.loads(out.read_text())


def test_runs_of_the_same_images_are_ranked_by_likelihood(ranked, trained_run):
    source, values = Digits(size=8, binarize="threshold"), {}
    for name, measure in (("pixels", "log-prob"), ("codes", "iwae-50")):
        rows = likelihoods(load(trained_run(name)), source, "test", (50,), 100)
        values[f"{name}/001"] = measure, rows[0].value, rows[1].value
    found = {row["run"]: (row["measure"], row["nats"], row["bits_per_dim"]) for row in ranked["ranked"]}
    assert found == values
    nats = [row["nats"] for row in ranked["ranked"]]
    assert nats == sorted(nats, reverse=True)
    assert {(row["protocol"], row["n"]) for row in ranked["ranked"]} == {("threshold.n100.test", 100)}
    assert all(row["hours"] > 0 and row["trained_images"] == 128 and row["seconds"] > 0 for row in ranked["ranked"])


def test_others_are_listed_apart_with_the_reason(ranked):
    reasons = {row["run"]: row["apart"] for row in ranked["apart"]}
    assert list(reasons) == ["game/001", "dynamic/001", "larger/001"]
    assert reasons["game/001"].startswith("DCGAN cannot score images")
    assert reasons["dynamic/001"] == "its images are dynamic.n100.test, not threshold.n100.test"
    assert reasons["larger/001"] == "its images are 1 x 9 x 9, not 1 x 8 x 8"


def test_the_table_is_shown(trained_run, capsys):
    command("eval", trained_run("codes"), trained_run("game"), "-n", 10)
    shown = capsys.readouterr().out
    assert "likelihood of threshold.n10.test, 1 x 8 x 8" in shown
    assert "iwae-50 are lower bounds" in shown
    assert "not to be compared with these" in shown


def test_a_run_without_its_records_has_no_hours(trained_run, tmp_path):
    run = tmp_path / "copied" / "001"
    (run / "checkpoints").mkdir(parents=True)
    for file in (trained_run("codes") / "checkpoints").iterdir():
        (run / "checkpoints" / file.name).write_bytes(file.read_bytes())
    (run / "config.yaml").write_bytes((trained_run("codes") / "config.yaml").read_bytes())
    command("eval", run, trained_run("codes"), "-n", 10, "--json", tmp_path / "rank.json")
    first, second = json.loads((tmp_path / "rank.json").read_text())["ranked"]
    assert (first["run"], first["hours"], first["nats"]) == ("copied/001", None, second["nats"])


def test_what_will_not_do_is_one_sentence(trained_run):
    with pytest.raises(GenlitError, match="several runs are ranked by likelihood: leave out --metrics"):
        command("eval", trained_run("codes"), trained_run("pixels"), "--metrics", "fid")
    with pytest.raises(GenlitError, match="no run can be ranked: game/001: DCGAN cannot score"):
        command("eval", trained_run("game"), trained_run("game"))
    with pytest.raises(GenlitError, match="no good checkpoint at nowhere"):
        command("eval", trained_run("codes"), "nowhere")
