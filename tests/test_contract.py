"""What every experiment promises, through the real command line on small data of its own shape."""

import json
import math
import re
import shutil
from contextlib import nullcontext
from itertools import product

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import genlit
from genlit import config
from genlit.capabilities import Reconstructs, Samples, Translates, directions
from genlit.cli import verbs
from genlit.engine.clock import Batches
from genlit.errors import GenlitError
from genlit.logging import history
from genlit.metrics.capabilities.translation import between_domains
from genlit.models import GaussianMixture
from tests.games import assert_same

LABELLED = {"Digits": (28, 1), "MNIST": (28, 1), "CIFAR10": (16, 3)}  # side, or half of it, and channels
SMALL = {
    "width": 8,
    "q_width": 8,
    "critic_width": 8,
    "n_critic": 2,
    "blocks": 1,
    "hidden": [16],
    "components": 2,
    "layers": 1,
    "codes": 8,
    "stage_images": 3,
}
MOMENTS = {"ProgressiveGAN": range(0, 30, 2)}  # images seen; a network that grows uses every parameter at some time
BUDGET = {"max_steps": 4, "val_check_interval": 2, "limit_val_batches": 1, "log_every_n_steps": 3, "accelerator": "cpu"}
RUN = {"checkpoint_every": 2, "keep": 9, "pictures_every": 4, "pictures": 4, "wandb": "disabled"}
MEASURED = {"evaluate_every": 4, "evaluate_share": 1, "fidelity_samples": 8}


def stand_in(data, folder, needs):
    """Small data on disk in the place of what is large, or does not ship."""
    kept = {key: data[key] for key in ("size", "mirror", "binarize", "dequantize", "attributes") if key in data}
    side, channels = LABELLED.get(data["name"], (32, 3))
    noise = np.random.default_rng(0).integers(0, 256, (40, side, side, channels), dtype=np.uint8)
    if data["name"] in LABELLED:
        splits = {f"{split}_images": noise for split in ("train", "val", "test")}
        labels = {name.replace("images", "labels"): np.arange(40) % 10 for name in splits}
        np.savez(folder / "data.npz", **splits, **labels)
        few = {"labelled": 10} if data.get("labelled") else {}
        return kept | few | {"name": "Npz", "path": str(folder / "data.npz"), "upscale": True}
    if data["name"] == "CelebA":
        names, values = data["attributes"], np.random.default_rng(1).integers(0, 2, (40, len(data["attributes"])))
        lines = [["file", *names], *([f"{index}.png", *row] for index, row in enumerate(values))]
        (folder / "faces").mkdir()
        (folder / "faces" / "attributes.csv").write_text("\n".join(",".join(map(str, line)) for line in lines))
        for index, image in enumerate(noise):
            Image.fromarray(image).resize((data["size"], data["size"])).save(folder / "faces" / f"{index}.png")
        return kept | {"name": "Folder", "path": str(folder / "faces")}
    if "text" in needs:
        return kept | {"name": "Folder", "path": str(captioned(noise, folder / "captioned")), "size": 32}
    if data["name"] == "StackedMNIST":
        return kept | {"name": "StackedDigits", "images": 40}
    for domain in ("trainA", "trainB", "testA", "testB"):
        (folder / domain).mkdir()
        for index, image in enumerate(noise):
            Image.fromarray(image).save(folder / domain / f"{index}.png")
    return kept | {"name": "Folder", "path": str(folder), "size": 32}


def captioned(noise, folder):
    """Images of two classes with a caption each, in both splits."""
    for split, (index, image) in product(("train", "test"), enumerate(noise)):
        (folder / split / f"class{index % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / split / f"class{index % 2}" / f"{index:02d}.png")
    lines = [f"class{index % 2}/{index:02d}.png,bird {index}" for index in range(len(noise))]
    (folder / "captions.csv").write_text("\n".join(["file,caption", *lines]))
    return folder


def measured(run):
    """What an experiment measures while it trains, with little."""
    fidelity = {"fidelity": "lenet"} if run.get("fidelity") else {}
    return MEASURED | fidelity | {key: run[key] for key in ("likelihood",) if key in run}


GROUPED = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in config.listed("experiments")]


def shrunk(name, folder):
    """An experiment, small: its model's sizes, its budget, and data on disk."""
    content = config.merged(config.compose(name, []))
    content.pop("based_on", None)
    content.pop("claim", None)
    content["model"] |= {key: value for key, value in SMALL.items() if key in content["model"]}
    if content["model"]["name"] == "CycleGAN":
        content["model"]["pool"] = 2  # full before the run ends
    data = content["data"]
    needs = config.offered("model", content["model"]["name"]).needs
    small = stand_in(data, folder, needs) if data["name"] in {*LABELLED, "StackedMNIST", "Folder", "CelebA"} else data
    content["data"] = small | {"batch_size": 2}
    content["trainer"] |= BUDGET | {"default_root_dir": str(folder / "runs")}
    content["run"] = RUN | measured(content.get("run", {}))
    return content


def first_stage(content, folder):
    """The run of a stage I, trained for a moment, that an experiment of a stage II begins with."""
    first = shrunk(content["model"]["stage_one"], folder)
    first["data"]["size"] = content["data"]["size"] // content["model"]["factor"]
    file = folder / "first.yaml"
    file.write_text(yaml.safe_dump(first))
    genlit_command("train", str(file))
    return folder / "runs" / "first" / "001"


