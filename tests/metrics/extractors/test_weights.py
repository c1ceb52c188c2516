import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from genlit.errors import GenlitError
from genlit.metrics.extractors.weights import obtain, read


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_both_kinds_of_file_give_their_tensors(tmp_path: Path):
    state = {"a": torch.arange(3.0)}
    torch.save(state, tmp_path / "a.pth")
    save_file(state, tmp_path / "a.safetensors")
    for name in ("a.pth", "a.safetensors"):
        assert torch.equal(read(tmp_path / name)["a"], state["a"])


def test_a_hostile_file_is_refused_and_does_not_run(tmp_path: Path):
    torch.save({"a": Hostile(tmp_path / "ran")}, tmp_path / "hostile.pth")
    with pytest.raises(GenlitError, match=r"hostile\.pth is not a file of weights"):
        read(tmp_path / "hostile.pth")
    assert not (tmp_path / "ran").exists()


def test_an_environment_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(GenlitError, match="unset the variable"):
        read(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["junk.pth", "junk.safetensors"])
@pytest.mark.parametrize("content", [b"", b"junk", pickle.dumps({"a": 1}, 2), bytes(100)])
def test_what_holds_no_tensors_is_refused(tmp_path: Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(GenlitError, match=r"junk\..*--weights"):
        read(tmp_path / name)


def test_a_checkpoint_of_more_than_tensors_is_refused(tmp_path: Path):
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "a.ckpt")
    with pytest.raises(GenlitError, match="plain state dict"):
        read(tmp_path / "a.ckpt")


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(GenlitError, match=r"none\.pth does not exist"):
        read(tmp_path / "none.pth")


def test_a_published_file_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "a.pth").write_bytes(b"weights")
    path = obtain("b.pth", (tmp_path / "a.pth").as_uri(), "")
    (tmp_path / "a.pth").unlink()
    assert obtain("b.pth", (tmp_path / "a.pth").as_uri(), "").read_bytes() == b"weights"
    assert [one.name for one in path.parent.iterdir()] == ["b.pth"]
