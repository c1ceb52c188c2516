from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genlit.data.images import Fit, Images, pixels, read
from genlit.errors import GenlitError

GREY = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
RGB = np.stack([GREY, GREY // 2, 255 - GREY], axis=-1)
ALPHA = np.where(GREY > 100, 255, 0).astype(np.uint8)
OVER_WHITE = np.where(ALPHA[..., None] == 255, RGB, 255)


def fit(size: int | None = None, how: str = "crop", upscale: bool = False) -> Fit:
    return Fit(size, how, upscale, Image.Resampling.LANCZOS)


def saved(path: Path, array: np.ndarray, **options) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


def test_grey_rgb_and_rgba_keep_their_bytes(tmp_path: Path):
    rgba = np.dstack([RGB, ALPHA])
    assert (pixels(read(saved(tmp_path / "l.png", GREY), 1)) == GREY[None]).all()
    assert (pixels(read(saved(tmp_path / "rgb.png", RGB), 3)) == RGB.transpose(2, 0, 1)).all()
    assert (pixels(read(saved(tmp_path / "rgba.png", rgba), 4)) == rgba.transpose(2, 0, 1)).all()


def test_grey_becomes_rgb_and_rgb_becomes_opaque(tmp_path: Path):
    assert (pixels(read(saved(tmp_path / "l.png", GREY), 3)) == GREY[None]).all()
    assert (pixels(read(saved(tmp_path / "rgb.png", RGB), 4))[3] == 255).all()


def test_transparency_lies_over_white(tmp_path: Path):
    path = saved(tmp_path / "rgba.png", np.dstack([RGB, ALPHA]))
    assert (pixels(read(path, 3)) == OVER_WHITE.transpose(2, 0, 1)).all()
    grey_alpha = saved(tmp_path / "la.png", np.dstack([GREY, ALPHA]))
    assert (pixels(read(grey_alpha, 1)) == np.where(ALPHA == 255, GREY, 255)).all()


def test_palettes_with_and_without_transparency(tmp_path: Path):
    palette = Image.fromarray(RGB).quantize(24)
    palette.save(tmp_path / "p.png")
    palette.save(tmp_path / "pt.png", transparency=0)
    plain, transparent = (pixels(read(tmp_path / name, 3)) for name in ("p.png", "pt.png"))
    assert np.abs(plain.astype(int) - RGB.transpose(2, 0, 1)).max() < 40
    assert (transparent[:, np.asarray(palette) == 0] == 255).all()
    assert (transparent[:, np.asarray(palette) != 0] == plain[:, np.asarray(palette) != 0]).all()


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path):
    deep = GREY.astype(np.uint16) * 257
    for name in ("deep.png", "deep.tif", "deep.pgm"):
        assert (pixels(read(saved(tmp_path / name, deep), 1)) == GREY[None]).all()
    assert (pixels(read(tmp_path / "deep.png", 3)) == GREY[None]).all()


def test_one_bit_and_cmyk(tmp_path: Path):
    Image.fromarray(GREY > 100).save(tmp_path / "bit.png")
    assert (pixels(read(tmp_path / "bit.png", 1))[0] == np.where(GREY > 100, 255, 0)).all()
    Image.new("CMYK", (6, 4), (0, 255, 255, 0)).save(tmp_path / "cmyk.tif")
    assert pixels(read(tmp_path / "cmyk.tif", 3))[:, 0, 0].tolist() == [255, 0, 0]


def test_the_camera_rotation_is_applied(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown a quarter turn clockwise
    path = saved(tmp_path / "turned.png", GREY, exif=exif)
    assert (pixels(read(path, 1))[0] == np.rot90(GREY, -1)).all()


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_an_animation_gives_its_first_frame(tmp_path: Path, suffix: str):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(tmp_path / f"moving.{suffix}", save_all=True, append_images=frames[1:], **options)
    assert pixels(read(tmp_path / f"moving.{suffix}", 3))[:, 4, 4].tolist() == [255, 0, 0]


def test_damaged_files_are_named(tmp_path: Path):
    whole = saved(tmp_path / "whole.jpg", np.tile(RGB, (20, 20, 1))).read_bytes()
    for name, data in {"cut.jpg": whole[: len(whole) // 2], "empty.png": b"", "text.png": b"not a picture"}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(GenlitError, match=f"{name} cannot be read as an image .*data.on_bad: skip"):
            read(tmp_path / name)


def test_real_valued_and_huge_pictures_are_refused(tmp_path: Path):
    with pytest.raises(GenlitError, match=r"real.tif .*not 8-bit or 16-bit"):
        read(saved(tmp_path / "real.tif", GREY.astype(np.float32)))
    Image.new("1", (8001, 8000)).save(tmp_path / "huge.png")
    with pytest.raises(GenlitError, match=r"huge.png .*8001 x 8000 pixels exceed the limit of 64000000"):
        read(tmp_path / "huge.png")


def test_crop_keeps_the_centre():
    bars = np.repeat(np.array([0, 100, 100, 200], np.uint8), 8)
    wide = Image.fromarray(np.tile(bars, (16, 1)))
    assert (fit(16)(wide, "x") == 100).all()
    assert (fit(16)(wide.transpose(Image.Transpose.TRANSPOSE), "x") == 100).all()


def test_pad_keeps_all_and_surrounds_with_black():
    padded = fit(16, "pad")(Image.new("L", (32, 16), 200), "x")[0]
    assert (padded[4:12] == 200).all()
    assert not padded[:4].any()
    assert not padded[12:].any()


def test_stretch_keeps_all_and_changes_the_aspect():
    ramp = Image.fromarray(np.tile(np.arange(0, 256, 4, dtype=np.uint8), (16, 1)))
    stretched = fit(16, "stretch")(ramp, "x")[0]
    assert stretched.shape == (16, 16)
    assert stretched[0, 0] < 10
    assert stretched[0, -1] > 240


def test_shrinking_is_antialiased():
    board = Image.fromarray((np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8))
    assert np.abs(fit(4)(board, "x").astype(int) - 128).max() <= 3


@pytest.mark.parametrize(("how", "shape"), [("crop", (40, 31)), ("stretch", (31, 40)), ("pad", (31, 31))])
def test_small_pictures_are_refused_unless_upscaled(how: str, shape: tuple[int, int]):
    picture = Image.new("RGB", shape)
    size = rf"{shape[0]} x {shape[1]} pixels, and data.size is 32"
    with pytest.raises(GenlitError, match=rf"a.png is too small: {size}; .*data.upscale: true"):
        fit(32, how)(picture, "a.png")
    assert fit(32, how, upscale=True)(picture, "a.png").shape == (3, 32, 32)


def test_padding_refuses_only_what_must_grow():
    assert fit(32, "pad")(Image.new("L", (40, 10)), "x").shape == (1, 32, 32)


def test_arrays_of_any_channel_count_are_fitted():
    five = np.random.default_rng(0).integers(256, size=(3, 5, 8, 6), dtype=np.uint8)
    assert fit(None).arrays(five, "x") is five
    (fitted,) = fit(4).arrays(five, "x").chunks()
    assert fitted.shape == (3, 5, 4, 4)
    assert (fitted[1, 2] == fit(4)(Image.fromarray(five[1, 2]), "x")[0]).all()
    with pytest.raises(GenlitError, match="x, image 0, is too small: 6 x 8"):
        fit(7).arrays(five, "x")


def test_pictures_must_agree_where_no_size_is_given():
    shapes = {"a.png": (3, 8, 8), "b.png": (3, 8, 8), "c.png": (3, 9, 10)}
    images = Images(list(shapes), lambda key: np.zeros(shapes[key], np.uint8))
    with pytest.raises(GenlitError, match=r"c.png is 10 x 9 pixels and a.png is 8 x 8: set data.size"):
        list(images.chunks())
