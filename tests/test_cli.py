"""The command line as a person meets it."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

import genlit
from genlit.cli import verbs
from genlit.errors import GenlitError
from genlit.faults.harness.struck import MODEL as STRUCK
from genlit.faults.harness.struck import Strike
from genlit.logging import history
from genlit.logging.history import History
from genlit.logging.wandb import Dashboard
from genlit.verbs.train import Unison, summarise

SMALL = [
    "--model.width=8", "--data.batch_size=4", "--trainer.accelerator=cpu", "--trainer.limit_val_batches=1",
    "--run.wandb=disabled", "--run.pictures_every=100", "--run.pictures=4", "--run.progress=false",
    "--run.fidelity=null",
]  # fmt: skip


def genlit_command(*words):
    verbs.main(list(words), prog_name="genlit", standalone_mode=False)


def process(*words, **options):
    return subprocess.run([sys.executable, "-m", "genlit", *words], capture_output=True, text=True, **options)


def train(root, *flags):
    genlit_command("train", "dcgan", *SMALL, f"--trainer.default_root_dir={root}", *flags)


def iterations(run):
    return [int(path.stem[3:]) for path in sorted((run / "checkpoints").glob("*.ckpt"))]


def test_help_needs_neither_torch_nor_lightning():
    code = "import sys; from genlit.cli import verbs; verbs(['-h'], standalone_mode=False); print(sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'torch'" not in modules
    assert "'lightning'" not in modules
    assert "Train, compare and use" in process("-h").stdout


def test_bad_input_is_one_sentence_and_exit_code_2():
    done = process("train", "dcgna")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [done.stderr.strip()]
    assert "did you mean 'dcgan'?" in done.stderr


def test_a_process_trains_into_a_folder_below_the_root(tmp_path):
    done = process("train", "dcgan", *SMALL, "--trainer.max_steps=3", f"--trainer.default_root_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "dcgan" / "001"
    assert iterations(run) == [3]
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"]["max_steps"] == 3
    assert torch.__version__.startswith(json.loads((run / "environment.json").read_text())["packages"]["torch"])
    assert "--trainer.max_steps=3" in (run / "command.txt").read_text()
    departures = json.loads((run / "departures.json").read_text())
    assert departures["trainer.max_steps"] == [5000, 3]
    assert "model.ema" not in departures
    assert "<mark>3</mark>" in (run / "report.html").read_text()
    assert genlit.load(run).sample(2).shape == (2, 1, 32, 32)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_of_training_is_the_verbs_and_then_the_experiments(capsys, flag):
    genlit_command("train", flag)
    shown = capsys.readouterr().out
    assert "--override" in shown
    assert "--model.lr" not in shown.replace("genlit train dcgan --model.lr=1e-4", "")
    with pytest.raises(SystemExit) as left:
        genlit_command("train", "dcgan", flag)
    assert left.value.code == 0
    assert "--model.lr" in capsys.readouterr().out


@pytest.mark.parametrize("accelerator", ["abacus", "tpu"])
def test_what_lightning_refuses_is_one_sentence(tmp_path, accelerator):
    with pytest.raises(GenlitError, match="the trainer's options will not do"):
        train(tmp_path, f"--trainer.accelerator={accelerator}", "--trainer.max_steps=1")
    assert not (tmp_path / "dcgan" / "001").exists()


def test_a_training_that_is_refused_leaves_nothing_of_a_new_run_and_all_of_an_older(tmp_path):
    tiny = ["--run.wandb=offline", "--data.holdout=0.0004", "--run.fidelity=lenet", "--trainer.max_steps=2"]
    with pytest.raises(GenlitError, match=r"too few to compare .* hold out a larger data\.holdout"):
        train(tmp_path, *tiny)
    assert not list((tmp_path / "dcgan").iterdir())
    train(tmp_path, "--trainer.max_steps=1")
    with pytest.raises(GenlitError, match="too few"):
        train(tmp_path, *tiny, "--resume", "--override")
    assert iterations(tmp_path / "dcgan" / "001") == [1]


def test_a_training_that_breaks_in_its_first_iteration_can_be_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.setenv(*Strike("nan", 0, "critic").environment.popitem())
    with pytest.raises(GenlitError, match="iteration 0, player 'critic'"):
        train(tmp_path, *STRUCK, "--trainer.max_steps=1")
    monkeypatch.undo()
    train(tmp_path, *STRUCK, "--trainer.max_steps=1", "--resume")
    assert iterations(tmp_path / "dcgan" / "001") == [1]


def test_a_training_ends_with_the_address_of_its_records(tmp_path, capsys):
    remote = SimpleNamespace(define_metric=lambda *a, **k: None, offline=False, url="https://example.org/runs/1")
    summarise(tmp_path, SimpleNamespace(iteration=2, images=16), [History(tmp_path), Dashboard(remote)])
    shown = capsys.readouterr().out
    assert f"{tmp_path}: 2 iterations, 16 images; use it: " in shown
    assert f"genlit sample {tmp_path}" in shown
    assert "https://example.org/runs/1" in shown
    remote.offline = True
    summarise(tmp_path, SimpleNamespace(iteration=2, images=16), [Dashboard(remote)])
    assert "https" not in capsys.readouterr().out


def test_print_config_trains_nothing(tmp_path, capsys):
    train(tmp_path, "--print_config", "--model.lr=0.5")
    assert yaml.safe_load(capsys.readouterr().out)["model"]["lr"] == 0.5
    assert not list(tmp_path.iterdir())


def test_an_unfinished_run_is_continued_and_a_finished_one_is_not(tmp_path):
    train(tmp_path, "--trainer.max_steps=2", "--run.checkpoint_every=1")
    train(tmp_path, "--trainer.max_steps=2", "--run.checkpoint_every=1")
    second = tmp_path / "dcgan" / "002"
    assert iterations(second) == [1, 2]
    for file in (second / "checkpoints").glob("it-00000002*"):
        file.unlink()
    train(tmp_path, "--trainer.max_steps=2", "--run.checkpoint_every=1")
    assert iterations(second) == [1, 2]
    assert not (tmp_path / "dcgan" / "003").exists()
    train(tmp_path, "--trainer.max_steps=2", "--resume=never")
    assert (tmp_path / "dcgan" / "003").exists()


def test_resuming_with_another_configuration_is_refused_unless_told(tmp_path):
    train(tmp_path, "--trainer.max_steps=1")
    with pytest.raises(GenlitError, match=r"model\.lr: \(absent\) -> 0\.5"):
        train(tmp_path, "--trainer.max_steps=2", "--model.lr=0.5", "--resume")
    train(tmp_path, "--trainer.max_steps=2", "--resume")
    told = ["--model.lr=0.5", "--resume", "--override", "--trainer.log_every_n_steps=1"]
    train(tmp_path, "--trainer.max_steps=3", *told)
    (run,) = (tmp_path / "dcgan").iterdir()
    assert max(iterations(run)) == 3
    assert history.read(run / "history.jsonl")[-1]["rate/critic"] == 0.5


def test_overriding_implies_resuming(tmp_path):
    train(tmp_path, "--trainer.max_steps=1")
    train(tmp_path, "--trainer.max_steps=2", "--model.lr=0.5", "--override")
    assert [run.name for run in (tmp_path / "dcgan").iterdir()] == ["001"]


def test_a_used_up_budget_is_not_resumed(tmp_path):
    train(tmp_path, "--trainer.max_steps=2")
    with pytest.raises(GenlitError, match=r"already at 2 iterations; raise --trainer\.max_steps"):
        train(tmp_path, "--trainer.max_steps=1", "--resume")
    assert yaml.safe_load((tmp_path / "dcgan" / "001" / "config.yaml").read_text())["trainer"]["max_steps"] == 2


def test_an_older_run_is_continued_if_it_is_the_unfinished_one(tmp_path):
    every = ["--trainer.max_steps=2", "--run.checkpoint_every=1"]
    train(tmp_path, *every)
    train(tmp_path, *every, "--model.lr=0.5")
    first, second = (tmp_path / "dcgan" / number for number in ("001", "002"))
    for file in (first / "checkpoints").glob("it-00000002*"):
        file.unlink()
    train(tmp_path, *every)
    assert iterations(first) == [1, 2]
    train(tmp_path, "--trainer.max_steps=3", f"--resume={first}")
    assert max(iterations(first)) == 3
    train(tmp_path, "--trainer.max_steps=4", "--resume=dcgan/001")
    assert max(iterations(first)) == 4
    assert max(iterations(second)) == 2
    assert len(list((tmp_path / "dcgan").iterdir())) == 2


def test_a_run_with_damaged_checkpoints_alone_is_not_begun_again(tmp_path, caplog):
    train(tmp_path, "--trainer.max_steps=1", "--trainer.log_every_n_steps=1")
    run = tmp_path / "dcgan" / "001"
    assert history.read(run / "history.jsonl")
    records = (run / "history.jsonl").read_bytes()
    (run / "checkpoints" / "it-00000001.ckpt").write_bytes(b"")
    with pytest.raises(GenlitError, match=r"no checkpoint in .* is good"):
        train(tmp_path, "--trainer.max_steps=2", "--trainer.log_every_n_steps=1", "--resume")
    assert (run / "history.jsonl").read_bytes() == records
    train(tmp_path, "--trainer.max_steps=1", "--trainer.log_every_n_steps=1")
    assert "is not continued" in caplog.text
    assert iterations(tmp_path / "dcgan" / "002") == [1]


def test_resuming_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(GenlitError, match="no run of 'dcgan'"):
        train(tmp_path, "--resume=must")
    with pytest.raises(GenlitError, match="no run dcgan/007"):
        train(tmp_path, "--resume=dcgan/007")


def test_a_damaged_checkpoint_is_skipped_by_name(tmp_path, caplog):
    train(tmp_path, "--trainer.max_steps=2", "--run.checkpoint_every=1")
    run = tmp_path / "dcgan" / "001"
    newest = run / "checkpoints" / "it-00000002.ckpt"
    newest.write_bytes(newest.read_bytes()[:1000])
    train(tmp_path, "--trainer.max_steps=2", "--run.checkpoint_every=1")
    assert "it-00000002.ckpt" in caplog.text
    assert iterations(run) == [1, 2]
    assert genlit.load(run).sample(1).isfinite().all()


def test_a_run_in_training_is_not_trained_twice(tmp_path):
    words = ["train", "dcgan", *SMALL, "--trainer.max_steps=100000", f"--trainer.default_root_dir={tmp_path}"]
    words += ["--run.checkpoint_every=1", "--trainer.val_check_interval=100000", "--model.decay=null"]
    first = subprocess.Popen([sys.executable, "-m", "genlit", *words], stderr=subprocess.PIPE, text=True)
    run = tmp_path / "dcgan" / "001"
    try:
        while not iterations(run) and first.poll() is None:
            time.sleep(0.1)
        with pytest.raises(GenlitError, match="being trained by another process"):
            genlit_command(*words, "--resume")
    finally:
        first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=60) == 143
    assert iterations(run)


def test_what_cannot_be_loaded_says_what_there_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GenlitError, match="no good checkpoint at nothing"):
        genlit.load("nothing")
    with pytest.raises(GenlitError, match="address"):
        genlit.load("https://example.org/model.ckpt")


def test_list_and_doctor_speak(tmp_path, capsys, monkeypatch):
    train(tmp_path, "--trainer.max_steps=1")
    (tmp_path / "foreign" / "001").mkdir(parents=True)
    (tmp_path / "foreign" / "001" / "config.yaml").write_text("trainer: none\n")
    genlit_command("list", "--root", str(tmp_path))
    shown = capsys.readouterr().out
    assert "dcgan/001" in shown
    assert "foreign/001" in shown
    assert "trainer/gpu" in shown
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    genlit_command("doctor")
    assert "9,500 digits and 1,330 emoji" in capsys.readouterr().out.replace(os.linesep, " ")


def test_two_processes_share_one_run_folder(tmp_path):
    words = ["--trainer.devices=2", "--trainer.max_steps=3", "--trainer.log_every_n_steps=1"]
    done = process("train", "dcgan", *SMALL, *words, f"--trainer.default_root_dir={tmp_path}", timeout=200)
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "dcgan").iterdir()
    assert iterations(run) == [3]
    assert [record["progress/iter"] for record in history.read(run / "history.jsonl")] == [1, 2, 3]


HASTY = """
from genlit.cli import main
from genlit.metrics.extractors.lenet import RECIPE

