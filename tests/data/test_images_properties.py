"""Pictures of any mode, orientation and content become the bytes they show, or are refused by name."""

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from genlit import pictures
from genlit.data.images import MODES, pixels, read
from genlit.errors import GenlitError

BYTES = st.integers(0, 255)
SIDES = st.tuples(st.integers(1, 9), st.integers(1, 9))
CHANNELS = st.sampled_from(sorted(MODES))
UPRIGHT = {  # by EXIF's orientation: what a viewer makes of the rows and columns that are stored
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}
KEPT = [  # formats, and the modes that they keep; Pillow cannot read its own TIFF files of YCbCr
    *(("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    *(("TIFF", mode) for mode in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "LAB", "I;16")),
    *(("WEBP", mode) for mode in ("RGB", "RGBA")),
    *(("JPEG", mode) for mode in ("L", "RGB", "CMYK", "YCbCr")),
    *(("GIF", mode) for mode in ("L", "P")),
    *(("BMP", mode) for mode in ("1", "L", "P", "RGB")),
    *(("PPM", mode) for mode in ("1", "L", "RGB", "I;16")),
    *(("AVIF", mode) for mode in ("RGB", "RGBA")),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures") / "any.png"  # whatever it holds


def encoded(picture, kind, **options):
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def array(data, *shape, dtype=np.uint8):
    return data.draw(arrays.arrays(dtype, shape))


@given(st.data(), st.sampled_from(KEPT), SIDES, CHANNELS)
def test_every_mode_of_every_format_has_the_channels_asked_for(path, data, kind, sides, channels):
    name, mode = kind
    picture = Image.new(mode, sides)
    if mode == "P":
        picture.putpalette(bytes(range(256)) * 3)  # Pillow writes a BMP without one, and cannot read it
    picture.frombytes(array(data, len(picture.tobytes())).tobytes())
    path.write_bytes(encoded(picture, name))
    shown = pixels(read(path, channels))
    assert (shown.dtype, shown.shape) == (np.uint8, (channels, *sides[::-1]))


@given(st.data(), SIDES, st.sampled_from(sorted(UPRIGHT)), CHANNELS, st.sampled_from(["PNG", "TIFF", "WEBP"]))
def test_pictures_stand_upright(path, data, sides, orientation, channels, kind):
    stored = array(data, *sides[::-1], 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.write_bytes(encoded(Image.fromarray(stored), kind, exif=exif, **{"lossless": True} if kind == "WEBP" else {}))
    upright = UPRIGHT[orientation](stored)
    if channels == 1:
        upright = np.asarray(Image.fromarray(np.ascontiguousarray(upright)).convert("L"))[..., None]
    assert (pixels(read(path, channels))[: upright.shape[2]] == upright.transpose(2, 0, 1)).all()


@given(st.data(), SIDES, st.lists(st.tuples(BYTES, BYTES, BYTES), min_size=1, max_size=16), BYTES)
def test_palettes_are_looked_up_and_a_transparent_colour_is_white(path, data, sides, colours, clear):
    indices = array(data, *sides[::-1]) % len(colours)
    picture = Image.fromarray(indices)
    picture.putpalette([value for colour in colours for value in colour])
    path.write_bytes(encoded(picture, "PNG", transparency=clear % len(colours)))
    shown = np.where((indices == clear % len(colours))[..., None], 255, np.array(colours, np.uint8)[indices])
    assert (pixels(read(path, 3)) == shown.transpose(2, 0, 1)).all()


@given(st.data(), SIDES)
def test_transparency_lies_over_white_as_far_as_it_goes(path, data, sides):
    stored = array(data, *sides[::-1], 4)
    path.write_bytes(encoded(Image.fromarray(stored), "PNG"))
    alpha = stored[..., 3:] / 255
    shown = pixels(read(path, 3)).transpose(1, 2, 0)
    assert np.abs(shown - (alpha * stored[..., :3] + (1 - alpha) * 255)).max() <= 1
    assert (pixels(read(path, 4)).transpose(1, 2, 0) == stored).all()


@given(st.data(), SIDES, st.sampled_from(["PNG", "TIFF", "PPM"]))
def test_sixteen_bits_keep_their_order_and_their_range(path, data, sides, kind):
    stored = array(data, *sides[::-1], dtype=np.uint16)
    path.write_bytes(encoded(Image.fromarray(stored), kind))
    assert (pixels(read(path, 1))[0] == np.round(stored / 257)).all()


@given(st.data(), st.sampled_from(["GIF", "PNG", "TIFF", "WEBP"]), st.integers(2, 4))
def test_of_an_animation_the_first_frame_is_shown(path, data, kind, frames):
    greys = [
        np.full((4, 4, 3), value, np.uint8) for value in data.draw(st.lists(BYTES, min_size=frames, max_size=frames))
    ]
    first, *others = map(Image.fromarray, greys)
    options = {"lossless": True} if kind == "WEBP" else {}
    path.write_bytes(encoded(first, kind, save_all=True, append_images=others, **options))
    assert (pixels(read(path, 3)) == greys[0].transpose(2, 0, 1)).all()


@pytest.fixture
def small(monkeypatch):
    """A limit that a damaged header reaches before it costs seconds."""
    monkeypatch.setattr(pictures, "MAX_PIXELS", 10_000)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of what it goes on without
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the limit is the same for all examples
@given(st.data(), st.sampled_from(KEPT), CHANNELS)
def test_damaged_bytes_are_shown_or_refused_by_name(small, path, data, kind, channels):
    content = bytearray(encoded(Image.new(kind[1], (9, 7)), kind[0]))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(BYTES)
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        shown = pixels(read(path, channels))
    except GenlitError as error:
        shown, said = None, str(error)
    assert said.startswith(f"{path} cannot") if shown is None else (shown.dtype, len(shown)) == (np.uint8, channels)
