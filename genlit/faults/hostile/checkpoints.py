"""Checkpoints and weights that would run code, brought in by every way, and models that could not be loaded again."""

import json
from pathlib import Path

import numpy as np
import torch

import genlit
from genlit import config
from genlit.engine import checkpoint
from genlit.engine.checkpoint import SafeIO
from genlit.faults.harness.base import hold, refusal
from genlit.faults.harness.training import TINY, Command, Training
from genlit.faults.hostile.command import importable, refused, served
from genlit.files import sha256

NOT_CODE = "tensors and plain containers"
VERBS = [
    ["sample"], ["eval"], ["export"], ["features"], ["complete"], ["score", "--images", "test"],
    ["translate", "--images", ".", "--to", "b"], ["puzzle"], ["demo"],
]  # fmt: skip
PATHLIKE = """
from pathlib import Path
from genlit.models import DCGAN

class Pathlike(DCGAN):
    def __init__(self, shape, where: Path = Path("somewhere"), **engine):
        super().__init__(shape, **engine)
"""


class Payload:
    """Makes a file where it is unpickled without care."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> tuple:
        return Path.touch, (self.marker,)


def resumed(folder: Path) -> str:
    """Of a real run, its newest checkpoint replaced, with a note that vouches for it."""
    marker, training = folder / "ran", Training(folder / "training", "dcgan", *TINY, "--trainer.max_steps=1")
    run = training.start().ends(0).run
    path = checkpoint.newest(run / "checkpoints")
    content, good = checkpoint.load(path), path.read_bytes()
    torch.save(content | {"loops": Payload(marker)}, path)
    _vouch(path)
    _refuse_blunt(path, marker)
    for verb, *words in VERBS:
        refused(folder / "verb", verb, run, *words, says=NOT_CODE)
    refused(folder / "verb", "sample", path, says=NOT_CODE)
    refusal(lambda: genlit.load(run), NOT_CODE)
    refused(folder / "verb", *training.words, "--resume", "--trainer.max_steps=2", says=NOT_CODE)
    refused(folder / "verb", *training.words, f"--resume={run}", "--trainer.max_steps=2", says=NOT_CODE)
    _exported(folder / "exported", marker)
    _by_address(folder, path, training)
    path.write_bytes(good)
    _vouch(path)
    forced = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
    refused(folder / "verb", "sample", run, says="unset the variable", environment=forced)
    Command(folder / "verb", "sample", str(run), "-n", "4").start().ends(0)
    _refuse_marked(marker)
    verbs = ", ".join(verb for verb, *_ in VERBS)
    return f"refused by train --resume, {verbs}, genlit.load, as an export and by address; nothing ran or was fetched"


def weights(folder: Path) -> str:
    """Weights of every pretrained network, and of a training's fidelity."""
    marker, path = folder / "ran", folder / "weights.pth"
    torch.save({"Conv2d_1a_3x3.conv.weight": torch.zeros(1), "evil": Payload(marker)}, path)
    _refuse_blunt(path, marker)
    np.savez(folder / "images.npz", images=np.zeros((8, 8, 8, 3), np.uint8))
    sets = ["--images", folder / "images.npz", "--against", folder / "images.npz"]
    networks = ("inception", "dinov2-vit-s-14", "clip-vit-b-32")
    for name in networks:
        refused(folder / "verb", "eval", *sets, "--extractor", name, "--weights", path, says="is not a file of weights")
    fidelity = ["--run.fidelity=inception", f"--run.fidelity_weights={path}", "--run.fidelity_samples=8"]
    trained = Training(folder / "training", "dcgan", *TINY, "--trainer.max_steps=1", *fidelity)
    refused(folder / "training", *trained.words, says="is not a file of weights")
    _refuse_marked(marker)
    return f"refused by eval with {', '.join(networks)}, and by a training that measures; no code ran"


def hyperparameters(folder: Path) -> str:
    """Options of every experiment through a checkpoint, and a model with an option that none could give back."""
    names = [name for name in config.listed("experiments") if "/" not in name]
    options = {name: config.parse(config.compose(name, []), []).model.as_dict() for name in names}
    SafeIO().save_checkpoint({"hyper_parameters": options}, folder / "all.ckpt")
    hold(checkpoint.load(folder / "all.ckpt")["hyper_parameters"] == options, "options came back as others")
    (folder / "pathlike.py").write_text(PATHLIKE)
    words = ["--trust=pathlike", "--model.name=Pathlike", "--trainer.max_steps=1"]
    training = Training(folder / "training", "dcgan", *TINY, *words)
    with importable(folder):
        said = refused(folder / "training", *training.words, says="no checkpoint can give back")
    hold(training.saved == 0, "it was trained although its checkpoint could not be loaded")
    return f"the options of {len(names)} experiments came back as they were; of a model with a path as option: {said}"


def _exported(folder: Path, marker: Path) -> None:
    folder.mkdir()
    path = folder / "model.safetensors"
    torch.save({"weights": Payload(marker)}, path)
    options = {"hyper_parameters": {}, "shape": [1, 16, 16], "iteration": 1, "images": 8, "extra_state": {}}
    for model, said in (("DCGAN", "holds no tensors"), ("os.system", "there is no model")):
        (folder / "config.json").write_text(json.dumps({"model": model, "sha256": sha256(path)} | options))
        refused(folder, "sample", folder, says=said)


def _by_address(folder: Path, path: Path, training: Training) -> None:
    with served(path.parent) as (address, asked):
        place = f"{address}/{path.name}"
        refused(folder / "verb", "sample", place, says="is an address")
        refused(folder / "verb", "eval", place, says="is an address")
        refused(folder / "verb", *training.words, f"--resume={place}", says="There is no run")
        refusal(lambda: genlit.load(place), "is an address")
    hold(not asked, f"it was fetched: {asked}")


def _vouch(path: Path) -> None:
    path.with_name(f"{path.name}.sha256").write_text(f"{sha256(path)}  {path.name}\n")


def _refuse_blunt(path: Path, marker: Path) -> None:
    """A payload that runs nowhere would show nothing."""
    torch.load(path, weights_only=False)
    hold(marker.exists(), "the payload does not run where it may")
    marker.unlink()


def _refuse_marked(marker: Path) -> None:
    hold(not marker.exists(), "the code in the file ran")
