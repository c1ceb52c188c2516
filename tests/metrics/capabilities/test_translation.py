"""Errors to the true counterparts, for maps whose error is known."""

import math

import pytest
import torch

from genlit.data import Emoji
from genlit.data.domains import by_domain
from genlit.metrics.capabilities.translation import cycle_errors, paired_errors, target_accuracy


class Translator:
    """Translates by a given function of (images, target domain)."""

    domains = ("a", "b")
    device = torch.device("cpu")

    def __init__(self, function):
        self.translate = function


@pytest.fixture(scope="module")
def emoji():
    return Emoji(size=8, batch_size=50).require(("a", "b"))


def named(measures):
    return {measure.name: measure.value for measure in measures}


def rows(emoji):
    batches = [emoji.transform(batch, training=False) for batch in emoji.loader("test")]
    return [torch.cat([batch[domain] for batch in batches]) for domain in "ab"]


def test_leaving_images_as_they_are_is_the_unit(emoji):
    table = named(paired_errors(Translator(lambda images, to: images), emoji, "test"))
    a, b = rows(emoji)
    assert table["mae/a-to-b.n199.test"] == pytest.approx(((a - b).abs().mean() / 2).item())
    assert table["mae-ratio/a-to-b.n199.test"] == table["mae-ratio/b-to-a.n199.test"] == 1
    assert table["mae-untranslated/a-to-b.n199.test"] == table["mae/a-to-b.n199.test"]


def test_directions_are_kept_apart(emoji):
    a, b = rows(emoji)

    def to_b_perfectly(images, to):
        if to == "a":
            return images
        found = [(a == image).all(dim=(1, 2, 3)).nonzero()[0] for image in images]
        return b[torch.cat(found)]

    table = named(paired_errors(Translator(to_b_perfectly), emoji, "test"))
    assert table["mae/a-to-b.n199.test"] == pytest.approx(0, abs=1e-3)  # emoji that look alike may be found for another
    assert table["mae-ratio/b-to-a.n199.test"] == 1


def test_an_error_is_a_share_of_the_range(emoji):
    table = named(paired_errors(Translator(lambda images, to: torch.full_like(images, 1.0)), emoji, "test"))
    a, b = rows(emoji)
    assert table["mae/b-to-a.n199.test"] == pytest.approx(((1 - a) / 2).mean().item(), rel=1e-5)
    assert table["mae/a-to-b.n199.test"] == pytest.approx(((1 - b) / 2).mean().item(), rel=1e-5)


def test_batches_of_any_size_give_the_same_bits(emoji):
    model = Translator(lambda images, to: images * 0.9)
    assert paired_errors(model, emoji, "test") == paired_errors(
        model, Emoji(size=8, batch_size=7).require(("a", "b")), "test"
    )


def test_one_direction_alone_has_errors_and_no_cycle(emoji):
    class OneWay(Translator):
        directions = (("a", "b"),)

    model = OneWay(lambda images, to: images)
    assert {name.split("/")[1].split(".")[0] for name in named(paired_errors(model, emoji, "test"))} == {"a-to-b"}
    assert cycle_errors(model, emoji, "test") == []
    assert target_accuracy(model, emoji, "test") == []


def test_labels_of_a_source_are_domains_whose_rows_are_pairs(emoji):
    class Styles(Translator):
        domains = ("noto", "twemoji", "fluent")

    model, source = Styles(lambda images, to: images), Emoji(size=8, label="style").require(("image", "label"))
    table = named(paired_errors(model, by_domain(source, model.domains), "test"))
    expected = named(paired_errors(Translator(lambda images, to: images), emoji, "test"))
    assert len(table) == 5 * 6
    assert table["mae/noto-to-twemoji.n199.test"] == expected["mae/a-to-b.n199.test"]
    assert table["mae-ratio/fluent-to-noto.n199.test"] == 1


def test_the_classifier_says_which_domain_a_translation_is_in(hasty_lenet, tmp_path):
    class Styles(Translator):
        domains = ("noto", "twemoji", "fluent")

    source = Emoji(size=8, label="style", root=str(tmp_path)).require(("image", "label"))
    counterparts = by_domain(source, Styles.domains).first(199, torch.device("cpu"), "test")
    untouched = named(target_accuracy(Styles(lambda images, to: images), source, "test"))
    shown = named(target_accuracy(Styles(lambda images, to: counterparts[to][: len(images)]), source, "test"))
    (network,) = {name.split("/")[1].split(".")[0] for name in shown}
    ceiling = shown[f"target-accuracy-ceiling/{network}.n597.test"]
    assert ceiling == untouched[f"target-accuracy-ceiling/{network}.n597.test"] > 0.4
    for style in Styles.domains:
        assert untouched[f"target-accuracy/{network}.to-{style}.n398.test"] < 0.5
    wrong = [untouched[f"target-accuracy/{network}.to-{style}.n398.test"] for style in Styles.domains]
    assert sum(wrong) / 3 == pytest.approx((1 - ceiling) / 2), "an image that stays is in none of the other two"


def test_a_cycle_that_loses_nothing_has_no_error(emoji):
    table = named(cycle_errors(Translator(lambda images, to: -images), emoji, "test"))
    assert table["cycle-mae/a-to-b-to-a.n199.test"] == table["cycle-mae/b-to-a-to-b.n199.test"] == 0
    assert table["cycle-psnr/a-to-b-to-a.n199.test"] == math.inf


def test_cycles_begin_where_their_name_says(emoji):
    def darker(images, to):
        return images - 0.2 if to == "a" else images.clone()

    def black_from_b(images, to):
        return torch.full_like(images, -1.0) if to == "a" else images

    table = named(cycle_errors(Translator(darker), emoji, "test"))
    assert table["cycle-mae/a-to-b-to-a.n199.test"] == pytest.approx(0.1, rel=1e-5)
    assert table["cycle-psnr/b-to-a-to-b.n199.test"] == pytest.approx(20, abs=1e-3)
    table = named(cycle_errors(Translator(black_from_b), emoji, "test"))
    a, b = rows(emoji)
    assert table["cycle-mae/a-to-b-to-a.n199.test"] == pytest.approx((a + 1).mean().item() / 2, rel=1e-5)
    assert table["cycle-mae/b-to-a-to-b.n199.test"] == pytest.approx((b + 1).mean().item() / 2, rel=1e-5)
