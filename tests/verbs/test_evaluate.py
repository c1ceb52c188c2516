"""What `genlit eval` says of a run, of an experiment's claim, and of two sets of images."""

import io
import json
import math
import re
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from torch_fidelity.metric_fid import fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

import genlit
from genlit.cli import verbs
from genlit.errors import GenlitError
from genlit.keep import digest_of
from genlit.metrics import extractors
from genlit.models import DCGAN
from genlit.verbs.evaluate import Request, evaluate
from tests.metrics.extractors import conftest as inceptions
from tests.metrics.stubs import Tiny

SMALL = [
    "--data.batch_size=300", "--trainer.max_steps=2", "--run.wandb=disabled", "--run.pictures=4",
    "--trainer.accelerator=cpu", "--run.progress=false", "--trainer.limit_val_batches=1", "--run.fidelity=null",
    "--run.likelihood=null", "--claim=null",
]  # fmt: skip
N = 32


def genlit_command(*words):
    verbs.main([str(word) for word in words], prog_name="genlit", standalone_mode=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory, hasty_lenet):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(root):
    genlit_command(
        "train", "vae", *SMALL, "--model.hidden=[8]", "--model.latent=2", f"--trainer.default_root_dir={root}"
    )
    return root / "vae" / "001"


@pytest.fixture(scope="module")
def dcgan(root):
    batch = "--data.batch_size=8"
    genlit_command("train", "dcgan", *SMALL, batch, "--model.width=8", f"--trainer.default_root_dir={root}")
    return root / "dcgan" / "001"


def table(run, name="eval-test.json"):
    return json.loads((run / name).read_text())


def values(rows):
    return {row["name"]: row["value"] for row in rows["metrics"]}


def by_metric(rows):
    return {re.sub(r"/.*", "", name): value for name, value in values(rows).items()}


def nameless(rows):
    return [{key: value for key, value in row.items() if not key.endswith("seconds")} for row in rows["metrics"]]


# A run


def test_a_vae_is_measured_by_all_it_can_do(run, capsys):
    genlit_command("eval", run)
    shown = capsys.readouterr().out
    saved = table(run)
    assert [row["name"] for row in saved["metrics"]][:10] == [
        "autoencoder/reconstruction.dynamic.n2000.test", "autoencoder/kl.dynamic.n2000.test",
        "elbo/dynamic.n2000.test", "bits-per-dim/elbo.dynamic.n2000.test",
        "iwae-50/dynamic.n2000.test", "bits-per-dim/iwae-50.dynamic.n2000.test",
        "mse/reconstruction.dynamic.n2000.test", "psnr/reconstruction.dynamic.n2000.test",
        "ssim/reconstruction.dynamic.n2000.test", "mmd/codes.dynamic.n2000.test",
    ]  # fmt: skip
    assert {"fd-lenet", "kid", "precision", "recall", "density", "coverage", "authenticity", "is"} <= set(
        by_metric(saved)
    )
    for row in saved["metrics"]:
        assert {"name", "value", "n", "seconds"} <= set(row)
        assert math.isfinite(row["value"])
        assert row["n"] == 2000
        assert f"{row['value']:.6g} " in shown, "the narrow table has every digit"
    found = values(saved)
    terms = -found["autoencoder/reconstruction.dynamic.n2000.test"] - found["autoencoder/kl.dynamic.n2000.test"]
    assert found["elbo/dynamic.n2000.test"] == pytest.approx(terms, rel=1e-3)
    assert found["iwae-50/dynamic.n2000.test"] > found["elbo/dynamic.n2000.test"]
    assert (saved["checkpoint"], saved["iteration"], saved["images"]) == ("it-00000002.ckpt", 2, 600)
    assert (saved["split"], saved["seed"], saved["claim"]) == ("test", 0, None)


def test_a_gan_is_measured_by_its_samples_and_the_same_again(dcgan):
    tables = []
    for _ in range(2):
        genlit_command("eval", dcgan, "-n", 16, "--json", dcgan / "some.json")
        tables.append(nameless(table(dcgan, "some.json")))
    assert tables[0] == tables[1]
    assert {row["n"] for row in tables[0] if "lenet" in row["name"]} == {16}
    names = [row["name"] for row in tables[0]]
    assert re.fullmatch(r"fd-lenet/[0-9a-f]{8}\.n16\.test", next(name for name in names if "fd-" in name))
    assert all(
        re.search(r"/lenet-[0-9a-f]{8}\.n16\.test$", name) for name in names if name.startswith(("kid", "recall"))
    )
    assert not any(name.startswith(("elbo", "iwae", "mse")) for name in names)


