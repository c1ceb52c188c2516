"""MADE by enumeration: every probability of small images, for any weights."""

import math

import pytest
import torch
from torch import Tensor
from torch.optim import Adam

from genlit.errors import GenlitError
from genlit.models.made import MADE
from tests.pixels import every


def small(shape: tuple[int, int, int] = (1, 3, 3), **options) -> MADE:
    """A model whose weights are large enough for its conditionals to differ."""
    torch.manual_seed(0)
    model = MADE(shape, **{"hidden": (16, 12)} | options).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model


def jacobian(model: MADE, mask: int = 0) -> Tensor:
    """Slopes of the logits by the pixels, (D, D), both in the order of a mask."""
    torch.manual_seed(1)
    image = torch.randn(1, *model.shape, dtype=torch.float64)
    slopes = torch.autograd.functional.jacobian(lambda x: model.logits(x, mask), image)
    order = model.order(mask)
    return slopes.view(len(order), len(order))[order][:, order]


def frequencies(drawn: Tensor, images: Tensor) -> Tensor:
    return torch.stack([(drawn == image).flatten(1).all(1).double().mean() for image in images])


ANY = pytest.mark.parametrize(
    "options",
    [{}, {"hidden": (7,)}, {"order": 3}, {"masks": 3}, {"masks": 3, "order": 3}, {"hidden": (8, 8, 8), "seed": 5}],
    ids=str,
)


# Probabilities


@ANY
@pytest.mark.parametrize("shape", [(1, 3, 3), (1, 2, 4), (2, 2, 2), (1, 1, 1), (1, 1, 2)], ids=str)
def test_probabilities_sum_to_one(shape: tuple[int, int, int], options: dict):
    model = small(shape, **options)
    assert model.log_prob(every(shape)).exp().sum().item() == pytest.approx(1, abs=1e-10)


@ANY
def test_logits_depend_on_earlier_pixels_alone(options: dict):
    model = small(**options)
    for mask in range(options.get("masks", 1)):
        slopes = jacobian(model, mask)
        assert (slopes.triu() == 0).all()


def test_wide_layers_see_every_earlier_pixel():
    slopes = jacobian(small(hidden=(300, 300), order=1))
    assert (slopes[torch.ones(9, 9).tril(-1).bool()] != 0).all()


def test_an_ensemble_averages_probabilities_of_whole_images():
    model, images = small(masks=4, order=2), every((1, 3, 3))
    each = torch.stack([-model.nll(images, mask) for mask in range(4)])
    assert (each.exp().sum(1) - 1).abs().max() < 1e-10
    assert (each[0] - each[1]).abs().max() > 0.1
    torch.testing.assert_close(model.log_prob(images), each.logsumexp(0) - math.log(4), rtol=0, atol=1e-10)


def test_every_image_may_have_its_own_mask():
    model, images, masks = small(masks=3, order=2), every((1, 3, 3))[:6], torch.tensor([2, 0, 1, 1, 0, 2])
    together = model.nll(images, masks)
    for i, mask in enumerate(masks):
        torch.testing.assert_close(together[i : i + 1], model.nll(images[i : i + 1], mask[None]))


# Masks


def test_orders_are_those_asked_for():
    assert small((2, 2, 2), masks=2).order(1) == [0, 4, 1, 5, 2, 6, 3, 7]
    first, second = (small((1, 4, 4), masks=2, order=1).order(mask) for mask in range(2))
    assert sorted(first) == sorted(second) == list(range(16))
    assert first != second
    assert small((1, 4, 4), order=1, seed=9).order() == first


def test_masks_follow_the_seed_and_are_in_the_checkpoint():
    def degrees(seed: int) -> Tensor:
        return small(masks=2, seed=seed).network.degrees

    assert torch.equal(degrees(1), degrees(1))
    assert not torch.equal(degrees(1), degrees(2))
    assert not torch.equal(*degrees(1))
    model, other = small(masks=2, seed=1), small(masks=2, seed=2)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.log_prob(every((1, 3, 3))), model.log_prob(every((1, 3, 3))))


