"""A labelled source by label."""

import numpy as np
import pytest
import torch

from genlit.data import Digits, Emoji
from genlit.data.domains import ByDomain, by_domain
from genlit.metrics.sets import Stored

CPU = torch.device("cpu")
STYLES = ("noto", "twemoji", "fluent")


@pytest.fixture(scope="module")
def styles():
    return Emoji(size=8, label="style").require(("image", "label"))


def test_every_style_is_a_column_and_a_row_is_one_emoji(styles):
    view = by_domain(styles, STYLES)
    assert isinstance(view, ByDomain)
    assert view.paired("test")
    rows = view.first(199, CPU, "test")
    assert [*rows] == [*STYLES]
    whole = styles.first(597, CPU, "test")
    for index, style in enumerate(STYLES):
        assert torch.equal(rows[style], whole["image"][whole["label"] == index])
    pairs = Emoji(size=8, domains=("noto", "fluent")).require(("a", "b")).first(199, CPU, "test")
    assert torch.equal(rows["noto"], pairs["a"])
    assert torch.equal(rows["fluent"], pairs["b"])


def test_all_images_of_a_label_are_stored_as_the_source_has_them(styles):
    images = Stored.of(by_domain(styles, STYLES), "test", "twemoji")
    assert len(images) == 199
    assert np.array_equal(images.array, Stored.of(styles, "test").array[1::3])


def test_labels_of_other_sources_are_not_counterparts():
    digits = Digits(size=8)
    view = by_domain(digits, ("3", "7"))
    assert not view.paired("test")
    sizes = [int((digits.store.splits["test"][0]["label"] == label).sum()) for label in (3, 7)]
    assert view.rows("test").sizes == sizes
    held_out = view.rows("val")
    assert sum(held_out.sizes) < 500, "of the validation rows alone"
    assert view.first(10**6, CPU, "test")["7"].shape[0] == min(sizes)


def test_a_source_that_has_the_domains_as_columns_stays_itself(styles):
    two = Emoji(size=8).require(("a", "b"))
    assert by_domain(two, ("a", "b")) is two
    assert by_domain(styles, ("Young", "not-Young")) is styles
