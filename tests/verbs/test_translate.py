"""What `genlit translate` makes of a folder."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from genlit import runs
from genlit.data.images import pixels, read
from genlit.errors import GenlitError
from genlit.loading import load
from genlit.metrics.images import to_float
from genlit.verbs.translate import fitted, margins
from tests.verbs.conftest import command


def written(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


@pytest.mark.parametrize(("run", "to"), [("unpaired", "b"), ("unpaired", "a"), ("pairs", "b"), ("styles", "twemoji")])
def test_every_picture_keeps_its_size_and_its_name(trained_run, photos, tmp_path, run, to):
    command("translate", trained_run(run), "--images", photos, "--to", to, "--out", tmp_path)
    assert written(tmp_path) == ["a.png", "b.png", "c.png", "half.png", "more/d.png", "side-by-side.png"]
    for name, original in (("a.png", "a.png"), ("b.png", "b.jpg"), ("c.png", "c.png"), ("more/d.png", "more/d.png")):
        assert Image.open(tmp_path / name).size == Image.open(photos / original).size


def test_a_picture_of_the_models_own_size_is_simply_translated(trained_run, photos, tmp_path):
    run = trained_run("unpaired")
    command("translate", run, "--images", photos, "--to", "b", "--out", tmp_path)
    image = to_float(torch.from_numpy(np.array(pixels(read(photos / "more" / "d.png")))))
    expected = load(run).translate(image[None], "b")[0].add(1).mul(127.5).round().byte()
    assert torch.equal(torch.from_numpy(np.array(pixels(Image.open(tmp_path / "more" / "d.png")))), expected)


def test_by_default_translations_go_to_the_runs_folder(trained_run, photos, capsys):
    run = trained_run("styles")
    command("translate", run, "--images", photos, "--to", "fluent")
    assert capsys.readouterr().out.strip() == str(run / "translations" / "fluent")
    assert (run / "translations" / "fluent" / "side-by-side.png").is_file()


def test_pictures_that_differ_in_their_suffix_alone_are_kept_apart(trained_run, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("x.png", "x.jpg", "x.jpg.png", "y.jpg"):
        Image.new("RGB", (8, 8), "red").save(tmp_path / "in" / name)
    command("translate", trained_run("unpaired"), "--images", tmp_path / "in", "--to", "b", "--out", tmp_path / "out")
    assert written(tmp_path / "out") == [
        "side-by-side.png",
        "x.jpg.png",
        "x.jpg.png.png",
        "x.png.png",
        "y.jpg.png",
    ]


def test_a_picture_that_is_called_like_the_page_is_kept_apart(trained_run, tmp_path):
    (tmp_path / "in").mkdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "in" / "side-by-side.jpg")
    command("translate", trained_run("unpaired"), "--images", tmp_path / "in", "--to", "b", "--out", tmp_path / "out")
    assert written(tmp_path / "out") == ["side-by-side.jpg.png", "side-by-side.png"]


def test_translations_by_a_checkpoint_that_lies_alone_go_beside_it(trained_run, photos, tmp_path):
    alone = tmp_path / "alone" / "x.ckpt"
    alone.parent.mkdir()
    checkpoint = runs.resolve(str(trained_run("unpaired")))
    shutil.copy(checkpoint, alone)
    shutil.copy(f"{checkpoint}.sha256", f"{alone}.sha256")
    command("translate", alone, "--images", photos, "--to", "b")
    assert (alone.parent / "translations" / "b" / "side-by-side.png").is_file()


class Halver:
    """Sees what it is given; its sides must be multiples of four."""

    shape, multiple = (1, 8, 8), 4

    def translate(self, images, to):
        self.seen = images
        return -images


@pytest.mark.parametrize("side", [(8, 8), (9, 13), (1, 2), (3, 70), (16, 6)])
def test_margins_are_reflected_and_cut_off_again(side):
    image, model = torch.rand(1, *side) * 2 - 1, Halver()
    assert torch.equal(fitted(model, image, "b"), -image)
    height, width = model.seen.shape[2:]
    assert height % 4 == width % 4 == 0
    assert (height, width) == tuple(max(8, -(-each // 4) * 4) for each in side)
    (top, bottom), (left, right) = margins(side[0], 8, 4), margins(side[1], 8, 4)
    expected = np.pad(image[0].numpy(), [(top, bottom), (left, right)], mode="reflect")
    assert np.array_equal(model.seen[0, 0].numpy(), expected)
    assert abs(top - bottom) <= 1


@pytest.mark.parametrize(
    ("run", "to", "said"),
    [
        ("unpaired", "zebra", "to: unknown name 'zebra'; there are a, b"),
        ("pairs", "a", "to: unknown name 'a'; there are b"),
        ("styles", "twemogi", "to: unknown name 'twemogi'; did you mean 'twemoji'"),
        ("styles", "noto,fluent", "to is noto,fluent: it must be one name"),
        ("codes", "b", "VAE cannot translate images"),
    ],
)
def test_what_will_not_do_is_one_sentence(trained_run, photos, tmp_path, run, to, said):
    with pytest.raises(GenlitError, match=said) as refused:
        command("translate", trained_run(run), "--images", photos, "--to", to, "--out", tmp_path / "out")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_images_that_are_not_there_and_originals_in_danger_are_refused(trained_run, tmp_path):
    run = trained_run("unpaired")
    with pytest.raises(GenlitError, match="nowhere is not there"):
        command("translate", run, "--images", tmp_path / "nowhere", "--to", "b")
    with pytest.raises(GenlitError, match="has no images"):
        command("translate", run, "--images", tmp_path, "--to", "b")
    for out in (tmp_path, tmp_path / "deeper"):
        with pytest.raises(GenlitError, match="lies among the images that are translated: choose another folder"):
            command("translate", run, "--images", tmp_path, "--to", "b", "--out", out)
