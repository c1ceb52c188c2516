import errno
import multiprocessing
import os
import pickle
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from genlit.data import store as module
from genlit.data.images import Images
from genlit.data.store import Contents, Store, obtain
from genlit.errors import GenlitError

processes = multiprocessing.get_context("fork")


def contents(n: int = 600) -> Contents:
    random = np.random.default_rng(0)
    pictures = random.integers(256, size=(n, 3, 4, 4), dtype=np.uint8)
    train = {
        "image": Images(range(n), lambda row: pictures[row]),
        "label": np.arange(n) % 3,
        "attributes": random.integers(2, size=(n, 5)).astype(np.float32),
        "text": [f"picture {row} é" for row in range(n)],
    }
    return Contents({"train": [train], "test": [{"a": pictures[:9]}, {"b": pictures[:7]}]}, ["x", "y", "z"])


def visible(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if not path.name.endswith(".lock"))


def test_columns_come_back_as_written(root: Path):
    written, read = contents(), obtain(root / "s", contents).splits
    train, stored = written.splits["train"][0], read["train"][0]
    assert (np.concatenate(list(train["image"].chunks())) == stored["image"]).all()
    for column in ("label", "attributes"):
        assert (stored[column] == train[column]).all()
        assert stored[column].dtype == train[column].dtype
    assert stored["text"] == train["text"]
    assert [list(stream) for stream in read["test"]] == [["a"], ["b"]]
    assert len(read["test"][1]["b"]) == 7


def test_the_second_opening_does_not_read_the_source(root: Path):
    obtain(root / "s", contents)
    store = obtain(root / "s", lambda: pytest.fail("built twice"))
    assert store.meta["classes"] == ["x", "y", "z"]
    assert store.meta["shapes"]["train.0.image.npy"] == [600, 3, 4, 4]


def test_columns_are_mapped_and_not_copied(root: Path):
    store = obtain(root / "s", contents)
    assert not store.splits["train"][0]["image"].flags.writeable
    assert len(pickle.dumps(store)) < 1000
    assert (pickle.loads(pickle.dumps(store)).splits["train"][0]["label"] == np.arange(600) % 3).all()


def slow(started: Path) -> Contents:
    def decode(row: int) -> np.ndarray:
        if row == 400:
            started.touch()
            time.sleep(60)
        return np.zeros((3, 4, 4), np.uint8)

    return Contents({"train": [{"image": Images(range(600), decode)}]})


def test_a_killed_builder_leaves_nothing_visible(root: Path, tmp_path: Path):
    builder = processes.Process(target=obtain, args=(root / "s", lambda: slow(tmp_path / "started")))
    builder.start()
    while not (tmp_path / "started").exists():
        assert builder.is_alive()
        time.sleep(0.01)
    os.kill(builder.pid, signal.SIGKILL)
    builder.join()
    assert not (root / "s").exists()
    assert len(visible(root)) == 1  # the temporary, which the next builder sweeps
    obtain(root / "s", contents)
    assert visible(root) == ["s"]


def counted(log: Path) -> Contents:
    with log.open("a") as file:
        file.write("built\n")
    time.sleep(0.2)
    return contents()


def test_four_processes_at_once_build_once(root: Path, tmp_path: Path):
    def open_and_report(queue: multiprocessing.Queue) -> None:
        store = obtain(root / "s", lambda: counted(tmp_path / "log"))
        queue.put(store.splits["train"][0]["image"].tobytes())

    queue = processes.Queue()
    ranks = [processes.Process(target=open_and_report, args=(queue,)) for _ in range(4)]
    for rank in ranks:
        rank.start()
    assert len({queue.get(timeout=30) for _ in ranks}) == 1
    for rank in ranks:
        rank.join()
    assert (tmp_path / "log").read_text() == "built\n"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: flip(folder / "train.0.image.npy"), "sha256"),
        (lambda folder: os.truncate(folder / "train.0.image.npy", 1000), "bytes"),
        (lambda folder: (folder / "train.0.text.json").unlink(), "missing"),
        (lambda folder: (folder / "meta.json").write_text("{"), "meta.json is damaged"),
        (lambda folder: (folder / "meta.json").unlink(), "meta.json is damaged"),
    ],
)
def test_a_damaged_store_is_built_again_with_a_warning(root: Path, monkeypatch, damage, said: str):
    obtain(root / "s", contents)
    monkeypatch.setattr(module, "_HASHED", set())  # as in a new process
    damage(root / "s")
    with pytest.warns(UserWarning, match=said):
        rebuilt = obtain(root / "s", contents)
    assert rebuilt.splits["train"][0]["text"] == contents().splits["train"][0]["text"]
    assert visible(root) == ["s"]


def test_a_pickle_among_the_files_is_not_loaded(root: Path):
    store = obtain(root / "s", contents)
    np.save(root / "s" / "train.0.label.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        Store(store.folder).splits  # noqa: B018


def test_too_little_space_names_the_volume_and_the_bytes(root: Path, monkeypatch):
    usage = shutil.disk_usage(root.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(GenlitError, match=rf"disk of {root} is full: .* \d{{5}} bytes"):
        obtain(root / "s", contents)
    assert visible(root) == []


def test_a_disk_that_fills_up_leaves_no_partial_store(root: Path):
    def decode(row: int) -> np.ndarray:
        if row == 300:
            raise OSError(errno.ENOSPC, "No space left on device")
        return np.zeros((3, 4, 4), np.uint8)

    with pytest.raises(GenlitError, match="is full"):
        obtain(root / "s", lambda: Contents({"train": [{"image": Images(range(600), decode)}]}))
    assert visible(root) == []


def test_a_root_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(GenlitError, match="or the variable GENLIT_DATA"):
        obtain(tmp_path / "file" / "s", contents)
