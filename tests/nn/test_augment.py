import pytest
import torch
from torch import Tensor

from genlit.errors import GenlitError
from genlit.nn.augment import HORIZON, TRANSFORMATIONS, Augmentation

NAMES = tuple(TRANSFORMATIONS)
SHAPES = [(1, 8, 8), (3, 32, 32), (3, 16, 24), (1, 1, 1), (2, 5, 7)]


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype) * 2 - 1


def at(probability: float, *names: str) -> Augmentation:
    augmentation = Augmentation(names, 0.6)
    augmentation.level.fill_(round(probability * HORIZON))
    return augmentation


def train(augmentation: Augmentation, logits: Tensor, iterations: int, micro: int = 1, first: int = 0) -> Augmentation:
    for iteration in range(first, first + iterations):
        for part in logits.chunk(micro):
            augmentation.watch(part)
        augmentation.adapt(iteration)
    return augmentation


def real(share: float, n: int = 100) -> Tensor:
    """Logits of which a share is positive, so that r_t = 2 · share − 1."""
    return torch.where(torch.arange(n) < share * n, 0.3, -5.0)[:, None]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_shape_precision_and_gradient(name: str, dtype: torch.dtype, shape: tuple[int, int, int]):
    images = draw(16, *shape).to(dtype).requires_grad_(True)
    seen = Augmentation((name,))(images)
    assert (seen.shape, seen.dtype) == (images.shape, dtype)
    assert torch.autograd.grad(seen.square().sum(), images)[0].isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_the_derivative(name: str):
    def augmented(images: Tensor) -> Tensor:
        torch.manual_seed(3)
        return at(0.7, name)(images)

    images = draw(3, 3, 8, 8, dtype=torch.float64).requires_grad_(True)
    assert torch.autograd.gradcheck(augmented, images, fast_mode=True)
    assert torch.autograd.gradgradcheck(augmented, images, fast_mode=True)


def test_nothing_is_changed_to_the_bit_at_probability_zero():
    images = draw(64, 3, 16, 16)
    assert torch.equal(at(0.0, *NAMES)(images), images)
    assert Augmentation(())(images) is images


@pytest.mark.parametrize("probability", [0.0, 0.25, 0.8, 1.0])
@pytest.mark.parametrize(("name", "of_those"), [("flip", 0.5), ("colour", 1), ("translation", 24 / 25), ("cutout", 1)])
def test_share_of_altered_images(name: str, of_those: float, probability: float):
    torch.manual_seed(0)
    images = draw(8000, 1, 16, 16)
    altered = (at(probability, name)(images) != images).flatten(1).any(1).float().mean()
    assert altered.item() == pytest.approx(probability * of_those, abs=0.02)


def test_images_are_altered_apart_from_one_another():
    torch.manual_seed(0)
    seen = Augmentation(("cutout",))(draw(1, 1, 16, 16).expand(64, -1, -1, -1))
    assert len({image.numpy().tobytes() for image in seen}) > 32


@pytest.mark.parametrize("names", [NAMES, *[(name,) for name in NAMES]])
def test_the_same_random_state_augments_real_and_generated_images_alike(names: tuple[str, ...]):
    real, fake, augmentation = draw(32, 3, 16, 16), draw(64, 3, 16, 16)[32:], at(0.6, *names)
    torch.manual_seed(1)
    seen = augmentation(real)
    torch.manual_seed(1)
    difference = seen - augmentation(fake)  # every transformation is affine with equal parts
    torch.manual_seed(1)
    torch.testing.assert_close(difference, augmentation(real - fake) - _offset(augmentation, real), atol=1e-5, rtol=0)


def _offset(augmentation: Augmentation, images: Tensor) -> Tensor:
    torch.manual_seed(1)
    return augmentation(torch.zeros_like(images))


def test_translation_moves_within_an_eighth_and_everywhere_there():
    images = torch.zeros(4000, 1, 16, 32)
    images[:, :, 8, 16] = 1
    torch.manual_seed(0)
    places = Augmentation(("translation",))(images).nonzero()[:, 2:] - torch.tensor([8, 16])
    assert len(places) == 4000
    assert {tuple(place) for place in places.tolist()} == {(y, x) for y in range(-2, 3) for x in range(-4, 5)}


