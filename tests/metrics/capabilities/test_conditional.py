"""Accuracy of samples, by a classifier whose errors are known."""

import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy

from genlit.errors import GenlitError
from genlit.metrics.capabilities.conditional import ConditionalAccuracy

CLASSES = ["cat", "dog", "owl"]


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
