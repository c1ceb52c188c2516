"""Run folders as a training leaves them, made without one."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image

CONFIG = {
    "seed": 0,
    "claim": {"metric": "fd-lenet", "at_most": 7.0, "at_least": None},
    "model": {"name": "DCGAN", "width": 32, "lr": {"critic": 2e-4, "generator": 1e-3}},
    "data": {"name": "Digits", "size": 32, "batch_size": 64},
    "run": {"tags": None, "project": "genlit"},
    "trainer": {"max_steps": 1000},
}
ENVIRONMENT = {
    "python": "3.11.7",
    "packages": {"genlit": "0.1.0", "torch": "2.15.0"},
    "commit": None,
    "platform": "Linux",
    "cpus": 2,
    "gpus": [],
}
METRICS = [
    {"name": "fd-lenet/1a2b3c4d.n2000.test", "value": 4.12, "n": 2000, "std": 0.21, "seconds": 7.9},
    {"name": "kid/lenet-1a2b3c4d.n2000.test", "value": None, "n": 2000, "seconds": 7.9},
    {"name": "precision/lenet-1a2b3c4d.n2000.test", "value": 0.853, "n": 2000, "seconds": 7.9},
]
EVALUATION = {
    "run": "dcgan/001", "checkpoint": "it-00001000.ckpt", "iteration": 1000, "images": 64000, "split": "test",
    "seed": 0, "claim": True, "extractor": {"family": "lenet", "digest": "1a2b3c4d5e6f7a8b9c0d", "accuracy": 0.98},
    "metrics": METRICS,
}  # fmt: skip


def records(steps, batch=64, offset=0.0):
    """A history of two players, validation and a fidelity metric."""
    for it in range(50, steps + 1, 50):
        axes = {"progress/iter": it, "progress/images": it * batch, "progress/hours": it / 36000}
        fall = float(np.exp(-it / 400))
        train = {"train/critic/adversarial": 0.4 + fall + offset, "train/generator/adversarial": 2 - fall + offset}
        yield train | {"rate/critic": 2e-4, "throughput/images_per_second": 850.0 + it % 7} | axes
        if it % 250 == 0:
            yield {"val/critic/adversarial": 0.45 + fall + offset} | axes
            yield {"fd-lenet/1a2b3c4d.n1000.val": 900 * fall + 4 + offset} | axes


def picture(side=160, seed=0, blur=1.0):
    """A picture that looks like something, as PNG files of samples do."""
    x, y = np.mgrid[0:side, 0:side] / side * 6.283
    waves = np.sin((seed + 1) * x + blur) * np.cos(2 * y - blur)
    noise = np.random.default_rng(seed).normal(size=(side, side)) * (1 - blur)
    return Image.fromarray(np.uint8(127 + 100 * np.clip(waves * blur + noise, -1, 1)))


@pytest.fixture
def make_run(tmp_path):
    """Makes a run folder below the test's own: its path, steps, pictures, and changes to its configuration."""

    def make(name="dcgan/001", *, steps=1000, drawn=5, kinds=("samples",), config=None, offset=0.0):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG | (config or {}), sort_keys=False))
        (folder / "environment.json").write_text(json.dumps(ENVIRONMENT))
        (folder / "command.txt").write_text("genlit train dcgan --model.width=32\n")
        (folder / "departures.json").write_text(json.dumps({"model.width": [64, 32]}))
        (folder / "history.jsonl").write_text(
            "".join(json.dumps(each) + "\n" for each in records(steps, offset=offset))
        )
        for kind in kinds:
            place = folder / "pictures" / kind
            place.mkdir(parents=True)
            for index in range(drawn):
                it = steps * index // max(1, drawn - 1)
                picture(seed=len(kind), blur=(index + 1) / drawn).save(place / f"it-{it:08d}.png")
        return folder

    return make


@pytest.fixture
def evaluated(make_run):
    """A run with a table of `genlit eval` and a picture of the closest training images."""
    run = make_run(kinds=("samples", "reconstructions", "traverse-label"))
    (run / "eval-test.json").write_text(json.dumps(EVALUATION))
    picture().save(run / "pictures" / "closest.png")
    return run
