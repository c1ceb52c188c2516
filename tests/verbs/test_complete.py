"""What `genlit complete` draws and keeps."""

import numpy as np
import pytest
import torch
from PIL import Image

from genlit.errors import GenlitError
from genlit.verbs.complete import hidden
from tests.verbs.conftest import command

SHAPE = (2, 1, 4, 4)


def rows(mask):
    return ["".join("x" if pixel else "." for pixel in row) for row in mask[0, 0].tolist()]


def pixels(file):
    return np.asarray(Image.open(file).convert("L"))


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ("top", ["xxxx", "xxxx", "....", "...."]),
        ("bottom", ["....", "....", "xxxx", "xxxx"]),
        ("left", ["xx..", "xx..", "xx..", "xx.."]),
        ("right", ["..xx", "..xx", "..xx", "..xx"]),
        ("centre", ["....", ".xx.", ".xx.", "...."]),
        ("random:0", ["...."] * 4),
        ("random:1.0", ["xxxx"] * 4),
    ],
)
def test_a_mask_hides_what_it_is_called_after(mask, expected):
    assert rows(hidden(mask, SHAPE, 0)) == expected


def test_a_random_mask_hides_its_share_of_every_image():
    mask = hidden("random:.25", (50, 1, 28, 28), 0)
    assert mask.float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert not torch.equal(mask[0], mask[1])
    assert torch.equal(mask, hidden("random:.25", (50, 1, 28, 28), 0))
    assert not torch.equal(mask, hidden("random:.25", (50, 1, 28, 28), 1))


def test_a_picture_hides_where_it_is_white(tmp_path):
    picture = np.zeros((8, 8), np.uint8)
    picture[:2] = 255
    Image.fromarray(picture).save(tmp_path / "mask.png")
    assert rows(hidden(str(tmp_path / "mask.png"), SHAPE, 0)) == ["xxxx", "....", "....", "...."]


@pytest.mark.parametrize("mask", ["bottom", "top"])
def test_what_is_observed_stays_and_a_completion_does_not_depend_on_their_number(trained_run, tmp_path, mask):
    run = trained_run("pixels")
    for completions in (1, 3):
        words = ["-n", 2, "--completions", completions, "--mask", mask, "--out", tmp_path / str(completions)]
        command("complete", run, *words)
    out, seen = tmp_path / "3", slice(4) if mask == "bottom" else slice(4, 8)
    for index in ("00000", "00001"):
        original, masked = (pixels(out / f"{index}-{role}.png") for role in ("original", "masked"))
        drawn = [pixels(out / f"{index}-{k}.png") for k in range(3)]
        for picture in (masked, *drawn):
            assert np.array_equal(picture[seen], original[seen])
        assert (np.delete(masked, seen, 0) == 128).all()
        assert set(np.unique(drawn)) <= {0, 255}
        assert len({picture.tobytes() for picture in drawn}) > 1
        assert np.array_equal(pixels(tmp_path / "1" / f"{index}-0.png"), drawn[0])
    assert pixels(out / "completions.png").shape[1] > pixels(out / "completions.png").shape[0]


def test_more_completions_than_fit_a_usual_row(trained_run, tmp_path):
    command("complete", trained_run("pixels"), "-n", 1, "--completions", 9, "--out", tmp_path)
    assert len(list(tmp_path.glob("00000-*.png"))) == 11


def test_ones_own_images_are_completed_into_the_runs_folder(trained_run, photos, capsys):
    run = trained_run("pixels")
    command("complete", run, "--images", photos, "--completions", 1, "--mask", "random:0.5")
    assert capsys.readouterr().out.strip() == str(run / "completions")
    assert len(list((run / "completions").glob("*-original.png"))) == 5
    assert pixels(run / "completions" / "00003-original.png")[:4].max() == 0


@pytest.mark.parametrize(
    ("name", "words", "sentence"),
    [
        ("pixels", ["--mask", "botom"], "--mask=botom: choose top, bottom, left, right, centre, random:0.5 or a pict"),
        ("pixels", ["--mask", "random:2"], "--mask=random:2: choose"),
        ("pixels", ["-n", 0], "--count: 0 images cannot be completed"),
        ("pixels", ["--completions", 0], "--completions: 0 images cannot be completed"),
        ("pixels", ["--images", "nowhere"], "nowhere is not there: give a folder of images or an .npz file"),
        ("pixels", ["--images", "nowhere.npz"], r"nowhere\.npz cannot be read"),
        ("codes", [], "VAE cannot complete images"),
    ],
)
def test_what_will_not_do_is_one_sentence(trained_run, name, words, sentence):
    with pytest.raises(GenlitError, match=sentence) as refused:
        command("complete", trained_run(name), *words)
    assert "\n" not in str(refused.value)


def test_a_model_with_a_mask_of_its_own_is_asked_by_that(trained_run, tmp_path):
    run = trained_run("quadrants")
    command("complete", run, "-n", 2, "--completions", 1, "--out", tmp_path)
    original, masked = (pixels(tmp_path / f"00000-{role}.png") for role in ("original", "masked"))
    assert (masked[4:, :4] == original[4:, :4]).all()
    assert (masked[:4] == 128).all()
    with pytest.raises(GenlitError, match="this model completes 1-quadrant only"):
        command("complete", run, "--mask", "bottom", "--out", tmp_path)
