"""The semi-supervised adversarial autoencoder: its phases, its two critics, and images without labels that help."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from genlit.capabilities import Classifies, Encodes, HasPrior, Reconstructs, Samples
from genlit.data import Digits
from genlit.errors import GenlitError
from genlit.models.semisupervised import SemiSupervisedAAE
from tests.games import train
from tests.models.test_aae import grey, moves


def small(**options) -> SemiSupervisedAAE:
    torch.manual_seed(0)
    return SemiSupervisedAAE((1, 4, 4), **{"classes": 3, "latent": 2, "hidden": (8,)} | options).double()


def rows(n: int = 6) -> dict[str, Tensor]:
    return {"image": grey(n), "labelled_image": grey(n, seed=1), "labelled_label": torch.arange(n) % 3}


# The game


def test_each_phase_moves_its_own_networks_alone():
    assert moves(small(), rows()) == [
        ("autoencoder", {"encoder", "decoder"}),
        ("critics", {"label_critic", "style_critic"}),
        ("autoencoder", {"encoder"}),
        ("autoencoder", {"encoder"}),
    ]


def test_the_terms_are_the_papers():
    model, batch = small(noise=0.0), rows()
    model.eval()
    torch.manual_seed(3)
    found = list(model.turns(batch))
    torch.manual_seed(3)
    real = model.scores(model.prior(6, torch.device("cpu")).double())
    logits, z = model.posterior(batch["image"])
    codes = torch.cat([logits.softmax(1), z], dim=1)
    fake = {"label": model.label_critic(codes[:, :3]), "style": model.style_critic(z)}
    pixels = cross_entropy(model.decoder(codes), (batch["image"] + 1) / 2, reduction="sum") / 6
    surprise = -model.posterior(batch["labelled_image"])[0].log_softmax(1)[range(6), batch["labelled_label"]].mean()
    ones = torch.ones_like(z[:, :1])
    expected = [
        ("autoencoder", {"reconstruction": pixels}),
        ("critics", {k: cross_entropy(real[k], ones) + cross_entropy(fake[k], 0 * ones) for k in fake}),
        ("autoencoder", {name: cross_entropy(fake[name], ones) for name in fake}),
        ("autoencoder", {"classification": surprise}),
    ]
    assert [player for player, _ in found] == [player for player, _ in expected]
    torch.testing.assert_close([terms for _, terms in found], [terms for _, terms in expected])


def test_codes_are_encoded_again_after_the_first_turn():
    model, seen = small(noise=0.0), []
    model.style_critic.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
    turns = model.turns(rows())
    next(turns)
    with torch.no_grad():
        model.encoder[1][-1].weight.mul_(3)
    next(turns)
    torch.testing.assert_close(seen[1], model.posterior(rows()["image"])[1])


def test_noise_is_of_training_alone():
    model, x = small(noise=0.5), grey(2000)
    assert not torch.equal(model.posterior(x)[1], model.posterior(x)[1])
    assert torch.equal(model.classify(x), model.classify(x))
    seen = []
    model.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0] - x))
    model.posterior(x)
    assert seen[0].std().item() == pytest.approx(0.5, abs=0.01)


def test_a_negative_noise_is_refused():
    with pytest.raises(GenlitError, match=r"model\.noise is -1: it must be 0 or more"):
        small(noise=-1)


# Codes, labels and images


def test_draws_are_a_label_and_a_style():
    torch.manual_seed(0)
    draws = small(latent=4).prior(30_000, torch.device("cpu"))
    y, z = draws.split([3, 4], dim=1)
    assert set(y.unique().tolist()) == {0, 1}
    assert (y.sum(1) == 1).all()
    torch.testing.assert_close(y.mean(0), torch.full((3,), 1 / 3), rtol=0, atol=0.01)
    torch.testing.assert_close(z.T.cov(), torch.eye(4), rtol=0, atol=0.04)


def test_a_chosen_label_takes_the_drawn_ones_place():
    model = small()
    images = [model.sample(5, label=k) for k in range(3)]
    assert not torch.allclose(images[0], images[1])
    torch.testing.assert_close(model.sample(5, label=1), images[1])
    draws = model._draws(0, 64, 0)[:5].double()
    expected = torch.cat([torch.eye(3)[[2] * 5].double(), draws[:, 3:]], dim=1)
    torch.testing.assert_close(images[2], model.decode(expected).detach())


def test_labels_are_probabilities_and_part_of_the_codes():
    model, x = small(), grey(5)
    assert all(isinstance(model, each) for each in (Classifies, Samples, Encodes, Reconstructs, HasPrior))
    posterior = model.classify(x.float())
    torch.testing.assert_close(posterior.sum(1), torch.ones(5).double())
    torch.testing.assert_close(model.encode(x)[:, :3], model.classify(x))
    torch.testing.assert_close(model.reconstruct(x), model.decode(model.encode(x)).detach())
    assert not posterior.requires_grad


# Training


def test_the_error_is_observed_on_held_out_images(at):
    model = at(small(), 0).eval()
    model.examine(rows(), 0, None)
    wrong = model.classify(rows()["labelled_image"]).argmax(1) != rows()["labelled_label"]
    assert model.examined()["val/error"] == pytest.approx(wrong.double().mean().item())


def test_images_without_labels_make_few_labels_worth_more(tmp_path):
    """Two of each of five digits: with all the others, far fewer errors than by the labels alone."""

    def error(**weights: float) -> float:
        data = Digits(size=8, only=[0, 1, 2, 3, 4], batch_size=50, labelled=10, seed=3).require(SemiSupervisedAAE.needs)
        torch.manual_seed(0)
        model = SemiSupervisedAAE((1, 8, 8), classes=5, latent=5, hidden=(128,), lr=3e-3, noise=0.2, weights=weights)
        train(model, tmp_path, max_steps=150, data=data)
        test = data.first(2000, torch.device("cpu"), "test")
        return (model.classify(test["image"]).argmax(1) != test["label"]).double().mean().item()

    assert error(label=20.0) < error(reconstruction=0.0, label=0.0, style=0.0) - 0.15
