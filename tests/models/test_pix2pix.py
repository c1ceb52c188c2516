import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from genlit import config
from genlit.data import Emoji
from genlit.errors import GenlitError
from genlit.losses.adversarial import LOSSES
from genlit.models import Pix2Pix
from genlit.models.pix2pix import UNet


def small(**options) -> Pix2Pix:
    torch.manual_seed(0)
    return Pix2Pix((3, 32, 32), **{"width": 4, "critic_width": 4, "dropout": 0.0} | options).double()


def images(n: int, seed: int = 0, side: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, side, side, dtype=torch.float64, generator=generator) * 2 - 1


# Networks


def test_the_papers_generator():
    network = UNet(3, 64, 8, 0.5)
    down = [layer for module in network.down for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    up = [layer for layer in network.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert [layer.out_channels for layer in down] == [64, 128, 256, 512, 512, 512, 512, 512]
    assert [layer.out_channels for layer in up] == [512, 512, 512, 512, 256, 128, 64, 3]
    assert [layer.in_channels for layer in up] == [512, 1024, 1024, 1024, 1024, 512, 256, 128]
    assert [any(isinstance(layer, nn.Dropout) for layer in module) for module in network.up] == [True] * 3 + [False] * 4


def test_it_takes_as_many_halvings_as_both_sides_do():
    assert Pix2Pix((3, 32, 32), width=2, critic_width=2).multiple == 32
    assert Pix2Pix((3, 32, 40), width=2, critic_width=2).multiple == 8


@pytest.mark.parametrize("halvings", [1, 2, 5])
def test_the_generator_keeps_the_size(halvings: int):
    y = UNet(3, 2, halvings, 0.5)(torch.randn(2, 3, 64, 32))
    assert y.shape == (2, 3, 64, 32)
    assert y.abs().max() < 1


@pytest.mark.parametrize("layer", range(4))
def test_every_layer_down_reaches_the_image_by_a_skip_of_its_own(layer: int):
    torch.manual_seed(0)
    network, seen = UNet(3, 2, 5, 0.0).double(), []
    for module in network.down:
        module.register_forward_hook(lambda module, inputs, output: seen.append(output))
    network.down[layer + 1].register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
    y = network(images(1))
    slope = torch.autograd.grad(y.sum(), seen[layer])[0]
    assert slope.abs().sum() > 0, "with the way through the next layer cut, the skip is left"
    assert seen[-1].shape[2:] == (1, 1)


def test_the_critic_sees_both_images(play):
    model, seen = small(), []
    model.critic.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    a, b = images(2), images(2, seed=1)
    play(model, a=a, b=b)
    fake = model.generator(a)
    torch.testing.assert_close(seen[0], torch.cat([torch.cat([a, b], 1), torch.cat([a, fake], 1)]))
    torch.testing.assert_close(seen[1], torch.cat([a, fake], 1))


@pytest.mark.parametrize(
    ("shape", "options"), [((3, 33, 32), {}), ((3, 16, 16), {}), ((3, 32, 32), {"halvings": 6}), ((3, 5, 5), {})]
)
def test_sizes_that_do_not_suit_are_refused(shape: tuple[int, int, int], options: dict):
    with pytest.raises(GenlitError, match=r"pixels do not suit .* halvings and 3 strided critic layers: both sides"):
        Pix2Pix(shape, width=2, critic_width=2, **options)


def test_a_generator_without_a_halving_is_refused():
    with pytest.raises(GenlitError, match=r"model.halvings is 0: it must be at least 1"):
        Pix2Pix((3, 32, 32), width=2, critic_width=2, halvings=0)


# The game


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("to", "source", "target"), [("b", "a", "b"), ("a", "b", "a")])
def test_the_terms_are_the_equation(loss: str, to: str, source: str, target: str, play):
    model, batch, pair = small(loss=loss, to=to), {"a": images(2), "b": images(2, seed=1)}, LOSSES[loss]
    terms = play(model, **batch)
    assert [*terms] == ["critic", "generator"]

    x, y = batch[source], batch[target]
    fake = model.generator(x)
    real_score, fake_score = (model.critic(torch.cat([x, other], 1)) for other in (y, fake))
    torch.testing.assert_close(terms["critic"], {"adversarial": 0.5 * pair.critic(real_score, fake_score)})
    expected = {"adversarial": pair.generator(fake_score, real_score), "reconstruction": l1_loss(fake, y)}
    torch.testing.assert_close(terms["generator"], expected)
    total = expected["adversarial"] + 100 * expected["reconstruction"]
    torch.testing.assert_close(model.total("generator", terms["generator"]), total)


def test_the_critic_does_not_teach_the_generator(play):
    model = small()
    critic = play(model, a=images(1), b=images(1, seed=1))["critic"]["adversarial"]
    assert all(slope is None for slope in torch.autograd.grad(critic, model._owned("generator"), allow_unused=True))


def test_dropout_is_noise_in_training_and_gone_in_translation():
    model, x = small(dropout=0.5), images(1)
    assert not torch.equal(model.generator(x), model.generator(x))
    assert torch.equal(model.translate(x, "b"), model.translate(x, "b"))
    assert model.training


def test_a_translation_does_not_depend_on_the_images_beside_it():
    model, x = small(), images(3)
    torch.testing.assert_close(model.translate(x, "b")[:1], model.translate(x[:1], "b"), rtol=1e-9, atol=1e-12)


def test_only_what_was_learned_is_translated_to():
    assert small().directions == [("a", "b")]
    assert small(to="a").directions == [("b", "a")]
    with pytest.raises(GenlitError, match="to: unknown name 'a'; there are b"):
        small().translate(images(1), "a")


# Pairs


def test_it_learns_from_pairs_alone(tmp_path):
    file = tmp_path / "mine.yaml"
    for paired in ("true", "false"):
        file.write_text(
            "model: {name: Pix2Pix, width: 2, critic_width: 2, critic_layers: 1}\n"
            f"data: {{name: Emoji, size: 8, paired: {paired}}}\ntrainer: {{max_steps: 1}}\n"
        )
        settings = config.parse(config.compose(str(file), []), [])
        source = config.source(settings)
        if paired == "true":
            assert config.model(settings, source).shape == (3, 8, 8)
        else:
            with pytest.raises(GenlitError, match=r"Pix2Pix learns from pairs, .* set data.paired: true"):
                config.model(settings, source)


def test_it_learns_a_known_map():
    """b is a's negative: the translation comes much closer than grey does, and than the image as it is."""
    torch.manual_seed(0)
    emoji = Emoji(size=16, batch_size=16, paired=True).require(("a", "b"))
    model = Pix2Pix((3, 16, 16), width=8, critic_width=8, critic_layers=2, dropout=0.0, lr=2e-3)
    optimizers = dict(zip(model.players, model.configure_optimizers(), strict=True))
    batches = iter(emoji.loader("train"))
    for _ in range(60):
        a = emoji.transform(next(batches), training=True)["a"]
        for player, terms in model.turns({"a": a, "b": -a}):
            model.total(player, terms).backward(inputs=model._owned(player))
            optimizers[player].step()
            optimizers[player].zero_grad()
    a = emoji.first(64, torch.device("cpu"), "test")["a"]
    error = (model.translate(a, "b") + a).abs().mean()
    assert error < 0.4 * a.abs().mean()
