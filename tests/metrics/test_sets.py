"""Sets of images: what lies in files, and what a model draws, block by block."""

import numpy as np
import pytest
import torch
from PIL import Image

from genlit.data import Digits
from genlit.errors import GenlitError
from genlit.metrics.images import to_uint8
from genlit.metrics.references import summarise
from genlit.metrics.sets import BLOCK, Drawn, Pictures, Stored, Translated, opened, owned
from tests.metrics.stubs import Painter, Tiny, nothing_drawn, pattern, patterns, stored


def whole(images):
    """All images of a set of one size, by position."""
    blocks, positions = zip(*images.blocks())
    return torch.cat(blocks)[torch.cat(positions).argsort()]


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "some.npz", **arrays)
        return tmp_path / "some.npz"

    return write


# Blocks


@pytest.mark.parametrize("world", [1, 2, 3, 4, 7])
def test_every_position_has_one_owner_and_blocks_are_the_same(monkeypatch, world):
    blocks = [block.tolist() for block in owned(200)]
    monkeypatch.setattr("genlit.metrics.sets.world_size", lambda: world)
    shares = []
    for rank in range(world):
        monkeypatch.setattr("genlit.metrics.sets.rank", lambda rank=rank: rank)
        shares += [block.tolist() for block in owned(200)]
    assert sorted(shares) == blocks
    assert [position for block in blocks for position in block] == list(range(200))


def test_blocks_are_of_one_size():
    sizes = [(8, 8), (9, 8)] * 70
    blocks = list(owned(140, sizes))
    assert {len({sizes[k] for k in block}) for block in blocks} == {1}
    assert torch.cat(blocks).sort().values.tolist() == list(range(140))


# Arrays


def test_layouts_of_arrays_are_told_apart(npz):
    images = patterns(5)
    for array in (images, images.transpose(0, 2, 3, 1)):
        assert torch.equal(whole(opened(npz(images=array))), torch.from_numpy(images))
    grey = patterns(5, channels=1)
    for array in (grey, grey[:, 0], grey.transpose(0, 2, 3, 1)):
        assert torch.equal(whole(opened(npz(images=array))), torch.from_numpy(grey))


def test_layouts_have_one_fingerprint(npz):
    images = patterns(5)
    fingerprints = {opened(npz(images=x)).fingerprint() for x in (images, images.transpose(0, 2, 3, 1))}
    assert fingerprints == {stored(5).fingerprint()}


@pytest.mark.parametrize("key", ["images", "arr_0", "test_images", "train_images"])
def test_arrays_are_found_by_their_names(npz, key):
    path = npz(**{key: patterns(5), "labels": np.arange(5)})
    assert opened(path).name == "some"
    assert [len(opened(path, limit)) for limit in (None, 3, 9)] == [5, 3, 5]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"images": np.array([{"a": 1}], dtype=object)}, "cannot be read"),
        ({"images": np.zeros((2, 4, 4, 3))}, "images is float64"),
        ({"images": np.zeros((4, 4), np.uint8)}, r"uint8 \(4, 4\)"),
        ({"images": np.zeros((0, 4, 4, 3), np.uint8)}, r"\(0, 4, 4, 3\)"),
        ({"labels": np.zeros(4)}, "no images: an array of them must be called `images`"),
    ],
    ids=["pickled", "floats", "one image", "none", "other names"],
)
def test_what_are_no_images_is_refused(npz, arrays, said):
    with pytest.raises(GenlitError, match=said):
        opened(npz(**arrays))


@pytest.mark.parametrize("cut", [0, 10, 300])
def test_damaged_files_are_named(npz, cut):
    path = npz(images=patterns(5))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(GenlitError, match=r"some\.npz cannot be read"):
        opened(path)


def test_missing_files_are_named(tmp_path):
    for name in ("none", "none.npz"):
        with pytest.raises(GenlitError, match=name):
            opened(tmp_path / name)


def test_a_split_is_compared_as_it_lies_in_the_store():
    """Neither flipped nor binarised."""
    plain, altered = (Stored.of(Digits(**how), "val", limit=20) for how in ({}, {"binarize": "dynamic"}))
    assert plain.name == altered.name
    assert torch.equal(whole(plain), whole(altered))
    assert whole(plain).unique().numel() > 2
    with pytest.raises(GenlitError, match="no `a`"):
        Stored.of(Digits(), "val", "a")


def test_a_fingerprint_tells_pixels_shape_and_number_apart():
    images = patterns(6)
    changed = images.copy()
    changed[5, 2, 7, 7] ^= 1
    others = [changed, images[:5], images.reshape(6, 3, 4, 16), images[::-1], images.astype(np.int8)]
    fingerprints = {Stored("x", x).fingerprint() for x in (images, *others)}
    assert len(fingerprints) == 6
    assert Stored("y", images.copy()).fingerprint() in fingerprints


