from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from genlit.errors import GenlitError
from genlit.losses.adversarial import LOSSES
from genlit.models import CycleGAN


def small(**options) -> CycleGAN:
    torch.manual_seed(0)
    return CycleGAN((3, 32, 32), **{"width": 4, "blocks": 1, "critic_width": 4} | options).double()


def images(n: int, seed: int = 0, side: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, side, side, dtype=torch.float64, generator=generator) * 2 - 1


class Map(nn.Module):
    """A generator that is a given function."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


# Sizes and initial weights


@pytest.mark.parametrize("size", [(30, 32), (32, 33), (28, 28), (16, 64)])
def test_sizes_that_do_not_suit_are_refused(size: tuple[int, int]):
    with pytest.raises(GenlitError, match=f"{size[0]}x{size[1]} pixels do not suit .*3 strided critic layers"):
        CycleGAN((3, *size), width=4, blocks=1, critic_width=4)


def test_sizes_that_leave_residual_blocks_nothing_to_reflect_are_refused(play):
    with pytest.raises(GenlitError, match=r"suit 5 halvings .* must be multiples of 32 and at least 64; choose"):
        CycleGAN((3, 32, 32), width=1, blocks=1, halvings=5, critic_width=1)
    least = CycleGAN((3, 32, 32), width=1, blocks=1, halvings=4, critic_width=1).double()
    assert play(least, a=images(1), b=images(1, seed=1))["generators"]["cycle"].isfinite()


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_smallest_size_offered_works(layers: int, play):
    side = 4 << layers
    model = CycleGAN((3, side, side), width=4, blocks=1, critic_width=4, critic_layers=layers).double()
    terms = play(model, a=images(1, side=side), b=images(1, seed=1, side=side))
    assert all(value.isfinite() for player in terms.values() for value in player.values())


def test_initial_weights_have_a_standard_deviation_of_a_fiftieth():
    torch.manual_seed(0)
    model = CycleGAN((3, 32, 32), width=32, blocks=1, critic_width=32)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.weight.numel() > 10_000:
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.03)
    assert all((p == 0).all() for name, p in model.named_parameters() if name.endswith("bias"))


# The game


@pytest.mark.parametrize("loss", LOSSES)
def test_the_terms_are_the_equation(loss: str, play):
    model, a, b = small(loss=loss), images(2), images(2, seed=1)
    terms = play(model, a=a, b=b)
    assert [*terms] == ["generators", "critics"]

    to_b, to_a, pair = model.to_b, model.to_a, LOSSES[loss]
    fooling = pair.generator(model.critic_b(to_b(a)), model.critic_b(b))
    fooling = fooling + pair.generator(model.critic_a(to_a(b)), model.critic_a(a))
    cycle = l1_loss(to_a(to_b(a)), a) + l1_loss(to_b(to_a(b)), b)
    identity = l1_loss(to_b(b), b) + l1_loss(to_a(a), a)
    judging = pair.critic(model.critic_b(b), model.critic_b(to_b(a)))
    judging = judging + pair.critic(model.critic_a(a), model.critic_a(to_a(b)))

    torch.testing.assert_close(terms["generators"], {"adversarial": fooling, "cycle": cycle, "identity": identity})
    torch.testing.assert_close(terms["critics"], {"adversarial": judging})
    torch.testing.assert_close(model.total("generators", terms["generators"]), fooling + 10 * cycle + 10 / 2 * identity)


def test_a_batch_of_two_domains_is_two_batches():
    model, a, b = small(), images(3), images(3, seed=1)
    for network in (model.to_a, model.to_b, model.critic_a, model.critic_b):
        together = torch.cat([network(a), network(b)])
        torch.testing.assert_close(network(torch.cat([a, b])), together, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("to_b", "to_a"),
    [(lambda x: -x, lambda x: -x), (lambda x: x.roll(1, 1) / 2, lambda x: 2 * x.roll(-1, 1))],
    ids=["negative", "rotated-channels"],
)
def test_exact_inverses_have_no_cycle_loss(to_b, to_a, play):
    model = small()
    model.to_b, model.to_a = Map(to_b), Map(to_a)
    terms = play(model, a=images(2), b=images(2, seed=1))["generators"]
    assert terms["cycle"].item() == pytest.approx(0, abs=1e-12)
    assert terms["identity"] > 0.1


def test_generators_that_do_nothing_have_no_cycle_loss_either(play):
    model = small()
    model.to_b, model.to_a = Map(lambda x: x), Map(lambda x: x)
    terms = play(model, a=images(2), b=images(2, seed=1))["generators"]
    assert terms["cycle"] == terms["identity"] == 0


def test_the_critics_cannot_teach_the_generators_in_their_own_turn(play):
    model = small()
    loss = play(model, a=images(1), b=images(1, seed=1))["critics"]["adversarial"]
    slopes = torch.autograd.grad(loss, model._owned("generators"), allow_unused=True)
    assert all(slope is None for slope in slopes)


def test_critics_are_shown_the_history_in_training_alone():
    model, new = small(pool=1), images(1, seed=1)
    model.history("a", images(1))
    torch.manual_seed(0)
    assert any(torch.equal(model.history("a", new), images(1)) for _ in range(20))
    assert not model.pools["b"].kept
    kept = model.pools["a"].kept[0].clone()
    assert model.eval().history("a", new) is new
    assert torch.equal(model.pools["a"].kept[0], kept)


def test_the_history_outlives_a_checkpoint(tmp_path):
    first, second = small(pool=3), small(pool=3)
    for slot in (0, 1):
        first.slot = slot
        for seed in range(4):
            first.history("a", images(1, seed=10 * slot + seed))
            first.history("b", images(1, seed=100 + 10 * slot + seed))
    torch.save(first.slot_state(), tmp_path / "state")
    second.load_slot_state(torch.load(tmp_path / "state", weights_only=True))

    for slot in (0, 1):
        for domain in ("a", "b"):
            shown = []
            for model in (first, second):
                model.slot = slot
                torch.manual_seed(7)
                shown.append(torch.cat([model.history(domain, images(1, seed=1000 + i)) for i in range(8)]))
            assert torch.equal(*shown)


# Translation


def test_a_translation_is_one_generators_and_leaves_no_trace():
    model, x = small(), images(2)
    for domain, network in (("a", model.to_a), ("b", model.to_b)):
        translated = model.translate(x, domain)
        assert torch.equal(translated, network(x))
        assert not translated.requires_grad
    assert model.training


def test_an_unknown_domain_is_refused():
    with pytest.raises(GenlitError, match="to: unknown name 'zebra'; there are a, b"):
        small().translate(images(1), "zebra")


def test_single_precision_images_suit_a_double_model():
    x = images(1).float()
    torch.testing.assert_close(small().translate(x, "a"), small().translate(x.double(), "a"))
