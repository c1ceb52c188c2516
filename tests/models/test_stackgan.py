"""StackGAN: conditioning augmentation, and a second stage that leaves the first as it is."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from genlit.data import Emoji
from genlit.engine.checkpoint import SafeIO, load
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
    monkeypatch.setattr("genlit.runs.resolve", lambda run: run)
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
        condition, none = model.generator.condition, noise[:, -model.projected :]
        assert torch.equal(condition(text, none), condition.normal(text).mean)


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


def test_stage_one_is_a_run_s_average_and_the_checkpoint_is_named(tmp_path, caplog):
    trained, path = StackGAN((3, 8, 8), vision_width=4, **SIZES, ema=1e6, lr=0.1), tmp_path / "it-00000003.ckpt"
    data = Emoji(size=8, batch_size=4).require(trained.needs)
    train(trained, tmp_path, max_steps=3, data=data, plugins=[SafeIO()]).save_checkpoint(path)

    model = StackGANTwo((3, 16, 16), stage_one=str(path), factor=2, blocks=1, **SIZES)
    model.meet(data)
    for mine, name in (("stage_one", "generator"), ("text", "text")):
        average, live = (networks.get_submodule(name).state_dict() for networks in (trained.ema.networks, trained))
        arrived = model.get_submodule(mine).state_dict()
        assert all(torch.equal(arrived[key], value) for key, value in average.items())
        assert not all(torch.equal(arrived[key], value) for key, value in live.items())
    assert model.vocabulary.words == trained.vocabulary.words

    assert f"stage I is {path}" in caplog.messages
    SafeIO().save_checkpoint(model.state_dict(), tmp_path / "second.ckpt")
    again = StackGANTwo(**model.hparams)
    again.load_state_dict(load(tmp_path / "second.ckpt"))
    assert again.origin == str(path)


def test_stage_one_s_images_enlarged_are_those_that_stage_two_corrects(monkeypatch):
    model, seen = second(monkeypatch).eval(), []
    model.generator.register_forward_pre_hook(lambda module, inputs: seen.append(inputs))
    model.sample(70, seed=3)
    small, _, texts = (torch.cat(given)[:70] for given in zip(*seen, strict=True))
    enlarged = model.enlarged(70, seed=3)
    assert enlarged.shape == (70, 3, 16, 16)
    torch.testing.assert_close(enlarged, interpolate(small, scale_factor=2, mode="bilinear"))
    torch.testing.assert_close(texts, model.read(model.captions(70, seed=3)))
    torch.testing.assert_close(model.enlarged(3, seed=3, start=66), enlarged[66:69])
    assert enlarged.abs().max() <= 1


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
