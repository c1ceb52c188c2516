"""The command line as a person meets it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml

import genlit
from genlit.cli import verbs
from genlit.errors import GenlitError
from genlit.logging import history

SMALL = [
    "--model.width=8", "--data.batch_size=4", "--trainer.accelerator=cpu", "--trainer.limit_val_batches=1",
    "--run.wandb=disabled", "--run.pictures_every=100", "--run.pictures=4", "--run.progress=false",
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
    assert genlit.load(run).sample(2).shape == (2, 1, 32, 32)


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
    with pytest.raises(GenlitError, match=r"model\.lr: 0\.0002 -> 0\.5"):
        train(tmp_path, "--trainer.max_steps=2", "--model.lr=0.5", "--resume")
    train(tmp_path, "--trainer.max_steps=2", "--resume")
    told = ["--model.lr=0.5", "--resume", "--override", "--trainer.log_every_n_steps=1"]
    train(tmp_path, "--trainer.max_steps=3", *told)
    (run,) = (tmp_path / "dcgan").iterdir()
    assert max(iterations(run)) == 3
    assert history.read(run / "history.jsonl")[-1]["rate/critic"] == 0.5


def test_resuming_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(GenlitError, match="no run of 'dcgan'"):
        train(tmp_path, "--resume=must")


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
    words += ["--run.checkpoint_every=1", "--trainer.val_check_interval=100000"]
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
    genlit_command("list", "--root", str(tmp_path))
    shown = capsys.readouterr().out
    assert "dcgan/001" in shown
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
