"""The cache of real statistics: found again where nothing changed, and only there."""

import logging
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Event

import numpy as np
import pytest
import torch
from PIL import Image

from genlit.errors import GenlitError
from genlit.metrics import references
from genlit.metrics.distances.frechet import Moments, frechet
from genlit.metrics.distances.neighbours import radii
from genlit.metrics.references import published, reference, summarise
from genlit.metrics.sets import Pictures, Stored
from tests.metrics.stubs import Tiny, nothing_drawn, patterns, stored


def files(root):
    return sorted(path.name for path in (root / "statistics").iterdir() if path.suffix != ".lock")


def flat(summary):
    """Everything in a summary, comparable by ==."""
    moments = summary.moments
    tensors = moments.mean, moments.factor, moments.covariance, summary.features, summary.radii
    return moments.n, moments.negative, [tensor if tensor is None else tensor.tolist() for tensor in tensors]


@contextmanager
def passed(extractor, expected):
    """A block in which that many images of the set, besides a scale's noise, go through the extractor."""
    extractor.given.clear()
    yield
    assert sum(n for n in extractor.given if n != 32) == expected


@pytest.mark.parametrize("features", [False, True])
@pytest.mark.parametrize("n", [12, 70])
def test_what_is_found_is_what_was_computed(tmp_path, features, n):
    extractor, images = Tiny(), stored(n)
    with passed(extractor, n):
        first = reference(images, extractor, tmp_path, features=features)
    extractor.given.clear()
    again = reference(Stored("another name", patterns(n)), extractor, tmp_path, features=features)
    assert extractor.given == []
    assert flat(first) == flat(again)
    fresh = summarise(images, Tiny(), features=features)
    assert torch.equal(again.moments.mean, fresh.moments.mean)
    if features:
        assert torch.equal(again.features, fresh.features)
        assert torch.equal(again.radii, radii(fresh.features))


def test_what_is_found_measures_what_was_computed_to_the_last_bit(tmp_path):
    """A sum over a matrix depends on its layout, so the first measurement too must take the layout of the file."""
    generated = summarise(stored(90, 1), Tiny())
    first, again = (reference(stored(70), Tiny(), tmp_path).moments for _ in range(2))
    assert first.factor.stride() == again.factor.stride()
    assert frechet(generated.moments, first) == frechet(generated.moments, again)
    assert first.trace == again.trace


def one_pixel():
    images = patterns(70)
    images[69, 2, 7, 7] ^= 1
    return Stored("patterns-0", images), Tiny()


def one_weight():
    extractor = Tiny()
    weight = extractor.net[0].weight
    with torch.no_grad():
        weight[0, 0, 0, 0] = torch.nextafter(weight[0, 0, 0, 0], torch.tensor(9.0))
    return stored(70), extractor


def altered(**attributes):
    extractor = Tiny()
    for name, value in attributes.items():
        setattr(extractor, name, value)
    return stored(70), extractor


