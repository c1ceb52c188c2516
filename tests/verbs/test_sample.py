"""Which models `genlit sample` draws from."""

import pytest
import torch
from PIL import Image

from genlit.data import Ring
from genlit.errors import GenlitError
from genlit.loading import load
from genlit.logging.media import captioned, single, to_pil
from genlit.logging.plane import density
from tests.verbs.conftest import command


def test_pixel_by_pixel(trained_run, tmp_path):
    command("sample", trained_run("pixels"), "-n", 3, "--out", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000.png", "00001.png", "00002.png", "grid.png"]


def test_one_class_alone(trained_run, tmp_path):
    run = trained_run("labels")
    command("sample", run, "-n", 3, "--label", "7", "--out", tmp_path)
    expected = to_pil(load(run).sample(3, label=7))
    assert Image.open(tmp_path / "grid.png").tobytes() == expected.tobytes()
    assert expected.tobytes() != to_pil(load(run).sample(3, label=6)).tobytes()


def test_images_of_a_text(trained_run, tmp_path, caplog):
    run, text = trained_run("text"), "rocket, in noto style"
    command("sample", run, "-n", 2, "--text", f"xyzzy {text}", "--out", tmp_path)
    assert [record.getMessage().rsplit(": ", 1)[1] for record in caplog.records if "left out" in record.msg] == [
        "xyzzy"
    ]
    images = load(run).sample(2, text=text)
    assert Image.open(tmp_path / "00001.png").tobytes() == single(images[1]).tobytes()
    expected = captioned(images, [f"xyzzy {text}"] * 2)
    assert Image.open(tmp_path / "grid.png").tobytes() == expected.tobytes()


def test_without_a_text_samples_are_of_captions_of_the_data(trained_run, tmp_path):
    model = load(trained_run("text"))
    command("sample", trained_run("text"), "-n", 3, "--seed", 1, "--out", tmp_path)
    expected = captioned(model.sample(3, seed=1), model.captions(3, seed=1))
    assert Image.open(tmp_path / "grid.png").tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ("text", "--text: no caption in training had a word of 'xyzzy'; choose others"),
        ("codes", "text is xyzzy: it must be left out: this model knows no text"),
    ],
)
def test_a_text_that_says_nothing_is_refused(trained_run, run, said):
    with pytest.raises(GenlitError, match=said):
        command("sample", trained_run(run), "--text", "xyzzy")


def test_the_runs_own_folder_holds_no_earlier_samples(trained_run):
    run = trained_run("codes")
    for count in (3, 2):
        command("sample", run, "-n", count)
    with pytest.raises(GenlitError):  # a refusal deletes nothing
        command("sample", run, "--label", "7")
    assert sorted(path.name for path in (run / "samples").iterdir()) == ["00000.png", "00001.png", "grid.png"]


def test_a_traversal_is_one_picture_of_rows_by_values(trained_run, tmp_path):
    run = trained_run("labels")
    command("sample", run, "--traverse", "label", "-n", 3, "--seed", 2, "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["traverse-label.png"]
    expected = to_pil(load(run).traverse("label", 3, seed=2).flatten(0, 1), columns=10)
    assert Image.open(tmp_path / "traverse-label.png").tobytes() == expected.tobytes()


def test_a_traversal_may_show_some_classes_alone_and_outlives_samples(trained_run):
    run = trained_run("labels")
    command("sample", run, "--traverse", "label", "--classes", "7, 3")
    command("sample", run, "-n", 1)
    expected = to_pil(load(run).traverse("label", 8, values=[7, 3]).flatten(0, 1), columns=2)
    assert Image.open(run / "samples" / "traverse-label.png").tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("run", "words", "said"),
    [
        ("labels", ["--traverse", "hue"], "--traverse: CVAE has no code hue: it has label"),
        ("codes", ["--traverse", "label"], "--traverse: VAE has no code label: it has none that can be varied"),
        ("labels", ["--traverse", "label", "--classes", "3,x"], "--classes: there is no class x: the data's are 0, 1"),
        ("labels", ["--classes", "3"], "--classes says which labels to show side by side: add --traverse label"),
        ("labels", ["--traverse", "label", "--label", "3"], "--label: one class alone has no traversal"),
    ],
)
def test_what_cannot_be_traversed_is_refused(trained_run, run, words, said):
    with pytest.raises(GenlitError, match=said):
        command("sample", trained_run(run), *words)


