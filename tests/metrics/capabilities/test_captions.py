"""Whether images show their captions: of a model that paints the truth, and of one that paints one style alone."""

import pytest
import torch

from genlit.data import Emoji
from genlit.errors import GenlitError
from genlit.metrics.capabilities import captions
from genlit.metrics.capabilities.captions import caption_accuracy, matcher, r_precision, swaps


class Painter:
    """Paints the image whose caption it is told, or its twin in noto style; notes by which draws it was asked to."""

    device = torch.device("cpu")

    def __init__(self, source: Emoji, obeys: bool = True):
        self.images, self.draws = {}, []
        for split in ("train", "test"):
            rows = source.first(9999, self.device, split)
            for index, (text, image) in enumerate(zip(rows["text"], rows["image"], strict=True)):
                self.images[text] = image if obeys else rows["image"][index - index % 3]

    def illustrate(self, texts: list[str], *, seed: int = 0, start: int = 0) -> torch.Tensor:
        self.draws += [(seed, start + k) for k in range(len(texts))]
        return torch.stack([self.images[text] for text in texts])


@pytest.fixture(scope="module")
def source():
    return Emoji(size=8, label="style").require(("image", "text"))


@pytest.fixture(scope="module", autouse=True)
def hasty(hasty_lenet):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(captions.RECIPE, "batch", 32)
        patch.setitem(captions.RECIPE, "images", 32 * 240)
        yield


def test_the_truth_scores_what_real_images_score(source):
    found, real = r_precision(Painter(source), source, limit=2000)
    assert found.name.startswith("r-precision/matching-test-")
    assert real.name == found.name.replace("r-precision", "r-precision-real", 1)
    assert found.name.endswith(".n2000.train")
    assert found.value == real.value > 5 / 100  # chance is 1/100


def test_every_caption_has_draws_of_its_own(source):
    painter = Painter(source)
    r_precision(painter, source, limit=130, seed=3)
    assert painter.draws == [(3, k) for k in range(192)]  # whole blocks
    painter.draws.clear()
    caption_accuracy(painter, source, "test", seed=3)
    assert sorted(painter.draws) == sorted(2 * [(3, k) for k in range(597)])  # a caption and its swap share draws


def test_a_label_gives_way_to_the_next_where_it_is_a_word():
    told = ["a car, in noto style", "fluent, in fluent style", "notorious, in no style"]
    others, rows = swaps(told, torch.tensor([0, 2, 0]), ["noto", "twemoji", "fluent"])
    assert others == ["a car, in twemoji style", "noto, in noto style", told[2]]
    assert rows == [0, 1]


def test_the_style_word_is_missed_by_two_of_three(source):
    obeyed, ceiling, swapped = caption_accuracy(Painter(source), source, "test")
    assert obeyed.value == swapped.value == ceiling.value > 0.4
    assert swapped.name == obeyed.name.replace("caption-accuracy", "caption-swap")
    stubborn, again, unmoved = caption_accuracy(Painter(source, obeys=False), source, "test")
    assert unmoved.value < swapped.value
    assert again.value == ceiling.value
    assert stubborn.details["by_class"]["noto"] == obeyed.details["by_class"]["noto"]
    assert stubborn.value < obeyed.value


def test_the_encoder_is_kept(source, monkeypatch):
    first = matcher(source, "test")
    monkeypatch.setattr(captions, "_trained", None)
    again = matcher(source, "test")
    assert again.digest == first.digest
    assert again.vocabulary.words == first.vocabulary.words
    assert torch.equal(again.texts(["a car", "xyzzy"]), first.texts(["a car", "xyzzy"]))


def test_it_learns_from_the_split_that_is_named_alone(source, monkeypatch):
    monkeypatch.setattr(captions, "once", lambda path, what, make: make())
    monkeypatch.setattr(captions, "_made", lambda images, texts: (len(images), texts))
    monkeypatch.setattr(captions, "_loaded", lambda *made: made)
    count, texts = matcher(source, "test")
    assert (count, texts) == (597, source.captions("test"))


def test_too_few_captions_are_refused(source):
    with pytest.raises(GenlitError, match="100 different captions"):
        r_precision(Painter(source), source, limit=50)
