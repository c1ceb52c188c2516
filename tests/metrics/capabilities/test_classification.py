"""The error of classifiers that are wrong by a known share."""

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from genlit.data import Digits, Npz
from genlit.metrics.capabilities.classification import classification_error


class Constant:
    """Puts every image into one class."""

    device = torch.device("cpu")

    def classify(self, images):
        return one_hot(torch.full((len(images),), 3), 10).float()


def test_the_error_is_the_share_of_other_labels():
    source = Digits(size=8, binarize="threshold")
    (row,) = classification_error(Constant(), source, "test")
    labels = source.rows("test").streams[0]["label"]
    assert (row.name, row.n) == ("classification-error/threshold.n2000.test", 2000)
    assert row.value == pytest.approx((labels != 3).mean())


def test_hidden_labels_count_in_the_error():
    hidden = Digits(size=8, labelled=10)
    (row,) = classification_error(Constant(), hidden, "train", limit=500)
    labels = hidden.rows("train").streams[0]["label"][:500]
    assert row.value == pytest.approx((labels != 3).mean())


def test_nothing_of_data_without_labels(tmp_path):
    np.savez(tmp_path / "data.npz", **{f"{split}_images": np.zeros((4, 8, 8), np.uint8) for split in ("train", "test")})
    assert classification_error(Constant(), Npz(str(tmp_path / "data.npz")), "test") == []
