"""The CVAE of labels against exact sums: over labels, over images, and of a linear conditional model."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from genlit.errors import GenlitError
from genlit.losses.likelihood import gaussian_kl
from genlit.models.cvae import CVAE, LOUD


def small(shape: tuple[int, int, int] = (1, 4, 4), **options) -> CVAE:
    torch.manual_seed(0)
    return CVAE(shape, **{"classes": 3, "latent": 2, "hidden": (8,)} | options).double()


def told_apart(**options) -> CVAE:
    """A model whose images depend on the label as much as on the code."""
    model = small(**options)
    with torch.no_grad():
        for network in (model.encoder[1][0], model.decoder[0][0]):
            network.weight[:, -model.classes :].normal_().div_(LOUD)
            network.weight[:, : -model.classes].normal_()
    return model


def binary(n: int, seed: int = 0) -> Tensor:
    return torch.randint(2, (n, 1, 4, 4), generator=torch.Generator().manual_seed(seed)).double() * 2 - 1


def every_image() -> Tensor:
    """All 16 binary images of 2x2 pixels."""
    return torch.tensor(list(product([-1.0, 1.0], repeat=4)), dtype=torch.float64).view(16, 1, 2, 2)


def linear() -> tuple[CVAE, Tensor, Tensor]:
    """x = W z + V y + m + s ε of four dimensions, W with its covariance and one mean for each label."""
    model = small((4, 1, 1), hidden=(), likelihood="gaussian")
    weights, offset = model.decoder[0][0].weight, model.decoder[0][0].bias
    with torch.no_grad():
        for weight in (model.encoder[1][0].weight, weights):
            weight[:, -3:] /= LOUD
        codes, labels = weights.split([2, 3], dim=1)
        covariance = codes @ codes.T + model.likelihood.log_variance.exp() * torch.eye(4)
        return model, covariance, LOUD * labels.T + offset


# Likelihood


def test_the_objective_of_a_linear_model_is_its_closed_form(play):
    model, *_ = linear()
    x, labels = torch.randn(1, 4, 1, 1, dtype=torch.float64), torch.tensor([2])
    with torch.no_grad():
        mean, log_variance = model.posterior(x, labels)
        spread = model.decoder[0][0].weight[:, :2].square().sum(0) * torch.exp(log_variance)
        excess = 0.5 * spread.sum(1) * torch.exp(-model.likelihood.log_variance)
        expected = model.nll(mean, x, labels) + excess
        n = 50_000
        terms = play(model, image=x.expand(n, -1, -1, -1), label=labels.expand(n))["autoencoder"]
    assert terms["reconstruction"].item() == pytest.approx(expected.item(), abs=0.05)
    assert terms["kl"].item() == pytest.approx(gaussian_kl(mean, log_variance).sum().item())


def test_the_bound_approaches_the_evidence_of_a_label_and_of_all():
    model, covariance, means = linear()
    evidence = [MultivariateNormal(mean, covariance) for mean in means]
    x = torch.stack([normal.sample() for normal in evidence])
    images = x[:, :, None, None]
    of_label = evidence[1].log_prob(x)
    of_all = torch.stack([normal.log_prob(x) for normal in evidence]).logsumexp(0) - math.log(3)
    torch.testing.assert_close(model.bound(images, 1000, torch.ones(3).long()), of_label, rtol=0, atol=0.15)
    torch.testing.assert_close(model.bound(images, 1000), of_all, rtol=0, atol=0.15)


def test_more_draws_tighten_the_bound():
    model, images = told_apart(), binary(2000)
    first, fifth, fiftieth = (model.bound(images, k).mean() for k in (1, 5, 50))
    assert first + 0.1 < fifth
    assert fifth + 0.02 < fiftieth


def test_the_bound_without_labels_is_the_mean_over_all_of_them():
    """Where codes mean nothing, draws do not matter."""
    model, images = told_apart(), binary(5)
    torch.nn.init.zeros_(model.encoder[1][-1].weight)
    torch.nn.init.zeros_(model.encoder[1][-1].bias)
    with torch.no_grad():
        model.decoder[0][0].weight[:, :2] = 0
    each = torch.stack([model.bound(images, 1, torch.full((5,), y)) for y in range(3)])
    assert each.std(0).min() > 0.1
    torch.testing.assert_close(model.bound(images), each.exp().mean(0).log())


@pytest.mark.parametrize("label", [None, 0, 2])
def test_probabilities_of_all_images_sum_to_at_most_one(label: int | None):
    """exp L_k has p(x) as its mean whatever k is, and exp E[L_k] is below it."""
    model, images = told_apart(shape=(1, 2, 2)), every_image()
    labels = None if label is None else torch.full((16 * 2000,), label)
    bounds = model.bound(images.repeat(2000, 1, 1, 1), 1, labels).view(2000, 16)
    assert bounds.mean(0).exp().sum().item() < 0.98
    assert bounds.exp().mean(0).sum().item() == pytest.approx(1, abs=0.03)
    tight = model.bound(images, 2000, labels if labels is None else labels[:16])
    assert tight.exp().sum().item() == pytest.approx(1, abs=0.05)


# Labels


def test_renaming_labels_changes_nothing(play):
    model, renamed, order = told_apart(), told_apart(), torch.tensor([2, 0, 1])
    with torch.no_grad():
        for network, first in ((renamed.encoder[1][0], 16), (renamed.decoder[0][0], 2)):
            columns = network.weight[:, first:].clone()
            network.weight[:, first:][:, order] = columns
    images, labels = binary(6), torch.tensor([0, 1, 2, 2, 1, 0])

    def terms(model: CVAE, labels: Tensor) -> dict[str, Tensor]:
        torch.manual_seed(1)
        return play(model, image=images, label=labels)["autoencoder"]

    torch.testing.assert_close(terms(renamed, order[labels]), terms(model, labels))
    assert not torch.equal(terms(renamed, labels)["kl"], terms(model, labels)["kl"])
    torch.testing.assert_close(renamed.sample(4, label=2), model.sample(4, label=0))
    torch.testing.assert_close(renamed.classify(images)[:, order], model.classify(images))


def test_images_of_a_label_are_the_same_again_and_differ_from_anothers():
    model = told_apart()
    images = {label: model.sample(70, seed=3, label=label) for label in range(3)}
    assert torch.equal(model.sample(5, seed=3, label=1), images[1][:5])
    for label, other in ((0, 1), (1, 2), (2, 0)):
        assert (images[label] - images[other]).abs().flatten(1).amax(1).min() > 1e-3


def test_without_a_label_each_image_has_one_and_all_come_equally_often():
    model, n = told_apart(), 600
    drawn, of_label = model.sample(n), torch.stack([model.sample(n, label=label) for label in range(3)])
    same = (drawn - of_label).abs().flatten(2).amax(2) < 1e-9
    assert same.sum(0).eq(1).all()
    assert same.double().mean(1).sub(1 / 3).abs().max() < 0.08
    assert model.prior(4, torch.device("cpu")).shape == model.encode(drawn[:4]).shape


def test_the_likeliest_label_is_the_one_that_fits():
    model, *_ = linear()
    with torch.no_grad():
        model.decoder[0][0].weight[:, 2:] = 20 / LOUD * torch.eye(4, 3)
        labels = torch.tensor([0, 1, 2, 0])
        images = model.decoder(torch.cat([torch.zeros(4, 2), LOUD * torch.eye(3)[labels]], dim=1).double())
    assert torch.equal(model.classify(images).argmax(1), labels)
    torch.testing.assert_close(model.classify(images).sum(1), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(model.encode(images), model.encode(images, labels=labels))
    torch.testing.assert_close(model.reconstruct(images), model.reconstruct(images, labels))
    assert not torch.equal(model.encode(images), model.encode(images, labels=labels.flip(0).roll(1)))


def test_evaluation_uses_the_averaged_weights_throughout():
    torch.manual_seed(0)
    model = CVAE((1, 4, 4), classes=3, latent=2, hidden=(8,), ema=10.0)
    model.configure_model()
    images = binary(4).float()
    before = model.encode(images), model.reconstruct(images), model.classify(images), model.sample(3)
    with torch.no_grad():
        for network in (model.encoder, model.decoder):
            for parameter in network.parameters():
                parameter.normal_()
    after = model.encode(images), model.reconstruct(images), model.classify(images), model.sample(3)
    assert all(torch.equal(a, b) for a, b in zip(before, after))


def test_reconstructions_stay_in_range_and_draws_leave_the_random_state():
    model, images = told_apart(), binary(4)
    before = torch.get_rng_state()
    assert model.reconstruct(images).abs().max() <= 1
    assert model.interpolate(5, label=1).shape == (5, 1, 4, 4)
    model.bound(images, 3)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(model.encode(images.float()), model.encode(images))


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_none_is_refused(label: int):
    with pytest.raises(GenlitError, match=rf"label is {label}: it must be one of the 3 classes 0 to 2"):
        small().sample(1, label=label)


def test_no_classes_are_refused():
    with pytest.raises(GenlitError, match=r"model\.classes is 0"):
        small(classes=0)
