"""Text2Image: who sees which text, and what is done with it."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import logsigmoid

from genlit.data import Emoji, Folder
from genlit.errors import GenlitError
from genlit.models import Text2Image
from tests.games import train
from tests.games import trainer as quiet

TEXTS = ["a car, in noto style", "a car, in fluent style", "a rocket, in noto style", "the moon, in noto style"]
SMALL = {"latent": 3, "width": 4, "critic_width": 4, "vision_width": 4, "words": 50, "embedding": 8, "projected": 5}


def small(**options) -> Text2Image:
    torch.manual_seed(0)
    model = Text2Image((3, 16, 16), **SMALL | options)
    model.meet(SimpleNamespace(captions=lambda split: [[text] for text in TEXTS]))
    return model


def images(n: int) -> Tensor:
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def judged(model: Text2Image) -> list[tuple[Tensor, ...]]:
    """The images that the critic judges and the texts with which it does, call by call."""
    seen = []
    model.critic.register_forward_pre_hook(lambda critic, given: seen.append(given))
    return seen


def test_the_terms_and_who_minimises_them(play):
    terms = play(small(), image=images(4), text=TEXTS)
    assert {player: [*each] for player, each in terms.items()} == {
        "encoders": ["matching"],
        "critic": ["fake", "wrong"],
        "generator": ["adversarial", "interpolated"],
    }


def test_the_critic_s_loss_is_that_of_gan_cls(play):
    model = small(critic_norm="none").double()
    seen = judged(model)
    critic = play(model, image=images(4).double(), text=TEXTS)["critic"]
    (real, text, wrong), (fake, again) = seen[:2]
    pairs = [logits(model, *pair) for pair in ((real, text), (fake, again), (real, wrong))]
    expected = -logsigmoid(pairs[0]).mean() - (logsigmoid(-pairs[1]).mean() + logsigmoid(-pairs[2]).mean()) / 2
    torch.testing.assert_close(model.total("critic", critic), expected)


def logits(model: Text2Image, images: Tensor, text: Tensor) -> Tensor:
    everywhere = model.critic.project(text)[:, :, None, None].expand(-1, -1, 4, 4)
    return model.critic.head(torch.cat([model.critic.trunk(images), everywhere], 1))


def test_wrong_texts_are_others_of_real_images():
    model = small(critic_norm="none")
    seen = judged(model)
    batch = {"image": images(4), "text": TEXTS}
    game = model.turns(batch)
    next(game)
    torch.manual_seed(1)
    next(game)
    (real, text, wrong), (_, own) = seen
    assert torch.equal(real, batch["image"])
    assert torch.equal(text, own)
    assert torch.equal(text, model.read(TEXTS))
    order = [(text == row).all(1).nonzero().item() for row in wrong]
    assert sorted(order) == [0, 1, 2, 3]
    assert all(place != row for row, place in enumerate(order))


def test_a_critic_without_captions_knows_no_wrong_texts():
    model = small()
    assert set(model.critic_terms(images(4), images(4), model.read(TEXTS))) == {"fake"}


def test_no_part_of_a_network_is_called_but_by_the_network(play):
    model, entered, alone = small(), [], []
    for network in (model.critic, model.generator):
        network.register_forward_pre_hook(lambda network, given: entered.append(network))
        network.register_forward_hook(lambda network, given, output: entered.remove(network))
        for part in network.children():
            part.register_forward_pre_hook(lambda part, given: None if entered else alone.append(part))
    play(model, image=images(4), text=TEXTS)
    assert alone == []


def test_validation_averages_both_encoders():
    model = small(ema=10)
    model.configure_model()
    live = {name: model.get_submodule(name) for name in ("text", "vision", "generator")}
    with model.evaluation():
        assert all(model.get_submodule(name) is not network for name, network in live.items())


def test_equal_captions_are_no_wrong_texts(play):
    model = small(critic_norm="none").double()
    assert "wrong" not in play(model, image=images(2).double(), text=TEXTS[:1] * 2)["critic"]
    seen = judged(model)
    real, captions = images(3).double(), [*TEXTS[:1] * 2, TEXTS[1]]
    wrong = play(model, image=real, text=captions)["critic"]["wrong"]
    differ = [row for row in range(3) if not torch.equal(seen[0][1][row], seen[0][2][row])]
    assert len(differ) == 2
    assert 2 in differ
    pairs = [logits(model, real[differ], texts[differ]) for texts in seen[0][1:]]
    torch.testing.assert_close(wrong, model.loss.critic(*pairs))


def test_the_game_reads_but_never_changes_the_text_encoder(play):
    model = small()
    for player, terms in play(model, image=images(4), text=TEXTS).items():
        slopes = torch.autograd.grad(sum(terms.values()), model.text.parameters(), allow_unused=True)
        assert any(slope is not None for slope in slopes) == (player == "encoders")


def test_interpolated_texts_lie_half_way(play):
    model = small(critic_norm="none")
    seen = judged(model)
    play(model, image=images(4), text=TEXTS)
    text = model.read(TEXTS)
    torch.testing.assert_close(seen[-1][1], (text + text.roll(1, 0)) / 2)


@pytest.mark.parametrize(
    ("weights", "critic", "generator"),
    [
        ({"wrong": 0.0, "fake": 1.0}, ["fake"], ["adversarial", "interpolated"]),
        ({"interpolated": 0.0}, ["fake", "wrong"], ["adversarial"]),
    ],
)
def test_both_inventions_can_be_left_out(play, weights, critic, generator):
    terms = play(small(weights=weights), image=images(4), text=TEXTS)
    assert [[*terms[player]] for player in ("critic", "generator")] == [critic, generator]


def test_the_options_of_games_apply(play):
    model = small(
        critic_norm="none", loss="relativistic", weights={"r1": 1.0}, augment=("flip",), noise=0.1, noise_until=9
    )
    assert set(play(model, image=images(4), text=TEXTS)["critic"]) == {"fake", "wrong", "r1"}
    with pytest.raises(GenlitError, match=r"model\.pack is 2"):
        small(pack=2)
    with pytest.raises(GenlitError, match=r"penalty 'r1'"):
        small(weights={"r1": 1.0})


def test_text_is_obeyed_in_samples_and_captions_are_told():
    model = small().eval()
    assert set(model.captions(64)) == set(TEXTS)
    assert model.captions(9)[:3] == model.captions(3)
    torch.testing.assert_close(model.sample(5), model.illustrate(model.captions(5)))
    torch.testing.assert_close(model.sample(3, text=TEXTS[0]), model.illustrate(TEXTS[:1] * 3))
    torch.testing.assert_close(model.illustrate(TEXTS, seed=3), model.illustrate(TEXTS, seed=3, batch_size=3))
    noto, fluent = (model.sample(2, text=text) for text in TEXTS[:2])
    assert not torch.equal(noto, fluent)
    with pytest.raises(GenlitError, match="knows no label"):
        model.sample(2, label=1)
    with pytest.raises(GenlitError, match=r"text is \['a', 'b'\]: it must be one caption; `illustrate`"):
        model.sample(2, text=["a", "b"])


def test_captions_are_illustrated_by_the_draws_from_the_start_on():
    model = small().eval()
    texts = (TEXTS * 18)[:70]
    whole = model.illustrate(texts, seed=3)
    torch.testing.assert_close(model.illustrate(texts[66:], seed=3, start=66), whole[66:])
    assert not torch.equal(model.illustrate(texts[:4], seed=3, start=64), whole[:4])
    torch.testing.assert_close(
        model.illustrate(TEXTS[:1] * 3, seed=3, start=5), model.sample(3, seed=3, start=5, text=TEXTS[0])
    )


def test_a_loaded_model_knows_its_words(tmp_path):
    data = Emoji(size=8, batch_size=4)
    model = Text2Image((3, 8, 8), **SMALL | {"words": 5000})
    trainer = train(model, tmp_path, max_steps=2, data=data.require(model.needs))
    assert len(model.vocabulary.words) > 3000
    assert {"noto", "twemoji", "fluent"} < set(model.vocabulary.words)
    assert model.vocabulary.examples[0] == data.captions("train")[0][0]
    trainer.save_checkpoint(tmp_path / "it.ckpt")

    again = Text2Image((3, 8, 8), **SMALL | {"words": 5000})
    again.meet = None  # a resumed run meets no captions
    fresh = Emoji(size=8, batch_size=4).require(model.needs)
    quiet(tmp_path, 3).fit(again, fresh, ckpt_path=tmp_path / "it.ckpt", weights_only=True)
    assert again.vocabulary.words == model.vocabulary.words
    assert again.vocabulary.examples == model.vocabulary.examples


def test_a_sentence_encoder_reads_captions_in_the_words_place(sentence_encoder: Path, tmp_path: Path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for k in range(8):
        Image.new("RGB", (8, 8), (30 * k, 0, 0)).save(photos / f"{k}.png")
    lines = [f"{k}.png,a {'red' if k % 2 else 'blue'} car" for k in range(8)]
    (photos / "captions.csv").write_text("\n".join(["file,caption", *lines]))
    data = Folder(str(photos), root=str(tmp_path / "stores"), batch_size=4, holdout=0)
    model = Text2Image((3, 8, 8), **SMALL | {"encoder": str(sentence_encoder)})
    before = model.text.last.weight.clone()
    clock = train(model, tmp_path, max_steps=2, data=data.require(model.needs))
    assert not torch.equal(model.text.last.weight, before)
    assert set(model.vocabulary.examples) == {"a red car", "a blue car"}
    clock.save_checkpoint(tmp_path / "it.ckpt")

    again = Text2Image((3, 8, 8), **SMALL | {"encoder": str(sentence_encoder)})
    again.load_state_dict(torch.load(tmp_path / "it.ckpt", weights_only=True)["state_dict"])
    model.eval(), again.eval()
    torch.testing.assert_close(again.sample(2, text="the moon"), model.sample(2, text="the moon"))
