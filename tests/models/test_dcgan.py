import pytest
import torch
from torch import Tensor, nn

from genlit.errors import GenlitError
from genlit.models import DCGAN
from genlit.models.dcgan import critic, generator
from genlit.nn.norm import NORMS

LAYERS = (nn.Conv2d, nn.ConvTranspose2d)


def small(**options) -> DCGAN:
    torch.manual_seed(0)
    return DCGAN((1, 8, 8), **{"latent": 4, "width": 4} | options)


def images(n: int, seed: int = 0) -> Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


# Networks


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 16, 32, 64, 128])
@pytest.mark.parametrize("norm", NORMS)
def test_the_networks_shapes(channels: int, side: int, norm: str):
    shape = (channels, side, side)
    made = generator(shape, 5, 2, norm)(torch.randn(2, 5, 1, 1))
    assert made.shape == (2, *shape)
    assert made.abs().max() < 1
    assert critic(shape, 2, norm)(made).shape == (2, 1, 1, 1)


@pytest.mark.parametrize("size", [(28, 28), (32, 64), (4, 4), (2, 2), (0, 0), (48, 48)])
def test_sizes_that_no_halving_reaches_are_refused(size: tuple[int, int]):
    with pytest.raises(GenlitError, match=f"not {size[0]}x{size[1]}: choose --data.size"):
        DCGAN((1, *size))


def test_the_networks_double_their_channels_towards_four_pixels():
    up = [layer.weight.shape[1] for layer in generator((3, 64, 64), 100, 64, "batch") if isinstance(layer, LAYERS)]
    down = [layer.weight.shape[0] for layer in critic((3, 64, 64), 64, "batch") if isinstance(layer, LAYERS)]
    assert up == [512, 256, 128, 64, 3]
    assert down == [64, 128, 256, 512, 1]


def test_batch_norm_is_everywhere_but_at_the_images():
    model = DCGAN((3, 32, 32))
    kinds = [[type(layer) for layer in network] for network in (model.generator, model.critic)]
    assert kinds[0] == [nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU] * 3 + [nn.ConvTranspose2d, nn.Tanh]
    strided = [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU] * 2
    assert kinds[1] == [nn.Conv2d, nn.LeakyReLU, *strided, nn.Conv2d]


def test_initial_weights_have_a_standard_deviation_of_a_fiftieth():
    torch.manual_seed(0)
    model = DCGAN((3, 32, 32))
    for layer in [*model.generator, *model.critic]:
        if isinstance(layer, LAYERS):
            assert layer.weight.mean().item() == pytest.approx(0, abs=0.002)
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
    scales = torch.cat([layer.weight for layer in model.generator if isinstance(layer, nn.BatchNorm2d)])
    assert scales.mean().item() == pytest.approx(1, abs=0.005)
    assert scales.std().item() == pytest.approx(0.02, rel=0.15)


def test_codes_are_uniform_between_minus_one_and_one():
    torch.manual_seed(0)
    z = small(latent=100).prior(500, torch.device("cpu"))
    assert z.shape == (500, 100)
    assert -1 <= z.min() < -0.999 < 0.999 < z.max() <= 1
    assert z.mean().item() == pytest.approx(0, abs=0.01)
    assert z.var().item() == pytest.approx(1 / 3, abs=0.01)


# The game


def test_the_critic_plays_before_the_generator(play):
    assert [*play(small(), image=images(4))] == ["critic", "generator"]


def test_the_critic_cannot_teach_the_generator_in_its_own_turn(play):
    model = small()
    critics = play(model, image=images(4))["critic"]["adversarial"]
    slopes = torch.autograd.grad(critics, model._owned("generator"), allow_unused=True)
    assert all(slope is None for slope in slopes)


@pytest.mark.parametrize("loss", ["non-saturating", "relativistic", "hinge"])
def test_both_players_losses_are_the_pairs_on_one_set_of_fakes(loss: str, play):
    model = small(loss=loss, critic_norm="none")
    real = images(4)
    torch.manual_seed(5)
    terms = play(model, image=real)
    torch.manual_seed(5)
    fake = model.generator(torch.rand(4, 4)[:, :, None, None] * 2 - 1)
    r, f = model.critic(real), model.critic(fake)
    torch.testing.assert_close(terms["critic"]["adversarial"], model.loss.critic(r, f))
    torch.testing.assert_close(terms["generator"]["adversarial"], model.loss.generator(f, r))


def test_the_generator_plays_in_the_last_of_n_iterations(at, play):
    model = small(n_critic=3)
    turns = [[*play(at(model, iteration), image=images(2))] for iteration in range(6)]
    assert turns == [["critic"], ["critic"], ["critic", "generator"]] * 2


def test_every_turn_is_validated_without_gradients(at, play):
    model = at(small(n_critic=3, critic_norm="none", weights={"gradient_penalty": 10.0, "r1": 1.0}), 0).eval()
    with torch.no_grad():
        terms = play(model, image=images(2))
    assert [*terms] == ["critic", "generator"]
    assert not any(value.requires_grad for player in terms.values() for value in player.values())


