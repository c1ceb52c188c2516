"""Independent pixels against the entropies of the data they count."""

import math

import pytest
import torch
from torch import Tensor

from genlit.errors import GenlitError
from genlit.models.bernoulli import Bernoulli
from tests.pixels import binary_digits, every


def counted(images: Tensor, **options) -> Bernoulli:
    model = Bernoulli(images.shape[1:], **options).double()
    model.count(images)
    return model


def random_images(n: int, *shape: int) -> Tensor:
    return torch.randint(2, (n, *shape), generator=torch.Generator().manual_seed(0)).double() * 2 - 1


def nats(model: Bernoulli, images: Tensor) -> float:
    return -model.log_prob(images).mean().item()


# Exact likelihoods


def test_maximum_likelihood_costs_the_pixels_entropies():
    train, _ = binary_digits()
    p = (train > 0).double().mean(0)
    entropies = -(torch.special.xlogy(p, p) + torch.special.xlogy(1 - p, 1 - p))
    assert entropies.sum().item() == pytest.approx(25.0743503, abs=1e-6)
    assert nats(counted(train, laplace=0.0), train) == pytest.approx(entropies.sum().item(), abs=1e-10)


@pytest.mark.parametrize("laplace", [0.0, 0.5, 1.0])
def test_probabilities_are_smoothed_frequencies(laplace: float):
    images = random_images(7, 1, 2, 2)
    ones = (images > 0).sum(0).double()
    p = (ones + laplace) / (7 + 2 * laplace)
    expected = torch.distributions.Bernoulli(p).log_prob((images[:3] + 1) / 2).flatten(1).sum(1)
    torch.testing.assert_close(counted(images, laplace=laplace).log_prob(images[:3]), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("laplace", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(1, 3, 3), (1, 2, 4), (2, 2, 2)])
@pytest.mark.parametrize("n", [1, 2, 50])
def test_probabilities_sum_to_one(shape: tuple[int, int, int], n: int, laplace: float):
    model = counted(random_images(n, *shape), laplace=laplace)
    assert model.log_prob(every(shape)).exp().sum().item() == pytest.approx(1, abs=1e-10)


def test_before_any_image_every_pixel_is_a_fair_coin():
    for laplace in (0.0, 1.0):
        assert nats(Bernoulli((1, 2, 3), laplace=laplace), every((1, 2, 3))) == pytest.approx(6 * math.log(2))


def test_maximum_likelihood_rules_out_what_was_never_seen():
    image = random_images(1, 1, 3, 3)
    model = counted(image, laplace=0.0)
    assert model.log_prob(image).item() == 0
    assert model.log_prob(-image).item() == -math.inf
    assert model.logits(image).isfinite().all()
    assert torch.equal(model.sample(70), image.expand(70, -1, -1, -1))


def test_smoothing_costs_likelihood_on_the_counted_images():
    images = random_images(9, 1, 3, 3)
    assert nats(counted(images, laplace=0.0), images) < nats(counted(images, laplace=1.0), images)


# Counting


def test_counts_add_up_however_images_are_batched():
    images = random_images(10, 1, 3, 3)
    model = counted(images[:3])
    model.count(images[3:])
    torch.testing.assert_close(dict(model.state_dict()), dict(counted(images).state_dict()), rtol=0, atol=0)
    assert (model.counts.sum((0, 1)) == 10).all()
    assert model.counts.dtype == torch.float64


def test_training_counts_and_validation_does_not(play):
    images = random_images(6, 1, 3, 3)
    model = Bernoulli((1, 3, 3)).double()
    assert play(model, image=images) == {}
    assert torch.equal(model.counts, counted(images).counts)
    play(model.eval(), image=images)
    assert torch.equal(model.counts, counted(images).counts)


def test_what_is_logged_is_the_cost(at):
    images = random_images(6, 1, 3, 3)
    model = at(counted(images), 0).eval()
    model.examine({"image": images}, 0, None)
    logged = model.examined()
    assert logged["val/nll"] == pytest.approx(nats(model, images))
    assert logged["val/bits_per_dim"] == pytest.approx(nats(model, images) / (9 * math.log(2)))


def test_counts_are_in_the_checkpoint():
    model = counted(random_images(6, 1, 3, 3))
    other = Bernoulli((1, 3, 3)).double()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.log_prob(every((1, 3, 3))), model.log_prob(every((1, 3, 3))))


# Images


def test_samples_are_as_frequent_as_probable():
    model = counted(random_images(5, 1, 2, 2))
    drawn, images = model.sample(20_000, batch_size=5000), every((1, 2, 2))
    frequencies = torch.stack([(drawn == image).flatten(1).all(1).double().mean() for image in images])
    torch.testing.assert_close(frequencies, model.log_prob(images).exp(), rtol=0, atol=0.012)


def test_completion_keeps_what_is_observed():
    model, images = counted(random_images(5, 1, 3, 3)), random_images(4, 1, 3, 3)
    mask = torch.eye(3).bool()
    completed = model.complete(images, mask)
    assert torch.equal(completed[..., mask], images[..., mask])
    assert completed.abs().eq(1).all()


def test_refusals():
    with pytest.raises(GenlitError, match=r"model\.laplace is -1\.0: it must be at least 0"):
        Bernoulli((1, 2, 2), laplace=-1.0)
    with pytest.raises(GenlitError, match=r"data\.binarize"):
        Bernoulli((1, 2, 2)).count(torch.zeros(1, 1, 2, 2))