def test_points_of_the_plane_become_one_picture_over_real_ones(trained_run, tmp_path):
    run = trained_run("ring")
    command("sample", run, "-n", 30, "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["density.png"]
    real = Ring().first(2000, torch.device("cpu"), "test")["image"]
    assert Image.open(tmp_path / "density.png").tobytes() == density(load(run).sample(30), real).tobytes()


@pytest.mark.parametrize(
    ("run", "label", "said"),
    [
        ("labels", "seven", "--label: there is no class seven: the data's are 0, 1"),
        ("codes", "7", "label is 7: it must be left out: this model knows no label"),
    ],
)
def test_a_class_that_is_none_is_refused(trained_run, run, label, said):
    with pytest.raises(GenlitError, match=said):
        command("sample", trained_run(run), "--label", label)


@pytest.mark.parametrize(
    ("lacks", "reason"),
    [
        ({}, r"README\.md's table of models says which can"),
        ({"sample": "it has no prior; train a VAE"}, "it has no prior; train a VAE"),
        ({"score": "it has no density"}, r"README\.md"),
    ],
)
def test_a_model_that_cannot_says_why(trained_run, monkeypatch, lacks, reason):
    class Coder:
        def __init__(self):
            self.lacks = lacks

    monkeypatch.setattr("genlit.verbs.sample.load", lambda *args, **kwargs: Coder())
    with pytest.raises(GenlitError, match=f"Coder cannot sample images: {reason}"):
        command("sample", trained_run("codes"))


def test_no_images_are_refused(trained_run):
    with pytest.raises(GenlitError, match="--count: 0 images cannot be written"):
        command("sample", trained_run("codes"), "-n", 0)


def test_walks_between_samples_are_rows_of_a_picture_or_frames_of_a_film(trained_run, tmp_path):
    run, model = trained_run("codes"), load(trained_run("codes"))
    command("sample", run, "--interpolate", "-n", 2, "--seed", 5, "--truncation", 0.5, "--out", tmp_path)
    rows = [model.interpolate(8, seeds=seeds, truncation=0.5) for seeds in ((5, 6), (7, 8))]
    expected = to_pil(torch.cat(rows), columns=8)
    assert Image.open(tmp_path / "interpolate.png").tobytes() == expected.tobytes()
    for suffix in ("webp", "gif"):
        command("sample", run, "-n", 1, "--film", tmp_path / f"walk.{suffix}")
        with Image.open(tmp_path / f"walk.{suffix}") as film:
            assert film.n_frames > 2
    with pytest.raises(GenlitError, match=r"--film: unknown name '\.mp4'"):
        command("sample", run, "--film", tmp_path / "walk.mp4")


@pytest.mark.parametrize(
    ("run", "words", "said"),
    [
        ("pixels", ["--interpolate"], "PixelCNN cannot interpolate images"),
        ("pixels", ["--truncation", 0.5], "truncation is 0.5: it must be left out: this model has no Gaussian prior"),
        ("codes", ["--truncation", 0], "truncation is 0.0: it must be above 0"),
        ("labels", ["--traverse", "label", "--interpolate"], "choose one of them"),
        ("labels", ["--traverse", "label", "--truncation", 0.5], "choose one of them"),
        ("styles", ["--film", "walk.webp", "--truncation", 0.5], "--film, --truncation: StarGAN translates images"),
    ],
)
def test_walks_and_truncation_that_say_nothing_are_refused(trained_run, run, words, said):
    with pytest.raises(GenlitError, match=said):
        command("sample", trained_run(run), *words)