CHANGES = {
    "one pixel under the same name": one_pixel,
    "one weight": one_weight,
    "number": lambda: (Stored("patterns-0", patterns(70), 69), Tiny()),
    "order": lambda: (Stored("patterns-0", patterns(70)[::-1]), Tiny()),
    "resize": lambda: altered(resize="clean"),
    "type": lambda: altered(dtype=torch.float64),
    "channels": lambda: altered(channels="grey alone"),
    "family": lambda: altered(family="other"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_is_computed_anew(tmp_path, change):
    reference(stored(70), Tiny(), tmp_path)
    images, extractor = CHANGES[change]()
    found = reference(images, extractor, tmp_path)
    assert extractor.given
    assert len(files(tmp_path)) == 2
    assert torch.equal(found.moments.mean, summarise(images, extractor).moments.mean)


def test_a_new_version_is_computed_anew(tmp_path, monkeypatch):
    reference(stored(70), Tiny(), tmp_path)
    monkeypatch.setattr(references, "VERSION", references.VERSION + 1)
    reference(stored(70), extractor := Tiny(), tmp_path)
    assert extractor.given


def test_nothing_else_is_left_behind(tmp_path):
    reference(stored(70), Tiny(), tmp_path)
    (name,) = files(tmp_path)
    assert name.endswith(".safetensors")


def test_what_ends_too_early_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("genlit.files.os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(GenlitError, match=r"cannot write .*No space left"):
        reference(stored(70), Tiny(), tmp_path)
    assert files(tmp_path) == []


@pytest.mark.parametrize("damage", ["cut", "header cut", "empty", "flipped", "foreign"])
def test_damaged_files_are_named_and_made_again(tmp_path, caplog, damage):
    expected = flat(reference(stored(70), Tiny(), tmp_path, features=True))
    (path,) = (tmp_path / "statistics").glob("*.safetensors")
    whole = path.read_bytes()
    flipped = whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:]
    left = {"cut": whole[:-50], "header cut": whole[:50], "empty": b"", "flipped": flipped, "foreign": b"PK" * 999}
    path.write_bytes(left[damage])
    with caplog.at_level(logging.WARNING):
        assert flat(reference(stored(70), extractor := Tiny(), tmp_path, features=True)) == expected
    assert extractor.given
    assert f"{path} is damaged" in caplog.text


class Slow(Tiny):
    """Begins only when it is let."""

    def __init__(self):
        super().__init__()
        self.begun, self.let = Event(), Event()

    def forward(self, images):
        self.begun.set()
        self.let.wait(30)
        return super().forward(images)


def test_of_two_at_once_one_computes_and_the_other_waits(tmp_path):
    first, second = Slow(), Tiny()
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(reference, stored(70), first, tmp_path)
        first.begun.wait(30)
        other = pool.submit(reference, stored(70), second, tmp_path)
        wait([other], timeout=0.3)
        first.let.set()
        assert flat(one.result(30)) == flat(other.result(30))
    assert second.given == []
    assert len(files(tmp_path)) == 1


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "statistics").write_text("in the way")
    with pytest.raises(GenlitError, match="statistics cannot be written"):
        reference(stored(70), Tiny(), tmp_path)


def test_a_damaged_picture_is_named(tmp_path):
    Image.effect_noise((64, 64), 50).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:2000])
    with pytest.raises(GenlitError, match=r"cut\.png cannot be read"):
        reference(Pictures(tmp_path), Tiny(), tmp_path)


def test_nothing_is_drawn(tmp_path):
    with nothing_drawn():
        reference(stored(70), Tiny(), tmp_path, features=True)


# Statistics that others published


def write(path, mu, sigma, **others):
    np.savez(path, mu=mu, sigma=sigma, **others)
    return path


def test_published_statistics_measure_as_the_images_do(tmp_path):
    real, generated = (summarise(stored(200, seed), Tiny()).moments for seed in (0, 1))
    theirs = published(write(tmp_path / "cifar.npz", real.mean.numpy(), real.covariance.numpy())).moments
    assert theirs.n is None
    assert frechet(generated, theirs).value == pytest.approx(frechet(generated, real).value, rel=1e-9)


def test_published_statistics_in_float32_are_read(tmp_path):
    features = Tiny()(torch.from_numpy(patterns(200))).pool
    mean, covariance = features.mean(0).numpy(), features.T.cov().numpy()
    theirs = published(write(tmp_path / "cifar.npz", mean, covariance)).moments
    assert frechet(theirs, Moments.of(features)).value < 1e-6


def test_a_file_of_images_has_no_published_statistics(tmp_path):
    np.savez(tmp_path / "images.npz", images=patterns(3))
    assert published(tmp_path / "images.npz") is None


@pytest.mark.parametrize(
    ("mu", "sigma", "said"),
    [
        (np.zeros(4), np.eye(5), r"\(4,\) and \(5, 5\)"),
        (np.zeros((2, 2)), np.eye(4), r"\(2, 2\) and \(4, 4\)"),
        (np.zeros(4), np.full((4, 4), np.nan), "and finite"),
        (np.full(4, np.inf), np.eye(4), "and finite"),
        (np.array([{}], dtype=object), np.eye(1), "cannot be read"),
    ],
    ids=["sizes", "mu of two dimensions", "nan", "infinite mu", "pickled"],
)
def test_what_are_no_statistics_is_refused(tmp_path, mu, sigma, said):
    with pytest.raises(GenlitError, match=said):
        published(write(tmp_path / "wrong.npz", mu, sigma))
