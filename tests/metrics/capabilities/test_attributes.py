"""Edits whose outcome is known, seen by a classifier that reads attributes from pixels."""

import pytest
import torch
from torchmetrics.classification import MultilabelAccuracy

from genlit.errors import GenlitError
from genlit.metrics.capabilities.attributes import AttributeEdits

NAMES = ["blond", "smiling", "young"]


def reader(images):
    return images[:, 0, 0] - 0.5


def drawn(attributes):
    return attributes[:, None, None].float()


def edits(n=200):
    before, asked = torch.randint(2, (2, n, 3), generator=torch.Generator().manual_seed(0))
    return before, asked


def test_a_model_that_changes_nothing_preserves_all_and_reaches_nothing():
    metric, (before, asked) = AttributeEdits(reader, NAMES), edits()
    metric.update(drawn(before), before, asked)
    values = metric.compute()
    assert (values["reached"], values["preserved"]) == (0, 1)
    assert MultilabelAccuracy(3)(before, asked).item() > 0.4  # the naive accuracy of doing nothing


def test_a_perfect_edit_is_both():
    metric, (before, asked) = AttributeEdits(reader, NAMES), edits()
    for part in torch.arange(200).split(33):
        metric.update(drawn(asked[part]), before[part], asked[part])
    values = metric.compute()
    expected = [f"{kind}/{name}" for kind in ("reached", "preserved") for name in NAMES]
    assert values == dict.fromkeys(["reached", "preserved", *expected], 1)


def test_attributes_are_kept_apart():
    metric = AttributeEdits(reader, NAMES)
    before, asked = torch.tensor([[0, 0, 0], [0, 0, 0]]), torch.tensor([[1, 0, 0], [1, 0, 0]])
    metric.update(drawn(torch.tensor([[1, 1, 0], [0, 0, 0]])), before, asked)
    values = metric.compute()
    assert (values["reached/blond"], values["preserved/smiling"], values["preserved/young"]) == (0.5, 0.5, 1)
    assert (values["reached"], values["preserved"]) == (0.5, 0.75)
    assert "reached/smiling" not in values


def test_the_classifiers_own_accuracy_is_the_ceiling():
    metric, (before, asked) = AttributeEdits(reader, NAMES), edits()
    metric.update(drawn(asked), before, asked)
    metric.update_real(drawn(before), asked)
    values = metric.compute()
    oracle = MultilabelAccuracy(3, average="none")(before, asked)
    assert [values[f"ceiling/{name}"] for name in NAMES] == pytest.approx(oracle.tolist())
    assert values["ceiling"] == pytest.approx(oracle.mean().item())


def test_no_edit_is_no_score():
    with pytest.raises(GenlitError, match="no edited image"):
        AttributeEdits(reader, NAMES).compute()
