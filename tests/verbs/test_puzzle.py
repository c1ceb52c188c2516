"""What `genlit puzzle` cuts, writes and refuses."""

import numpy as np
import pytest
from PIL import Image

from genlit.errors import GenlitError
from tests.verbs.conftest import command

ROLES = ("patch-0", "patch-1", "mask", "result", "composite", "original")


def pixels(file):
    return np.asarray(Image.open(file).convert("L"))


def test_held_out_images_are_cut_and_an_image_does_not_depend_on_their_number(trained_run, tmp_path):
    run = trained_run("puzzle")
    for count in (1, 3):
        command("puzzle", run, "-n", count, "--out", tmp_path / str(count))
    names = {f"{index:05d}-{role}.png" for index in range(3) for role in ROLES} | {"puzzle.png"}
    assert {file.name for file in (tmp_path / "3").iterdir()} == names
    for role in ROLES:
        one, other = (pixels(tmp_path / count / f"00000-{role}.png") for count in ("1", "3"))
        assert one.shape == (16, 16)
        assert np.allclose(one.astype(int), other, atol=1)
    picture = pixels(tmp_path / "3" / "puzzle.png")
    assert picture.shape[1] / picture.shape[0] == pytest.approx(2, abs=0.1)  # six columns, three rows


def test_the_seed_cuts(trained_run, tmp_path):
    for seed in (0, 1):
        command("puzzle", trained_run("puzzle"), "-n", 1, "--seed", seed, "--out", tmp_path / str(seed))
    first, second = (tmp_path / str(seed) for seed in (0, 1))
    assert np.array_equal(pixels(first / "00000-original.png"), pixels(second / "00000-original.png"))
    assert not np.array_equal(pixels(first / "00000-patch-0.png"), pixels(second / "00000-patch-0.png"))


def test_ones_own_images_are_cut_into_the_runs_folder(trained_run, photos, capsys):
    run = trained_run("puzzle")
    command("puzzle", run, "--images", photos)
    assert capsys.readouterr().out.strip() == str(run / "puzzle")
    assert len(list((run / "puzzle").glob("*-result.png"))) == 5


@pytest.mark.parametrize(
    ("name", "words", "sentence"),
    [
        ("puzzle", ["-n", 0], "--count: 0 images cannot be cut to patches; ask for at least 1"),
        ("puzzle", ["--images", "nowhere"], "nowhere is not there: give a folder of images or an .npz file"),
        ("codes", [], "VAE cannot assemble images"),
    ],
)
def test_what_will_not_do_is_one_sentence(trained_run, name, words, sentence):
    with pytest.raises(GenlitError, match=sentence) as refused:
        command("puzzle", trained_run(name), *words)
    assert "\n" not in str(refused.value)


def test_without_patches_there_is_nothing_to_sample(trained_run):
    with pytest.raises(GenlitError, match=r"PuzzleGAN cannot sample images: .* genlit puzzle RUN --images DIR"):
        command("sample", trained_run("puzzle"))
