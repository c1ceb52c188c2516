"""The engine's promises, on a small game through Lightning's real loop."""

import copy
import math
from functools import partial

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers.logger import DummyLogger
from torch import nn

from genlit.errors import GenlitError
from genlit.models import Bernoulli
from tests.games import Game, digits, train


class Records(DummyLogger):
    """Keeps every record."""

    def __init__(self):
        super().__init__()
        self.records = []

    def log_metrics(self, metrics, step=None):
        self.records.append((step, dict(metrics)))


@pytest.mark.parametrize(("n_critic", "accumulate"), [(1, 1), (3, 1), (1, 2), (5, 4)])
def test_the_clock_counts_iterations(tmp_path, n_critic, accumulate):
    model, log = Game(n_critic=n_critic, accumulate=accumulate), Records()
    trainer = train(model, tmp_path, max_steps=20, logger=log, log_every_n_steps=5)
    assert trainer.global_step == model.iteration == 20
    assert (
        [step for step, _ in log.records] == [record["progress/iter"] for _, record in log.records] == [5, 10, 15, 20]
    )
    assert log.records[-1][1]["progress/images"] == model.images == 160
    assert sum(player == "critic" for player, *_ in model.played) == 20 * accumulate
    assert sum(player == "generator" for player, *_ in model.played) == 20 // n_critic * accumulate


def test_the_clock_counts_the_images_of_growing_batches(tmp_path):
    class Counts(Game):
        def turns(self, batch):
            seen.append((self.images, self.batch_images, len(batch["image"])))
            yield from super().turns(batch)

    seen, log = [], Records()
    model, data = Counts(ema=1e9, warmup=16), digits({0: 4, 6: 8, 20: 2})
    train(model, tmp_path, max_steps=6, data=data, logger=log, log_every_n_steps=1)
    assert seen == [(0, 4, 4), (4, 4, 4), (8, 8, 8), (16, 8, 8), (24, 2, 2), (26, 2, 2)]
    assert [record["progress/images"] for _, record in log.records] == [4, 8, 16, 24, 26, 28]
    assert [record["rate/critic"] / 2e-4 for _, record in log.records] == pytest.approx([0, 0.25, 0.5, 1, 1, 1])


def test_the_average_moves_by_the_images_of_the_iteration(tmp_path, monkeypatch):
    moves = []
    monkeypatch.setattr("genlit.engine.ema.EMA.update", lambda self, live, batch, images: moves.append((batch, images)))
    train(Game(ema=100), tmp_path, data=digits({0: 4, 6: 8}))
    assert moves == [(4, 4), (4, 8), (8, 16), (8, 24)]


def test_no_gradient_outlives_its_turn(tmp_path):
    model = Game()
    train(model, tmp_path)
    assert [left for _, left, _ in model.played] == [False] * 8


def test_opponents_get_no_gradient(tmp_path):
    class Look(Callback):
        def on_before_optimizer_step(self, trainer, model, optimizer):
            mine = {id(p) for group in optimizer.param_groups for p in group["params"]}
            seen.append([p.grad is not None for p in model.parameters() if id(p) in mine])
            assert all(p.grad is None for p in model.parameters() if id(p) not in mine)

    seen = []
    train(Game(), tmp_path, callbacks=[Look()])
    assert len(seen) == 8
    assert all(all(flags) for flags in seen)


def test_a_turn_meets_the_updated_opponent(tmp_path):
    model = Game()
    before = model.critic.weight.sum().item()
    train(model, tmp_path, max_steps=1)
    assert model.played[0][2] != before


def test_accumulated_micro_batches_equal_one_batch_without_noise(tmp_path):
    class Plain(Game):
        def turns(self, batch):
            yield "critic", {"adversarial": self.critic(batch["image"].flatten(1)).square().mean()}

    start = Plain(accumulate=1)
    whole, split = copy.deepcopy(start), copy.deepcopy(start)
    split.accumulate = 4
    train(whole.double(), tmp_path, precision="64-true")
    train(split.double(), tmp_path, precision="64-true")
    torch.testing.assert_close(whole.critic.weight, split.critic.weight, rtol=0, atol=1e-12)


def test_weights_scale_the_total_and_not_the_log(tmp_path):
    class Look(Callback):
        def on_before_optimizer_step(self, trainer, model, optimizer):
            norms.append(max(p.grad.abs().max() for p in model.parameters() if p.grad is not None).item())

    logs, gradients = [], []
    for factor in (1.0, 10.0):
        torch.manual_seed(0)
        log, norms = Records(), []
        train(Game(weights={"adversarial": factor}), tmp_path, 1, logger=log, log_every_n_steps=1, callbacks=[Look()])
        logs.append(log.records[0][1]["train/critic/adversarial"])
        gradients.append(norms[0])
    assert logs[0] == logs[1]
    assert gradients[1] == pytest.approx(10 * gradients[0], rel=1e-5)


