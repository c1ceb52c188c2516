import json
import subprocess
import sys

import pytest
import yaml

from genlit.errors import GenlitError
from genlit.report import found, gather
from genlit.secrets import HIDDEN


def test_a_run_folder_becomes_plain_data(evaluated):
    run = gather(evaluated, "dcgan/001")
    assert (run.iterations, run.images) == (1000, 64_000)
    assert run.hours == pytest.approx(1000 / 36000)
    assert run.keys["model.lr.critic"] == 2e-4
    assert run.departures == {"model.width": [64, 32]}
    assert run.environment["packages.torch"] == "2.15.0"
    assert run.command == "genlit train dcgan --model.width=32"
    assert list(run.films) == ["samples", "reconstructions", "traverse-label"]
    assert list(run.films["samples"]) == [0, 250, 500, 750, 1000]
    assert list(run.stills) == ["closest"]
    assert run.claims == [{"metric": "fd-lenet", "at_most": 7.0, "at_least": None}]
    assert run.claim_held is True


def test_a_run_that_has_just_begun_is_empty(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    run = gather(tmp_path, "new")
    assert (run.records, run.films, run.evaluations, run.departures, run.images) == ([], {}, {}, None, 0)


def test_images_seen_at_a_picture_lie_between_two_records_or_beyond_the_last_at_the_mean_pace(make_run):
    run = gather(make_run(), "run")
    assert [run.images_at(it) for it in (0, 50, 75, 1000, 1100)] == [0, 3200, 4800, 64_000, 70_400]


def test_pictures_of_verbs_are_taken_but_not_each_image_by_itself(make_run):
    run = make_run()
    for name in ("samples/grid.png", "samples/00000.png", "samples/traverse-label.png", "completions/completions.png"):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_bytes((run / "pictures/samples/it-00000000.png").read_bytes())
    assert list(gather(run, "run").stills) == ["samples", "traverse-label", "completions"]


def test_secrets_do_not_leave_the_run_folder(make_run):
    run = make_run(config={"data": {"name": "Digits", "api_key": "hunter2"}})
    (run / "departures.json").write_text(json.dumps({"data.api_key": [None, "hunter2"]}))
    read = gather(run, "run")
    assert read.keys["data.api_key"] == HIDDEN
    assert "hunter2" not in repr(read)


def test_a_damaged_file_is_named(make_run):
    run = make_run()
    (run / "eval-test.json").write_text("{")
    with pytest.raises(GenlitError, match=r"eval-test\.json cannot be read .*restore or remove it"):
        gather(run, "run")


def test_runs_are_found_by_folder_by_number_by_experiment_and_in_a_sweep(make_run, tmp_path):
    first, second, trial = (make_run(name) for name in ("dcgan/001", "dcgan/002", "sweep/trials/0001"))
    assert found(str(first)) == [first]
    assert found("dcgan/001", tmp_path) == [first]
    assert found("dcgan", tmp_path) == [second]
    assert found(str(tmp_path / "dcgan")) == [first, second]
    assert found(str(tmp_path / "sweep")) == [trial]
    (tmp_path / "empty").mkdir()
    for name in (str(tmp_path / "empty"), "dcgna"):
        with pytest.raises(GenlitError, match=f"{name} is no run, no folder of runs and no trained experiment"):
            found(name, tmp_path)


def test_a_report_needs_no_torch(make_run):
    code = "import sys; from genlit.cli import verbs; verbs(sys.argv[1:], standalone_mode=False); print([*sys.modules])"
    words = [sys.executable, "-c", code, "report", make_run()]
    shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "report.html: 1 run, " in shown
    assert "'torch'" not in shown


def test_the_configuration_keeps_the_order_of_its_file(make_run):
    run = make_run()
    assert list(gather(run, "run").config) == list(yaml.safe_load((run / "config.yaml").read_text()))
