"""What a user sees on the dashboard, by a W&B server on this machine and W&B's own client, agent and `wandb sync`."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import wandb
import yaml
from wandb.sdk.lib import run_stopping
from wandb.wandb_agent import Agent

from genlit.cli import verbs
from genlit.engine.preempt import Preempted
from genlit.faults.harness.wandb_server import ENTITY
from genlit.logging import history
from genlit.logging.wandb import SETTINGS

SMALL = [
    "--trainer.accelerator=cpu", "--trainer.limit_val_batches=1", "--trainer.log_every_n_steps=1", "--run.pictures=4",
    "--run.progress=false", "--run.wandb=online", "--run.project=digits",
]  # fmt: skip
# Its process is gone while a thread of a run that nobody finished still asks how the network is.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
ENDLESS = ["--trainer.max_steps=1000000", "--trainer.val_check_interval=1000000"]
GAME = "model: {name: DCGAN, width: 2}\ndata: {name: Digits, size: 16, batch_size: 4}\n"


@pytest.fixture
def words(tmp_path):
    """The words of a training of a moment, into a folder below tmp_path."""
    (tmp_path / "game.yaml").write_text(GAME)
    return ["train", str(tmp_path / "game.yaml"), *SMALL, f"--trainer.default_root_dir={tmp_path}"]


def genlit(*words):
    verbs.main(list(words), prog_name="genlit", standalone_mode=False)


def sync(run, *options):
    words = ["-m", "wandb", "sync", "--include-online", *options, *sorted(map(str, run.glob("wandb/*run-*")))]
    assert subprocess.run([sys.executable, *words], cwd=run, timeout=60).returncode == 0


def scalars(run):
    return history.read(run / "history.jsonl")


def test_a_training_is_shown_as_it_was(tmp_path, wandb_server, words, capsys):
    genlit(*words, "--trainer.max_steps=3", "--run.pictures_every=2", "--run.tags=[first]")
    shown, run = wandb_server.only_run(), tmp_path / "game" / "001"
    assert (shown.project, shown.shown, shown.tags, shown.exit_code) == ("digits", "game/001", ["first"], 0)
    assert shown.config["model"]["name"] == "DCGAN"
    assert shown.scalars == scalars(run)
    pictures = [row["progress/images"] for row in shown.history if "pictures/samples" in row]
    assert pictures == [0, 8, 12]
    assert sum(name.startswith("media/images/pictures/samples") for name in shown.files) == 3
    assert f"{wandb_server.address}/{ENTITY}/digits/runs/{shown.name}" in capsys.readouterr().out


def test_a_resumed_training_goes_on_in_the_same_run(tmp_path, wandb_server, words):
    genlit(*words, "--trainer.max_steps=2")
    genlit(*words, "--trainer.max_steps=4", "--resume")
    shown = wandb_server.only_run()
    assert shown.starts == 2
    assert [row["progress/iter"] for row in shown.scalars] == [1, 2, 3, 4]
    assert (tmp_path / "game" / "001" / "wandb-id.txt").read_text() == shown.name


def test_an_offline_run_is_uploaded_later(tmp_path, wandb_server, words):
    genlit(*words, "--trainer.max_steps=2", "--run.wandb=offline")
    genlit(*words, "--trainer.max_steps=4", "--run.wandb=offline", "--resume")
    assert not wandb_server.runs
    run = tmp_path / "game" / "001"
    sync(run)
    shown = wandb_server.only_run()
    assert shown.name == (run / "wandb-id.txt").read_text()
    assert shown.scalars == scalars(run)
    assert any(name.startswith("media/images/pictures/samples") for name in shown.files)


def test_a_server_that_dies_in_between_loses_nothing(tmp_path, wandb_server, words, monkeypatch, caplog):
    monkeypatch.setitem(SETTINGS, "finish_timeout", 1)
    wandb_server.dies_after, log_metrics = 2, history.History.log_metrics

    def log_and_wait(run, metrics, step=None):
        log_metrics(run, metrics, step)
        while metrics.get("progress/iter") == 50 and not wandb_server.dead:
            time.sleep(0.05)  # however fast the machine, the server dies before the training ends

    monkeypatch.setattr(history.History, "log_metrics", log_and_wait)
    genlit(*words, "--trainer.max_steps=100")
    shown, run = wandb_server.only_run(), tmp_path / "game" / "001"
    assert wandb_server.dead
    assert 2 <= len(shown.history) < 100
    assert len(scalars(run)) == 100
    assert f"wandb sync --include-online {run}/wandb/run-" in caplog.text
    had, wandb_server.dies_after, wandb_server.dead = len(shown.rows), None, False
    sync(run)
    assert wandb_server.only_run().scalars == scalars(run)
    again = {row["_step"]: row for row in shown.rows[had:]}  # what W&B's client sends, from the beginning
    assert shown.rows[:had] == [again[row["_step"]] for row in shown.rows[:had]]
    sync(run, "--no-skip-synced", "--id=again")
    rows = wandb_server.runs["again"].rows
    assert len({row["_step"] for row in rows}) == len(rows)
    assert wandb_server.runs["again"].scalars == scalars(run)


def test_a_run_whose_job_is_queued_again_is_shown_as_preempted(tmp_path, wandb_server, words, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    threading.Thread(target=signal_when_shown, args=(wandb_server,), daemon=True).start()
    with pytest.raises(Preempted):
        genlit(*words, *ENDLESS)
    shown = wandb_server.only_run()
    assert (shown.preempting, shown.exit_code) == (True, 138)
    assert shown.scalars == scalars(tmp_path / "game" / "001")


def signal_when_shown(server):
    wait_for_records(server)
    os.kill(os.getpid(), signal.SIGUSR1)


def test_the_stop_button_ends_an_iteration_saves_and_exits_as_interrupted(tmp_path, wandb_server, words, monkeypatch):
    monkeypatch.setitem(run_stopping.RunStopChecker.__init__.__kwdefaults__, "poll_interval", 0.1)
    threading.Thread(target=press_stop, args=(wandb_server,), daemon=True).start()
    with pytest.raises(Preempted) as stopped:
        genlit(*words, *ENDLESS)
    assert stopped.value.code == 130
    wandb.teardown()
    run = tmp_path / "game" / "001"
    (saved,) = (run / "checkpoints").glob("*.ckpt")
    assert int(saved.stem[3:]) == scalars(run)[-1]["progress/iter"]
    assert wandb_server.only_run().scalars == scalars(run)
    assert wandb_server.only_run().exit_code == 130


def wait_for_records(server):
    while not any(run.scalars for run in list(server.runs.values())):
        time.sleep(0.05)


def press_stop(server):
    wait_for_records(server)
    server.only_run().stop = True


SWEEP = """
method: bayes
metric: {name: val/critic}
parameters: {model.lr: {min: 0.001, max: 0.003}}
project: digits
"""


def test_a_sweep_of_the_servers_trains_here_and_a_trial_that_it_stops_has_saved(
    tmp_path, wandb_server, words, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    wandb_server.suggestions = [{"model.lr": 0.0015, "trainer.max_steps": 1_000_000}, {"model.lr": 0.0025}]
    threading.Thread(target=press_stop, args=(wandb_server,), daemon=True).start()
    flags = " ".join([*SMALL, "--trainer.max_steps=4", "--trainer.val_check_interval=2"])
    genlit("sweep", words[1], "--config=sweep.yaml", "--dir=swept", "--count=2", "--args", flags)
    (sweep,) = wandb_server.sweeps.values()
    told = yaml.safe_load(sweep.config)
    assert (told["run_cap"], told["method"], sweep.project) == (2, "bayes", "digits")
    stopped, ended = (wandb_server.runs[name] for name in sweep.runs)
    assert [run.config["model"]["lr"] for run in (stopped, ended)] == [0.0015, 0.0025]
    assert {run.sweep for run in (stopped, ended)} == {sweep.name}
    assert stopped.exit_code in (130, 143)  # its own look at the server, or the agent's
    assert ended.exit_code == 0
    for number, run in enumerate((stopped, ended), start=1):
        folder = tmp_path / "swept" / "game" / f"{number:03d}"
        assert [row["progress/iter"] for row in run.scalars] == [row["progress/iter"] for row in scalars(folder)]
        saved = max(int(path.stem[3:]) for path in (folder / "checkpoints").glob("*.ckpt"))
        assert saved == run.scalars[-1]["progress/iter"]
    measured = [row for row in ended.scalars if "val/critic" in row]
    assert len(measured) == 2
    assert all(row["val/critic"] == row["val/critic/adversarial"] for row in measured)


def test_an_agent_of_wandb_runs_a_trial_by_the_command_line(tmp_path, wandb_server, words, monkeypatch):
    monkeypatch.setattr(Agent, "POLL_INTERVAL", 0.2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    command = [sys.executable, "-m", "genlit", *words, "--trainer.max_steps=2", "--resume=never", "${args}"]
    parameters = {"model.lr": {"values": [0.001, 0.002]}}
    sweep = wandb.sweep({"method": "grid", "parameters": parameters, "command": command}, project="digits")
    wandb_server.sweeps[sweep].queue = [{"model.lr": 0.002}]
    wandb.agent(sweep, project="digits")
    shown, run = wandb_server.only_run(), tmp_path / "game" / "001"
    assert wandb_server.sweeps[sweep].runs == [shown.name]
    assert (shown.sweep, shown.exit_code) == (sweep, 0)
    assert shown.config["model"]["lr"] == yaml.safe_load((run / "config.yaml").read_text())["model"]["lr"] == 0.002
    assert shown.scalars == scalars(run)
