import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genlit.data import Folder
from genlit.errors import GenlitError


def put(folder: Path, *names: str, size: tuple[int, int] = (8, 8)) -> None:
    """Write pictures whose red is the number in their name."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        red = int("".join(filter(str.isdigit, path.stem)) or 0)
        Image.new("RGB", size, (red, 0, 0)).save(path)


def reds(source: Folder, split: str, column: str = "image", stream: int = 0) -> list[int]:
    return source.store.splits[split][stream][column][:, 0, 0, 0].tolist()


def numbered(n: int, prefix: str = "", suffix: str = "png") -> list[str]:
    return [f"{prefix}{k:03}.{suffix}" for k in range(n)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    return folder


def folder(path: Path, **arguments: object) -> Folder:
    return Folder(path=str(path), **arguments)


@pytest.mark.parametrize("below", ["", "images/"])
def test_unlabelled_pictures(path: Path, below: str):
    put(path, *numbered(20, below))
    (path / "notes.txt").write_text("not a picture")
    (path / ".hidden.png").write_bytes(b"")
    put(path, ".thumbnails/9.png")
    source = folder(path)
    assert source.shape == (3, 8, 8)
    assert source.classes == []
    assert reds(source, "train") == list(range(18))
    assert reds(source, "test") == [18, 19]


def test_a_folder_per_class_is_split_in_proportion(path: Path):
    put(path, *numbered(40, "cat/"), *numbered(20, "dog/"))
    source = folder(path, holdout=0.2)
    splits = source.store.splits
    assert source.classes == ["cat", "dog"]
    assert np.bincount(splits["train"][0]["label"]).tolist() == [36, 18]
    assert np.bincount(splits["test"][0]["label"]).tolist() == [4, 2]
    held = splits["train"][0]["label"][len(source.rows("train")) :]
    assert np.bincount(held).tolist() == [7, 4]
    assert set(reds(source, "test")) == {36, 37, 38, 39, 18, 19}


@pytest.mark.parametrize("below", ["", "images/"])
def test_given_splits(path: Path, below: str):
    put(path, *numbered(5, f"train/{below}"), *numbered(2, f"val/{below}"), *numbered(3, f"test/{below}"))
    source = folder(path)
    assert [len(reds(source, split)) for split in ("train", "val", "test")] == [5, 2, 3]
    assert len(source.rows("train")) == 5


def test_given_splits_of_classes(path: Path):
    put(path, *numbered(5, "train/cat/"), *numbered(4, "train/dog/"), *numbered(3, "test/dog/"))
    source = folder(path)
    assert source.store.splits["test"][0]["label"].tolist() == [1, 1, 1]
    assert sorted(source.store.splits["train"][0]["label"]) == [0] * 5 + [1] * 4


def test_a_class_may_be_called_train(path: Path):
    put(path, *numbered(3, "car/"), *numbered(3, "train/"))
    assert folder(path).classes == ["car", "train"]


def test_domains_are_unpaired_in_training_and_paired_by_name_in_the_test(path: Path):
    put(path, *numbered(6, "trainA/"), *numbered(4, "trainB/"), *numbered(3, "testA/"), *numbered(3, "testB/", "jpg"))
    source = folder(path).require(("a", "b"))
    assert [list(stream) for stream in source.store.splits["train"]] == [["a"], ["b"]]
    assert reds(source, "train", "b", stream=1) == [0, 1, 2, 3]
    assert source.paired("test")
    assert not source.paired("train")
    assert len(reds(source, "test", "b")) == 3


def test_domains_with_other_names_are_unpaired_in_the_test(path: Path):
    put(path, *numbered(6, "trainA/"), *numbered(4, "trainB/"), *numbered(3, "testA/x"), *numbered(2, "testB/y"))
    source = folder(path, batch_size=2)
    assert not source.paired("test")
    assert [(len(batch["a"]), len(batch["b"])) for batch in source.test_dataloader()] == [(2, 2)]


def test_domains_without_a_test_give_their_last_tenth(path: Path):
    put(path, *numbered(20, "trainA/"), *numbered(20, "trainB/"))
    source = folder(path)
    assert source.paired("test")
    assert reds(source, "test", "a") == reds(source, "test", "b") == [18, 19]
    assert reds(source, "train", "a") == list(range(18))


def test_domains_are_paired_in_training_if_said_so(path: Path):
    put(path, *numbered(20, "trainA/"), *numbered(20, "trainB/", "jpg"))
    source = folder(path, paired=True).require(("a", "b"))
    assert source.paired("train")
    assert [list(stream) for stream in source.store.splits["train"]] == [["a", "b"]]
    assert len(reds(source, "test", "b")) == 2
    assert source.paired("val")


def test_a_training_picture_without_counterpart_is_named(path: Path):
    put(path, *numbered(3, "trainA/"), *numbered(4, "trainB/"))
    with pytest.raises(GenlitError, match=r"003.png has no counterpart of its name in trainA: add it, or set data"):
        folder(path, paired=True).prepare_data()
    put(path, "trainA/003.png", "trainA/004.png")
    with pytest.raises(GenlitError, match=r"004.png has no counterpart of its name in trainB"):
        folder(path, paired=True).prepare_data()
    put(path, "trainB/004.png", "trainB/more/004.png")
    with pytest.raises(GenlitError, match="holds a name twice, or in another order than trainB"):
        folder(path, paired=True).prepare_data()


def test_attributes_that_are_asked_for_come_alone_and_in_their_order(path: Path):
    put(path, *numbered(10))
    lines = [f"{k:03}.png,{k % 2},{int(k < 5)},1" for k in range(10)]
    (path / "attributes.csv").write_text("\n".join(["file,odd,small,there", *lines]))
    source = folder(path, attributes=["small", "odd"]).require(("attributes",))
    assert source.attribute_names == ["small", "odd"]
    batch = source.transform(next(iter(source.loader("test"))), training=False)
    assert batch["attributes"].tolist() == [[0, 1]]
    with pytest.raises(GenlitError, match=r"data.attributes: unknown name 'smal'; did you mean 'small'"):
        folder(path, attributes=["smal"]).prepare_data()


def test_attributes(path: Path):
    put(path, *numbered(10, "images/"))
    lines = [f"{k:03}.png,{k % 2},{2 * (k < 5) - 1}" for k in range(10)]
    (path / "attributes.csv").write_text("\n".join(["file,odd,small", *reversed(lines)]))
    source = folder(path).require(("attributes",))
    assert source.attribute_names == ["odd", "small"]
    assert source.store.splits["train"][0]["attributes"].tolist() == [[k % 2, k < 5] for k in range(9)]
    assert source.store.splits["train"][0]["attributes"].dtype == np.float32


def test_an_empty_cell_is_an_unknown_attribute(path: Path):
    put(path, *numbered(4))
    (path / "attributes.csv").write_text("file,odd,small\n000.png,-1,1\n001.png,,\n002.png,0, \n003.png,1,0\n")
    source = folder(path, holdout=0).require(("attributes",))
    assert source.store.splits["train"][0]["attributes"].tolist() == [[0, 1], [-1, -1], [0, -1]]


@pytest.mark.parametrize("line", ["000.png,2,0", "000.png,1", "000.png,?,1"])
def test_other_attributes_are_named_by_their_line(path: Path, line: str):
    put(path, *numbered(3))
    (path / "attributes.csv").write_text(f"file,odd,small\n001.png,0,1\n{line}\n")
    with pytest.raises(GenlitError, match=r"attributes.csv, line 3: .* must be 2 values"):
        folder(path).prepare_data()


def test_captions_of_both_kinds(path: Path):
    put(path, *numbered(4, "train/"), *numbered(2, "test/"))
    (path / "captions.csv").write_text('file,caption\n000.png,"a, b"\n000.png,two  words\n001.png,c\ntest/000.png,t\n')
    lines = [{"file": "002.png", "captions": ["x", "y"]}, {"file": "train/003.png", "caption": "é"}]
    (path / "captions.jsonl").write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    source = folder(path).require(("image", "text"))
    assert source.store.splits["train"][0]["text"] == ["a, b\ntwo words", "c", "x\ny", "é"]
    assert source.store.splits["test"][0]["text"] == ["t", "c"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("captions.csv", "name,words\n000.png,x\n", "the first line must be file,caption"),
        ("captions.csv", "file,caption\n000.png,x\n", "about 001.png: add one"),
        ("captions.csv", "file,caption\n000.png\n", "captions.csv, line 2"),
        ("captions.csv", b"file,caption\n000.png,\xff\n", "not UTF-8"),
        ("captions.jsonl", '{"file": "000.png", "caption": "x"}\n{"file": 1', "captions.jsonl, line 2"),
        ("captions.jsonl", '{"file": "000.png"}', "captions.jsonl, line 1"),
        ("captions.jsonl", '{"file": "000.png", "captions": [1]}', "captions.jsonl, line 1"),
        ("attributes.csv", "", "names no attribute"),
    ],
)
def test_damaged_annotations_are_named(path: Path, name: str, text: str | bytes, said: str):
    put(path, *numbered(2))
    (path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(GenlitError, match=said):
        folder(path).prepare_data()


def test_missing_and_empty_folders_are_named(path: Path):
    with pytest.raises(GenlitError, match=r"nowhere is not a folder: set data.path"):
        folder(path / "nowhere").prepare_data()
    with pytest.raises(GenlitError, match=r"mine has no images: put files like .png"):
        folder(path).prepare_data()
    put(path, "cat/1.png")
    (path / "dog").mkdir()
    with pytest.raises(GenlitError, match="dog has no images"):
        folder(path).prepare_data()


def test_half_an_arrangement_is_named(path: Path):
    put(path, "trainA/1.png")
    with pytest.raises(GenlitError, match="trainB is missing"):
        folder(path).prepare_data()


def test_a_picture_beside_class_folders_is_named(path: Path):
    put(path, "cat/1.png", "loose.png")
    with pytest.raises(GenlitError, match=r"loose.png lies beside the class folder cat"):
        folder(path).prepare_data()


def test_bad_pictures_fail_by_default_and_are_skipped_and_counted_if_asked(path: Path, root: Path):
    put(path, *numbered(10))
    (path / "003.png").write_bytes((path / "003.png").read_bytes()[:50])
    (path / "005.png").write_bytes(b"")
    with pytest.raises(GenlitError, match=r"003.png cannot be read as an image"):
        folder(path).prepare_data()
    assert not [one for one in root.iterdir() if not one.name.endswith(".lock")]
    source = folder(path, on_bad="skip")
    with pytest.warns(UserWarning, match=r"2 of 10 images cannot be read and are skipped; the first is .*003.png"):
        assert reds(source, "train") == [0, 1, 2, 4, 6, 7, 8]
    assert reds(source, "test") == [9]


def test_nothing_but_bad_pictures_is_an_error(path: Path):
    (path / "a.png").write_bytes(b"")
    with pytest.raises(GenlitError, match="None of the 1 images"), pytest.warns(UserWarning, match="1 of 1 images"):
        folder(path, on_bad="skip").prepare_data()


def test_small_and_disagreeing_pictures_are_named(path: Path):
    put(path, *numbered(3), size=(40, 30))
    put(path, "odd7.png", size=(9, 10))
    with pytest.raises(GenlitError, match=r"000.png is 3 x 30 x 40 and .*odd7.png is 3 x 10 x 9 .*set data.size"):
        folder(path).prepare_data()  # the last is the test split
    put(path, "zero0.png", size=(40, 30))
    with pytest.raises(GenlitError, match=r"odd7.png is 9 x 10 pixels and .*000.png is 40 x 30: set data.size"):
        folder(path).prepare_data()
    with pytest.raises(GenlitError, match=r"odd7.png is too small: 9 x 10 .*data.upscale: true"):
        folder(path, size=16).prepare_data()
    assert folder(path, size=16, upscale=True).shape == (3, 16, 16)
    assert folder(path, size=8, fit="pad").shape == (3, 8, 8)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels(path: Path, channels: int):
    put(path, *numbered(3))
    assert folder(path, channels=channels).shape == (channels, 8, 8)


def test_labels_that_are_needed_and_missing_are_told_with_the_remedy(path: Path):
    put(path, *numbered(3))
    with pytest.raises(GenlitError, match=r"needs `label`, and Folder has only image: put the images of each class"):
        folder(path).require(("label",)).prepare_data()


def test_a_changed_picture_makes_a_new_store(path: Path):
    put(path, *numbered(5))
    first = folder(path)
    assert reds(first, "train") == [0, 1, 2, 3]
    put(path, "009.png")
    second = folder(path)
    assert reds(second, "train") == [0, 1, 2, 3, 4]
    assert first.store.folder != second.store.folder


def test_one_picture_is_enough_to_train_on(path: Path):
    put(path, "1.png")
    assert reds(folder(path), "train") == [1]
    assert len(folder(path, holdout=0).rows("train")) == 1


def test_arguments_are_checked(path: Path):
    with pytest.raises(GenlitError, match=r"data.channels is 2"):
        folder(path, channels=2)
    with pytest.raises(GenlitError, match=r"data.on_bad is drop"):
        folder(path, on_bad="drop")
