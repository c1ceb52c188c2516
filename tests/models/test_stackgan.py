"""StackGAN: conditioning augmentation, and a second stage that leaves the first as it is."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from genlit.data import Emoji
from genlit.errors import GenlitError
from genlit.losses.likelihood import gaussian_kl
from genlit.models import StackGAN, StackGANTwo, Text2Image
from tests.games import train

TEXTS = ["a car, in noto style", "a car, in fluent style", "a rocket, in noto style", "the moon, in noto style"]
SIZES = {"latent": 3, "width": 4, "critic_width": 4, "words": 50, "embedding": 8, "projected": 5}
CAPTIONS = SimpleNamespace(captions=lambda split: [[text] for text in TEXTS])


def first(kind: type = StackGAN, **options) -> StackGAN:
    torch.manual_seed(0)
    model = kind((3, 8, 8), vision_width=4, **SIZES | options)
    model.meet(CAPTIONS)
    return model


def second(monkeypatch, trained: StackGAN | None = None, side: int = 16, **options) -> StackGANTwo:
    trained = (trained or first()).eval()
    torch.manual_seed(1)
    monkeypatch.setattr("genlit.loading.load", lambda run: trained)
    model = StackGANTwo((3, side, side), **{"stage_one": "stackgan", "factor": 2, "blocks": 1} | SIZES | options)
    model.meet(CAPTIONS)
    return model


def images(n: int, side: int) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_the_terms_and_who_minimises_them(play, monkeypatch):
    one, two = play(first(), image=images(4, 8), text=TEXTS), play(second(monkeypatch), image=images(4, 16), text=TEXTS)
    game = {"critic": ["fake", "wrong"], "generator": ["adversarial", "kl"]}
    assert {player: [*each] for player, each in one.items()} == {"encoders": ["matching"]} | game
    assert {player: [*each] for player, each in two.items()} == game


def test_the_divergence_is_the_closed_form_averaged_over_numbers_and_images(play):
    model = first().double()
    kl = play(model, image=images(4, 8).double(), text=TEXTS)["generator"]["kl"]
    mean, log_variance = model.generator.condition.parameters_of(model.read(TEXTS)).chunk(2, 1)
    expected = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)
    torch.testing.assert_close(kl, expected.mean())
    assert gaussian_kl(torch.ones(1, 1), torch.full((1, 1), math.log(0.25))).item() == pytest.approx(
        0.8181472, abs=1e-6
    )
    assert model.weights["kl"] == 2.0


def test_without_epsilon_a_text_has_one_image(monkeypatch):
    for model in (first().eval(), second(monkeypatch).eval()):
        text, noise = model.read(TEXTS[:1] * 2), model.prior(2, model.device)
        noise[:, : model.latent] = 1.0
        assert not torch.equal(*model.generate(noise, text))
        noise[:, model.latent :] = 0.0
        torch.testing.assert_close(*model.generate(noise, text))
        normal = model.generator.condition(text)
        assert torch.equal(normal.at(torch.zeros_like(normal.mean)), normal.mean)


def test_stage_two_sees_what_stage_one_draws(monkeypatch):
    stage_one = first().eval()
    model, seen = second(monkeypatch, stage_one).train(), []
    model.generator.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    noise, text = model.prior(4, model.device), model.read(TEXTS)
    model.generate(noise, text)
    assert torch.equal(seen[0], stage_one.generate(noise[:, : 3 + 5], stage_one.read(TEXTS)))
    assert seen[0].shape == (4, 3, 8, 8)


def test_stage_two_never_touches_stage_one(monkeypatch, tmp_path):
    data = Emoji(size=16, batch_size=4)
    model = second(monkeypatch, ema=10)
    before = {name: value.clone() for name, value in frozen(model).items()}
    assert not any(
        parameter.requires_grad for name in ("stage_one", "text") for parameter in getattr(model, name).parameters()
    )
    train(model, tmp_path, max_steps=3, data=data.require(model.needs))
    after = frozen(model)
    assert [name for name in before if not torch.equal(before[name], after[name])] == []
    owned = {id(parameter) for player in model.players for parameter in model._owned(player)}
    assert not owned & {id(parameter) for parameter in model.stage_one.parameters()}


def frozen(model: StackGANTwo) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": value
        for name in ("stage_one", "text")
        for key, value in getattr(model, name).state_dict().items()
    }


def test_a_checkpoint_of_stage_two_holds_stage_one(monkeypatch, tmp_path):
    model = second(monkeypatch)
    monkeypatch.setattr("genlit.loading.load", None)  # the run may be gone
    again = StackGANTwo(**model.hparams)
    again.load_state_dict(model.state_dict())
    assert again.vocabulary.words == model.vocabulary.words
    assert torch.equal(again.eval().sample(3), model.eval().sample(3))


def test_what_is_no_stage_one_is_refused(monkeypatch):
    with pytest.raises(GenlitError, match=r"model\.stage_one is None: it must be a run of StackGAN"):
        second(monkeypatch, stage_one=None)
    with pytest.raises(GenlitError, match=r"stackgan is a Text2Image of images \(3, 8, 8\); it must be a StackGAN"):
        second(monkeypatch, first(Text2Image))
    with pytest.raises(
        GenlitError, match=r"stackgan is a StackGAN of images \(3, 8, 8\); it must be a StackGAN of \(3, 16"
    ):
        second(monkeypatch, side=32)
    with pytest.raises(GenlitError, match=r"stackgan has other sizes; set model\.latent, width"):
        second(monkeypatch, first(width=8))
    with pytest.raises(GenlitError, match=r"model\.factor is 3"):
        StackGANTwo((3, 32, 32), factor=3)
