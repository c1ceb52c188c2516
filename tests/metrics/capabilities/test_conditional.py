"""Accuracy of samples, by a classifier whose errors are known."""

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy

from genlit.data import Digits, Emoji, Npz, Ring
from genlit.errors import GenlitError
from genlit.metrics.capabilities import conditional
from genlit.metrics.capabilities.conditional import ConditionalAccuracy, balanced, label_accuracy
from genlit.metrics.extractors.lenet import lenet

CLASSES = ["cat", "dog", "owl"]


class Centres:
    """Draws a mode's centre: that of the label, but for those that it mistakes."""

    traversals = ("label",)

    def __init__(self, mistakes=()):
        self.mistakes, self.asked = dict(mistakes), []

    def sample(self, n, *, seed=0, start=0, batch_size=64, label=None):
        self.asked.append((start, n, label))
        return Ring().centres[self.mistakes.get(label, label)].view(1, 2, 1, 1).repeat(n, 1, 1, 1)


class Recalls:
    """Draws the images of a label, each once, in order."""

    def __init__(self, rows):
        self.rows = rows

    def sample(self, n, *, seed=0, start=0, batch_size=64, label=None):
        mine = self.rows["image"][self.rows["label"] == label]
        return mine[torch.arange(start, start + n) % len(mine)]


def test_points_belong_to_the_nearest_centre():
    accuracy, ceiling = label_accuracy(Centres({3: 4, 5: 0}), Ring(), 1000)
    assert (accuracy.name, accuracy.value, accuracy.n) == ("label-accuracy/ring8.n1000", 0.75, 1000)
    assert accuracy.details["by_class"] == {str(k): float(k not in (3, 5)) for k in range(8)}
    assert (ceiling.name, ceiling.value, ceiling.n) == ("label-accuracy-ceiling/ring8.n10000.test", 1, 10_000)


def test_labels_are_balanced_and_every_sample_has_noise_of_its_own():
    model = Centres()
    labels = torch.cat([labels for _, labels in balanced(model, "label", 8, 1603, 0)])
    assert torch.bincount(labels).tolist() == [200] * 8
    drawn = sorted(k for start, n, _ in model.asked for k in range(start, start + n))
    assert drawn == list(range(1600))
    assert sum(len(labels) for _, labels in balanced(Centres(), "label", 8, 3, 0)) == 8


@pytest.mark.parametrize("binarize", [None, "threshold"])
def test_pictures_are_read_by_the_classifier_of_their_source(hasty_lenet, binarize):
    source = Digits(size=16, binarize=binarize)
    rows = Digits(size=16).first(2000, torch.device("cpu"), "test")
    accuracy, *ceilings = label_accuracy(Recalls(rows), source, 500)
    name = f"lenet-{lenet(source).variant}"
    assert accuracy.name == f"label-accuracy/{name}.n500"
    names = [f"label-accuracy-ceiling/{name}.{kind}n2000.test" for kind in ("", "threshold.")]
    assert [row.name for row in ceilings] == names[: 1 + bool(binarize)]
    assert ceilings[0].value == pytest.approx(lenet(source).shown["accuracy"])
    assert accuracy.value == pytest.approx(ceilings[0].value, abs=0.1)
    assert source.binarize == binarize


@pytest.mark.parametrize(("size", "family"), [(32, "lenet"), (64, "lenet-64")])
def test_details_are_read_where_there_are_any(hasty_lenet, size, family):
    name, logits = conditional.reader(Emoji(size=size, label="style").require(("image", "label")))
    assert name.rpartition("-")[0] == family
    assert logits(torch.zeros(2, 3, size, size)).shape == (2, 3)


def test_a_source_without_labels_has_no_reader(tmp_path):
    with pytest.raises(GenlitError, match="lenet learns from `image` and `label`"):
        conditional.reader(unlabelled(tmp_path))


def unlabelled(folder):
    np.savez(folder / "data.npz", **{f"{split}_images": np.zeros((4, 8, 8), np.uint8) for split in ("train", "test")})
    return Npz(str(folder / "data.npz"))


def reader(images):
    """Reads the class from the first pixel."""
    return torch.nn.functional.one_hot(images[:, 0, 0, 0].long(), 3).float()


def images(seen):
    return torch.tensor(seen)[:, None, None, None].expand(-1, 1, 2, 2).float()


def test_accuracy_is_by_the_class_asked_for():
    metric = ConditionalAccuracy(reader, CLASSES)
    asked = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 2])
    seen = [0, 0, 0, 0, 0, 0, 1, 0, 0]
    metric.update(images(seen), asked)
    values = metric.compute()
    assert values["accuracy"] == pytest.approx(7 / 9)
    assert values["accuracy-macro"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert [values[f"accuracy/{name}"] for name in CLASSES] == [1, 0.5, 0]
    for average, name in (("micro", "accuracy"), ("macro", "accuracy-macro")):
        oracle = MulticlassAccuracy(3, average=average)
        assert values[name] == pytest.approx(oracle(torch.tensor(seen), asked).item())
    assert "ceiling" not in values


def test_the_classifiers_own_accuracy_is_the_ceiling():
    metric = ConditionalAccuracy(reader, CLASSES)
    metric.update(images([0, 1, 2]), torch.tensor([0, 1, 2]))
    metric.update_real(images([0, 1, 2, 2]), torch.tensor([0, 1, 2, 0]))
    values = metric.compute()
    assert (values["accuracy"], values["ceiling"], values["ceiling/cat"]) == (1, 0.75, 0.5)


def test_order_and_batches_change_nothing():
    labels, seen = torch.randint(3, (2, 100), generator=torch.Generator().manual_seed(0))
    whole, parts = ConditionalAccuracy(reader, CLASSES), ConditionalAccuracy(reader, CLASSES)
    whole.update(images(seen.tolist()), labels)
    for rows in torch.randperm(100).split(7):
        parts.update(images(seen[rows].tolist()), labels[rows])
    assert whole.compute() == parts.compute()


def test_a_class_without_images_is_named():
    metric = ConditionalAccuracy(reader, CLASSES)
    metric.update(images([0, 2]), torch.tensor([0, 0]))
    with pytest.raises(GenlitError, match="class dog, owl"):
        metric.compute()
    metric.reset()
    with pytest.raises(GenlitError, match="class cat, dog, owl"):
        metric.compute()
