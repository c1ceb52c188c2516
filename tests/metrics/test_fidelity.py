"""All metrics of generated images from one pass, under names that tell the protocol."""

import numpy as np
import pytest
import torch
from PIL import Image

from genlit.errors import GenlitError
from genlit.metrics.distances.frechet import Moments
from genlit.metrics.fidelity import METRICS, STREAMED, compare, named
from genlit.metrics.references import published
from genlit.metrics.sets import Drawn, Pictures, Stored
from tests.metrics.stubs import Genuine, Painter, Tiny, nothing_drawn, patterns, stored

ALL = tuple(metric for metric in METRICS if metric != "fid-floor")  # which needs a training set


@pytest.fixture
def compared(tmp_path):
    """Values by metric."""

    def run(generated, real, metrics=ALL, extractor=None, **options):
        rows = compare(generated, real, extractor or Tiny(), metrics, root=tmp_path, against="test", **options)
        return {row.name.split("/")[0]: row for row in rows}

    return run


def values(rows):
    return {metric: row.value for metric, row in rows.items()}


def test_identical_sets_are_at_no_distance(compared):
    found = values(compared(stored(200), stored(200)))
    assert 0 <= found["fd-tiny"] + 1e-9 <= 1e-6
    assert -1e-3 < found["kid"] <= 1e-9
    ones = [found[metric] for metric in ("precision", "recall", "coverage", "diversity")]
    assert ones == pytest.approx([1, 1, 1, 1], abs=1e-12)
    assert found["density"] >= 1
    assert found["authenticity"] == 0


def test_other_images_are_at_some_distance(compared):
    dark = Stored("dark", patterns(200, 1) // 3)
    near, far = (values(compared(generated, stored(200))) for generated in (stored(200, 1), dark))
    assert all(far[metric] > 3 * near[metric] for metric in ("fd-tiny", "kid", "fd-tiny-infinity"))
    assert all(far[metric] < 0.5 * near[metric] for metric in ("precision", "recall", "coverage", "density"))


def test_images_go_through_the_network_once(compared):
    extractor = Tiny()
    compared(stored(70), stored(80, 1), ALL, extractor)
    assert sum(extractor.given) == 70 + 80 + 32  # of noise, for the scale
    extractor.given.clear()
    compared(stored(70), stored(80, 1), ALL, extractor)
    assert sum(extractor.given) == 70


def test_metrics_do_not_depend_on_what_else_is_measured(compared):
    together = values(compared(stored(70), stored(80, 1)))
    apart = {}
    for metric in ALL:
        apart |= values(compared(stored(70), stored(80, 1), [metric]))
    assert {metric: apart[metric] for metric in together} == together


def test_only_what_is_asked_for_is_told(compared):
    assert list(compared(stored(70), stored(80), ["recall", "is"])) == ["recall", "is"]
    assert list(compared(stored(70), stored(80), STREAMED)) == ["fd-tiny", "diversity", "is"]


def test_real_images_do_not_reach_the_score(compared):
    generated = stored(70)
    scores = {compared(generated, real, ["is", "fid", "kid"])["is"].value for real in (stored(80), stored(90, 1))}
    assert len(scores) == 1


def test_the_order_of_processes_blocks_changes_no_bit(compared):
    """Positions decide, not the order in which blocks come."""
    backwards = stored(200)
    backwards.blocks = lambda: reversed(list(stored(200).blocks()))
    assert values(compared(backwards, stored(150, 1))) == values(compared(stored(200), stored(150, 1)))


def test_subsets_are_the_same_whatever_was_drawn_before(compared):
    rows = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)
        rows.append(values(compared(Drawn(Painter(), 1100, 0), stored(1003), ["kid", "fid-infinity", "is"])))
    assert rows[0] == rows[1]


def test_nothing_is_drawn_from_the_global_state(compared):
    with nothing_drawn():
        compared(Drawn(Painter(), 70, 0), stored(80))


def test_autocast_around_changes_no_bit(compared, tmp_path):
    expected = values(compared(stored(70), stored(80, 1)))
    for file in (tmp_path / "statistics").glob("*.safetensors"):
        file.unlink()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert values(compared(stored(70), stored(80, 1))) == expected


def test_values_stand_with_what_they_depend_on(compared):
    rows = compared(stored(70), stored(80, 1), seen=stored(90, 2))
    assert {row.n for row in rows.values()} == {70}
    compared_with = {metric: (row.details["n_real"], row.details["against"]) for metric, row in rows.items()}
    assert compared_with.pop("authenticity") == (90, "train")
    assert set(compared_with.values()) == {(80, "test")}
    assert rows["kid"].details["subset_size"] == 70
    assert (rows["precision"].details["k"], rows["coverage"].details["k"]) == (3, 5)
    assert rows["is"].details["splits"] == 10


