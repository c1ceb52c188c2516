"""What a linear classifier reads from codes."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from genlit.data import Digits, Npz
from genlit.metrics.capabilities.codes import codes
from genlit.metrics.capabilities.probe import linear_probe


class Coder:
    """Encodes images by a function of them."""

    device = torch.device("cpu")

    def __init__(self, encode):
        self.function = encode

    def encode(self, images, *, sampled=False):
        return self.function(images)


PIXELS = Coder(lambda images: images.flatten(1))
NOISE = Coder(lambda images: torch.randn(len(images), 4))


@pytest.fixture(scope="module")
def digits():
    return Digits(size=8)


def test_codes_lie_beside_their_labels_in_the_order_of_the_split(digits):
    found = codes(PIXELS, digits, "test", 70)
    first = digits.first(70, torch.device("cpu"), "test")
    assert np.array_equal(found["codes"], first["image"].flatten(1).numpy())
    assert np.array_equal(found["label"], first["label"].numpy())
    assert len(codes(PIXELS, digits, "test")["codes"]) == 2000


def test_pixels_have_the_accuracy_of_scikit_learn_and_noise_has_chance(digits):
    (row,) = linear_probe(PIXELS, digits, "test", 500)
    seen, other = (codes(PIXELS, digits, split, 500) for split in ("train", "test"))
    scaler = StandardScaler().fit(seen["codes"])
    classifier = LogisticRegression(max_iter=1000).fit(scaler.transform(seen["codes"]), seen["label"])
    expected = (classifier.predict(scaler.transform(other["codes"])) == other["label"]).mean()
    assert (row.name, row.n, row.details) == ("linear-probe/codes.n500.test", 500, {"n_train": 500})
    assert row.value == pytest.approx(expected)
    assert row.value > 0.75
    (chance,) = linear_probe(NOISE, digits, "test", 500)
    assert chance.value < 0.2


def test_the_name_says_the_binarisation_and_draws_are_the_seeds():
    source = Digits(size=8, binarize="dynamic")
    (first,), (again,), (other,) = (linear_probe(PIXELS, source, "val", 200, seed=seed) for seed in (0, 0, 1))
    assert first.name == "linear-probe/codes.dynamic.n200.val"
    assert first == again
    assert first != other


def test_data_without_labels_have_no_probe(tmp_path):
    np.savez(tmp_path / "data.npz", train_images=np.zeros((9, 4, 4), np.uint8))
    assert linear_probe(PIXELS, Npz(str(tmp_path / "data.npz")), "train") == []
