"""The chain against tables counted by hand and distributions that are chains."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from genlit.errors import GenlitError
from genlit.models.bernoulli import Bernoulli
from genlit.models.markovchain import MarkovChain
from tests.pixels import every


def random_images(n: int, *shape: int) -> Tensor:
    return torch.randint(2, (n, *shape), generator=torch.Generator().manual_seed(0)).double() * 2 - 1


def counted(images: Tensor, **options) -> MarkovChain:
    model = MarkovChain(images.shape[1:], **options).double()
    model.count(images)
    return model


def nats(model: MarkovChain, images: Tensor) -> float:
    return -model.log_prob(images).mean().item()


# Exact likelihoods


@pytest.mark.parametrize("laplace", [0.0, 1.0])
@pytest.mark.parametrize("order", [None, 3])
@pytest.mark.parametrize("shape", [(1, 2, 3), (2, 1, 2)])
def test_every_factor_is_a_smoothed_frequency(shape: tuple[int, int, int], order: int | None, laplace: float):
    images = random_images(11, *shape)
    model = counted(images, laplace=laplace, order=order)
    x, (first, *_) = (images.flatten(1) > 0).long(), model.order()

    def probability(chosen: Tensor, hits: Tensor) -> float:
        return ((chosen & hits).sum().item() + laplace) / (chosen.sum().item() + 2 * laplace)

    for image, pixels in zip(images, x, strict=True):
        expected = math.log(probability(torch.ones(11).bool(), x[:, first] == pixels[first]))
        for before, d in pairwise(model.order()):
            expected += math.log(probability(x[:, before] == pixels[before], x[:, d] == pixels[d]))
        assert model.log_prob(image[None]).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("laplace", [0.0, 1.0])
@pytest.mark.parametrize("order", [None, 0, 7])
@pytest.mark.parametrize("shape", [(1, 3, 3), (1, 2, 4), (2, 2, 2), (1, 1, 1)])
@pytest.mark.parametrize("n", [1, 2, 50])
def test_probabilities_sum_to_one(shape: tuple[int, int, int], order: int | None, laplace: float, n: int):
    model = counted(random_images(n, *shape), laplace=laplace, order=order)
    assert model.log_prob(every(shape)).exp().sum().item() == pytest.approx(1, abs=1e-10)


def test_maximum_likelihood_on_draws_of_a_chain_comes_close_to_its_entropy():
    truth = counted(random_images(5, 1, 3, 3), order=2)
    p = truth.log_prob(every((1, 3, 3))).exp()
    entropy = -(p * p.log()).sum().item()
    model = counted(truth.sample(20_000, batch_size=5000), order=2, laplace=0.0)
    cost = -torch.special.xlogy(p, model.log_prob(every((1, 3, 3))).exp()).sum().item()
    assert entropy <= cost <= entropy + 5e-3


def test_a_pixel_depends_on_the_one_before_alone():
    model = counted(random_images(50, 1, 3, 3), order=5)
    images, order = random_images(2, 1, 3, 3), model.order()
    for i, d in enumerate(order):
        flipped = images.clone()
        flipped.view(2, -1)[:, d] *= -1
        changed = (model.logits(flipped) != model.logits(images)).flatten(1).any(0)
        assert changed.nonzero().flatten().tolist() == order[i + 1 : i + 2]


def test_pairs_tell_more_than_pixels():
    images = random_images(40, 1, 3, 3)
    images[..., 1] = images[..., 0]
    pixels = Bernoulli((1, 3, 3)).double()
    pixels.count(images)
    assert nats(counted(images), images) < nats(pixels, images)


def test_maximum_likelihood_rules_out_what_was_never_seen():
    image = random_images(1, 1, 3, 3)
    model = counted(image, laplace=0.0)
    assert model.log_prob(image).item() == 0
    assert model.log_prob(-image).item() == -math.inf
    assert torch.equal(model.sample(3), image.expand(3, -1, -1, -1))


# Images and checkpoints


@pytest.mark.parametrize("order", [None, 4])
def test_samples_are_as_frequent_as_probable(order: int | None):
    model = counted(random_images(5, 1, 2, 2), order=order)
    drawn, images = model.sample(20_000, batch_size=5000), every((1, 2, 2))
    frequencies = torch.stack([(drawn == image).flatten(1).all(1).double().mean() for image in images])
    torch.testing.assert_close(frequencies, model.log_prob(images).exp(), rtol=0, atol=0.012)


def test_conditionals_one_by_one_are_those_of_the_whole():
    model, images = counted(random_images(50, 1, 3, 3), order=1), random_images(4, 1, 3, 3)
    for d, logits in model.conditionals(images):
        torch.testing.assert_close(logits, model.logits(images).flatten(2)[..., d])


def test_completion_draws_from_the_conditional():
    model = counted(random_images(5, 1, 2, 2))
    image, mask = torch.ones(1, 1, 2, 2).double(), torch.tensor([[False, True], [True, False]])
    drawn = model.complete(image.expand(5000, -1, -1, -1), mask)
    assert (drawn[..., mask] == 1).all()
    images = every((1, 2, 2))
    p = model.log_prob(images).exp() * images[..., mask].eq(1).flatten(1).all(1)
    for candidate, share in zip(images, p / p.sum(), strict=True):
        assert (drawn == candidate).flatten(1).all(1).double().mean().item() == pytest.approx(share.item(), abs=0.03)


def test_the_order_and_the_counts_are_in_the_checkpoint():
    model = counted(random_images(6, 1, 3, 3), order=1)
    other = MarkovChain((1, 3, 3), order=2).double()
    assert other.order() != model.order()
    other.load_state_dict(model.state_dict())
    assert other.order() == model.order()
    assert torch.equal(other.log_prob(every((1, 3, 3))), model.log_prob(every((1, 3, 3))))


def test_an_order_is_a_permutation_of_its_seed():
    assert MarkovChain((2, 2, 2)).order() == [0, 4, 1, 5, 2, 6, 3, 7]
    shuffled = MarkovChain((1, 4, 4), order=1).order()
    assert sorted(shuffled) == list(range(16)) != shuffled
    assert MarkovChain((1, 4, 4), order=1).order() == shuffled


def test_a_negative_count_is_refused():
    with pytest.raises(GenlitError, match=r"model\.laplace is -0\.5: it must be at least 0"):
        MarkovChain((1, 2, 2), laplace=-0.5)
