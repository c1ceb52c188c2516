import json
import os
import pty
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import wandb
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image
from wandb.proto import wandb_internal_pb2

from genlit.cli import verbs
from genlit.logging import history
from genlit.logging.wandb import dashboard

BLOCK = 32768
AXES = {"progress/iter": 20, "progress/images": 1280, "progress/epoch": 0.5, "progress/hours": 0.1}
CLOSED = "http://127.0.0.1:9"  # the discard port: nothing listens


def records(run_folder: Path, kind: str) -> list:
    """The records of a kind in W&B's files, oldest run first: LevelDB's log format after seven bytes."""
    wandb.teardown()  # finishing a run leaves the last bytes to W&B's own process
    files = sorted(run_folder.glob("wandb/*run-*/*.wandb"))
    found = [wandb_internal_pb2.Record.FromString(message) for path in files for message in messages(path.read_bytes())]
    return [getattr(record, kind) for record in found if record.WhichOneof("record_type") == kind]


def messages(data: bytes):
    position, message = 7, b""
    while position + 7 <= len(data):
        if BLOCK - position % BLOCK < 7:  # the rest of a block is padding
            position += BLOCK - position % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        message += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield message
            message = b""


def rows(run_folder: Path) -> list[dict]:
    histories = records(run_folder, "history")
    return [{".".join(item.nested_key): json.loads(item.value_json) for item in history.item} for history in histories]


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path_factory):
    """A user who never heard of W&B: an empty home and no variable of W&B's."""
    for name in [name for name in os.environ if name.startswith("WANDB_")] + ["NETRC"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    wandb.teardown()
    yield
    wandb.teardown()


def test_scalars_carry_the_axes_and_are_shown_over_images(tmp_path):
    board = dashboard(tmp_path, "offline", project="p", name="n", config={"model": {"lr": 1e-4}}, tags=("t",))
    board.log_metrics(AXES | {"train/critic/adversarial": 1.5}, step=20)
    board.log_metrics(AXES | {"progress/iter": 10}, step=10)  # a resumed run goes back
    board.finish()
    first, second = rows(tmp_path)
    assert first.items() >= (AXES | {"train/critic/adversarial": 1.5}).items()
    assert second["progress/iter"] == 10
    assert {m.glob_name: m.step_metric for m in records(tmp_path, "metric")} == {
        "progress/*": "",
        "*": "progress/images",
    }
    (run,) = records(tmp_path, "run")
    config = {update.key: json.loads(update.value_json) for update in run.config.update}
    assert (run.project, run.display_name, list(run.tags), config["model"]) == ("p", "n", ["t"], {"lr": 1e-4})


def test_pictures_keep_their_pixels_and_carry_the_axes(tmp_path):
    shades = np.arange(256, dtype=np.uint8).reshape(16, 16)
    board = dashboard(tmp_path, "offline")
    board.log_pictures({"samples": Image.fromarray(shades)}, AXES | {"train/critic/adversarial": 1.5})
    board.finish()
    (row,) = rows(tmp_path)
    assert {key: row[key] for key in AXES} == AXES
    assert "train/critic/adversarial" not in row
    (file,) = tmp_path.glob(f"wandb/*run-*/files/{row['pictures/samples.path']}")
    assert (np.asarray(Image.open(file).convert("L")) == shades).all()


def test_a_resumed_run_continues_the_same_wandb_run(tmp_path):
    boards = []
    for _ in range(2):
        boards.append(dashboard(tmp_path, "offline"))
        boards[-1].finish()
    stored = (tmp_path / "wandb-id.txt").read_text()
    assert [board.version for board in boards] == [stored] * 2
    assert [(run.run_id, run.resume) for run in records(tmp_path, "run")] == [(stored, True)] * 2


def test_runs_of_one_process_do_not_mix(tmp_path):
    boards = [dashboard(tmp_path / name, "offline") for name in "ab"]
    for board, value in zip(boards, (1, 2), strict=True):
        board.log_metrics(AXES | {"x": value})
        board.finish()
    assert [row["x"] for name in "ab" for row in rows(tmp_path / name)] == [1, 2]


@pytest.mark.parametrize("how", ["mode", "variable", "rank"])
def test_disabled_runs_and_other_processes_have_no_dashboard(tmp_path, monkeypatch, how):
    if how == "variable":
        monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setattr(rank_zero_only, "rank", int(how == "rank"))
    assert dashboard(tmp_path, "disabled" if how == "mode" else "auto") is None
    assert list(tmp_path.iterdir()) == []


def test_the_variable_of_wandb_is_heard(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_API_KEY", "c" * 40)
    assert dashboard(tmp_path).run.offline


def test_a_dead_server_is_told_and_the_run_goes_on_offline(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_BASE_URL", CLOSED)
    monkeypatch.setenv("WANDB_API_KEY", "c" * 40)
    board = dashboard(tmp_path, timeout=2)
    board.log_metrics(AXES)
    board.finish()
    assert board.run.offline
    assert board.url is None
    assert rows(tmp_path)[-1].items() >= AXES.items()
    (warning,) = [entry.message for entry in caplog.records if entry.name == "genlit"]
    assert "W&B is offline" in warning
    assert not any(b"c" * 40 in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_a_dead_server_does_not_cost_a_resumed_run_its_id(tmp_path, monkeypatch):
    (tmp_path / "wandb-id.txt").write_text("abc123")
    monkeypatch.setenv("WANDB_BASE_URL", CLOSED)
    monkeypatch.setenv("WANDB_API_KEY", "c" * 40)
    assert dashboard(tmp_path, timeout=1).version == "abc123"


def test_a_malformed_key_is_told(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("WANDB_API_KEY", "short")
    assert dashboard(tmp_path).run.offline
    assert "W&B is offline: WANDB_API_KEY invalid" in caplog.text


def test_where_wandb_does_not_run_training_goes_on_without(tmp_path, caplog):
    (tmp_path / "wandb-id.txt").write_text("not/an:id")
    assert dashboard(tmp_path, "offline") is None
    assert "W&B does not run here: " in caplog.text


def test_online_without_a_key_is_told(tmp_path, caplog):
    assert dashboard(tmp_path, "online").run.offline
    assert "W&B is offline: no API key was found" in caplog.text


DYING = """
import os, signal, sys, threading
from pathlib import Path
from PIL import Image
from genlit.cli import verbs
from genlit.logging import history
from genlit.logging.wandb import dashboard

board = dashboard(sys.argv[1], "offline")
for child in Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split():
    assert "wandb-core" in Path(f"/proc/{child}/cmdline").read_text()
    os.kill(int(child), signal.SIGKILL)
    os.waitpid(int(child), 0)
for _ in range(20):
    board.log_metrics({"progress/images": 1})
    board.log_pictures({"samples": Image.new("L", (8, 8))}, {"progress/images": 1})
board.finish()
print("done")
"""


def test_wandb_dying_is_told_once_and_training_goes_on(tmp_path):
    child = run_child(DYING, str(tmp_path))
    assert (child.returncode, child.stdout) == (0, "done\n")
    assert child.stderr.count("training goes on") == 1


CHILD = """
import sys
from PIL import Image
from genlit.cli import verbs
from genlit.logging import history
from genlit.logging.wandb import dashboard

board = dashboard(sys.argv[1], config={"hub": {"hf_token": sys.argv[2]}, "list": [{"Password": sys.argv[2]}]})
print(sys.argv[2])
board.log_metrics({"progress/images": 1})
board.finish()
assert board.run.offline
"""


def run_child(code: str, *arguments: str, **options) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | options.pop("variables", {})
    options = {"capture_output": True} | options
    return subprocess.run([sys.executable, "-c", code, *arguments], env=environment, text=True, timeout=60, **options)


def test_without_a_key_a_terminal_is_not_asked_and_no_secret_is_written(tmp_path):
    canary = "canary-5f1d"
    controller, terminal = pty.openpty()
    child = run_child(
        CHILD,
        *(str(tmp_path), canary, f"--model.token={canary}"),
        variables={"HF_TOKEN": canary, "MY_SECRET": canary},
        **dict.fromkeys(("stdin", "stdout", "stderr"), terminal),
        capture_output=False,
    )
    os.close(terminal)
    os.close(controller)
    assert child.returncode == 0
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(file.suffix == ".wandb" for file in files)
    assert not [file for file in files if canary.encode() in file.read_bytes()]


def test_a_training_records_what_its_history_says(tmp_path):
    small = [
        "--model.width=8",
        "--data.batch_size=4",
        "--trainer.limit_val_batches=1",
        "--trainer.val_check_interval=2",
    ]
    often = ["--trainer.max_steps=4", "--trainer.log_every_n_steps=2", "--run.pictures_every=2", "--run.pictures=4"]
    place = [f"--trainer.default_root_dir={tmp_path}", "--run.wandb=offline", "--trainer.accelerator=cpu"]
    verbs.main(["train", "dcgan", *small, *often, *place], standalone_mode=False)
    run = tmp_path / "dcgan" / "001"
    shown = rows(run)
    scalars = [
        {k: v for k, v in row.items() if not k.startswith("_")} for row in shown if "pictures/samples._type" not in row
    ]
    assert scalars == history.read(run / "history.jsonl")
    pictures = [row["progress/images"] for row in shown if "pictures/samples._type" in row]
    assert pictures == [0, 8, 16]
