from pathlib import Path

import numpy as np
import pytest
import torch

from genlit.data import Digits, Emoji, Npz, Ring, Source
from genlit.errors import GenlitError
from genlit.metrics.extractors import LeNet, lenet
from genlit.metrics.extractors.lenet import RECIPE


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training of a tenth of a second."""
    monkeypatch.setitem(RECIPE, "images", 1280)


def kept(source: Source) -> list[Path]:
    return sorted((source.root / "classifiers").glob("*.safetensors"))


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> LeNet:
    """The digits' classifier after a quarter of the recipe."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPE, "images", RECIPE["images"] // 4)
        return lenet(Digits(root=str(tmp_path_factory.mktemp("digits"))))


def test_it_learns_the_digits(taught: LeNet):
    assert taught.identity["accuracy"] > 0.965
    assert taught.identity["accuracy split"] == "test"
    assert (taught.width, taught.classes, taught.genuine) == (128, 10, False)
    assert taught.variant == taught.digest[:8]


def test_features_have_about_unit_variance_and_do_not_depend_on_companions(taught: LeNet):
    images = torch.tensor(Digits().rows("test").streams[0]["image"][:500])
    pool, logits = taught(images)
    assert 0.9 < pool.std(0).mean() < 1.1
    assert pool.mean(0).abs().max() < 0.5
    alone = taught(images[[400, 7]])
    assert torch.equal(alone.pool, pool[[400, 7]])
    assert torch.equal(alone.logits, logits[[400, 7]])


def test_the_same_bits_whatever_surrounds_the_training(brief: None, tmp_path: Path):
    plain = lenet(Digits(root=str(tmp_path / "a")))
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(2)
    try:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            other = lenet(Digits(root=str(tmp_path / "b")))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(threads)
    assert other.identity == plain.identity
    assert torch.equal(torch.get_rng_state(), state)


def test_it_is_trained_once(brief: None, tmp_path: Path):
    first = lenet(Digits(root=str(tmp_path)))
    (path,) = kept(Digits(root=str(tmp_path)))
    written = path.stat().st_mtime_ns
    second = lenet(Digits(root=str(tmp_path)))
    assert path.stat().st_mtime_ns == written
    assert second.identity == first.identity
    images = torch.tensor(Digits().rows("test").streams[0]["image"][:40])
    for one, other in zip(first(images), second(images), strict=True):
        assert torch.equal(one, other)


def damaged(data: bytes) -> bytes:
    return data[:-50] + bytes([data[-50] ^ 1]) + data[-49:]


@pytest.mark.parametrize("damage", [damaged, lambda data: data[:1000], lambda data: b"", lambda data: b"junk" * 100])
def test_a_damaged_file_is_trained_again_with_a_warning(brief: None, tmp_path: Path, damage, caplog):
    first = lenet(Digits(root=str(tmp_path)))
    (path,) = kept(Digits(root=str(tmp_path)))
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert lenet(Digits(root=str(tmp_path))).identity == first.identity
    assert f"{path} is damaged" in caplog.text
    assert path.read_bytes() == whole


def test_other_pixels_or_another_recipe_are_another_classifier(
    brief: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sources = [Digits(root=str(tmp_path)), Digits(root=str(tmp_path), size=20), Digits(root=str(tmp_path), holdout=0.5)]
    digests = {lenet(source).digest for source in sources}
    monkeypatch.setitem(RECIPE, "seed", 1)
    digests |= {lenet(sources[0]).digest}
    assert len(digests) == len(kept(sources[0])) == 4


def test_the_shown_accuracy_belongs_to_the_shown_split(brief: None, tmp_path: Path):
    random = np.random.default_rng(0)
    images = random.integers(256, size=(200, 12, 12, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", train_images=images, train_labels=random.integers(2, size=200))
    source = Npz(str(tmp_path / "a.npz"), root=str(tmp_path / "root"))
    classifier = lenet(source)
    assert classifier.identity["accuracy split"] == "val"
    stream, span = source.rows("val").streams[0], source.rows("val").spans[0]
    images, labels = (torch.tensor(stream[name][span.start : span.stop]) for name in ("image", "label"))
    hits = classifier(images).logits.argmax(1) == labels
    assert classifier.identity["accuracy"] == pytest.approx(hits.double().mean().item())


def test_another_number_of_channels_is_refused(taught: LeNet):
    with pytest.raises(GenlitError, match="trained on 1 channels and is shown 3"):
        taught(torch.zeros(2, 3, 28, 28, dtype=torch.uint8))


def test_what_cannot_be_learnt_is_refused(tmp_path: Path):
    with pytest.raises(GenlitError, match="lenet"):
        lenet(Ring(root=str(tmp_path)))


def test_a_folder_that_cannot_be_written_is_named(brief: None, tmp_path: Path):
    source = Digits(root=str(tmp_path))
    source.prepare_data()
    (tmp_path / "classifiers").touch()
    with pytest.raises(GenlitError, match=r"data\.root"):
        lenet(source)


def test_two_domains_are_told_apart(brief: None, tmp_path: Path):
    network = lenet(Emoji(size=32, root=str(tmp_path)).require(("a", "b")))
    assert network.classes == 2
    assert network.shown["accuracy"] > 0.6


def test_a_finer_one_sees_what_a_smaller_image_has_lost(brief: None, tmp_path: Path):
    source = Emoji(label="style", root=str(tmp_path)).require(("image", "label"))
    coarse, fine = (lenet(source, side=side) for side in (32, 64))
    assert (coarse.family, fine.family) == ("lenet", "lenet-64")
    images = torch.tensor(source.rows("test").streams[0]["image"][:8])
    checked = images.clone()
    checked[..., ::2, ::2] ^= 64  # one pixel in four, which halving blurs
    coarser, finer = ((net(images).pool - net(checked).pool).abs().mean() for net in (coarse, fine))
    assert finer > coarser
    assert lenet(source, side=64).identity == fine.identity
    assert len(kept(source)) == 2


def test_it_classifies_what_a_model_draws(brief: None, tmp_path: Path):
    network = lenet(Digits(root=str(tmp_path)))
    images = torch.randint(256, (5, 1, 28, 28), dtype=torch.uint8)
    assert torch.equal(network.classify(images / 127.5 - 1), network(images).logits)