RECIPE["images"] = 1280
main()
"""


def test_two_processes_measure_together(tmp_path):
    (tmp_path / "hasty.py").write_text(HASTY)
    words = [sys.executable, tmp_path / "hasty.py", "train", "dcgan", *SMALL, f"--trainer.default_root_dir={tmp_path}"]
    words += ["--trainer.devices=2", "--trainer.max_steps=8", "--trainer.log_every_n_steps=8", "--run.keep=1"]
    words += ["--run.evaluate_every=8", "--run.evaluate_share=1", "--run.fidelity_samples=70", "--run.sentinel=stop"]
    words += ["--run.fidelity=lenet"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "dcgan" / "001"
    measured = [record for record in history.read(run / "history.jsonl") if "sentinel/strikes" in record]
    strikes = [(record["progress/iter"], record["sentinel/strikes"]) for record in measured]
    assert strikes == [(2, 1), (4, 2), (6, 3), (8, 4)]
    assert done.stderr.count("possible collapse at iteration 6, nothing was healthy yet: diversity/lenet-") == 1
    name = next(name for name in measured[0] if name.startswith("fd-lenet/"))
    assert name.endswith(".n70.val")
    best = json.loads((run / "best.json").read_text())
    assert best["value"] == min(record[name] for record in measured)
    assert iterations(run) == sorted({best["iteration"], 8})


def torchrun(root, *flags):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d"]
    launcher += ["--rdzv-endpoint=localhost:0", "--rdzv-id=mine", "-m", "genlit", "train", "dcgan", *SMALL]
    words = [*flags, f"--trainer.default_root_dir={root}"]
    return subprocess.run([*launcher, *words], capture_output=True, text=True, timeout=200)


def test_processes_of_torchrun_train_together_in_the_folder_that_the_first_chooses(tmp_path):
    killed = tmp_path / "dcgan" / ".torchrun-mine-0-0"
    (tmp_path / "dcgan" / "001").mkdir(parents=True)
    killed.symlink_to("001")
    os.utime(killed, (0, 0), follow_symlinks=False)
    words = ["--trainer.devices=2", "--trainer.max_steps=2", "--trainer.log_every_n_steps=1"]
    done = torchrun(tmp_path, *words, "--resume=never")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "dcgan").iterdir()) == ["001", "002"]
    run = tmp_path / "dcgan" / "002"
    assert iterations(run) == [2]
    assert [record["progress/iter"] for record in history.read(run / "history.jsonl")] == [1, 2]


def test_processes_of_torchrun_do_not_train_apart(tmp_path):
    done = torchrun(tmp_path, "--trainer.max_steps=2")
    assert done.returncode != 0
    assert "started 2 processes of this training" in done.stderr
    assert not (tmp_path / "dcgan").exists()


def compare(rank, rendezvous, place, answers):
    torch.distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    try:
        Unison(*place).setup(None, None, "fit")
        answers.put("together")
    except GenlitError as error:
        answers.put(str(error))
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("second", "answer"),
    [
        (("dcgan/002", "it-00000001.ckpt"), "together"),
        (("dcgan/001", "it-00000001.ckpt"), "dcgan/001 at it-00000001.ckpt and dcgan/002 at it-00000001.ckpt"),
        (("dcgan/002", None), "dcgan/002 at it-00000001.ckpt and dcgan/002 at its beginning"),
    ],
)
def test_processes_that_would_go_on_from_different_places_are_refused(tmp_path, second, answer):
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    places = [(Path(run), start and Path(start)) for run, start in (("dcgan/002", "it-00000001.ckpt"), second)]
    words = [(rank, tmp_path / "meeting", place, answers) for rank, place in enumerate(places)]
    both = [fork.Process(target=compare, args=each) for each in words]
    for process in both:
        process.start()
    assert all(answer in answers.get(timeout=60) for _ in both)
    for process in both:
        process.join()
