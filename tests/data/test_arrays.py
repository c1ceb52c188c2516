import zipfile
from pathlib import Path

import numpy as np
import pytest

from genlit.data import Npz
from genlit.errors import GenlitError

random = np.random.default_rng(0)
GREY = random.integers(256, size=(20, 8, 6), dtype=np.uint8)
RGB = random.integers(256, size=(20, 8, 6, 3), dtype=np.uint8)


def npz(folder: Path, **arrays: np.ndarray) -> Npz:
    np.savez(folder / "set.npz", **arrays)
    return Npz(path=str(folder / "set.npz"))


def stored(source: Npz, split: str = "train") -> dict:
    return source.store.splits[split][0]


def test_medmnist_keys(tmp_path: Path):
    labels = np.arange(20)[:, None] % 4  # MedMNIST's labels are columns
    splits = {f"{split}_{what}": array for split in ("train", "val", "test") for what, array in
              (("images", RGB), ("labels", labels.astype(np.uint8)))}  # fmt: skip
    source = npz(tmp_path, **splits)
    assert source.shape == (3, 8, 6)
    assert source.classes == ["0", "1", "2", "3"]
    assert (stored(source, "val")["image"] == RGB.transpose(0, 3, 1, 2)).all()
    assert stored(source)["label"].tolist() == labels.ravel().tolist()
    assert len(source.rows("train")) == len(source.rows("val")) == 20


def test_grey_images_without_labels(tmp_path: Path):
    source = npz(tmp_path, train_images=GREY)
    assert (stored(source)["image"] == GREY[:, None]).all()
    assert source.classes == []
    with pytest.raises(GenlitError, match="needs `label`, and Npz has only image: add `train_labels`"):
        source.require(("label",)).prepare_data()


def test_several_columns_of_labels_are_attributes(tmp_path: Path):
    attributes = random.integers(2, size=(20, 5))
    source = npz(tmp_path, train_images=GREY, train_labels=attributes)
    assert (stored(source)["attributes"] == attributes).all()
    assert source.attribute_names == ["0", "1", "2", "3", "4"]


def test_any_channel_count_and_size(tmp_path: Path):
    np.savez(tmp_path / "set.npz", train_images=random.integers(256, size=(9, 12, 10, 5), dtype=np.uint8))
    assert Npz(path=str(tmp_path / "set.npz"), size=8).shape == (5, 8, 8)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"images": GREY}, "has the keys images: the images must be under train_images"),
        ({"train_images": GREY / 255}, r"train_images is of type float64: it must be bytes"),
        ({"train_images": GREY[0]}, r"train_images is of shape \(8, 6\)"),
        ({"train_images": GREY[:0]}, r"train_images is of shape \(0, 8, 6\)"),
        ({"train_images": RGB.transpose(0, 3, 1, 2)}, "channels last"),
        ({"train_images": GREY, "train_labels": np.arange(19)}, "19 labels: it must be as many as the images, 20"),
        ({"train_images": GREY, "train_labels": np.arange(20) / 2}, "train_labels is float64"),
        ({"train_images": GREY, "train_labels": np.arange(20) - 1}, "as low as -1"),
        ({"train_images": GREY, "train_labels": np.full((20, 2), 3)}, "not all 0 and 1"),
        ({"train_images": np.full(3, None, dtype=object)}, "train_images cannot be read .*plain array"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, arrays: dict, said: str):
    with pytest.raises(GenlitError, match=rf"set\.npz.*{said}"):
        npz(tmp_path, **arrays).prepare_data()


def test_other_files_are_refused(tmp_path: Path):
    path = tmp_path / "set.npz"
    with pytest.raises(GenlitError, match=r"set.npz cannot be read .*No such file"):
        Npz(path=str(path)).prepare_data()
    path.write_bytes(b"PK not really")
    with pytest.raises(GenlitError, match=r"set.npz cannot be read .*give an .npz file"):
        Npz(path=str(path)).prepare_data()
    with path.open("wb") as file:
        np.save(file, GREY)
    with pytest.raises(GenlitError, match="holds a single array"):
        Npz(path=str(path)).prepare_data()


def test_a_flipped_byte_is_found(tmp_path: Path):
    source = npz(tmp_path, train_images=GREY)
    with zipfile.ZipFile(source.path) as archive:
        offset = archive.infolist()[0].header_offset + 400
    data = bytearray(source.path.read_bytes())
    data[offset] ^= 1
    source.path.write_bytes(data)
    with pytest.raises(GenlitError, match="train_images cannot be read"):
        source.prepare_data()


def test_a_changed_file_is_read_again(tmp_path: Path):
    first = stored(npz(tmp_path, train_images=GREY))["image"]
    second = stored(npz(tmp_path, train_images=255 - GREY))["image"]
    assert (second == 255 - first).all()
