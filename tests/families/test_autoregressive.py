"""What follows from conditionals alone: probabilities, samples, and completions against exact conditionals."""

import math

import pytest
import torch
from torch import Tensor

from genlit.errors import GenlitError
from genlit.families.autoregressive import Autoregressive
from genlit.models.gatedpixelcnn import GatedPixelCNN
from genlit.models.pixelcnn import PixelCNN
from tests.pixels import every, scrambled

IMAGES = every((1, 3, 3))
MASKS = {
    "prefix": [1, 1, 1, 1, 0, 0, 0, 0, 0],
    "none": [0, 0, 0, 0, 0, 0, 0, 0, 0],
    "all": [1, 1, 1, 1, 1, 1, 1, 1, 1],
    "suffix": [0, 0, 0, 0, 0, 0, 1, 1, 1],
    "scattered": [0, 1, 0, 0, 1, 1, 0, 0, 1],
}


def mask(name: str) -> Tensor:
    return torch.tensor(MASKS[name]).bool().view(1, 1, 3, 3)


@pytest.fixture(scope="module")
def model() -> PixelCNN:
    return scrambled(PixelCNN((1, 3, 3), width=4, blocks=1), std=0.4)


@pytest.fixture(scope="module")
def conditioned() -> GatedPixelCNN:
    return scrambled(GatedPixelCNN((1, 3, 3), width=4, blocks=1, classes=2), std=1.5)


# Samples


def frequencies(images: Tensor) -> Tensor:
    """How often each of the 512 images occurs."""
    binary = (images.flatten(1) > 0).long()
    return (binary * 2 ** torch.arange(8, -1, -1)).sum(1).bincount(minlength=512) / len(images)


def test_samples_have_their_probabilities(model):
    p = model.log_prob(IMAGES).exp()
    drawn = frequencies(model.sample(20_000, batch_size=5_000))
    error = (drawn - p).abs()
    assert (error <= 5 * (p / 20_000).sqrt() + 1e-3).all()
    assert (p - 1 / 512).abs().sum() > 0.5  # far from uniform, or this says nothing


def test_samples_of_no_class_are_of_all(conditioned):
    p = conditioned.log_prob(IMAGES).exp()
    drawn = frequencies(conditioned.sample(20_000, batch_size=5_000))
    assert ((drawn - p).abs() <= 5 * (p / 20_000).sqrt() + 1e-3).all()


def test_a_grid_of_labels_is_drawn_in_one_pass(conditioned, monkeypatch):
    expected = torch.stack([conditioned.sample(5, seed=2, label=label) for label in (1, 0)], dim=1)
    passes = []
    monkeypatch.setattr(conditioned, "watch", lambda steps, total: passes.append(total) or steps)
    assert torch.equal(conditioned.traverse("label", 5, seed=2, values=[1, 0]), expected)
    assert len(passes) == 1


def test_the_order_is_by_rows_and_a_pixels_channels_in_turn():
    assert PixelCNN((2, 1, 3)).order() == [0, 3, 1, 4, 2, 5]


def test_a_model_without_conditionals_says_so():
    with pytest.raises(NotImplementedError, match="Autoregressive defines no logits"):
        Autoregressive((1, 1, 1)).logits(torch.zeros(1, 1, 1, 1))


def test_training_on_other_values_than_the_models_is_refused(model):
    model.begin_at(IMAGES)
    with pytest.raises(GenlitError, match="2 levels"):
        model.begin_at(torch.where(IMAGES > 0, IMAGES, 0.0))


# Completion


def conditional(model: Autoregressive, image: Tensor, observed: Tensor, **given: Tensor) -> Tensor:
    """p(x | observed pixels) of each of the 512 images, by summing over those that agree with them."""
    joint = model.log_prob(IMAGES, **given).exp() * ((image == IMAGES) | ~observed).flatten(1).all(1)
    return joint / joint.sum()


@pytest.mark.parametrize("name", MASKS)
def test_completions_have_the_exact_conditionals_probabilities(name: str, model):
    n, image = 1000, IMAGES[173:174]
    completed = model.complete(image.repeat(n, 1, 1, 1), mask(name), particles=48)
    p = conditional(model, image, mask(name))
    error = (frequencies(completed) - p).abs()
    assert (error <= 5 * (p / n).sqrt() + 2e-3).all()
    assert error.sum() <= 2 * ((2 * p / (math.pi * n)).sqrt().sum() + 5e-3)


@pytest.mark.parametrize("label", [None, 1])
@pytest.mark.parametrize("name", ["prefix", "scattered"])
def test_so_do_those_of_a_model_of_classes(name: str, label: int | None, conditioned):
    n, image = 1000, IMAGES[173:174]
    completed = conditioned.complete(image.repeat(n, 1, 1, 1), mask(name), particles=48, label=label)
    given = {} if label is None else {"labels": torch.full((512,), label)}
    p = conditional(conditioned, image, mask(name), **given)
    assert ((frequencies(completed) - p).abs() <= 5 * (p / n).sqrt() + 2e-3).all()


@pytest.mark.parametrize("name", MASKS)
def test_observed_pixels_stay_to_the_bit(name: str, model):
    noise = 1e-4 * torch.rand(20, 1, 3, 3, dtype=torch.float64)  # as rounding leaves them
    images = IMAGES[torch.randint(512, (20,))] * (1 - noise)
    completed, observed = model.complete(images, mask(name)), mask(name).expand_as(images)
    assert torch.equal(completed[observed], images[observed])
    assert (completed[~observed].abs() == 1).all()


def test_bytes_in_single_precision_are_left_alone():
    model = PixelCNN((3, 4, 4), levels=256, width=2, blocks=1)
    images = torch.randint(256, (2, 3, 4, 4)) / 127.5 - 1
    observed = torch.rand(2, 1, 4, 4) < 0.5
    completed = model.complete(images, observed, particles=2)
    assert completed.dtype == torch.float32
    assert torch.equal(completed[observed.expand_as(images)], images[observed.expand_as(images)])


def test_what_is_not_observed_is_not_read(model):
    images, hidden = IMAGES[:5], IMAGES[:5].clone()
    hidden[~mask("scattered").expand_as(hidden)] = math.nan
    assert torch.equal(model.complete(hidden, mask("scattered")), model.complete(images, mask("scattered")))


def test_an_observed_value_off_the_levels_is_refused(model):
    with pytest.raises(GenlitError, match="2 levels"):
        model.complete(torch.zeros(1, 1, 3, 3), mask("prefix"))


def test_seeds_differ_and_repeat(model):
    images = IMAGES[:50]
    first, again, other = (model.complete(images, mask("scattered"), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_odds_are_the_observed_pixels_conditionals(model):
    """Where all is observed, log p(x); where nothing is, none."""
    draws = torch.rand(512, 9, dtype=torch.float64)
    with model.evaluation():
        filled, odds = model._filled(IMAGES, torch.ones_like(IMAGES).bool(), draws, None)
        _, none = model._filled(IMAGES, torch.zeros_like(IMAGES).bool(), draws, None)
    assert torch.equal(filled, IMAGES)
    torch.testing.assert_close(odds, model.log_prob(IMAGES))
    assert not none.any()


def test_the_watcher_sees_every_step_of_so_many(model, monkeypatch):
    seen = []
    monkeypatch.setattr(model, "watch", lambda steps, total: (seen.append((d, total)) or (d, a) for d, a in steps))
    model.sample(2, batch_size=2)
    assert seen == [(d, 9) for d in range(9)]
