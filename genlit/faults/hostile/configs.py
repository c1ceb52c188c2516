"""YAML, class names and flags that would import or run something, and configurations that are no configurations."""

from itertools import pairwise
from pathlib import Path

from genlit.faults.harness.base import hold
from genlit.faults.harness.training import Command
from genlit.faults.hostile.command import importable, refused

EVIL = """
from pathlib import Path
Path(__file__).with_name("imported").touch()

from genlit.models import DCGAN

class Model(DCGAN):
    pass

def run(*args, **kwargs):
    Path(__file__).with_name("ran").touch()
"""
BOMB = "\n".join(["a: &a [x, x]", *(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in pairwise("abcdefghi"))])
FILES = {  # what the file says after `based_on: [dcgan]`, and what is said of it
    "python/object/apply": ("model: {lr: !!python/object/apply:os.system ['touch RAN']}", "could not determine"),
    "python/name": ("run: {project: !!python/name:evil.run ''}", "could not determine"),
    "python/module": ("cost: !!python/module:evil ''", "could not determine"),
    "class path": ("model: {class_path: evil.Model, init_args: {}}", "unknown key model.class_path"),
    "class path within": ("model: {lr: {class_path: evil.run, init_args: {command: x}}}", "is not of the type float"),
    "_target_": ("data: {_target_: evil.run}", "unknown key data._target_"),
    "a model's name": ("model: {name: evil.Model}", "there is no model 'evil.Model'"),
    "a data set's name": ("data: {name: os.system}", "there is no data 'os.system'"),
    "trust": ("trust: [evil]", "trust"),
    "the environment": ("run: {project: '${oc.env:HOME}'}", "Unsupported interpolation type oc.env"),
    "another file": ("based_on: [evil.py]", "there is no file"),
    "aliases": (BOMB, "expansion exceeds"),
    "depth": ("cost: " + "[" * 5000 + "]" * 5000, "cannot be read"),
    "a key twice": ("seed: 1\nseed: 2", "is not valid YAML"),
    "no number": ("model: {lr: {critic: .nan}}", "is not a finite number"),
}  # fmt: skip
FLAGS = {
    "--model.name=evil.Model": "there is no model 'evil.Model'",
    "--model.class_path=evil.Model": "model.class_path",
    "--model.lr=!!python/object/apply:evil.run []": "is not of the type float",
    "--data.name=evil": "there is no data 'evil'",
}


def configurations(folder: Path) -> str:
    """Each through the real command line, with a module at hand that would leave traces."""
    (folder / "evil.py").write_text(EVIL)
    traces, file = [folder / "imported", folder / "ran", Path("RAN")], folder / "mine.yaml"
    with importable(folder):
        for name, (text, said) in FILES.items():
            lines = text if text.startswith("based_on") else f"based_on: [dcgan]\n{text}"
            file.write_text(f"{lines}\n")
            refused(folder / "verb", "train", file, "--print_config", says=said)
            _refuse_traces(name, traces)
        for flag, said in FLAGS.items():
            refused(folder / "verb", "train", "dcgan", flag, "--print_config", says=said)
            _refuse_traces(flag, traces)
        trusted = ["--trust=evil", "--model.name=Model", "--print_config"]
        Command(folder / "verb", "train", "dcgan", *trusted).start().ends(0).says("name: Model")
    hold(traces[0].exists(), "the module leaves no trace where it is trusted, so its absence shows nothing")
    return f"{len(FILES)} files and {len(FLAGS)} flags were refused in a sentence each, and nothing was imported or run"


def _refuse_traces(name: str, traces: list[Path]) -> None:
    for trace in traces:
        hold(not trace.exists(), f"{name} left {trace.name}")
