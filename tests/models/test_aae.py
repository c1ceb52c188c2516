"""The adversarial autoencoder: whose turn moves what, on which codes, and how near the codes come to their priors."""

import math

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.utils import parameters_to_vector

from genlit.capabilities import Encodes, HasPrior, Interpolates, Reconstructs, Samples
from genlit.errors import GenlitError
from genlit.metrics.capabilities.posterior import mmd
from genlit.models.aae import AAE
from tests.games import digits, train


def small(**options) -> AAE:
    torch.manual_seed(0)
    return AAE((1, 4, 4), **{"latent": 2, "hidden": (8,)} | options).double()


def grey(n: int, seed: int = 0) -> Tensor:
    return torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed)).double() * 2 - 1


def weights(model: AAE) -> dict[str, Tensor]:
    return {name: parameters_to_vector(net.parameters()).detach() for name, net in model.named_children()}


def moves(model: AAE, batch: dict[str, Tensor]) -> list[tuple[str, set[str]]]:
    """Plays an iteration as the engine does: whose turn it was, and what has moved in it."""
    model.configure_optimizers()
    moved = []
    for player, terms in model.turns(batch):
        before = weights(model)
        model.total(player, terms).backward(inputs=model._owned(player))
        model._optimizers[player].step()
        model._optimizers[player].zero_grad()
        moved.append((player, {name for name, now in weights(model).items() if not torch.equal(now, before[name])}))
    return moved


# The game


def test_each_turn_moves_its_own_networks_alone():
    assert moves(small(), {"image": grey(5)}) == [
        ("autoencoder", {"encoder", "decoder"}),
        ("critic", {"critic"}),
        ("autoencoder", {"encoder"}),
    ]


@pytest.mark.parametrize("engine", [{}, {"accumulate": 2, "clip": 1.0}], ids=["plain", "accumulated-and-clipped"])
def test_the_engine_plays_the_encoder_twice(engine: dict, tmp_path):
    model = AAE((1, 8, 8), latent=2, hidden=(8,), weights={"reconstruction": 0.0}, **engine)
    before = weights(model)
    trainer = train(model, tmp_path, max_steps=3)
    after = weights(model)
    assert trainer.global_step == 3
    assert torch.equal(after["decoder"], before["decoder"])  # only the reconstruction would have moved it
    assert not torch.equal(after["encoder"], before["encoder"])
    steps = {k: v["step"].item() for k, v in enumerate(model._optimizers["autoencoder"].state.values())}
    assert set(steps.values()) == {3, 6}


def test_codes_are_encoded_again_after_the_first_turn():
    """A code is x W: what the critic is shown must follow an update of W in the turn before."""
    model = small(hidden=())
    seen = []
    model.critic.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
    x = grey(5)
    turns = model.turns({"image": x})
    old = model.encoder(x)
    next(turns)
    with torch.no_grad():
        model.encoder[1][0].weight.mul_(3)
    next(turns)
    torch.testing.assert_close(seen[1], model.encoder(x))
    assert not torch.allclose(seen[1], old)


def test_the_encoder_meets_the_critic_that_has_just_moved():
    model, x = small(), grey(5)
    turns = model.turns({"image": x})
    next(turns)
    next(turns)
    with torch.no_grad():
        for parameter in model.critic.parameters():
            parameter.zero_()
        model.critic[-1].bias.fill_(-2.0)
    _, terms = next(turns)
    assert terms["adversarial"].item() == pytest.approx(math.log1p(math.exp(2)))


def test_the_terms_are_the_papers(play):
    model, x = small(), grey(5)
    torch.manual_seed(3)
    (_, first), (_, second), (_, third) = model.turns({"image": x})
    torch.manual_seed(3)
    real, fake = model.critic(model.prior(5, torch.device("cpu")).double()), model.critic(model.encoder(x))
    pixels = cross_entropy(model.decoder(model.encoder(x)), (x + 1) / 2, reduction="sum") / 5
    ones = torch.ones_like(real)
    torch.testing.assert_close(first, {"reconstruction": pixels})
    torch.testing.assert_close(second["adversarial"], cross_entropy(real, ones) + cross_entropy(fake, 0 * ones))
    torch.testing.assert_close(third["adversarial"], cross_entropy(fake, ones))


# Priors