@pytest.fixture(scope="module", params=GROUPED)
def experiment(request, tmp_path_factory, hasty_lenet):
    """The experiment's file, small."""
    folder = tmp_path_factory.mktemp(request.param)
    content = shrunk(request.param, folder)
    if "stage_one" in content["model"]:
        content["model"]["stage_one"] = str(first_stage(content, tmp_path_factory.mktemp("first")))
    file = folder / f"{request.param}.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


@pytest.fixture(scope="module")
def run(experiment):
    """The run folder of four iterations."""
    genlit_command("train", str(experiment))
    return experiment.parent / "runs" / experiment.stem / "001"


def genlit_command(*words):
    verbs.main(list(words), prog_name="genlit", standalone_mode=False)


def saved(run, iteration):
    return torch.load(run / "checkpoints" / f"it-{iteration:08d}.ckpt", weights_only=True)


@pytest.mark.parametrize("name", config.listed("experiments"))
def test_rates_have_fallen_no_earlier_than_the_budget_ends(name):
    settings = config.parse(config.compose(name, []), [])
    images, _ = Batches(settings.data.batch_size).at(settings.trainer.max_steps)
    assert settings.model.get("decay") is None or settings.model.decay[1] >= images


def test_every_parameter_gets_a_finite_gradient_from_its_player(experiment):
    settings = config.parse(config.compose(str(experiment), []), [])
    source = config.source(settings)
    model = config.model(settings, source)
    model.configure_model()
    model.configure_optimizers()
    batch = source.transform(next(iter(source.loader("train"))), training=True)
    model.every = lambda n: True
    for images in MOMENTS.get(settings.model.name, [0]):
        model._past = (0, images)
        for player, terms in model.turns(batch):
            model.total(player, terms).backward(inputs=model._owned(player))
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


def test_the_command_line_trains_and_agrees_with_itself(run):
    assert sorted(p.name for p in (run / "checkpoints").glob("*.ckpt")) == ["it-00000002.ckpt", "it-00000004.ckpt"]
    assert saved(run, 4)["global_step"] == 4
    records = history.read(run / "history.jsonl")
    evaluated = [record for record in records if "throughput/evaluation_share" in record]
    axes = [(record["progress/iter"], record["progress/images"]) for record in records if record not in evaluated]
    assert axes == [(2, 4), (3, 6), (4, 8)]
    asked = yaml.safe_load((run / "config.yaml").read_text())["run"]
    assert [record["progress/iter"] for record in evaluated] == (
        [2, 4] if asked["fidelity"] or asked["likelihood"] else []
    )
    assert all(any(name.startswith("fd-lenet/") for name in record) == bool(asked["fidelity"]) for record in evaluated)
    assert (run / "best.json").is_file() == bool(asked["fidelity"])
    assert list((run / "pictures").glob("*/it-00000004.png"))
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"]["max_steps"] == 4


def test_it_resumes_bit_for_bit(experiment, run):
    second = run.parent / "002"
    shutil.copytree(run, second)
    for file in (second / "checkpoints").glob("it-00000004*"):
        file.unlink()
    genlit_command("train", str(experiment), "--resume")
    assert_same(saved(run, 4), saved(second, 4))
    timeless = [
        [{k: v for k, v in record.items() if not k.startswith(("throughput/", "progress/hours"))} for record in records]
        for records in (history.read(folder / "history.jsonl") for folder in (run, second))
    ]
    assert timeless[0] == timeless[1]
    shutil.rmtree(second)


def test_the_trained_model_can_be_used(run):
    model = genlit.load(run)
    assert not model.training
    if isinstance(model, Samples):
        images = model.sample(5, seed=3)
        assert images.shape == (5, *model.shape)
        assert images.isfinite().all()
        unbounded = isinstance(model, GaussianMixture) or model.shape[1:] == (1, 1)  # a density of real numbers, points
        assert unbounded or images.abs().max() <= 1
        assert torch.equal(model.sample(2, seed=3), images[:2])
        assert not torch.equal(model.sample(5, seed=4), images)
        torch.testing.assert_close(model.sample(5, seed=3, batch_size=2), images)
    if isinstance(model, Reconstructs):
        assert model.reconstruct(torch.ones(2, *model.shape)).shape == (2, *model.shape)
    if isinstance(model, Translates):
        for _, domain in directions(model):
            assert model.translate(torch.zeros(1, *model.shape), domain).shape == (1, *model.shape)


def test_it_can_be_evaluated_and_sampled(run, capsys):
    model = genlit.load(run)
    makes_images, points = isinstance(model, Samples | Translates), model.shape[1:] == (1, 1)
    with nullcontext() if makes_images else pytest.raises(GenlitError, match=r"cannot sample images: .+"):
        genlit_command("sample", str(run), "-n", "3")
    genlit_command("eval", str(run), "-n", "32", "--json", str(run / "table.json"))
    measured = json.loads((run / "table.json").read_text())["metrics"]
    assert measured
    assert all(math.isfinite(row["value"]) and re.search(r"[./]n\d+(\.|$)", row["name"]) for row in measured)
    told_apart = bool(between_domains(model)) if isinstance(model, Translates) else makes_images and not points
    assert any(row["name"].startswith("kid/lenet-") for row in measured) == told_apart
    written = len(list((run / "samples").rglob("density.png" if points else "00002.png")))
    assert written == (len(directions(model)) if isinstance(model, Translates) else makes_images)
    capsys.readouterr()


def test_an_unknown_option_is_an_error(experiment):
    with pytest.raises(GenlitError, match=r"model\.lrr.*did you mean 'model\.lr'"):
        genlit_command("train", str(experiment), "--model.lrr=1")