def test_the_floor_is_the_distance_of_seen_images(compared):
    seen, real = stored(100, 5), stored(80)
    floor = compared(stored(70), real, ["fid-floor"], seen=seen)["fd-tiny-floor"].value
    assert floor == pytest.approx(compared(Stored("seen", seen.array[:70]), real, ["fid"])["fd-tiny"].value, rel=1e-4)
    with pytest.raises(GenlitError, match="fid-floor"):
        compared(stored(70), real, ["fid-floor"])


def test_copies_of_seen_images_are_not_authentic(compared):
    seen = stored(100, 5)
    copied = compared(Stored("copies", seen.array[:50]), stored(80), ["authenticity"], seen=seen)
    assert copied["authenticity"].value == 0
    assert compared(stored(50, 6), stored(80), ["authenticity"], seen=seen)["authenticity"].value > 0.3


# Names


@pytest.mark.parametrize(
    ("extractor", "names"),
    [
        (Genuine(), {"fid/inception-tf1.n64.x", "kid/inception-tf1.n64.x", "fid-infinity/inception-tf1.n64.x"}),
        (Tiny(), {"fd-tiny/{d}.n64.x", "kid/tiny-{d}.n64.x", "fd-tiny-infinity/{d}.n64.x"}),
    ],
)
def test_only_fids_own_network_measures_a_fid(tmp_path, extractor, names):
    rows = compare(stored(64), stored(64, 1), extractor, ["fid", "kid", "fid-infinity"], root=tmp_path, against="x")
    assert {row.name for row in rows} == {name.format(d=extractor.digest[:8]) for name in names}


def test_fids_network_with_another_resize_measures_no_fid():
    altered = Genuine()
    altered.genuine, altered.variant = False, "clean"
    assert named("fid", altered, 64, "x") == "fd-inception/clean.n64.x"
    assert named("is", altered, 64, "x") == "is/inception-clean.n64.x"


# Published statistics


@pytest.fixture
def theirs(tmp_path):
    moments = Moments.of(Tiny()(torch.from_numpy(patterns(80, 1))).pool)
    np.savez(tmp_path / "cifar10.npz", mu=moments.mean.numpy(), sigma=moments.covariance.numpy())
    return published(tmp_path / "cifar10.npz")


def test_published_statistics_serve_distances(compared, theirs):
    found = compared(stored(70), theirs, ["fid", "diversity"])
    expected = values(compared(stored(70), stored(80, 1), ["fid", "diversity"]))
    assert list(found) == [f"{metric}-published" for metric in expected]
    assert list(values(found).values()) == pytest.approx(list(expected.values()), rel=1e-5)
    assert found["fd-tiny-published"].details["n_real"] is None


@pytest.mark.parametrize("metric", sorted(set(ALL) - {"fid", "diversity"}))
def test_published_statistics_allow_no_more(compared, theirs, metric):
    with pytest.raises(GenlitError, match=f"published statistics allow fid and diversity, not .*{metric}"):
        compared(stored(70), theirs, ["fid", metric])


def test_published_statistics_of_another_network_are_refused(compared, theirs):
    with pytest.raises(GenlitError, match="8 and 16 wide"):
        compared(stored(70), theirs, ["fid"], Tiny(width=8))


# Refusals


def test_what_is_no_metric_is_refused(compared):
    with pytest.raises(GenlitError, match="fidd"):
        compared(stored(70), stored(80), ["fidd"])


FEW = {"fid": (1, 2), "precision": (5, 6), "is": (9, 10), "fid-infinity": (30, 34)}


@pytest.mark.parametrize("metric", FEW)
def test_too_few_images_are_refused(compared, metric):
    few, needed = FEW[metric]
    with pytest.raises(GenlitError, match=f"{metric} needs at least {needed} images, and there are {few}"):
        compared(stored(few), stored(80), [metric])


def test_a_score_needs_the_final_layer(compared):
    with pytest.raises(GenlitError, match="lack the final layer"):
        compared(stored(70), stored(80), ["fid", "is"], Tiny(classes=None))


def test_folders_are_compared_as_arrays_are(compared, tmp_path):
    images = patterns(40)
    (tmp_path / "pictures").mkdir()
    for k, image in enumerate(images):
        Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / "pictures" / f"{k:03}.png")
    pictures, array = Pictures(tmp_path / "pictures"), Stored("x", images)
    assert values(compared(stored(70), pictures)) == values(compared(stored(70), array))
    assert values(compared(pictures, stored(70))) == values(compared(array, stored(70)))
