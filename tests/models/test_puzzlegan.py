import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from genlit.capabilities import Assembles
from genlit.errors import GenlitError
from genlit.metrics.capabilities.puzzle import constant, overlap
from genlit.models import PuzzleGAN
from genlit.models.puzzlegan import composite, l1
from genlit.nn.patches import rectangles, uniforms

LITTLE = {"width": 4, "critic_width": 4, "embedding": 8, "latent": 4}


def small(shape: tuple[int, int, int] = (2, 16, 16), **options) -> PuzzleGAN:
    torch.manual_seed(0)
    return PuzzleGAN(shape, **LITTLE | options).double()


def images(n: int, shape: tuple[int, int, int] = (2, 16, 16), seed: int = 0) -> Tensor:
    return torch.rand(n, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


class Told(nn.Module):
    """Gives what it was told to give."""

    def __init__(self, *answer):
        super().__init__()
        self.answer = answer[0] if len(answer) == 1 else answer

    def forward(self, *x: Tensor):
        return self.answer


# Networks


@pytest.mark.parametrize("side", [8, 16, 32])
def test_a_patch_more_or_less_and_every_size(side: int):
    model = small((3, side, side))
    for n in (1, 2, 5):
        image, mask = model.assemble(images(2 * n, (3, side, side)).unflatten(0, (2, n)))
        assert image.shape == (2, 3, side, side)
        assert mask.shape == (2, 1, side, side)
        assert image.abs().max() < 1
        assert 0 < mask.min() < mask.max() < 1
        assert image.dtype == mask.dtype == torch.float64


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_the_order_of_the_patches_does_not_matter(norm: str):
    model = small(norm=norm)
    patches, z = images(12).unflatten(0, (4, 3)), torch.randn(4, 4)
    for training in (True, False):
        model.train(training)
        for order in ([1, 2, 0], [2, 1, 0]):
            for one, other in zip(model.paint(patches, z), model.paint(patches[:, order], z), strict=True):
                torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    single = model.float().eval()
    for one, other in zip(single.assemble(patches), single.assemble(patches[:, [2, 0, 1]]), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_features_of_patches_are_summed_and_the_mask_does_not_see_z():
    model = small(norm="none").eval()
    with torch.no_grad():
        for level in model.encoder.levels:
            level[-1] = nn.Identity()  # linear, so that features add up exactly as patches do
            level[0].bias.zero_()
    patches, (z, w) = images(6).unflatten(0, (2, 3)), torch.randn(2, 2, 4)
    image, mask = model.paint(patches, z)
    for one, other in zip((image, mask), model.paint(patches.sum(1, keepdim=True), z), strict=True):
        torch.testing.assert_close(one, other)
    image_of_w, mask_of_w = model.paint(patches, w)
    assert torch.equal(mask, mask_of_w)
    assert not torch.allclose(image, image_of_w)


def test_the_painter_stands_on_the_placers_features():
    model = small(norm="none").eval()
    _, placing = model.placer(images(1, (8, 1, 1)), [images(1, (8, 4, 4)), images(1, (4, 8, 8))])
    assert [tuple(level.shape) for level in placing] == [(1, 16, 4, 4), (1, 8, 8, 8)]
    placing = [level.requires_grad_() for level in placing]
    image, _ = model.painter(images(1, (12, 1, 1)), placing)
    assert all(slope.any() for slope in torch.autograd.grad(image.sum(), placing))


@pytest.mark.parametrize("size", [(4, 4), (16, 8), (28, 28), (48, 48)])
def test_sizes_that_do_not_suit_are_refused(size: tuple[int, int]):
    with pytest.raises(GenlitError, match=f"8, 16, 32, 64, ... pixels, not {size[0]}x{size[1]}: choose --data.size"):
        PuzzleGAN((1, *size), **LITTLE)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"patches": 0}, "model.patches is 0: it must be at least 1"),
        ({"sides": (0.5, 0.25)}, r"model.sides is \(0.5, 0.25\): it must be \[short, long\] with 0 < short"),
        ({"sides": (0, 0.25)}, "model.sides"),
        ({"sides": (0.5, 1.5)}, "model.sides"),
        ({"fade": -1}, "model.fade is -1: it must be at least 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict, sentence: str):
    with pytest.raises(GenlitError, match=sentence):
        small(**options)


# Losses


def test_composites_at_mask_one_and_zero_are_the_two_images():
    one, other = images(3), images(3, seed=1)
    assert torch.equal(composite(one, other, torch.ones(3, 1, 16, 16)), one)
    assert torch.equal(composite(one, other, torch.zeros(3, 1, 16, 16)), other)
    mask = (images(3, (1, 16, 16), seed=2) > 0).double()
    mixed, swapped = composite(one, other, mask), composite(other, one, mask)
    torch.testing.assert_close(mixed + swapped, one + other)
    assert torch.equal(torch.where(mask > 0, one, other), mixed)


def test_norms_are_sums_over_pixels_and_means_over_images():
    x = torch.stack([torch.full((3, 4, 5), 0.5), torch.full((3, 4, 5), -1.0)])
    assert l1(x, torch.zeros_like(x)) == (0.5 * 60 + 1.0 * 60) / 2


def test_spatial_and_appearance_losses_in_closed_form(play):
    model, x = small(norm="none"), torch.full((5, 2, 16, 16), 0.5, dtype=torch.float64)
    torch.manual_seed(3)
    boxes = rectangles(x, uniforms(x.shape, 5, 3), model.sides)
    covered = torch.zeros(5, 16, 16)
    for one, each in zip(covered, boxes.tolist(), strict=True):
        for top, bottom, left, right in each:
            one[top:bottom, left:right] = 1
    area = covered.sum((1, 2)).double()
    model.placer = Told(torch.full((5, 1, 16, 16), 0.25).double(), [None])
    model.painter = Told(torch.full((5, 2, 16, 16), -0.8).double(), None)
    torch.manual_seed(3)
    terms = play(model, image=x)["generator"]
    spatial = 0.75 * area + 0.25 * (256 - area)
    appearance = 2 * (abs(-0.8 * 0.25 - 0.5) * area + abs(-0.8 * 0.25) * (256 - area))
    torch.testing.assert_close(terms["spatial"], spatial.mean())
    torch.testing.assert_close(terms["appearance"], appearance.mean())


def test_where_both_are_right_nothing_is_lost(play):
    model, x = small(norm="none"), images(2)
    torch.manual_seed(3)
    _, mask = model.cut_out(x, uniforms(x.shape, 2, 3))
    model.placer, model.painter = Told(mask, [None]), Told(x, None)
    torch.manual_seed(3)
    terms = play(model, image=x)["generator"]
    assert terms["spatial"] == terms["appearance"] == 0


def test_the_adversarial_terms_are_the_equation(play):
    model, x = small(norm="none", critic_norm="none"), images(4)
    fake = images(4, seed=1)
    torch.manual_seed(3)
    _, mask = model.cut_out(x, uniforms(x.shape, 4, 3))
    model.painter = Told(fake, None)
    torch.manual_seed(3)
    terms = play(model, image=x)
    assert [*terms] == ["critic", "generator"]
    other = x[[3, 0, 1, 2]]  # never the image itself
    logits = [model.critic(each) for each in (x, fake, x * mask + other * (1 - mask), other * mask + x * (1 - mask))]
    expected = [softplus(-logits[0]).mean(), *(softplus(each).mean() for each in logits[1:])]
    torch.testing.assert_close(terms["critic"]["adversarial"], expected[0] + expected[1])
    torch.testing.assert_close(terms["critic"]["composites"], expected[2] + expected[3])
    torch.testing.assert_close(terms["generator"]["adversarial"], softplus(-logits[1]).mean())
    torch.testing.assert_close(model.total("critic", terms["critic"]), sum(expected))


def test_weights_fall_geometrically_to_a_hundredth(at):
    model = small(fade=1000)
    for iteration, factor in ((0, 1), (50, 0.1), (100, 0.01), (500, 0.01)):
        at(model, iteration)
        assert model.weight("spatial") == model.weight("appearance") == pytest.approx(0.01 * factor)
        assert model.weight("adversarial") == model.weight("composites") == 1
    assert at(small(), 500).weight("spatial") == 0.01


# Who learns what


def test_the_critic_cannot_teach_the_generator_in_its_own_turn(play):
    model = small()
    terms = play(model, image=images(3))
    slopes = torch.autograd.grad(model.total("critic", terms["critic"]), model._owned("generator"), allow_unused=True)
    assert all(slope is None for slope in slopes)
    slopes = torch.autograd.grad(model.total("generator", terms["generator"]), model._owned("generator"))
    assert all(slope.any() for slope in slopes)


def test_each_turn_leaves_the_others_statistics_alone():
    model = small()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    game = model.turns({"image": images(3)})
    next(game)
    seen = {name: buffer.clone() for name, buffer in model.named_buffers()}
    assert all(not torch.equal(seen[name], before[name]) for name in before)
    next(game)
    assert all(torch.equal(buffer, seen[name]) for name, buffer in model.named_buffers())


def test_the_mask_alone_learns_from_the_spatial_loss(play):
    model = small()
    spatial = play(model, image=images(3))["generator"]["spatial"]
    slopes = torch.autograd.grad(spatial, [*model.painter.parameters(), *model.placer.parameters()], allow_unused=True)
    painted = len([*model.painter.parameters()])
    assert all(slope is None for slope in slopes[:painted])
    assert all(slope.any() for slope in slopes[painted:])


# Puzzles


def test_a_cut_is_the_seeds_and_an_image_does_not_depend_on_the_others():
    model, x = small(), images(70)
    assert isinstance(model, Assembles)
    state = torch.get_rng_state()
    patches, mask = model.cut(x, seed=1)
    assert patches.shape == (70, 3, 2, 16, 16)
    assert set(mask.unique().tolist()) == {0, 1}
    for part, whole in zip(model.cut(x[:5], seed=1), (patches, mask), strict=True):
        assert torch.equal(part, whole[:5])
    assert not torch.equal(model.cut(x)[1], mask)
    assert torch.equal(state, torch.get_rng_state())


def test_an_assembly_is_the_seeds_and_an_image_does_not_depend_on_the_others():
    model, patches = small(), images(15).unflatten(0, (5, 3))
    image, mask = model.assemble(patches, seed=1)
    for part, whole in zip(model.assemble(patches[:2], seed=1), (image, mask), strict=True):
        torch.testing.assert_close(part, whole[:2])
    other, same = model.assemble(patches)
    assert torch.equal(mask, same)
    assert not torch.allclose(image, other)
    assert not image.requires_grad
    assert model.training


def test_single_precision_images_suit_a_double_model():
    x = images(2).float()
    for one, other in zip(small().cut(x), small().cut(x.double()), strict=True):
        torch.testing.assert_close(one, other)


def test_places_are_learned_from_the_patches():
    """Of images whose colour tells the place, where a mask that is the same for all overlaps little."""
    ramp = torch.linspace(-1, 1, 8)
    x = torch.stack([ramp[:, None].expand(8, 8), ramp.expand(8, 8)]).expand(128, 2, 8, 8)
    options = {"width": 8, "embedding": 16, "patches": 1, "sides": (0.375, 0.625), "places": "random", "lr": 3e-3}
    torch.manual_seed(0)
    model = PuzzleGAN((2, 8, 8), **LITTLE | options, weights={"spatial": 0.1, "appearance": 0.1})
    model.configure_optimizers()
    for _ in range(200):
        for player, terms in model.turns({"image": x[:32]}):
            model.total(player, terms).backward(inputs=model._owned(player))
            model._optimizers[player].step()
            model._optimizers[player].zero_grad()

    patches, mask = model.cut(x, seed=5)
    made, placed = model.assemble(patches)
    same = constant(mask > 0.5)
    squares = (made - x).square().mean(1, keepdim=True)
    inside, outside = ((squares * region).sum() / region.sum() for region in (mask, 1 - mask))
    assert overlap(placed > 0.5, mask > 0.5).mean() > overlap(same, mask > 0.5).mean() + 0.3
    assert inside < outside
