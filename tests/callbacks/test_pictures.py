import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from genlit.callbacks.pictures import Pictures
from genlit.callbacks.throughput import Throughput
from genlit.data import Ring
from genlit.errors import GenlitError
from genlit.logging.media import captioned
from genlit.logging.plane import density
from genlit.model import GenerativeModel


def shades(picture: Image.Image, columns: int, rows: int) -> list[list[int]]:
    """The grey at the centre of every tile of a grid."""
    pixels = np.asarray(picture.convert("L"))
    tile = ((pixels.shape[0] - 2) / rows, (pixels.shape[1] - 2) / columns)
    return [
        [int(pixels[int((r + 0.5) * tile[0]), int((c + 0.5) * tile[1])]) for c in range(columns)] for r in range(rows)
    ]


def filed(tmp_path, name: str) -> list[str]:
    return sorted(file.name for file in (tmp_path / "pictures" / name).iterdir())


def test_pictures_are_drawn_before_during_and_after_training(fit, tmp_path):
    trainer = fit(Pictures(every=8, count=16), steps=20)
    expected = ["it-00000000.png", "it-00000008.png", "it-00000016.png", "it-00000020.png"]
    assert {
        name: filed(tmp_path, name) for name in ("samples", "reconstructions", "a-to-b", "b-to-a")
    } == dict.fromkeys(("samples", "reconstructions", "a-to-b", "b-to-a"), expected)
    assert [record["progress/iter"] for _, record in trainer.logger.shown] == [0, 8, 16, 20]


def test_the_last_iteration_is_drawn_once(fit):
    assert len(fit(Pictures(every=10, count=4), steps=20).logger.shown) == 3


def test_a_resumed_run_does_not_draw_its_start(fit, tmp_path):
    fit(steps=10).save_checkpoint(tmp_path / "it.ckpt")
    shown = fit(Pictures(every=8, count=4), steps=20, start=tmp_path / "it.ckpt").logger.shown
    assert [record["progress/iter"] for _, record in shown] == [16, 20]


def test_pictures_carry_all_axes(fit):
    shown = fit(Pictures(every=10, count=4), Throughput()).logger.shown
    axes = {"progress/iter", "progress/images", "progress/epoch", "progress/hours"}
    assert all(record.keys() == axes for _, record in shown)
    assert [record["progress/images"] for _, record in shown] == [0, 40, 80]
    assert shown[-1][1]["progress/hours"] > 0


def test_samples_are_those_of_seed_0(fit):
    (pictures, _), *_ = fit(Pictures(every=20, count=16)).logger.shown
    assert shades(pictures["samples"], 8, 2) == [[255] * 8] * 2


def test_reconstructions_stand_beside_their_originals(fit):
    (pictures, _), *_ = fit(Pictures(every=20, count=16)).logger.shown
    assert shades(pictures["reconstructions"], 8, 2) == [
        [0, 102, 1, 103, 2, 104, 3, 105],
        [4, 106, 5, 107, 6, 108, 7, 109],
    ]


@pytest.mark.parametrize("paired", [True, False])
def test_translations_show_input_output_way_back_and_the_truth_of_paired_rows(fit, data, paired):
    (pictures, _), *_ = fit(Pictures(every=20, count=16), data=data(paired=paired)).logger.shown
    roles = [0, 255, 0, 10] if paired else [0, 255, 0]
    groups = [[role + (i if role != 255 else -i) for role in roles] for i in range(4)]
    expected = [groups[0] + groups[1], groups[2] + groups[3]]
    assert shades(pictures["a-to-b"], 2 * len(roles), 2) == expected


def test_a_model_that_knows_one_way_is_not_asked_for_the_way_back(fit, model):
    class OneWay(type(model)):
        directions = (("a", "b"),)

    (pictures, _), *_ = fit(Pictures(every=20, count=16), model=OneWay()).logger.shown
    assert "b-to-a" not in pictures
    assert shades(pictures["a-to-b"], 6, 2)[0] == [0, 255, 10, 1, 254, 11]


def test_an_attribute_that_is_there_or_not_is_asked_for_of_any_image(fit, model):
    class Smiles(type(model)):
        domains, directions = ("smiling", "not-smiling"), (("image", "smiling"), ("image", "not-smiling"))

    (pictures, _), *_ = fit(Pictures(every=20, count=16), model=Smiles()).logger.shown
    assert {"image-to-smiling", "image-to-not-smiling"} <= {*pictures}