def test_a_prior_of_ones_own_is_one_method(play):
    class Shifted(AAE):
        def prior(self, n, device, labels=None):
            return super().prior(n, device) + 100

    torch.manual_seed(0)
    model, seen = Shifted((1, 4, 4), hidden=(8,)), []
    model.critic.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    play(model, image=grey(5).float())
    assert seen[0].min() > 90
    assert model.sample(2).shape == (2, 1, 4, 4)


@pytest.mark.parametrize("prior", ["gaussian", "mixture", "swiss-roll", "uniform"])
def test_every_prior_gives_codes_and_images(prior: str):
    model = small(prior=prior)
    assert model.prior(7, torch.device("cpu")).shape == (7, 2)
    for images in (model.sample(7), model.interpolate(3), model.reconstruct(grey(2))):
        assert images.abs().max() <= 1
    assert all(isinstance(model, each) for each in (Samples, Interpolates, Encodes, Reconstructs, HasPrior))


@pytest.mark.parametrize("prior", ["mixture", "swiss-roll"])
def test_priors_of_the_plane_want_two_codes(prior: str):
    with pytest.raises(GenlitError, match=r"model\.latent is 3: it must be 2"):
        small(prior=prior, latent=3)


def fitted(prior: str, epochs: int, **options) -> tuple[AAE, Tensor, float]:
    """Trained on 1,400 of sklearn's 8x8 digits; the test codes, and the untrained model's distance to the prior."""
    x = torch.tensor(load_digits().data, dtype=torch.float32).view(-1, 1, 8, 8) / 8 - 1
    torch.manual_seed(0)
    model = AAE((1, 8, 8), latent=2, hidden=(64, 64), prior=prior, lr=2e-3, weights={"adversarial": 30.0}, **options)
    before = mmd(model.encode(x[1400:]), model.prior(1000, torch.device("cpu")))
    model.configure_optimizers()
    for step in range(14 * epochs):
        for group in (group for optimizer in model._optimizers.values() for group in optimizer.param_groups):
            group["lr"] = 2e-3 * (1 - step / (14 * epochs))
        for player, terms in model.turns({"image": x[torch.randperm(1400)[:100]]}):
            model.total(player, terms).backward(inputs=model._owned(player))
            model._optimizers[player].step()
            model._optimizers[player].zero_grad()
    return model, model.encode(x[1400:]), before


@pytest.mark.parametrize(
    ("prior", "limit"), [("gaussian", 0.02), ("mixture", 0.02), ("swiss-roll", 0.08), ("uniform", 0.08)]
)
def test_codes_come_to_be_distributed_as_the_prior(prior: str, limit: float):
    model, codes, before = fitted(prior, epochs=40)
    after = mmd(codes, model.prior(1000, torch.device("cpu")))
    assert after <= limit
    assert 8 * after <= before


# Labels


def test_a_labels_draws_come_from_its_arm():
    model = small(prior="mixture", classes=10)
    labels = torch.arange(10).repeat(500)
    z = model.prior(len(labels), torch.device("cpu"), labels)
    centre = torch.stack([z[labels == k].mean(0) for k in range(10)])
    angle = torch.arange(10) * (2 * math.pi / 10)
    expected = 1.5 * torch.stack([angle.cos(), angle.sin()], dim=1)
    torch.testing.assert_close(centre, expected, rtol=0, atol=0.08)


def test_the_critic_sees_labels_one_hot_and_the_unknown_as_one_more_class(play):
    model, seen = small(prior="mixture", classes=3), []
    model.critic.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0][:, 2:]))
    play(model, image=grey(4), label=torch.tensor([0, 2, -1, 1]))
    assert len(seen) == 3
    for shown in seen:
        assert shown.argmax(1).tolist() == [0, 2, 3, 1]
        assert shown.sum(1).tolist() == [1] * 4


def test_labels_want_a_prior_with_segments():
    with pytest.raises(GenlitError, match=r"model\.prior is gaussian: it must be mixture or swiss-roll"):
        small(classes=10)


def test_some_labels_may_be_unknown(tmp_path):
    model = AAE((1, 8, 8), latent=2, hidden=(8,), prior="swiss-roll", classes=10)
    data = digits(labelled=50).require(("image", "label"))
    assert (next(iter(data.train_dataloader()))["label"] == -1).any()
    assert train(model, tmp_path, max_steps=2, data=data).global_step == 2