def test_masks_take_turns(at, play):
    model, images = small(masks=3, order=1), every((1, 3, 3))[::7]
    for iteration in (0, 1, 2, 3):
        cost = play(at(model, iteration), image=images)["model"]["nll"]
        torch.testing.assert_close(cost, model.nll(images, iteration % 3).mean())


# Training


def test_training_approaches_the_entropy_from_above():
    images, generator = every((1, 3, 3)), torch.Generator().manual_seed(0)
    couplings = 0.4 * torch.randn(9, 9, generator=generator).double()
    x = images.flatten(1)
    p = torch.softmax(((x @ couplings) * x).sum(1), 0)
    entropy = -(p * p.log()).sum().item()
    torch.manual_seed(0)
    model = MADE((1, 3, 3), hidden=(100,)).double()
    optimiser = Adam(model.parameters(), lr=3e-2)
    for step in range(300):
        optimiser.param_groups[0]["lr"] = 3e-2 * (1 - step / 300)
        optimiser.zero_grad()
        cost = (p * model.nll(images)).sum()
        cost.backward()
        optimiser.step()
        assert cost.item() >= entropy
    assert -(p * model.log_prob(images)).sum().item() <= entropy + 5e-3


# Images


@pytest.mark.parametrize("options", [{}, {"masks": 3, "order": 1}], ids=str)
def test_samples_are_as_frequent_as_probable(options: dict):
    model, images = small((1, 2, 2), **options), every((1, 2, 2))
    drawn = model.sample(20_000, batch_size=5000)
    torch.testing.assert_close(frequencies(drawn, images), model.log_prob(images).exp(), rtol=0, atol=0.012)


def test_samples_of_one_mask_are_its_own():
    model, images = small((1, 2, 2), masks=2, order=1), every((1, 2, 2))
    for mask in range(2):
        expected = (-model.nll(images, mask)).exp()
        draws = torch.rand(20_000, 5, generator=torch.Generator().manual_seed(0)).double()
        draws[:, -1] = (mask + 0.5) / 2  # the last number says which mask
        drawn = model.decode(draws)
        torch.testing.assert_close(frequencies(drawn, images), expected, rtol=0, atol=0.012)


@ANY
def test_conditionals_one_by_one_are_those_of_the_whole(options: dict):
    model, images = small(**options), every((1, 3, 3))[::50]
    for mask in range(options.get("masks", 1)):
        whole = model.logits(images, mask).flatten(2)
        steps = list(model.conditionals(images, torch.full((len(images),), mask)))
        assert [d for d, _ in steps] == model.order(mask)
        for d, logits in steps:
            torch.testing.assert_close(logits, whole[..., d])


@pytest.mark.parametrize("options", [{}, {"order": 1}, {"masks": 3, "order": 1}], ids=str)
def test_completion_draws_from_the_conditional(options: dict):
    model, images = small((1, 2, 2), **options), every((1, 2, 2))
    image, mask = torch.ones(1, 1, 2, 2).double(), torch.tensor([[False, True], [False, False]])
    drawn = model.complete(image.expand(1500, -1, -1, -1), mask)
    assert (drawn[..., mask] == 1).all()
    p = model.log_prob(images).exp() * images[..., mask].eq(1).flatten(1).all(1)
    torch.testing.assert_close(frequencies(drawn, images), p / p.sum(), rtol=0, atol=0.05)


def test_masks_are_no_classes():
    model, images = small((1, 2, 2), masks=3), every((1, 2, 2))
    for ask in (lambda: model.sample(2, label=1), lambda: model.log_prob(images, torch.zeros(16).long())):
        with pytest.raises(GenlitError, match="left out: this model knows no classes"):
            ask()


def test_refusals():
    with pytest.raises(GenlitError, match=r"model\.hidden is \(\): it must be one width or more"):
        MADE((1, 2, 2), hidden=())
    with pytest.raises(GenlitError, match=r"model\.masks is 0: it must be at least 1"):
        MADE((1, 2, 2), masks=0)
    with pytest.raises(GenlitError, match=r"model\.hidden\.1 is 0: it must be at least 1"):
        MADE((1, 2, 2), hidden=(4, 0))