@pytest.mark.parametrize("norm", NORMS)
def test_scores_are_those_of_separate_passes(norm: str):
    model = DCGAN((1, 16, 16), width=4, critic_norm=norm).double()
    real, fake = torch.randn(4, 1, 16, 16, dtype=torch.float64), torch.rand(4, 1, 16, 16, dtype=torch.float64)
    r, f = model.scores(real, fake)
    torch.testing.assert_close(r, model.critic(real), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(f, model.critic(fake), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["gradient_penalty", "r1", "r2"])
def test_a_penalty_does_not_go_with_batch_norm(name: str):
    with pytest.raises(GenlitError, match=f"critic_norm: batch does not go with the penalty '{name}'"):
        small(weights={name: 1.0})
    assert small(weights={name: 1.0}, critic_norm="instance").weights[name] == 1


def test_penalties_are_paid_by_weight_and_logged_raw(play):
    weights = {"gradient_penalty": 10.0, "r1": 2.0, "r2": 3.0, "drift": 0.5}
    model = small(critic_norm="none", weights=weights)
    terms = play(model, image=images(4))["critic"]
    assert [*terms] == ["adversarial", "gradient_penalty", "r1", "r2", "drift"]
    expected = terms["adversarial"] + sum(weight * terms[name] for name, weight in weights.items())
    torch.testing.assert_close(model.total("critic", terms), expected)
    assert [*play(small(), image=images(4))["critic"]] == ["adversarial"]


def test_a_compiled_critic_has_no_gradient_penalty():
    plain, penalised = small(critic_norm="none"), small(critic_norm="none", weights={"r1": 1.0})
    assert plain.compilable() == [plain.generator, plain.critic]
    assert penalised.compilable() == [penalised.generator]


def test_spectral_norm_bounds_the_critics_weights():
    model = small(spectral_norm=True, critic_norm="none")
    for _ in range(50):
        model.critic(images(2))
    for layer in model.critic.eval():
        if isinstance(layer, nn.Conv2d):
            assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-3)


# Instance noise


def test_noise_falls_linearly_to_nothing(at):
    model, x = small(noise=0.5, noise_until=100), torch.zeros(200, 1, 8, 8)
    torch.manual_seed(0)
    stds = [at(model, iteration).disturbed(x).std().item() for iteration in (0, 5, 9, 10, 50)]
    assert stds == pytest.approx([0.5, 0.25, 0.05, 0, 0], rel=0.03)


def test_noise_is_the_same_on_all_that_the_critic_sees(at, play):
    model = at(small(noise=0.5, noise_until=100, critic_norm="none", loss="relativistic"), 4)
    model.generator = Constant()
    seen = []
    model.critic.register_forward_pre_hook(lambda module, inputs: seen.extend(inputs[0].split(500)))
    torch.manual_seed(0)
    play(model, image=torch.zeros(500, 1, 8, 8))
    assert len(seen) == 4
    for view in seen:
        assert view.mean().item() == pytest.approx(0, abs=0.01)
        assert view.std().item() == pytest.approx(0.3, rel=0.02)


def test_noise_needs_an_end():
    with pytest.raises(GenlitError, match="noise_until"):
        small(noise=0.1)


class Constant(nn.Module):
    """Grey images of 8x8 pixels."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.zeros(len(z), 1, 8, 8)


# Samples


def test_samples_are_seeded_and_leave_no_trace():
    model = small()
    before = torch.get_rng_state()
    samples = model.sample(5)
    assert samples.shape == (5, 1, 8, 8)
    assert not samples.requires_grad
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert torch.equal(samples, model.sample(5))
    assert not torch.equal(samples, model.sample(5, seed=1))


@pytest.mark.parametrize("batch_size", [7, 64, 100])
def test_the_nth_sample_is_the_same_for_every_n(batch_size: int):
    model = small()
    many = model.sample(150, batch_size=batch_size)
    for n in (1, 7, 60, 64, 65, 100):
        assert torch.equal(model.sample(n, batch_size=batch_size), many[:n])
    torch.testing.assert_close(many, model.sample(150))
    assert len(many.flatten(1).unique(dim=0)) == 150


def test_a_batch_of_samples_is_always_full():
    model, sizes = small(), []
    model.generator.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    for n in (1, 60, 150):
        model.sample(n, batch_size=48)
    assert sizes == [48] + [48] * 2 + [48] * 4


def test_an_interpolation_ends_at_two_samples():
    model = small()
    walk = model.interpolate(5, seeds=(3, 4))
    assert walk.shape == (5, 1, 8, 8)
    torch.testing.assert_close(walk[[0, 4]], torch.cat([model.sample(1, seed=3), model.sample(1, seed=4)]))
    with torch.no_grad():
        ends = [model._draws(0, 1, seed) for seed in (3, 4)]
        torch.testing.assert_close(walk[2:3], model.eval().decode(sum(ends) / 2))


def test_samples_show_the_average_of_the_weights():
    model = small(ema=100.0)
    model.configure_model()
    before = model.sample(2)
    nn.init.zeros_(model.generator[0].weight)
    assert torch.equal(model.sample(2), before)


def test_a_model_in_double_precision_samples():
    torch.testing.assert_close(small().double().sample(3).float(), small().sample(3))


@pytest.mark.parametrize("key", ["width", "latent", "n_critic"])
def test_sizes_below_one_are_refused_by_key(key: str):
    with pytest.raises(GenlitError, match=rf"model\.{key} is 0: it must be at least 1"):
        DCGAN((1, 8, 8), **{key: 0})
