"""Digits stacked as channels."""

import numpy as np
import pytest

from genlit.data import Digits, StackedDigits, StackedMNIST
from genlit.errors import GenlitError


@pytest.fixture(scope="module", autouse=True)
def root(tmp_path_factory):
    """The digits do not change, so the tests share their stores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENLIT_DATA", str(tmp_path_factory.mktemp("stores")))
        yield


def stream(source, split="train"):
    return source.store.splits[split][0]


@pytest.mark.parametrize("size", [None, 12])
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_channel_is_a_digit_of_its_split_and_the_label_tells_all_three(size, split):
    stacks, single = stream(StackedDigits(images=50, size=size), split), stream(Digits(size=size), split)
    known = {image.tobytes(): label for image, label in zip(single["image"], single["label"], strict=True)}
    for image, label in zip(stacks["image"][:50], stacks["label"], strict=False):
        digits = [known[np.ascontiguousarray(channel[None]).tobytes()] for channel in image]
        assert label == 100 * digits[0] + 10 * digits[1] + digits[2]


def test_there_are_as_many_as_asked_and_a_thousand_classes():
    source = StackedDigits(images=300, size=8, holdout=0.1)
    assert [len(source.rows(split)) for split in ("train", "val", "test")] == [270, 30, 2000]
    assert source.shape == (3, 8, 8)
    assert (len(source.classes), source.classes[7], source.classes[123]) == (1000, "007", "123")


def test_channels_are_drawn_independently_and_all_modes_occur():
    labels = stream(StackedDigits(size=8))["label"]
    assert len(np.unique(labels)) == 1000
    digits = np.stack([labels // 100, labels // 10 % 10, labels % 10])
    assert np.abs(np.corrcoef(digits) - np.eye(3)).max() < 0.03
    singles = np.bincount(stream(Digits(size=8))["label"]) / 10_000
    for channel in digits:
        assert np.abs(np.bincount(channel) / len(labels) - singles).max() < 0.015


def test_the_stacks_are_a_function_of_the_seed():
    first, again, other = (stream(StackedDigits(images=40, size=8, seed=seed))["label"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_single_digits_have_the_same_size():
    single = StackedDigits(images=40, size=10, batch_size=7).single
    assert (type(single), single.shape, single.classes) == (Digits, (1, 10, 10), list("0123456789"))


def test_mnist_is_stacked_too(tmp_path):
    assert type(StackedMNIST(folder=str(tmp_path)).single).__name__ == "MNIST"
    with pytest.raises(GenlitError, match="StackedMNIST is not complete"):
        StackedMNIST(folder=str(tmp_path)).prepare_data()


def test_no_stacks_are_refused():
    with pytest.raises(GenlitError, match=r"data\.images is 0: it must be at least 1"):
        StackedDigits(images=0)