def test_translation_brings_grey_in_and_passes_the_gradient_of_what_stays():
    images = draw(64, 3, 16, 16).add(2).requires_grad_(True)
    seen = Augmentation(("translation",))(images)
    gradient = torch.autograd.grad(seen.sum(), images)[0]
    assert set(gradient.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(gradient.sum((1, 2, 3)), (seen != 0).sum((1, 2, 3)).float())
    assert torch.equal((images * gradient).flatten(1).sort(1).values, seen.flatten(1).sort(1).values)


def test_cutout_is_half_a_side_or_what_of_it_lies_within():
    images = torch.ones(4000, 2, 8, 12, requires_grad=True)
    torch.manual_seed(0)
    seen = Augmentation(("cutout",))(images)
    assert torch.equal(torch.autograd.grad(seen.sum(), images)[0], seen.detach())
    assert torch.equal(seen[:, 0], seen[:, 1])
    rows, columns = (seen[:, 0] == 0).any(2).sum(1), (seen[:, 0] == 0).any(1).sum(1)
    assert torch.equal((seen[:, 0] == 0).sum((1, 2)), rows * columns)  # a rectangle
    assert set(rows.tolist()) == {2, 3, 4}
    assert set(columns.tolist()) == {3, 4, 5, 6}
    assert (seen[:, 0] == 0).any(0).all()  # every pixel is cut at some time


def test_flip_mirrors_half_of_the_images():
    torch.manual_seed(0)
    images = draw(4000, 1, 4, 4)
    seen = Augmentation(("flip",))(images)
    mirrored = (seen == images.flip(3)).flatten(1).all(1)
    assert torch.equal(mirrored, (seen != images).flatten(1).any(1))
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=0.03)


def test_colour_changes_brightness_saturation_and_contrast_within_their_ranges():
    torch.manual_seed(0)
    images = draw(4000, 3, 4, 4, dtype=torch.float64)
    seen = Augmentation(("colour",))(images)
    shift = seen.mean((1, 2, 3)) - images.mean((1, 2, 3))
    grey = seen.mean(1).flatten(1).std(1) / images.mean(1).flatten(1).std(1)
    across = lambda x: (x - x.mean(1, keepdim=True)).flatten(1).std(1)  # noqa: E731
    saturated = across(seen) / across(images) / grey
    for values, low, high in [(shift, -0.5, 0.5), (grey, 0.5, 1.5), (saturated, 0, 2)]:
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high


@pytest.mark.parametrize(("share", "direction"), [(0.9, 1), (1.0, 1), (0.7, -1), (0.0, -1)])
def test_probability_moves_by_the_images_of_four_iterations(share: float, direction: int):
    augmentation = train(at(0.5), real(share), 3)
    assert augmentation.level == HORIZON // 2
    train(augmentation, real(share), 1, first=3)
    assert augmentation.level == HORIZON // 2 + direction * 400
    assert augmentation.probability.item() == pytest.approx(0.5 + direction * 400 / HORIZON, abs=1e-7)


def test_all_four_iterations_count():
    augmentation = train(at(0.5), real(1.0), 3)
    assert train(augmentation, real(0.0), 1, first=3).level < HORIZON // 2  # r_t = 0.5


def test_probability_goes_from_zero_to_one_in_the_horizon_and_stays_within():
    augmentation = Augmentation(NAMES, 0.6)
    train(augmentation, real(0.0, 5000), 4)
    assert augmentation.probability == 0
    train(augmentation, real(1.0, 5000), HORIZON // 5000, first=4)
    assert augmentation.probability == 1
    train(augmentation, real(1.0, 5000), 4, first=104)
    assert augmentation.probability == 1


def test_micro_batches_count_as_one_batch():
    shares = [0.9, 0.2, 1.0, 1.0, 0.9, 0.9, 1.0, 0.7, 0.5]
    whole, split = at(0.3), at(0.3)
    for i, share in enumerate(shares):
        train(whole, real(share), 1, first=i)
        train(split, real(share), 1, micro=2, first=i)
        split.adapt(i)  # every micro-batch may say so
    assert torch.equal(whole.level, split.level)
    assert torch.equal(whole.signs, split.signs)


def test_processes_count_as_one_batch(monkeypatch):
    whole = train(at(0.3), real(0.85).repeat(2, 1), 6)
    monkeypatch.setattr("genlit.nn.augment.total", lambda mine: mine * 2)  # the other process saw the same
    share = at(0.3)
    for iteration in range(6):
        share.watch(real(0.85))
        share.adapt(iteration)
    assert torch.equal(whole.level, share.level)
    assert torch.equal(whole.signs, share.signs)


def test_state_is_saved_between_two_changes():
    begun = train(at(0.3, *NAMES), real(0.95), 6)
    resumed = Augmentation(NAMES, 0.6)
    resumed.load_state_dict(begun.state_dict())
    assert resumed.level != 0
    assert resumed.signs.any()
    assert train(begun, real(0.8), 2, first=6).level == train(resumed, real(0.8), 2, first=6).level


def test_other_precisions_leave_the_state_exact():
    augmentation = train(at(0.3).double().bfloat16(), real(0.95).bfloat16(), 4)
    assert augmentation.level == round(0.3 * HORIZON) + 400


def test_validation_and_a_fixed_strength_watch_nothing():
    assert train(at(0.5).eval(), real(1.0), 4).level == HORIZON // 2
    assert train(Augmentation(NAMES), real(0.0), 4).probability == 1


def test_unknown_names_are_refused():
    with pytest.raises(GenlitError, match=r"model\.augment: unknown name 'color'; did you mean 'colour'\?"):
        Augmentation(("color",))
