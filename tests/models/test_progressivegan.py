"""Growing is exact: nothing jumps where a resolution begins or ends, and the clock alone says how far it has grown."""

import math

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from genlit.engine import checkpoint
from genlit.engine.checkpoint import Checkpoints, SafeIO
from genlit.errors import GenlitError
from genlit.loading import load
from genlit.losses.penalties import gradient_penalty
from genlit.models.progressivegan import ProgressiveGAN
from genlit.nn.equalised import EqualisedConv, EqualisedLinear, MinibatchStd, PixelNorm
from tests.games import assert_same, digits, train, trainer

STAGES = [1, 2]
EXACT = {"rtol": 0, "atol": 1e-12}


def small(shape=(3, 16, 16), **options) -> ProgressiveGAN:
    torch.manual_seed(0)
    return ProgressiveGAN(shape, **{"latent": 6, "width": 8, "row_features": 64, "stage_images": 10} | options)


def grown(images: float, **options) -> ProgressiveGAN:
    """A small model that has seen so many images; 10 are a phase."""
    model = small(**options).double()
    model._past = (0, images)
    return model


def images(n: int, *shape: int, seed: int = 0) -> Tensor:
    draws = torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return draws * 2 - 1


def doubled(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def codes(n: int) -> Tensor:
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


# Fading in: figure 2


@pytest.mark.parametrize("stage", STAGES)
def test_the_generator_fades_from_the_previous_stage_to_the_new_one(stage):
    generator = small().double().generator
    coarse, fine = (generator(codes(5), each, 1.0) for each in (stage - 1, stage))
    assert fine.shape[2] == 2 * coarse.shape[2] == 4 << stage
    torch.testing.assert_close(generator(codes(5), stage, 0.0), doubled(coarse), **EXACT)
    for alpha in (0.1, 0.5, 0.9):
        mixed = (1 - alpha) * doubled(coarse) + alpha * fine
        torch.testing.assert_close(generator(codes(5), stage, alpha), mixed, **EXACT)


@pytest.mark.parametrize("stage", STAGES)
def test_the_critic_fades_from_the_previous_stage_to_the_new_one(stage):
    critic, side = small().double().critic, 4 << stage
    x = images(8, 3, side, side)
    torch.testing.assert_close(critic(x, stage, 0.0), critic(avg_pool2d(x, 2), stage - 1, 1.0), **EXACT)
    found = {}
    critic.levels[stage - 1].register_forward_hook(lambda *call: found.update(fine=call[2]))
    whole = critic(x, stage, 1.0)
    coarse = critic.features[stage - 1](avg_pool2d(x, 2))
    for alpha in (0.25, 0.75):
        mixed = (1 - alpha) * coarse + alpha * found["fine"]
        for level in reversed(critic.levels[: stage - 1]):
            mixed = level(mixed)
        torch.testing.assert_close(critic(x, stage, alpha), critic.judge(mixed), **EXACT)
    assert not torch.allclose(whole, critic(x, stage, 0.0))


def test_a_fade_is_linear_in_single_precision():
    generator, z = small().generator, codes(5).float()
    coarse, fine = generator(z, 1, 1.0), generator(z, 2, 1.0)
    mixed = 0.7 * doubled(coarse) + 0.3 * fine
    torch.testing.assert_close(generator(z, 2, 0.3), mixed, rtol=0, atol=1e-6)


def test_real_images_are_shrunk_and_mixed_by_the_same_alpha():
    x = images(4, 3, 16, 16)
    at = {seen: grown(seen).reals({"image": x}) for seen in (0, 10, 14, 20, 37, 40)}
    eight = avg_pool2d(x, 2)
    torch.testing.assert_close(at[0], avg_pool2d(x, 4), **EXACT)
    torch.testing.assert_close(at[10], doubled(avg_pool2d(x, 4)), **EXACT)
    torch.testing.assert_close(at[14], 0.6 * doubled(avg_pool2d(x, 4)) + 0.4 * eight, **EXACT)
    torch.testing.assert_close(at[20], eight, **EXACT)
    torch.testing.assert_close(at[37], 0.3 * doubled(eight) + 0.7 * x, **EXACT)
    assert torch.equal(at[40], x)


# The schedule: appendix A.1


@pytest.mark.parametrize(
    ("seen", "stage", "alpha"),
    [
        *[(0, 0, 1), (9, 0, 1), (10, 1, 0), (15, 1, 0.5), (19, 1, 0.9), (20, 1, 1), (29, 1, 1)],
        *[(30, 2, 0), (33, 2, 0.3), (40, 2, 1), (49, 2, 1), (50, 2, 1), (10**9, 2, 1)],
    ],
)
def test_stage_and_alpha_are_functions_of_the_images_seen(seen, stage, alpha):
    assert grown(seen).growth == (stage, pytest.approx(alpha, abs=1e-12))


class Growing(Callback):
    """Writes down how far a model has grown at each iteration."""

    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        stage, alpha = pl_module.growth
        row = (pl_module.images, len(batch["image"]), stage, round(alpha, 12), pl_module.pace())
        self.seen.append(row)


def test_a_training_grows_by_the_table_with_batches_and_rates_of_their_own(tmp_path):
    watch = Growing()
    model = small((1, 8, 8), stage_images=16, stage_lr={8: 0.5})
    trained = train(model, tmp_path, 6, digits({0: 8, 16: 4, 28: 8}), callbacks=[watch])
    assert watch.seen == [
        (0, 8, 0, 1.0, 1.0),
        (8, 8, 0, 1.0, 1.0),
        (16, 4, 1, 0.0, 0.5),
        (20, 4, 1, 0.25, 0.5),
        (24, 4, 1, 0.5, 0.5),
        (28, 8, 1, 0.75, 0.5),
    ]
    assert (model.images, model.growth) == (36, (1, 1.0))
    assert [optimizer.param_groups[0]["lr"] for optimizer in trained.optimizers] == [5e-4, 5e-4]


def test_a_checkpoint_in_mid_fade_goes_on_bit_for_bit(tmp_path):
    def fit(folder, resume=None):
        model = small((1, 8, 8), stage_images=16, ema=50)
        saves = {"callbacks": [Checkpoints(every=1, keep=9)], "plugins": [SafeIO()], "enable_checkpointing": True}
        fitted = trainer(folder, 7, **saves)
        fitted.fit(model, digits({0: 8, 16: 4}), ckpt_path=resume, weights_only=True)
        return [checkpoint.load(path) for path in checkpoint.checkpoints(folder / "checkpoints")]

    straight, cut = fit(tmp_path / "whole"), tmp_path / "whole/checkpoints/it-00000004.ckpt"
    loaded = load(cut, trust=["genlit.models.progressivegan"])
    assert (loaded.images, loaded.growth) == (24, (1, 0.5))
    resumed = fit(tmp_path / "resumed", resume=cut)
    assert [state["images"] for state in resumed] == [36, 32, 28]
    for ours, theirs in zip(resumed, straight, strict=False):
        for key in ("state_dict", "optimizer_states", "processes", "images", "global_step"):
            assert_same(ours[key], theirs[key], key)


# Pictures


@pytest.mark.parametrize(("seen", "square"), [(0, 4), (10, 4), (15, 2), (20, 2), (30, 2), (35, 1), (50, 1)])
def test_samples_show_the_current_resolution_in_squares(seen, square):
    model = grown(seen)
    drawn, made = model.sample(4), model.generate(model._draws(0, 64, 0)[:4].double())
    assert drawn.shape == (4, 3, 16, 16)
    corners = drawn[:, :, ::square, ::square]
    assert torch.equal(drawn, corners.repeat_interleave(square, 2).repeat_interleave(square, 3))
    finer = 2 * square
    assert not torch.equal(drawn, drawn[:, :, ::finer, ::finer].repeat_interleave(finer, 2).repeat_interleave(finer, 3))
    assert drawn.abs().max() <= 1
    assert made.shape[2] == 4 << model.growth[0]


# Layers: sections 3 and 4


def test_pixel_norm_leaves_a_mean_square_of_one():
    a = 7 * images(3, 5, 4, 4) + 1
    torch.testing.assert_close(PixelNorm()(a).square().mean(1), torch.ones(3, 4, 4, dtype=a.dtype), rtol=0, atol=1e-7)
    torch.testing.assert_close(PixelNorm()(a), PixelNorm()(5 * a), rtol=0, atol=1e-7)


@pytest.mark.parametrize("gain", [1.0, 2**0.5])
@pytest.mark.parametrize("linear", [True, False])
def test_equalised_weights_are_scaled_standard_normals(linear, gain):
    torch.manual_seed(0)
    layer = EqualisedLinear(300, 200, gain) if linear else EqualisedConv(40, 50, 3, gain, padding=1)
    fan_in = layer.weight[0].numel()
    assert layer.weight.std().item() == pytest.approx(1, abs=0.02)
    x = torch.randn(64, 300) if linear else torch.randn(16, 40, 12, 12)
    scaled = layer.weight * gain / math.sqrt(fan_in)
    direct = nn.functional.linear(x, scaled) if linear else nn.functional.conv2d(x, scaled, padding=1)
    torch.testing.assert_close(layer(x), direct)
    inside = layer(x) if linear else layer(x)[:, :, 1:-1, 1:-1]
    assert inside.var().item() == pytest.approx(gain**2, rel=0.05)
    assert not layer.bias.any()


def test_the_networks_keep_the_scale_of_their_signals():
    torch.manual_seed(0)
    model = ProgressiveGAN((3, 32, 32), latent=128, width=64, row_features=2048)
    with torch.no_grad():
        for stage in range(4):
            made = model.generator(torch.randn(16, 128), stage, 1.0)
            assert 0.5 < made.square().mean() < 2
            assert model.critic(made, stage, 1.0).square().mean() < 10


def test_the_minibatch_standard_deviation_is_its_closed_form():
    a = images(8, 3, 2, 2)
    out = MinibatchStd(4)(a)
    assert torch.equal(out[:, :3], a)
    for group in (slice(0, 4), slice(4, 8)):
        spread = (a[group].var(0, correction=0) + 1e-8).sqrt().mean()
        torch.testing.assert_close(out[group, 3], spread.expand(4, 2, 2), **EXACT)
    same = MinibatchStd(4)(a[:1].expand(4, 3, 2, 2))
    torch.testing.assert_close(same[:, 3], torch.full_like(same[:, 3], 1e-4), **EXACT)


@pytest.mark.parametrize(("n", "group"), [(8, 4), (6, 2), (7, 1), (4, 4), (2, 2)])
def test_short_batches_are_compared_in_smaller_groups(n, group):
    a = images(n, 3, 2, 2)
    by_group = torch.cat([MinibatchStd(group)(part) for part in a.split(group)])
    torch.testing.assert_close(MinibatchStd(4)(a), by_group, **EXACT)


@pytest.mark.parametrize("n", [8, 6])
def test_real_and_generated_images_are_not_compared(n):
    model = grown(20)
    real, fake = images(n, 3, 8, 8), images(n, 3, 8, 8, seed=1)
    terms = [model.critic_terms(real, each)["drift"] for each in (fake, 100 * fake)]
    assert torch.equal(*terms)
    adversarial = model.critic_terms(real, fake)["adversarial"]
    expected = model.critic(fake, 1, 1.0).mean() - model.critic(real, 1, 1.0).mean()
    torch.testing.assert_close(adversarial, expected, **EXACT)


# Players


def test_the_terms_are_the_paper_s():
    model, x = grown(15).float(), images(4, 3, 16, 16).float()
    assert model.weights == {"adversarial": 1, "gradient_penalty": 10, "r1": 0, "r2": 0, "drift": 1e-3}
    assert (model.lr["critic"], model.betas, model.n_critic, model.latent) == (1e-3, (0, 0.99), 1, 6)
    torch.manual_seed(2)
    (first, found), (second, last) = model.turns({"image": x})
    torch.manual_seed(2)
    real, fake = model.reals({"image": x}), model.generate(model.prior(4, x.device)).detach()
    r, f = (model.critic(each, 1, 0.5) for each in (real, fake))
    penalty = gradient_penalty(lambda each: model.critic(each, 1, 0.5), real, fake)
    expected = {"adversarial": f.mean() - r.mean(), "gradient_penalty": penalty, "drift": r.square().mean()}
    assert (first, second) == ("critic", "generator")
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(last, {"adversarial": -f.mean()})


def test_every_parameter_learns_from_its_player_at_some_stage():
    model, reached = small(), {}
    model.configure_optimizers()
    for seen in (0, 15, 20, 35, 40):
        model._past = (0, seen)
        for player, terms in model.turns({"image": images(4, 3, 16, 16).float()}):
            model.total(player, terms).backward(inputs=model._owned(player))
        reached[seen] = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        model.zero_grad()
    assert set.union(*reached.values()) == {name for name, _ in model.named_parameters()}
    assert not any(name.startswith(("generator.levels.1", "critic.levels.0")) for name in reached[0])
    assert {"generator.colours.0.weight", "generator.colours.1.weight"} <= reached[15]
    assert "generator.colours.0.weight" not in reached[20]


def test_widths_are_the_paper_s_table():
    model = ProgressiveGAN((3, 256, 256), latent=4)
    assert [layer.in_channels for layer in model.generator.colours] == [512, 512, 512, 512, 256, 128, 64]
    assert [layer[0].out_channels for layer in model.critic.features] == [512, 512, 512, 512, 256, 128, 64]


@pytest.mark.parametrize("size", [(28, 28), (32, 64), (2, 2), (1, 1), (48, 48)])
def test_sizes_that_no_doubling_reaches_are_refused(size):
    with pytest.raises(GenlitError, match=f"not {size[0]}x{size[1]}: choose --data.size"):
        ProgressiveGAN((1, *size))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"stage_lr": {32: 1.5}}, r"model\.stage_lr is {32: 1.5}: .* by side: 4, 8, 16"),
        ({"stage_lr": {8: 0.0}}, r"model\.stage_lr is .* above 0"),
        ({"stage_images": 0}, r"model\.stage_images is 0: it must be at least 1"),
        ({"row_features": 15}, r"model\.row_features is 15: it must be at least 16"),
    ],
)
def test_options_out_of_range_are_refused_by_key(options, sentence):
    with pytest.raises(GenlitError, match=sentence):
        small(**options)


def test_images_of_four_pixels_never_grow():
    model = grown(1000, shape=(1, 4, 4))
    assert model.growth == (0, 1.0)
    assert model.sample(2).shape == (2, 1, 4, 4)
    assert model.criticise(images(4, 1, 4, 4)).shape == (4,)