def test_more_than_two_domains_are_a_matrix_of_every_input_in_every_domain(fit, model):
    class Shades(type(model)):
        domains, directions = ("dark", "grey", "light"), tuple(("image", to) for to in ("dark", "grey", "light"))

        def translate(self, images, to):
            return torch.full_like(images, {"dark": -1.0, "grey": 0.0, "light": 1.0}[to])

    (pictures, _), *_ = fit(Pictures(every=20, count=16), model=Shades()).logger.shown
    assert not any("-to-" in name for name in pictures)
    assert shades(pictures["domains"], 4, 2) == [[0, 0, 128, 255], [1, 0, 128, 255]]


def test_a_model_is_drawn_by_what_it_can_do(fit, model):
    class Sampler(type(model)):
        reconstruct = translate = None

    shown = fit(Pictures(every=20, count=4), model=Sampler()).logger.shown
    assert [set(pictures) for pictures, _ in shown] == [{"samples"}] * 2


@pytest.mark.parametrize(("codes", "drawn"), [(2, True), (3, False)])
def test_codes_of_the_plane_are_drawn(fit, model, codes, drawn):
    class Encoder(type(model)):
        encoded = 0

        def encode(self, images, *, sampled=False):
            self.encoded = max(self.encoded, len(images))
            return images.flatten(1)[:, :codes]

    encoder = Encoder()
    shown = fit(Pictures(every=20, count=4), model=encoder).logger.shown
    assert all(("codes" in pictures) == drawn for pictures, _ in shown)
    assert encoder.encoded == (200 if drawn else 2)  # as many as are held out


def test_codes_that_can_be_varied_stand_beside_each_other(fit, model):
    class Labelled(type(model)):
        traversals = ("label",)

        def traverse(self, code, rows, *, steps=10, seed=0, values=None):
            shades = torch.arange(4.0).view(1, 4, 1, 1, 1) / 2 - 1
            return shades.expand(rows, 4, 1, 8, 8)

        def span(self, code, steps):
            return range(4)

    (pictures, _), *_ = fit(Pictures(every=20, count=16), model=Labelled()).logger.shown
    assert shades(pictures["traverse-label"], 4, 2) == [[0, 64, 128, 191]] * 2


def test_samples_of_captions_have_these_under_them(fit, model):
    class Illustrator(type(model)):
        reconstruct = translate = vocabulary = None
        illustrate = print

        def captions(self, n, *, seed=0):
            return [f"caption {seed} {i}" for i in range(n)]

    drawn = Illustrator()
    (pictures, _), *_ = fit(Pictures(every=20, count=4), model=drawn).logger.shown
    expected = captioned(torch.ones(4, 1, 8, 8), [f"caption 0 {i}" for i in range(4)])
    assert pictures["samples"].tobytes() == expected.tobytes()


def test_puzzles_stand_beside_their_images(fit, model):
    class Solver(type(model)):
        reconstruct = translate = None

        def cut(self, images, *, seed=0):
            patches = torch.stack([images + 1, images + 102 / 127.5], dim=1)
            return patches, torch.ones_like(images)

        def assemble(self, patches, *, seed=0):
            return -patches[:, 0], torch.full_like(patches[:, 0], 0.2)

    (pictures, _), *_ = fit(Pictures(every=20, count=16), model=Solver()).logger.shown
    rows = [[128 + i, 102 + i, 51, 255, 128 - i, i] for i in range(4)]
    assert np.allclose(shades(pictures["puzzle"], 6, 4), rows, atol=1)


class Points(GenerativeModel):
    """Samples are points of a line, which the critic takes for real on the right."""

    players, terms = {"generator": ["generator"]}, {"adversarial": 1.0}

    def __init__(self):
        super().__init__((2, 1, 1))
        self.generator = nn.Linear(1, 1)

    def turns(self, batch):
        yield "generator", {"adversarial": self.generator.weight.sum()}

    def sample(self, n, *, seed=0, start=0, batch_size=64):
        return torch.linspace(-1, 1, n).view(n, 1, 1, 1).expand(n, 2, 1, 1)


class Judged(Points):
    """Has a critic."""

    def criticise(self, images):
        return images[:, 0, 0, 0]


@pytest.mark.parametrize(("model", "drawn"), [(Points, {"density"}), (Judged, {"density", "field"})])
def test_points_lie_over_real_ones_and_on_the_critics_field(fit, model, drawn):
    (pictures, _), *_ = fit(Pictures(every=20, count=16), model=model(), data=Ring()).logger.shown
    assert set(pictures) == drawn
    real = Ring().first(2000, torch.device("cpu"))["image"]
    assert pictures["density"].tobytes() == density(Points().sample(2000), real).tobytes()


@pytest.mark.parametrize(("every", "count"), [(0, 64), (1, 3)])
def test_numbers_too_small_are_refused(every, count):
    with pytest.raises(GenlitError, match=f"every {every} iterations of {count} images: set at least 1 and at least 4"):
        Pictures(every, count)