# Pictures


def save(folder, name, mode="RGB", size=(8, 8), seed=0, **options):
    channels = len(mode.replace("L", "g"))
    array = pattern(np.random.default_rng(seed), channels, 16).transpose(1, 2, 0)[: size[1], : size[0]]
    folder.mkdir(exist_ok=True, parents=True)
    Image.fromarray(array.squeeze(-1) if channels == 1 else array, mode).save(folder / name, **options)


@pytest.fixture
def gallery(tmp_path):
    """Twenty pictures of three sizes: grey, coloured, half transparent, in a palette."""
    folder = tmp_path / "gallery"
    for k in range(20):
        save(folder, f"{k:02}.png", ("L", "RGB", "RGBA", "LA")[k % 4], [(8, 8), (8, 12), (12, 8)][k % 3], seed=k)
    return folder


def test_sizes_and_kinds_of_pictures_may_be_mixed(gallery):
    images = Pictures(gallery)
    seen = {int(k): block.shape[2:] for block, where in images.blocks() for k in where}
    assert {k: shape[::-1] for k, shape in seen.items()} == dict(enumerate(images.sizes))
    assert {block.shape[1] for block, _ in images.blocks()} == {3}


def test_the_order_in_which_files_are_found_changes_no_bit(gallery, monkeypatch):
    def measured():
        summary = summarise(Pictures(gallery), Tiny(), features=True, score=True)
        return summary.score, summary.features.tolist(), summary.moments.covariance.tolist()

    expected, fingerprint = measured(), Pictures(gallery).fingerprint()
    found = list(gallery.rglob("*"))
    monkeypatch.setattr("pathlib.Path.rglob", lambda *_: iter(found[::-1][7:] + found[::-1][:7]))
    assert measured() == expected
    assert Pictures(gallery).fingerprint() == fingerprint


def test_renamed_pictures_have_the_same_moments(gallery):
    """Sums are exact; a score's splits are drawn of positions, which names decide."""
    before = summarise(Pictures(gallery), Tiny())
    for k, path in enumerate(sorted(gallery.iterdir())):
        path.rename(gallery / f"{(7 * k) % 20:02}-new.png")
    after = summarise(Pictures(gallery), Tiny())
    assert torch.equal(before.moments.covariance, after.moments.covariance)


def test_transparency_lies_over_white(tmp_path):
    Image.new("RGBA", (8, 8), (10, 20, 30, 0)).save(tmp_path / "clear.png")
    assert whole(Pictures(tmp_path)).unique().tolist() == [255]


def test_pictures_stored_on_their_side_stand_upright(tmp_path):
    """A camera's: sizes as they are stored would put these two in one block."""
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path, "a.png", size=(8, 12))
    save(tmp_path, "b.png", size=(8, 12), exif=exif)
    shapes = [block.shape for block, _ in Pictures(tmp_path).blocks()]
    assert sorted(shapes) == [(1, 3, 8, 12), (1, 3, 12, 8)]


def test_what_are_no_pictures_is_refused(tmp_path):
    with pytest.raises(GenlitError, match="has no images"):
        Pictures(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    with pytest.raises(GenlitError, match=r"broken\.png cannot be read"):
        Pictures(tmp_path)


def test_other_files_are_passed_over(gallery):
    (gallery / "Thumbs.db").write_bytes(b"")
    (gallery / "notes.txt").write_text("x")
    assert len(Pictures(gallery)) == 20
    assert len(Pictures(gallery, limit=3)) == 3


# Models


def test_samples_do_not_depend_on_their_number():
    painter = Painter()
    few, many = whole(Drawn(painter, 70, seed=1)), whole(Drawn(painter, 140, seed=1))
    assert torch.equal(many, to_uint8(Painter().sample(140, seed=1)))
    assert torch.equal(few, many[:70])
    assert not torch.equal(few, whole(Drawn(painter, 70, seed=2)))
    assert {drawn[1:] for drawn in painter.drawn} == {(BLOCK, BLOCK)}
    assert {drawn[0] % BLOCK for drawn in painter.drawn} == {0}


def test_nothing_is_drawn_from_the_global_state():
    with nothing_drawn():
        whole(Drawn(Painter(), 70, seed=1))


class Negative:
    device = torch.device("cpu")

    def translate(self, images, to):
        assert images.abs().max() <= 1
        return -images


def test_translations_stay_at_their_images_positions():
    images = stored(70)
    translated = Translated(Negative(), images, "b")
    assert len(translated) == 70
    assert torch.equal(whole(translated), 255 - whole(images))
