"""The game that every GAN plays, on DCGAN's networks."""

import pytest
import torch
from torch import Tensor, nn

from genlit.errors import GenlitError
from genlit.families.adversarial import packed
from genlit.models import DCGAN
from genlit.nn.norm import NORMS


def small(**options) -> DCGAN:
    torch.manual_seed(0)
    return DCGAN((1, 8, 8), **{"latent": 4, "width": 4} | options)


def images(n: int, seed: int = 0) -> Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


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
    fake = model.generator(torch.rand(4, 4) * 2 - 1)
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
    r, f = model.verdicts(real, fake)
    torch.testing.assert_close(r, model.critic(real), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(f, model.critic(fake), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["gradient_penalty", "r1", "r2"])
def test_a_penalty_does_not_go_with_batch_norm(name: str):
    with pytest.raises(GenlitError, match=f"critic_norm: batch does not go with the penalty '{name}'"):
        DCGAN((1, 16, 16), latent=4, width=4, weights={name: 1.0})
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
    stds = [at(model, iteration).shown(x).std().item() for iteration in (0, 5, 9, 10, 50)]
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
    nn.init.zeros_(model.generator[1].weight)
    assert torch.equal(model.sample(2), before)


def test_a_model_in_double_precision_samples():
    torch.testing.assert_close(small().double().sample(3).float(), small().sample(3))


@pytest.mark.parametrize("key", ["width", "latent", "n_critic"])
def test_sizes_below_one_are_refused_by_key(key: str):
    with pytest.raises(GenlitError, match=rf"model\.{key} is 0: it must be at least 1"):
        DCGAN((1, 8, 8), **{key: 0})


# Statistics


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def changed(before: dict[str, Tensor], network: nn.Module) -> list[str]:
    return [name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])]


def steps(model: DCGAN, turns) -> None:
    """Plays one turn with its update."""
    player, terms = next(turns)
    model.total(player, terms).backward(inputs=model._owned(player))
    torch.optim.Adam(model._owned(player)).step()


@pytest.mark.parametrize(
    "options", [{}, {"critic_norm": "none", "spectral_norm": True}, {"loss": "relativistic", "noise": 0.1}]
)
def test_a_players_turn_leaves_the_other_as_it_was_to_the_bit(options: dict, at):
    torch.manual_seed(0)
    model, real = (
        DCGAN((1, 16, 16), latent=4, width=4, n_critic=2, noise_until=1000, **options),
        torch.rand(4, 1, 16, 16),
    )
    generator = state(model.generator)
    steps(model, at(model, 0).turns({"image": real}))
    assert changed(generator, model.generator) == []

    turns = at(model, 1).turns({"image": real})
    steps(model, turns)
    critic = state(model.critic)
    steps(model, turns)
    assert changed(critic, model.critic) == []
    assert changed(generator, model.generator)


def test_statistics_move_where_their_player_learns(at, play):
    model, moved = DCGAN((1, 16, 16), latent=4, width=4, n_critic=2), []
    for iteration in (0, 1):
        before = state(model.critic), state(model.generator)
        play(at(model, iteration), image=torch.zeros(4, 1, 16, 16))
        moved.append([bool(changed(b, n)) for b, n in zip(before, (model.critic, model.generator), strict=True)])
    assert moved == [[True, False], [True, True]]
    running = [layer.num_batches_tracked.item() for layer in model.critic if isinstance(layer, nn.BatchNorm2d)]
    assert running == [4] * len(running)  # real and generated images of two critic's turns, none of the generator's


# Options


def test_packs_are_neighbours_and_the_last_is_filled_up():
    x = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 2, 3, 3)
    assert packed(x, 2).shape == (3, 4, 3, 3)
    assert packed(x, 2)[:, :, 0, 0].tolist() == [[0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 0, 0]]
    assert torch.equal(packed(x, 5)[0, ::2, 0, 0], torch.arange(5.0))


def test_a_critic_of_packs_judges_them_together(play):
    model = small(pack=3, critic_norm="none", weights={"gradient_penalty": 10.0})
    assert model.critic[0].weight.shape[1] == 3
    terms = play(model, image=images(6))
    assert all(term.isfinite() for player in terms.values() for term in player.values())
    real = images(6)
    logits = model.criticise(real)
    assert logits.shape == (6,)
    torch.testing.assert_close(logits[:1], model.critic(real[:1].expand(-1, 3, -1, -1)).flatten(), atol=1e-6, rtol=1e-6)


def test_lazy_penalties_are_paid_seldom_and_in_full(at, play):
    model = small(critic_norm="none", lazy=4, weights={"r1": 2.0, "drift": 0.5})
    terms = [play(at(model, iteration), image=images(4))["critic"] for iteration in range(4)]
    assert [[*each] for each in terms] == [["adversarial", "drift"]] * 3 + [["adversarial", "r1", "drift"]]
    assert (model.weight("r1"), model.weight("drift")) == (8.0, 0.5)


def test_the_critics_weights_are_clipped_after_its_update(at):
    model = at(small(critic_norm="none", critic_clip=0.01), 0)
    turns = model.turns({"image": images(4)})
    steps(model, turns)
    assert max(p.abs().max() for p in model.critic.parameters()) > 0.01
    next(turns)
    assert max(p.abs().max() for p in model.critic.parameters()) <= 0.01


def test_the_critic_sees_all_images_augmented(at, play):
    model = at(small(critic_norm="none", augment=("cutout",)), 0)
    seen = []
    model.critic.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    play(model, image=torch.ones(4, 1, 8, 8))
    assert [len(each) for each in seen] == [8, 4]
    assert all((view == 0).any() for each in seen for view in each)


def test_an_adaptive_augmentation_follows_the_critics_signs(at, play):
    model = small(critic_norm="none", augment=("flip",), augment_target=0.6)
    nn.init.constant_(model.critic[-1].bias, 100.0)  # it takes all for real
    for iteration in range(8):
        play(at(model, iteration), image=images(4))
    assert model.augmentation.probability.item() == pytest.approx(8 * 4 / 500_000)
    assert model.state_dict()["augmentation.level"] == 32


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ({"pack": 0}, "pack is 0"),
        ({"critic_clip": 0.0}, "critic_clip is 0.0: it must be above 0, or null"),
        ({"augment_target": 0.6}, "augment_target is 0.6"),
        ({"augment": ("flip",), "augment_target": 2.0}, "augment_target is 2.0"),
        ({"augment": ("flip",), "augment_target": 0.6, "loss": "wasserstein"}, "and a loss of minimax"),
        ({"lazy": 4}, "lazy is 4: it must be 1, or --model.weights.r1"),
        ({"critic_clip": 0.1, "spectral_norm": True}, "critic_clip is 0.1: it must be null: spectral norm undoes it"),
        ({"augment": ("turn",)}, "augment: unknown name 'turn'"),
        ({"noise": -1.0}, "noise is -1.0: it must be at least 0"),
    ],
)
def test_options_out_of_range_are_refused_by_key(option: dict, complaint: str):
    with pytest.raises(GenlitError, match=complaint):
        small(**option)
