import base64
import io

import numpy as np
import pytest
from PIL import Image

from genlit.errors import GenlitError
from genlit.report import films, gather


def opened(uri):
    kind, _, data = uri.partition(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_every_picture_is_a_frame_that_shows_it(make_run):
    run = make_run(drawn=5)
    (film,) = films.films([gather(run, "run")])["samples"]
    assert [(frame.iteration, frame.images) for frame in film.frames] == [
        (0, 0), (250, 16_000), (500, 32_000), (750, 48_000), (1000, 64_000)
    ]  # fmt: skip
    shown = np.asarray(opened(film.frames[2].uri).convert("L"), float)
    drawn = np.asarray(Image.open(run / "pictures/samples/it-00000500.png").convert("L"), float)
    assert np.abs(shown - drawn).mean() < 12


def test_a_long_film_keeps_every_second_or_fourth_picture_and_the_last(make_run):
    run = gather(make_run(drawn=120), "run")
    (film,) = films.films([run])["samples"]
    assert film.drawn == 120
    assert len(film.frames) <= films.STEPS
    drawn = list(run.films["samples"])
    assert [frame.iteration for frame in film.frames] == [*drawn[::4], drawn[-1]]


def test_a_film_is_thinned_to_the_room_there_is_and_keeps_its_last_picture(make_run, monkeypatch):
    run = gather(make_run(drawn=9), "run")
    (whole,) = films.films([run])["samples"]
    monkeypatch.setattr(films, "ROOM", sum(len(frame.uri) for frame in whole.frames) * 3 // 4 // 2)
    (film,) = films.films([run])["samples"]
    assert 1 <= len(film.frames) < 9
    assert film.frames[-1] == whole.frames[-1]
    assert sum(len(frame.uri) for frame in film.frames) * 3 <= films.ROOM * 4
    monkeypatch.setattr(films, "ROOM", 10)
    assert films.films([run]) == {}


def test_runs_share_the_room(make_run, monkeypatch):
    runs = [gather(make_run(f"a/{i}", drawn=9, kinds=("samples", "reconstructions")), str(i)) for i in range(2)]
    (alone, *_) = films.films(runs[:1])["samples"]
    monkeypatch.setattr(films, "ROOM", 4 * sum(len(frame.uri) for frame in alone.frames) * 3 // 4 // 3)
    shown = [film for by_kind in films.films(runs).values() for film in by_kind]
    assert [(film.kind, film.run) for film in shown] == [
        ("samples", 0), ("samples", 1), ("reconstructions", 0), ("reconstructions", 1)
    ]  # fmt: skip
    assert sum(len(frame.uri) for film in shown for frame in film.frames) * 3 <= films.ROOM * 4


def test_a_wide_picture_is_made_smaller(tmp_path):
    Image.new("RGB", (3000, 1500)).save(tmp_path / "wide.png")
    assert opened(films.webp(tmp_path / "wide.png")).size == (1024, 512)


def test_a_picture_that_is_drawn_anew_is_read_anew(tmp_path):
    path = tmp_path / "it-00000000.png"
    for colour in ((0, 0, 0), (255, 255, 255)):
        Image.new("RGB", (8, 8), colour).save(path)
        assert opened(films.webp(path)).getpixel((0, 0)) == colour


def test_what_is_no_picture_is_named(tmp_path):
    (tmp_path / "it-00000000.png").write_text("no")
    with pytest.raises(GenlitError, match=r"it-00000000\.png cannot be read as an image"):
        films.webp(tmp_path / "it-00000000.png")