def test_clipping_bounds_the_players_norm(tmp_path):
    model = Game(clip={"critic": 0.01})
    train(model, tmp_path, max_steps=1)
    parameters = list(model.critic.parameters())
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    model._played = "critic", []
    model.on_before_optimizer_step(model._optimizers["critic"])
    assert math.hypot(*(p.grad.norm().item() for p in parameters)) == pytest.approx(0.01, rel=1e-3)
    assert model.clip["generator"] is None


def test_rates_are_closed_forms_of_images(tmp_path):
    log = Records()
    model = Game(lr={"critic": 1e-3, "generator": 2e-3}, warmup=16, decay=(32, 64))
    train(model, tmp_path, max_steps=8, logger=log, log_every_n_steps=1)
    factors = [0, 0.5, 1, 1, 1, 0.75, 0.5, 0.25]
    assert [record["rate/critic"] for _, record in log.records] == pytest.approx([1e-3 * f for f in factors])
    assert [record["rate/generator"] for _, record in log.records] == pytest.approx([2e-3 * f for f in factors])


def test_the_average_follows_the_generator_alone(tmp_path):
    model = Game(ema=1e9)
    train(model, tmp_path, max_steps=3)
    assert set(model.ema.networks) == {"generator"}
    averaged, live = model.ema.networks["generator"].weight, model.generator.weight
    assert not torch.equal(averaged, live)
    with model.evaluation():
        assert model.generator.weight is averaged
        assert not model.generator.training
    assert model.generator.weight is live
    assert model.training
    assert model.generator.training
    assert not model.ema.networks["generator"].training


def test_evaluation_leaves_the_random_state(tmp_path):
    model = Game()
    state = torch.get_rng_state()
    with model.evaluation():
        torch.randn(3)
    assert torch.equal(torch.get_rng_state(), state)


def test_validation_plays_without_stepping(tmp_path):
    log = Records()
    model = Game(n_critic=5)
    train(model, tmp_path, 2, logger=log, log_every_n_steps=9, limit_val_batches=2, val_check_interval=2)
    ((_, record),) = log.records
    assert {"val/critic/adversarial", "val/generator/adversarial", "val/generator/size"} <= set(record)
    assert {key.split("/")[0] for key in record} == {"val", "progress"}


@pytest.mark.parametrize("part", ["loss", "gradient"])
def test_what_is_not_finite_stops_before_the_step_by_name(tmp_path, part):
    class Bad(Game):
        def turns(self, batch):
            for player, terms in super().turns(batch):
                if player == "generator" and self.iteration == 2:
                    bias = self.generator.bias.sum()
                    terms["size"] = bias * float("nan") if part == "loss" else (bias * 0).sqrt()
                    weights.append(self.generator.weight.detach().clone())
                yield player, terms

    weights = []
    model = Bad(weights={"size": 1.0})
    with pytest.raises(
        GenlitError, match="iteration 2, player 'generator'.*" + ("'size' is nan" if part == "loss" else "norm")
    ):
        train(model, tmp_path)
    assert torch.equal(model.generator.weight, weights[0])
    assert model.iteration == 2


def test_a_fused_optimiser_can_be_told_to_leave_its_weights(tmp_path):
    """What a GPU relies on until the error is read."""
    model = Game()
    train(model, tmp_path, max_steps=1)
    optimizer, before = model._optimizers["critic"], model.critic.weight.detach().clone()
    for parameter in model.critic.parameters():
        parameter.grad = torch.full_like(parameter, float("nan"))
    optimizer.found_inf = torch.ones(())
    optimizer.step()
    assert torch.equal(model.critic.weight, before)


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(GenlitError, match=r"model\.weights: unknown name 'adverserial'; did you mean 'adversarial'"):
        Game(weights={"adverserial": 2.0})
    with pytest.raises(GenlitError, match=r"model\.lr: unknown name 'critics'; did you mean 'critic'"):
        Game(lr={"critics": 1e-4})
    with pytest.raises(GenlitError, match=r"model\.lr is .*a rate for each of critic, generator"):
        Game(lr={"critic": 1e-4})
    with pytest.raises(GenlitError, match=r"model\.clip: unknown name"):
        Game(clip={"judge": 1.0})


