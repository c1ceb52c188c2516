import hashlib
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from genlit.data import CIFAR10, MNIST, CelebA, FashionMNIST
from genlit.errors import GenlitError

random = np.random.default_rng(0)
GREY = random.integers(256, size=(12, 28, 28), dtype=np.uint8)
LABELS = np.arange(12, dtype=np.uint8) % 10


def idx(path: Path, array: np.ndarray) -> None:
    path.write_bytes(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes())


def write_mnist(folder: Path, name: str) -> None:
    raw = folder / name / "raw"
    raw.mkdir(parents=True)
    for part, rows in {"train": slice(12), "t10k": slice(5)}.items():
        idx(raw / f"{part}-images-idx3-ubyte", GREY[rows])
        idx(raw / f"{part}-labels-idx1-ubyte", LABELS[rows])


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("source", [MNIST, FashionMNIST])
def test_mnist_and_fashion_mnist(tmp_path: Path, source: type):
    write_mnist(tmp_path, source.__name__)
    mnist = source(folder=str(tmp_path))
    splits = mnist.store.splits
    assert (splits["train"][0]["image"] == GREY[:, None]).all()
    assert splits["test"][0]["label"].tolist() == LABELS[:5].tolist()
    assert len(mnist.classes) == 10
    assert source(folder=str(tmp_path), size=32).shape == (1, 32, 32)


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve images in CIFAR-10's format, under the checksums that torchvision pins."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    batch = {"data": random.integers(256, size=(6, 3072), dtype=np.uint8), "labels": [0, 1, 2, 3, 4, 5]}
    names = ["data_batch_1", "data_batch_2", "test_batch"]
    for name in names:
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["airplane", "automobile"]}))
    pinned = [[name, md5(folder / name)] for name in names]
    monkeypatch.setattr(datasets.CIFAR10, "train_list", pinned[:2])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", pinned[2:])
    monkeypatch.setattr(datasets.CIFAR10, "meta", datasets.CIFAR10.meta | {"md5": md5(folder / "batches.meta")})
    return tmp_path


def test_cifar10(cifar: Path):
    source = CIFAR10(folder=str(cifar))
    batch = pickle.loads((cifar / "cifar-10-batches-py" / "test_batch").read_bytes())
    assert source.shape == (3, 32, 32)
    assert source.classes == ["airplane", "automobile"]
    assert len(source.store.splits["train"][0]["label"]) == 12
    assert (source.store.splits["test"][0]["image"] == batch["data"].reshape(6, 3, 32, 32)).all()
    with pytest.raises(GenlitError, match=r"CIFAR10, image 0, is too small: 32 x 32 .*data.upscale: true"):
        CIFAR10(folder=str(cifar), size=64).prepare_data()


def test_a_file_with_another_checksum_is_not_unpickled(cifar: Path):
    marker = cifar / "executed"

    class Payload:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(marker),)

    (cifar / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(GenlitError, match="CIFAR10 is not complete"):
        CIFAR10(folder=str(cifar)).prepare_data()
    assert not marker.exists()


@pytest.fixture
def faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six faces in CelebA's format, under the checksums that torchvision pins."""
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{k:06}.jpg" for k in range(8)]
    for k, name in enumerate(names):
        Image.new("RGB", (178, 218), (30 * k, 0, 0)).save(folder / "img_align_celeba" / name)
    table = lambda header, row: header + "".join(f"{name} {row(k)}\n" for k, name in enumerate(names))  # noqa: E731
    files = {
        "list_attr_celeba.txt": table("8\nBald Smiling \n", lambda k: f"{(-1) ** k} 1"),
        "identity_CelebA.txt": table("", lambda k: k),
        "list_bbox_celeba.txt": table("8\nimage_id x\n", lambda k: k),
        "list_landmarks_align_celeba.txt": table("8\nx\n", lambda k: k),
        "list_eval_partition.txt": table("", lambda k: max(0, k // 2 - 1)),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    monkeypatch.setattr(datasets.CelebA, "file_list", [("", md5(folder / name), name) for name in files])
    return tmp_path


def test_celeba_has_attributes_and_three_splits(faces: Path):
    source = CelebA(folder=str(faces)).require(("image", "attributes"))
    splits = source.store.splits
    assert source.shape == (3, 218, 178)
    assert source.attribute_names == ["Bald", "Smiling"]
    assert [len(splits[split][0]["image"]) for split in ("train", "val", "test")] == [4, 2, 2]
    assert splits["train"][0]["attributes"].tolist() == [[1, 1], [0, 1], [1, 1], [0, 1]]
    assert abs(int(splits["test"][0]["image"][0, 0, 100, 100]) - 180) < 3
    assert CelebA(folder=str(faces), size=64).shape == (3, 64, 64)


@pytest.mark.parametrize("source", [MNIST, FashionMNIST, CIFAR10, CelebA])
def test_missing_files_are_told_with_the_remedy(tmp_path: Path, source: type):
    said = rf"{source.__name__} is not complete under {tmp_path}/{source.where} .*data.download: true"
    with pytest.raises(GenlitError, match=said):
        source(folder=str(tmp_path)).prepare_data()


def test_a_cut_off_file_is_told(tmp_path: Path):
    write_mnist(tmp_path, "MNIST")
    os.truncate(tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte", 1000)
    with pytest.raises(GenlitError, match="MNIST is not complete"):
        MNIST(folder=str(tmp_path)).prepare_data()


def test_raw_files_are_looked_for_under_the_data_root(root: Path):
    assert MNIST().folder == root / "raw"
