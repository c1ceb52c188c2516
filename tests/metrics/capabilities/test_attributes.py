"""Edits whose outcome is known, seen by a classifier that reads attributes from pixels."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torchmetrics.classification import MultilabelAccuracy

from genlit.capabilities import NOT
from genlit.data import Folder
from genlit.errors import GenlitError
from genlit.metrics.capabilities.attributes import AttributeEdits, asked, attribute_edits

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


# Edits of held-out images


class Editor:
    """Paints the left or the right half of an image red or black, as it is asked, or leaves it as it is."""

    device, exclusive = torch.device("cpu"), []

    def __init__(self, edits: bool = True):
        self.edits = edits

    def translate(self, images: torch.Tensor, to: str) -> torch.Tensor:
        images = images.clone()
        side = slice(0, 4) if to.endswith("left") else slice(4, 8)
        if self.edits:
            images[:, 0, :, side] = -1.0 if to.startswith(NOT) else 1.0
        return images


@pytest.fixture
def halves(tmp_path: Path, hasty_lenet) -> Folder:
    """Pictures whose left and right halves are red or black; of every fifth, one attribute is unknown."""
    lines = ["file,left,right"]
    for split, n in (("train", 40), ("test", 20)):
        (tmp_path / "halves" / split).mkdir(parents=True)
        for k in range(n):
            left, right = k % 2, k // 2 % 2
            image = Image.new("RGB", (8, 8))
            for place, there in enumerate((left, right)):
                image.paste((255 * there, 0, 0), (4 * place, 0, 4 * place + 4, 8))
            image.save(tmp_path / "halves" / split / f"{split}{k}.png")
            lines.append(f"{split}{k}.png,{left},{'' if k % 5 == 0 else right}")
    (tmp_path / "halves" / "attributes.csv").write_text("\n".join(lines))
    return Folder(str(tmp_path / "halves"), root=str(tmp_path / "stores"), holdout=0).require(("image", "attributes"))


def test_an_editor_that_does_as_it_is_asked_reaches_and_preserves(halves: Folder):
    reached, preserved, ceiling = attribute_edits(Editor(), halves, "test")
    assert reached.value == preserved.value == ceiling.value == 1
    assert reached.name.startswith("attributes-reached/lenet-")
    assert reached.name.endswith(".n20.test")
    assert reached.details["by_attribute"] == {"left": 1, "right": 1}


def test_an_editor_that_does_nothing_reaches_nothing(halves: Folder):
    reached, preserved, _ = attribute_edits(Editor(edits=False), halves, "test")
    assert (reached.value, preserved.value) == (0, 1)


def test_what_is_excluded_is_asked_to_go():
    model, before = Editor(), torch.tensor([[0, 1, 1], [0, 0, 1]])
    model.exclusive = [["a", "b"]]
    assert asked(model, ["a", "b", "c"], before, 0, 1).tolist() == [[1, 0, 1], [1, 0, 1]]
    assert asked(model, ["a", "b", "c"], before, 1, 0).tolist() == [[0, 0, 1], [0, 0, 1]]
