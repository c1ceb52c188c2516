import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from genlit.data import Digits, Emoji
from genlit.data.shipped import ASSETS, captions
from genlit.errors import GenlitError

SPLITS = ("train", "val", "test")
EMOJI = json.loads((ASSETS / "emoji" / "emoji.json").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True, scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """These sets do not change, so the tests share their stores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENLIT_DATA", str(tmp_path_factory.mktemp("stores")))
        yield


def images(source: Digits | Emoji, split: str, column: str = "image") -> np.ndarray:
    return np.concatenate([batch[column] for batch in source.loader(split)])


def drawings(source: Emoji, split: str, column: str = "image") -> set[bytes]:
    return {image.tobytes() for image in images(source, split, column)}


def test_the_shipped_files_are_the_published_ones():
    lines = (ASSETS / "README.md").read_text().split("## sha256")[1].split("\n")
    pinned = [line.split() for line in lines if line.strip()]
    assert len(pinned) == 8
    for digest, name in pinned:
        assert hashlib.sha256((ASSETS / name).read_bytes()).hexdigest() == digest


def test_every_licence_is_named():
    text = (ASSETS / "LICENSES.md").read_text()
    assert all(licence in text for licence in ("CC BY-SA 3.0", "Apache-2.0", "CC BY 4.0", "MIT"))


def test_digits_are_mnist_s():
    digits = Digits(holdout=0, batch_size=500)
    assert digits.shape == (1, 28, 28)
    assert digits.classes == list("0123456789")
    assert images(digits, "test").shape == (2000, 1, 28, 28)
    train = digits.store.splits["train"][0]
    assert train["label"][:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert np.bincount(train["label"]).tolist() == [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]
    assert abs(train["image"].mean() / 255 - 0.1306) < 0.001  # MNIST's mean is 0.1307
    assert images(digits, "test", "label")[:5].tolist() == [7, 2, 1, 0, 4]


@pytest.mark.parametrize("size", [8, 32])
def test_digits_come_in_other_sizes(size: int):
    digits = Digits(size=size)
    assert digits.shape == (1, size, size)
    native = Digits().store.splits["train"][0]["image"]
    assert abs(digits.store.splits["train"][0]["image"].mean() - native.mean()) < 1


def test_digits_need_no_upscaling_said_but_may_refuse_it():
    with pytest.raises(GenlitError, match="too small: 28 x 28"):
        Digits(size=32, upscale=False).prepare_data()


def test_digits_have_no_text():
    with pytest.raises(GenlitError, match="needs `text`, and Digits has only image, label"):
        Digits().require(("text",)).prepare_data()


def test_emoji_are_three_styles_with_captions_and_categories():
    source = Emoji(size=16)
    train, val, test = (source.store.splits[split][0] for split in ("train", "val", "test"))
    assert train["image"].shape == (3990, 3, 16, 16)
    assert len(test["text"]) == len(test["label"]) == 597
    firsts = [lines.split("\n")[0] for lines in val["text"][:3]]
    assert firsts == [f"grinning face, face, in {style} style" for style in ("noto", "twemoji", "fluent")]
    names = [one["category"] for one in EMOJI if one["split"] == "test" for _ in range(3)]
    assert [source.classes[label] for label in test["label"]] == names


def test_an_emoji_has_captions_of_name_keywords_and_style():
    rocket = {"name": "rocket", "keywords": ["rocket", "launch_pad", "space"]}
    assert captions(rocket, "noto") == [
        "rocket, launch pad, in noto style",
        "rocket, in noto style",
        "rocket, space, in noto style",
        "launch pad, space, in noto style",
    ]


def test_the_first_caption_is_never_drawn_in_training():
    source = Emoji(size=4, batch_size=64)
    for one in EMOJI:
        first, *drawn = captions(one, "noto")
        assert drawn
        assert first not in drawn
    lines = {"text": ["\n".join(captions(EMOJI[0], "noto"))] * 200}
    first, *others = captions(EMOJI[0], "noto")
    assert set(source.transform(lines, training=True)["text"]) == set(others)
    assert set(source.transform(lines, training=False)["text"]) == {first}
    assert source.captions("train")[0] == captions([one for one in EMOJI if one["split"] == "train"][1], "noto")


def test_emoji_s_label_may_be_the_style():
    source = Emoji(size=4, label="style")
    assert source.classes == ["noto", "twemoji", "fluent"]
    assert source.store.splits["test"][0]["label"].tolist() == [0, 1, 2] * 199


def test_no_emoji_is_on_two_sides():
    source = Emoji(size=8)
    firsts = {split: {lines.partition("\n")[0] for lines in source.store.splits[split][0]["text"]} for split in SPLITS}
    assert [len(source.rows(split)) for split in SPLITS] == [3990, 210, 597]
    texts = [text for split in SPLITS for text in firsts[split]]
    assert len(texts) == len(set(texts)) == 3 * len(EMOJI)


def test_emoji_domains_are_unpaired_in_training_and_paired_in_the_test():
    source = Emoji(size=16, domains=("twemoji", "fluent"), batch_size=100).require(("a", "b"))
    assert not source.paired("train")
    assert source.paired("test")
    everything = Emoji(size=16).store.splits
    styles = {name: everything["train"][0]["image"][k::3] for k, name in enumerate(("noto", "twemoji", "fluent"))}
    batch = next(iter(source.train_dataloader()))
    rows = {
        side: [int(np.flatnonzero((styles[style] == image.numpy()).all((1, 2, 3)))[0]) for image in batch[side]]
        for side, style in (("a", "twemoji"), ("b", "fluent"))
    }
    assert np.mean(np.equal(rows["a"], rows["b"])) < 0.1
    assert (images(source, "test", "a") == everything["test"][0]["image"][1::3]).all()
    assert (images(source, "test", "b") == everything["test"][0]["image"][2::3]).all()


def test_emoji_domains_may_be_paired_in_training_and_then_turn_together():
    source = Emoji(size=16, batch_size=64, paired=True, mirror=True).require(("a", "b"))
    assert source.paired("train")
    assert source.store.folder != Emoji(size=16).require(("a", "b")).store.folder
    everything = Emoji(size=16).store.splits["train"][0]["image"]
    stored = source.store.splits["train"][0]
    assert all(np.array_equal(stored[side], everything[k::3]) for k, side in enumerate("ab"))
    batch = next(iter(source.train_dataloader()))
    shown = source.transform(batch, training=True)
    as_they_are = source.transform(batch, training=False)
    turned = {side: (shown[side] == as_they_are[side].flip(-1)).flatten(1).all(1) for side in "ab"}
    kept = {side: (shown[side] == as_they_are[side]).flatten(1).all(1) for side in "ab"}
    assert ((turned["a"] & turned["b"]) | (kept["a"] & kept["b"])).all()
    assert 10 < (turned["a"] & ~kept["a"]).sum() < 54


def test_held_out_domains_share_no_drawing_with_training():
    source = Emoji(size=32, batch_size=64).require(("a", "b"))
    stream = source.store.splits["train"][0]["a"]
    held = drawings(source, "val", "a")
    assert len(held) == 70
    assert not held & {image.tobytes() for image in stream[: len(source.rows("train"))]}


@pytest.mark.parametrize("size", [4, 64])
def test_emoji_come_from_4_to_64_pixels(size: int):
    assert Emoji(size=size).require(("a", "b")).shape == (3, size, size)


def test_emoji_arguments_are_checked():
    with pytest.raises(GenlitError, match="must be two of noto, twemoji, fluent"):
        Emoji(domains=("noto", "apple"))
    with pytest.raises(GenlitError, match="must be category or style"):
        Emoji(label="colour")
    with pytest.raises(GenlitError, match=r"too small: 64 x 64 .*upscale"):
        Emoji(size=128).prepare_data()
    with pytest.raises(GenlitError, match="needs `text`, and Emoji has only a, b"):
        Emoji(size=4).require(("a", "b", "text")).prepare_data()
