import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torchmetrics.image.fid import FrechetInceptionDistance

from genlit.errors import GenlitError
from genlit.metrics.distances.frechet import Moments, frechet
from genlit.metrics.extractors import Features, Inception
from genlit.metrics.extractors import inception as module


def test_the_whole_distance_is_torchmetrics_and_torch_fidelitys(
    reference: FeatureExtractorInceptionV3, inception: Inception, weights: Path, images: Tensor, features: Features
):
    other = (images // 2 + 40).flip(-1)
    oracle = FrechetInceptionDistance(2048, feature_extractor_weights_path=str(weights), antialias=False)
    for side, real in ((images, True), (other, False)):
        oracle.update(side, real=real)
    with torch.no_grad():
        statistics = [fid_features_to_statistics(reference(side)[0].double()) for side in (images, other)]
    distance = frechet(Moments.of(inception(other).pool), Moments.of(features.pool)).value
    assert distance == pytest.approx(oracle.compute().item(), rel=1e-4)
    assert distance == pytest.approx(fid_statistics_to_metric(*statistics, False)[KEY_METRIC_FID], rel=1e-4)


def test_features_and_logits_are_torch_fidelitys(
    reference: FeatureExtractorInceptionV3, images: Tensor, features: Features
):
    with torch.no_grad():
        pool, logits = reference(images)
    for ours, theirs in ((features.pool, pool), (features.logits, logits)):
        assert ours.dtype == torch.float32
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
        assert (ours - theirs).abs().max() <= 1e-3 * theirs.std(0).mean()  # of what tells the images apart


def test_features_do_not_depend_on_companions_nor_place(inception: Inception, images: Tensor, features: Features):
    alone = inception(images[[30, 3, 17]])
    assert torch.equal(alone.pool, features.pool[[30, 3, 17]])
    assert torch.equal(alone.logits, features.logits[[30, 3, 17]])


def test_nothing_around_changes_a_bit(inception: Inception, images: Tensor, features: Features):
    state = torch.get_rng_state()
    torch.set_float32_matmul_precision("medium")
    torch.set_default_dtype(torch.float64)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            around = inception.train()(images[5:6])
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(around.pool, features.pool[5:6])
    assert torch.equal(around.logits, features.logits[5:6])
    assert torch.equal(torch.get_rng_state(), state)


def test_grey_images_are_replicated(inception: Inception, images: Tensor, features: Features):
    assert torch.equal(inception(images[:1, :1]).pool, features.pool[:1])
    assert inception.identity["channels"] == "grey replicated"


def test_four_channels_are_refused(inception: Inception):
    with pytest.raises(GenlitError, match="4 channels"):
        inception(torch.zeros(1, 4, 8, 8, dtype=torch.uint8))


def test_weights_without_a_final_layer_give_no_logits(
    inception: Inception, weights: Path, images: Tensor, features: Features, tmp_path: Path
):
    state = torch.load(weights, weights_only=True)
    save_file({name: value for name, value in state.items() if not name.startswith("fc.")}, tmp_path / "w.safetensors")
    trunk = Inception(tmp_path / "w.safetensors")
    assert trunk.classes is None
    assert trunk.digest == inception.digest
    pool, logits = trunk(images[9:10])
    assert logits is None
    assert torch.equal(pool, features.pool[9:10])


def test_only_the_published_weights_are_fids(inception: Inception):
    assert re.fullmatch("[0-9a-f]{64}", module.PUBLISHED)
    assert not inception.genuine
    assert inception.variant == f"{inception.digest[:8]}-tf1"


def test_a_name_tells_resize_and_precision(weights: Path, inception: Inception):
    state = torch.get_rng_state()
    other = Inception(weights, resize="clean", dtype=torch.bfloat16)
    assert torch.equal(torch.get_rng_state(), state)
    assert other.variant == f"{inception.digest[:8]}-clean-bf16"
    assert (other.identity["resize"], other.identity["dtype"]) == ("clean", "bfloat16")


def test_one_changed_weight_is_another_digest(weights: Path, inception: Inception, tmp_path: Path):
    state = torch.load(weights, weights_only=True)
    state["Mixed_7c.branch1x1.bn.running_var"][5] += 1e-6
    torch.save(state, tmp_path / "changed.pth")
    assert Inception(tmp_path / "changed.pth").digest != inception.digest


def test_an_unknown_resize_is_refused_with_the_nearest(weights: Path):
    with pytest.raises(GenlitError, match="'clean'"):
        Inception(weights, resize="cleam")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("Mixed_5b.branch1x1.conv.weight"), "Mixed_5b.branch1x1.conv.weight"),
        (lambda state: state.update({"fc.weight": torch.zeros(1000, 2048)}), "size mismatch for fc.weight"),
        (lambda state: state.update({"more": torch.zeros(1)}), "Unexpected key"),
    ],
)
def test_the_weights_of_another_network_are_refused(weights: Path, tmp_path: Path, change, said: str):
    state = torch.load(weights, weights_only=True)
    change(state)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(GenlitError, match=rf"other\.pth does not hold the weights of FID's network.*{said}"):
        Inception(tmp_path / "other.pth")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch's, and an address at which there is nothing."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(module, "URL_INCEPTION_V3", (tmp_path / "published.pth").as_uri())
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_weights_that_cannot_be_had_are_named_with_the_cache_and_the_remedy(cache: Path):
    assert not module.available()
    with pytest.raises(GenlitError, match=rf"{module.NAME} are not in {cache} and could not be fetched.*--weights"):
        Inception()


def test_another_file_at_the_address_is_not_kept(cache: Path, tmp_path: Path):
    (tmp_path / "published.pth").write_bytes(b"something else")
    with pytest.raises(GenlitError, match="invalid hash"):
        Inception()
    assert list(cache.iterdir()) == []


def test_another_file_in_the_cache_is_not_taken_for_the_published_one(cache: Path, weights: Path):
    cache.mkdir(parents=True)
    (cache / module.NAME).symlink_to(weights)
    assert module.available()
    with pytest.raises(GenlitError, match="not the published file"):
        Inception()