def test_a_second_stage_stands_beside_the_first(dcgan, monkeypatch):
    grey = lambda model, n, **draws: torch.zeros(n, *model.shape)  # noqa: E731
    monkeypatch.setattr(DCGAN, "enlarged", grey, raising=False)
    fine, coarse, ratio, *details = evaluate(str(dcgan), Request(metrics=("fid",), n=64))
    assert coarse.name == fine.name.replace(".test", ".stage-one.test")
    assert ratio.name == f"stage-one-ratio/{fine.name.replace('/', '-')}"
    assert ratio.value == fine.value / coarse.value
    assert [row.name for row in details] == ["detail-ratio/n64", "detail-ratio-stage-one/n64"]


def test_samples_that_are_most_like_training_images_are_told_and_shown(dcgan):
    genlit_command("eval", dcgan)
    (row,) = [row for row in table(dcgan)["metrics"] if row["name"].startswith("authenticity/")]
    distances = [distance for _, _, distance in row["closest"]]
    assert len(distances) == 16
    assert distances == sorted(distances)
    with Image.open(dcgan / "pictures" / "closest.png") as picture:
        assert picture.width > picture.height / 2


def test_metrics_restrict_to_those_named_and_json_goes_where_it_is_told(dcgan, tmp_path):
    out = tmp_path / "tables" / "mine.json"
    genlit_command("eval", dcgan, "-n", 16, "--metrics", "fid, kid", "--split", "val", "--json", out)
    assert list(by_metric(json.loads(out.read_text()))) == ["fd-lenet", "kid"]
    assert all(name.endswith(".n16.val") for name in values(json.loads(out.read_text())))
    assert not (dcgan / "eval-val.json").exists()


def test_seed_and_number_of_samples_are_the_users(dcgan, tmp_path):
    found = []
    for index, words in enumerate((["-n", 16], ["-n", 17], ["-n", 16, "--seed", 3])):
        genlit_command("eval", dcgan, "--metrics", "kid", *words, "--json", tmp_path / f"{index}.json")
        found.append(table(tmp_path, f"{index}.json")["metrics"][0])
    assert [row["n"] for row in found] == [16, 17, 16]
    assert len({row["value"] for row in found}) == 3


def test_an_unknown_metric_or_extractor_is_refused_with_the_nearest(dcgan):
    with pytest.raises(GenlitError, match="unknown name 'precisoin'; did you mean 'precision'"):
        genlit_command("eval", dcgan, "--metrics", "fid,precisoin")
    with pytest.raises(GenlitError, match="unknown name 'lennet'; did you mean 'lenet'"):
        genlit_command("eval", dcgan, "--extractor", "lennet")


def test_there_must_be_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GenlitError, match="no good checkpoint at dcgna"):
        genlit_command("eval", "dcgna")


