"""The gated PixelCNN by exact facts: no blind spot, probabilities that sum to 1, with classes and without."""

import math

import pytest
import torch

from genlit.errors import GenlitError
from genlit.families.autoregressive import Autoregressive
from genlit.models.gatedpixelcnn import GatedPixelCNN
from tests.pixels import every, reached, scrambled

SHAPES = [((1, 3, 3), 2), ((1, 2, 4), 2), ((1, 2, 2), 3), ((3, 1, 2), 2), ((2, 2, 1), 3), ((1, 1, 1), 5)]


def small(shape: tuple[int, int, int], **options) -> GatedPixelCNN:
    return scrambled(GatedPixelCNN(shape, **{"width": 4, "blocks": 2} | options))


# What sees what


@pytest.mark.parametrize("classes", [0, 2])
@pytest.mark.parametrize(("shape", "blocks"), [((1, 2, 9), 6), ((1, 6, 4), 3), ((2, 3, 5), 3), ((3, 2, 4), 2)])
def test_a_conditional_sees_all_earlier_values_and_nothing_later(
    shape: tuple[int, int, int], blocks: int, classes: int
):
    seen = reached(small(shape, blocks=blocks, classes=classes))
    assert torch.equal(seen, torch.ones_like(seen).tril(-1))


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_every_layer_sees_one_pixel_further(blocks: int):
    seen = reached(small((1, 6, 11), blocks=blocks)).view(6, 11, 6, 11)[5, 5]
    reach = 2 + blocks
    rows, columns = (5 - torch.arange(6))[:, None], (torch.arange(11) - 5)[None]
    above = (rows > 0) & (rows <= reach) & (columns.abs() <= reach)
    left = (rows == 0) & (columns < 0) & (columns >= -reach)
    assert torch.equal(seen, above | left)


# Probabilities


@pytest.mark.parametrize(("shape", "levels"), SHAPES)
def test_the_probabilities_of_all_images_sum_to_one(shape: tuple[int, int, int], levels: int):
    log_prob = small(shape, levels=levels).log_prob(every(shape, levels))
    assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-10)


def test_with_classes_they_do_for_each_and_for_all():
    model, images = small((1, 3, 3), classes=3), every((1, 3, 3))
    given = [model.log_prob(images, torch.full((512,), y)).exp() for y in range(3)]
    for p in given:
        assert p.sum().item() == pytest.approx(1, abs=1e-10)
    assert (given[0] - given[1]).abs().sum() > 0.01
    p = model.log_prob(images).exp()
    torch.testing.assert_close(p, sum(given) / 3)
    assert p.sum().item() == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize(("shape", "levels"), SHAPES)
def test_pixel_by_pixel_gives_what_whole_images_give(
    shape: tuple[int, int, int], levels: int, classes: int, monkeypatch
):
    model, given = small(shape, levels=levels, classes=classes), {"label": 2} if classes else {}
    quick = model.sample(64, seed=3), model.sample(64, seed=3, **given)
    monkeypatch.setattr(GatedPixelCNN, "conditionals", Autoregressive.conditionals)
    slow = model.sample(64, seed=3), model.sample(64, seed=3, **given)
    assert all(torch.equal(one, other) for one, other in zip(quick, slow, strict=True))


def test_training_minimises_the_loss_given_the_label(play):
    model, images = small((1, 3, 3), classes=3), every((1, 3, 3))[:9]
    labels = torch.arange(9) % 3
    terms = play(model, image=images, label=labels)["model"]
    torch.testing.assert_close(terms["nll"], -model.log_prob(images, labels).mean())


@pytest.mark.parametrize(("side", "classes"), [(3, 0), (2, 2)])
def test_it_learns_distributions_to_their_entropy(side: int, classes: int):
    """Of class y, p(x|y) ∝ exp(Σ couplings of neighbours), all images weighted by their probabilities."""
    torch.manual_seed(0)
    images, kinds = every((1, side, side)), max(classes, 1)
    down, right = torch.randn(kinds, side - 1, side) / 2, torch.randn(kinds, side, side - 1) / 2
    energy = (images[:, :, 1:] * images[:, :, :-1] * down).sum((2, 3))
    energy += (images[:, :, :, 1:] * images[:, :, :, :-1] * right).sum((2, 3))
    p = energy.softmax(0).T.flatten() / kinds
    entropy = -(p * (p * kinds).log()).sum().item()
    labels = torch.arange(kinds).repeat_interleave(len(images)) if classes else None
    images = images.repeat(kinds, 1, 1, 1)
    model = GatedPixelCNN((1, side, side), width=16, blocks=2, classes=classes).double()
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-2, betas=(0.9, 0.99))
    for step in range(150):
        optimiser.param_groups[0]["lr"] = 2e-2 * (1 - step / 150)
        optimiser.zero_grad()
        (p * model.nll(images, labels)).sum().backward()
        optimiser.step()
    assert 0 <= -(p * model.log_prob(images, labels)).sum().item() - entropy <= 5e-3


# Options


@pytest.mark.parametrize(("option", "value"), [("width", 0), ("blocks", 0), ("levels", 1), ("classes", -1)])
def test_numbers_out_of_range_are_refused(option: str, value: int):
    with pytest.raises(GenlitError, match=option):
        GatedPixelCNN((1, 3, 3), **{option: value})


@pytest.mark.parametrize(("classes", "label"), [(3, 3), (3, -1), (0, 1)])
def test_a_label_that_is_no_class_is_refused(classes: int, label: int):
    with pytest.raises(GenlitError, match="label"):
        small((1, 2, 2), classes=classes).sample(2, label=label)


def test_samples_of_a_class_are_what_it_makes_of_the_same_numbers():
    model = small((1, 3, 3), classes=2)
    one, other = (model.sample(500, label=label) for label in range(2))
    assert not torch.equal(one, other)
    frequency = (one.mean((0, 1)) + 1) / 2
    p = model.log_prob(every((1, 3, 3)), torch.zeros(512).long()).exp()
    expected = ((every((1, 3, 3)) + 1) / 2 * p[:, None, None, None]).sum((0, 1))
    torch.testing.assert_close(frequency, expected, rtol=0, atol=4 * math.sqrt(0.25 / 500))