@pytest.mark.parametrize(
    ("turn", "sentence"),
    [(("judge", {}), "player: unknown name 'judge'"), (("critic", {"taste": torch.ones(())}), "unknown name 'taste'")],
)
def test_a_turn_of_an_unknown_player_or_term_is_refused(tmp_path, turn, sentence):
    class Stranger(Game):
        def turns(self, batch):
            yield turn

    with pytest.raises(GenlitError, match=sentence):
        train(Stranger(), tmp_path)


@pytest.mark.parametrize("option", [{"clip": 1.0}, {"decay": (1, 2)}, {"warmup": 5}])
def test_what_only_players_use_is_refused_without_one(option):
    with pytest.raises(GenlitError, match="left out: this model minimises nothing"):
        Bernoulli((1, 2, 2), **option)


def test_every_parameter_belongs_to_one_player(tmp_path):
    orphaned, shared = Game(), Game()
    orphaned.extra = nn.Linear(2, 2)
    with pytest.raises(GenlitError, match=r"no player owns extra\.weight, extra\.bias"):
        train(orphaned, tmp_path)
    shared.players = {"critic": ["critic"], "generator": ["generator", "critic"]}
    with pytest.raises(GenlitError, match="own the same parameter"):
        train(shared, tmp_path)


def test_half_precision_is_refused_and_bfloat16_trains(tmp_path):
    with pytest.raises(GenlitError, match=r"trainer\.precision: .*one loss scaler"):
        train(Game(), tmp_path, precision="16-true")
    model = Game()
    train(model, tmp_path, precision="bf16-mixed")
    assert model.generator.weight.dtype == torch.float32
    assert model.iteration == 4


def test_rates_of_zero_before_the_end_are_refused(tmp_path):
    with pytest.raises(GenlitError, match="rates are 0 from image 16 on, but training goes to 32"):
        train(Game(decay=(8, 16)), tmp_path)


def test_an_average_of_nothing_is_refused():
    class Unaveraged(Game):
        averaged = ()

    with pytest.raises(GenlitError, match=r"model\.ema is 100"):
        Unaveraged(ema=100)


@pytest.mark.parametrize(
    ("key", "value"), [("accumulate", 0), ("decay", (5, 5)), ("lr", -1.0), ("clip", 0.0), ("ema", -5)]
)
def test_numbers_out_of_range_are_refused_by_key(key, value):
    with pytest.raises(GenlitError, match=rf"model\.{key} is"):
        Game(**{key: value})


def test_means_weigh_a_short_batch_by_its_images():
    class Counts(Game):
        def turns(self, batch):
            yield "critic", {"adversarial": self.critic.weight.sum() * 0 + len(batch["image"])}
            self.observe("size", float(len(batch["image"])))

    model = Counts().eval()
    for n in (3, 1):
        model.examine({"image": torch.zeros(n, 1, 8, 8)}, 0, None)
    assert model.examined() == {"val/critic/adversarial": 2.5, "val/size": 2.5}


def test_a_restored_log_goes_on_with_the_optimisers_configuration(tmp_path):
    model = Game(betas=(0.5, 0.9))
    train(model, tmp_path, max_steps=1)
    for group in model._optimizers["critic"].param_groups:
        group["betas"] = (0.1, 0.2)
    model.on_train_start()
    assert model._optimizers["critic"].param_groups[0]["betas"] == (0.5, 0.9)


def test_a_batch_that_does_not_divide_is_refused(tmp_path):
    with pytest.raises(GenlitError, match=r"model\.accumulate: 3 does not divide the 8"):
        train(Game(accumulate=3), tmp_path)
    with pytest.raises(GenlitError, match=r"model\.accumulate: 2 does not divide the 5"):
        train(Game(accumulate=2), tmp_path, data=digits({0: 4, 1000: 5}))


def test_compiled_networks_train_the_same_and_keep_their_names(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    ends = []
    for compiled in (False, True):
        torch.manual_seed(0)
        model = Game(compile=compiled, ema=100)
        train(model, tmp_path, limit_val_batches=1, val_check_interval=2)
        ends.append(model.state_dict())
    assert list(ends[0]) == list(ends[1])
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_the_same_seed_draws_the_same_numbers(tmp_path):
    ends = []
    for seed in (0, 0, 1):
        torch.manual_seed(0)
        model = Game(seed=seed)
        train(model, tmp_path, data=digits())
        ends.append(model.generator.weight)
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_private_names_of_lightning_still_exist(tmp_path):
    """The engine ticks Lightning's manual-optimisation progress itself."""
    trainer = train(Game(), tmp_path, max_steps=1)
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    assert progress.total.completed == progress.total.ready == 1