def test_a_checkpoint_away_from_its_run_says_what_is_missing(run, tmp_path):
    for file in (run / "checkpoints").glob("it-00000002*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(GenlitError, match=r"config\.yaml cannot be read"):
        genlit_command("eval", tmp_path / "it-00000002.ckpt")


def test_what_cannot_be_measured_is_told_and_refused_only_if_it_was_asked_for(dcgan, caplog):
    genlit_command("eval", dcgan, "-n", 4, "--json", dcgan / "few.json")
    assert [name for name in by_metric(table(dcgan, "few.json")) if "/lenet-" in name or name.startswith("fd-")]
    assert not [name for name in by_metric(table(dcgan, "few.json")) if name.startswith(("recall", "is"))]
    with pytest.raises(GenlitError, match="recall needs at least 6 images, and there are 4"):
        genlit_command("eval", dcgan, "-n", 4, "--metrics", "fid,recall")


def test_metrics_that_nothing_can_give_are_refused(tmp_path):
    words = ["--data.name=Ring", "--model.name=VAE", "--model.likelihood=gaussian", "--model.hidden=[4]"]
    file = tmp_path / "ring.yaml"
    file.write_text("model: {name: VAE, likelihood: gaussian, hidden: [4]}\ndata: {name: Ring, batch_size: 8}\n")
    genlit_command("train", file, *SMALL, *words, f"--trainer.default_root_dir={tmp_path}")
    run = tmp_path / "ring" / "001"
    genlit_command("eval", run)
    assert by_metric(table(run))
    with pytest.raises(GenlitError, match="fid cannot be measured: VAE makes no pictures of Ring"):
        genlit_command("eval", run, "--metrics", "fid")


def test_a_model_of_classes_is_measured_by_those_it_is_asked_for(root):
    flags = ["--model.hidden=[8]", "--model.latent=2", "--data.size=8", f"--trainer.default_root_dir={root}"]
    genlit_command("train", "cvae", *SMALL, *flags)
    genlit_command("eval", root / "cvae" / "001", "-n", 40, "--json", root / "classes.json")
    rows = {re.sub("-[0-9a-f]{8}", "", row["name"]): row for row in table(root, "classes.json")["metrics"]}
    assert 0 <= rows["label-accuracy/lenet.n40"]["value"] <= 1
    assert len(rows["label-accuracy/lenet.n40"]["by_class"]) == 10
    assert {"label-accuracy-ceiling/lenet.n2000.test", "label-accuracy-ceiling/lenet.dynamic.n2000.test"} <= set(rows)


def test_stacks_are_measured_by_the_modes_they_reach(root):
    file = root / "stacks.yaml"
    file.write_text("model: {name: DCGAN, width: 2}\ndata: {name: StackedDigits, images: 600, size: 16}\n")
    genlit_command("train", file, *SMALL, f"--trainer.default_root_dir={root}")
    genlit_command("eval", root / "stacks" / "001", "-n", 40, "--json", root / "stacks.json")
    names = [re.sub("-[0-9a-f]{8}", "", name) for name in values(table(root, "stacks.json"))]
    assert {"modes/stacked.lenet.n40", "modes-kl/stacked.lenet.n40"} <= set(names)


# Claims


@pytest.fixture
def claim(run):
    """Lets the experiment claim something."""
    config = (run / "config.yaml").read_text()
    yield lambda text: (run / "config.yaml").write_text(config.replace("claim: null\n", f"claim: {text}\n"))
    (run / "config.yaml").write_text(config)


@pytest.mark.parametrize(
    ("bound", "holds"),
    [
        ("at_least: -10000.0", True),
        ("at_most: 0.0, at_least: -10000.0", True),
        ("at_least: 0.0", False),
        ("at_most: -10000.0", False),
    ],
)
def test_a_claim_that_fails_is_an_error_after_the_table(run, claim, bound, holds):
    claim(f"{{metric: elbo, {bound}}}")
    if holds:
        genlit_command("eval", run)
    else:
        with pytest.raises(GenlitError, match=r"does not hold the experiment's claim.*elbo"):
            genlit_command("eval", run)
    assert table(run)["claim"] is holds


def test_of_several_claims_those_that_fail_are_named(run, claim):
    claim("[{metric: elbo, at_most: 0.0}, {metric: elbo, at_least: 1.0}, {metric: elbo, at_most: -1.0e+9}]")
    said = r"claim: elbo at least 1 \(it is (-.*)\); elbo at most -1e\+09 \(it is \1\)$"
    with pytest.raises(GenlitError, match=said):
        genlit_command("eval", run)


def test_a_claim_about_nothing_is_named(run, claim):
    claim("{metric: beauty, at_least: 1.0}")
    with pytest.raises(GenlitError, match="'beauty'"):
        genlit_command("eval", run)


def test_a_claim_about_what_was_not_asked_for_is_left_open(run, claim):
    claim("{metric: elbo, at_least: 0.0}")
    genlit_command("eval", run, "-n", 16, "--metrics", "kid", "--json", run / "kid.json")
    assert list(by_metric(table(run, "kid.json"))) == ["kid"]
    assert table(run, "kid.json")["claim"] is None


def test_a_whole_table_is_not_lost_to_a_part_of_one(run):
    genlit_command("eval", run)
    whole = table(run)
    genlit_command("eval", run, "--metrics", "fid")
    genlit_command("eval", run, "-n", 16)
    assert table(run) == whole


def test_a_loaded_model_keeps_its_clock(run):
    model = genlit.load(run)
    assert (model.iteration, model.images) == (2, 600)
    assert model.bound(torch.ones(3, 1, 28, 28), k=2).shape == (3,)


def test_it_can_be_called(run):
    rows = evaluate(str(run), Request(n=16, metrics=("diversity",)))
    assert [(row.name.split("/")[0], row.n) for row in rows] == [("diversity", 16)]


# Two sets of images


@pytest.fixture(scope="module")
def inception():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return inceptions._random()


@pytest.fixture(scope="module")
def weights(inception, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(inception.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def arrays():
    """Noise, and brighter noise."""
    random = np.random.default_rng(0)
    return [random.integers(low, 256, (N, 24, 24, 3), dtype=np.uint8) for low in (0, 60)]


@pytest.fixture(scope="module")
def folders(arrays, tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    for name, array in zip(("drawn", "real"), arrays, strict=True):
        (root / name).mkdir()
        np.savez(root / f"{name}.npz", images=array)
        for index, image in enumerate(array):
            Image.fromarray(image).save(root / name / f"{index:03d}.png")
    return root


@pytest.fixture(scope="module")
def features(inception, arrays):
    with torch.no_grad():
        return [inception(torch.from_numpy(array).permute(0, 3, 1, 2))[0].double().numpy() for array in arrays]


def projected(features):
    """Statistics in the subspace that holds both sets, where a Fréchet distance is the same and its root is quick."""
    basis, _ = np.linalg.qr(np.concatenate(features).T)
    return [{"mu": (x @ basis).mean(0), "sigma": np.cov(x @ basis, rowvar=False)} for x in features]


@pytest.fixture(scope="module")
def compared(folders, weights, tmp_path_factory):
    """The tables of the two folders, and of the two files."""

    def compare(suffix):
        out = tmp_path_factory.mktemp("table") / "table.json"
        sets = ["--images", folders / f"drawn{suffix}", "--against", folders / f"real{suffix}"]
        genlit_command("eval", *sets, "--weights", weights, "--json", out)
        return json.loads(out.read_text())

    return [compare(suffix) for suffix in ("", ".npz")]


def test_folders_and_files_have_the_distances_of_torch_fidelity(compared, features):
    fid = fid_statistics_to_metric(*projected(features), verbose=False)["frechet_inception_distance"]
    kid = kid_features_to_metric(*map(torch.from_numpy, features), kid_subsets=2, kid_subset_size=N, verbose=False)[
        "kernel_inception_distance_mean"
    ]
    for found in map(by_metric, compared):
        assert found["fd-inception"] == pytest.approx(fid, rel=1e-4)
        assert found["kid"] == pytest.approx(kid, rel=1e-4)
    assert values(compared[0]) == values(compared[1])


def test_names_say_whose_weights_how_many_and_against_what(compared, weights):
    state = torch.load(weights, weights_only=True)
    digest = digest_of({name: tensor for name, tensor in state.items() if not name.startswith("fc.")})
    protocol = f"{digest[:8]}-tf1.n{N}.vs-real"
    assert list(values(compared[0])) == [
        f"fd-inception/{protocol}",
        *(
            f"{metric}/inception-{protocol}"
            for metric in ("diversity", "kid", "precision", "recall", "density", "coverage", "is")
        ),
    ]
    assert compared[0]["extractor"]["digest"] == digest
    assert {row["n_real"] for row in compared[0]["metrics"]} == {N}


def test_a_score_needs_the_final_layer(folders, weights, tmp_path):
    state = torch.load(weights, weights_only=True)
    torch.save({name: tensor for name, tensor in state.items() if not name.startswith("fc.")}, tmp_path / "trunk.pth")
    sets = ["--images", folders / "drawn.npz", "--against", folders / "real.npz", "--weights", tmp_path / "trunk.pth"]
    with pytest.raises(GenlitError, match="lack the final layer that the Inception Score needs"):
        genlit_command("eval", *sets, "--metrics", "kid,is")


# Wrong inputs; a network that takes no time stands in for Inception


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setitem(extractors.PRETRAINED, "inception", lambda weights: Tiny())


def test_some_images_may_be_taken(folders, quick, tmp_path):
    sets = ["--images", folders / "drawn", "--against", folders / "real.npz", "-n", 10, "--json", tmp_path / "t.json"]
    genlit_command("eval", *sets, "--metrics", "fid,is,diversity")
    rows = table(tmp_path, "t.json")["metrics"]
    assert [(row["n"], row["n_real"]) for row in rows] == [(10, N)] * 3


def test_published_statistics_have_a_distance_and_nothing_else(folders, quick, arrays, tmp_path):
    seen = Tiny()(torch.from_numpy(arrays[1]).permute(0, 3, 1, 2)).pool.double().numpy()
    np.savez(tmp_path / "theirs.npz", mu=seen.mean(0), sigma=np.cov(seen, rowvar=False))
    sets = ["--images", folders / "drawn.npz", "--json", tmp_path / "table.json", "--against"]
    found = []
    for real in (tmp_path / "theirs.npz", folders / "real.npz"):
        genlit_command("eval", *sets, real, "--metrics", "fid")
        found += values(table(tmp_path, "table.json")).items()
    (theirs, value), (_, ours) = found
    assert re.fullmatch(rf"fd-tiny-published/[0-9a-f]{{8}}\.n{N}\.vs-theirs", theirs)
    assert value == pytest.approx(ours, rel=1e-3)
    with pytest.raises(GenlitError, match="published statistics allow fid and diversity, not kid"):
        genlit_command("eval", *sets, tmp_path / "theirs.npz", "--metrics", "kid")


@pytest.mark.parametrize("place", [".", "real/.", "real/"])
def test_names_carry_a_folder_however_it_is_written(folders, quick, monkeypatch, tmp_path, place):
    monkeypatch.chdir(folders / "real" if place == "." else folders)
    sets = ["--images", folders / "drawn", "--against", place, "--metrics", "fid", "--json", tmp_path / "t.json"]
    genlit_command("eval", *sets)
    (name,) = values(table(tmp_path, "t.json"))
    assert name.endswith(".vs-real")


@pytest.mark.parametrize(
    ("images", "against", "sentence"),
    [
        ("nowhere", "real", "nowhere is not there: give a folder of images or an .npz file"),
        ("drawn", "nowhere", "nowhere is not there"),
        ("nowhere.npz", "real", r"nowhere\.npz cannot be read"),
        ("drawn", "nowhere.npz", r"nowhere\.npz cannot be read"),
        ("empty", "real", "empty has no images: put files like .png or .jpg into it"),
        ("drawn", "empty", "empty has no images"),
        ("torn.npz", "real", r"torn\.npz cannot be read"),
        ("drawn", "other.npz", r"other\.npz has no images: an array of them must be called"),
        ("drawn", "wide.npz", r"mu and sigma are \(4,\) and \(3, 3\)"),
        ("drawn/000.png", "real", "is not there: give a folder of images"),
        ("theirs.npz", "real", "has no images"),
    ],
)
def test_wrong_places_are_one_sentence(folders, quick, tmp_path, images, against, sentence):
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn.npz").write_bytes((folders / "real.npz").read_bytes()[:1000])
    np.savez(tmp_path / "other.npz", other=np.zeros(3))
    np.savez(tmp_path / "wide.npz", mu=np.zeros(4), sigma=np.eye(3))
    np.savez(tmp_path / "theirs.npz", mu=np.zeros(4), sigma=np.eye(4))
    places = [folders / name if (folders / name).exists() else tmp_path / name for name in (images, against)]
    with pytest.raises(GenlitError, match=sentence) as refused:
        genlit_command("eval", "--images", places[0], "--against", places[1])
    assert "\n" not in str(refused.value)


def test_an_unknown_metric_of_sets_is_refused_with_the_nearest(folders, quick):
    sets = ["--images", folders / "drawn", "--against", folders / "real"]
    with pytest.raises(GenlitError, match="unknown name 'kidd'; did you mean 'kid'"):
        genlit_command("eval", *sets, "--metrics", "kidd")
    with pytest.raises(GenlitError, match="unknown name 'incepton'; did you mean 'inception'"):
        genlit_command("eval", *sets, "--extractor", "incepton")
    with pytest.raises(GenlitError, match="lenet learns from a labelled data set and none is at hand"):
        genlit_command("eval", *sets, "--extractor", "lenet")


@pytest.mark.parametrize("extractor", ["inception", "dinov2-vit-s-14", "clip-vit-b-32"])
def test_weights_that_cannot_be_fetched_are_one_sentence(folders, tmp_path, monkeypatch, extractor):
    def fail(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    sets = ["--images", folders / "drawn", "--against", folders / "real", "--extractor", extractor]
    with pytest.raises(GenlitError, match=r"could not be fetched.*no network.*--weights"):
        genlit_command("eval", *sets)
    with pytest.raises(GenlitError, match="does not exist: check --weights"):
        genlit_command("eval", *sets, "--weights", tmp_path / "absent.pth")
    torch.save({"a": torch.zeros(1)}, file := io.BytesIO())
    (tmp_path / "other.pth").write_bytes(file.getvalue())
    with pytest.raises(GenlitError, match=r"other\.pth"):
        genlit_command("eval", *sets, "--weights", tmp_path / "other.pth")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--images", "a"],
        ["--against", "b"],
        ["dcgan", "--images", "a", "--against", "b"],
        ["dcgan", "--against", "b"],
        ["dcgan", "--images", "a"],
    ],
)
def test_a_run_or_two_sets_are_asked_for(words):
    with pytest.raises(GenlitError, match="give a run, or two sets of images"):
        genlit_command("eval", *words)
