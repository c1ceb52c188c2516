"""Every command of the pages in docs/, typed one after the other in a folder that imitates a clone.

Indented blocks are commands for bash; fenced blocks whose first line names a file are written there first. What takes
long or needs what is not here is shortened, and nothing else:

- a training has `--smoke` and the flags of SHORT, so few iterations of everything on the CPU, also where the page asks
  for GPUs, and the network sizes of NARROW; a claim, which is about the whole budget, is left out; a sweep has one
  trial of such a training;
- of several seeds there is the first;
- the network that features come from learns for a moment (`hasty_lenet`);
- sbatch, srun and torchrun are scripts: what is submitted is kept, and what they start prints its configuration;
- W&B is the server in genlit/faults/harness/wandb_server.py.

Commands inside sentences are what somebody may do, often for hours: make has their targets, and genlit their words.

Where a page says "press Ctrl-C", it is pressed. The photographs are made here.
"""

import re
import shlex
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from genlit import cli, config
from tests.docs.clone import ROOT, Clone
from tests.verbs.test_launch import Cluster

STEPS, MORE = 4, 6  # iterations of a training; where the page itself says how many, so that a budget can be raised
FIRST = ["--smoke", "--run.wandb=auto"]
SHORT = [
    "--trainer.default_root_dir=experiments/runs", "--trainer.accelerator=cpu", "--trainer.devices=1",
    "--trainer.num_nodes=1", "--trainer.limit_val_batches=1", "--data.batch_size=8", "--run.fidelity_samples=32",
    "--run.pictures=4", "--claim=null",
]  # fmt: skip
NARROW = {"width": 8, "critic_width": 8, "blocks": 1, "hidden": [16]}
PRINTS = 'while [ "${1#-}" != "$1" ]; do shift; done; exec "$@" --print_config'
NEEDS = {"cluster.md": ["cluster"], "dashboard.md": ["wandb_server"]}  # fixtures of a page
IN_ROOT = {"cwd": ROOT, "check": True, "capture_output": True, "text": True}
PAGES = sorted({path.name for path in (ROOT / "docs").glob("*.md")} - {"promises.md"})  # shows no commands


def shortened(words):
    """A command's words, where they train those of a training of a moment."""
    match words:
        case ["train", experiment, *flags] if "--print_config" not in flags:
            steps = MORE if any("max_steps" in flag for flag in flags) else STEPS
            return ["train", experiment, *FIRST, *flags, *SHORT, *narrow(experiment), f"--trainer.max_steps={steps}"]
        case ["sweep", experiment, *options, "--args", flags]:
            training = shortened(["train", experiment, *flags.split()])
            return ["sweep", experiment, *options, "--count=1", "--args", " ".join(training[2:])]
    return words


def narrow(experiment):
    """Flags for the sizes of NARROW that an experiment's file sets."""
    model = config.merged(config.compose(experiment, []))["model"]
    return [f"--model.{key}={size}" for key, size in NARROW.items() if key in model]


def blocks(page):
    """The files that a page shows, as (name, text), and its commands, as (None, text), in its order."""
    for token in MarkdownIt().parse((ROOT / "docs" / page).read_text()):
        if token.type == "code_block":
            yield None, token.content
        elif token.type == "fence" and (name := re.match(r"# ([\w/]+\.(?:py|yaml))$", token.content, re.MULTILINE)):
            yield name[1], token.content.partition("\n")[2]


@pytest.fixture(scope="module")
def clone(tmp_path_factory, hasty_lenet):
    """A clone that all pages share, with photographs in it."""
    made = Clone(tmp_path_factory.mktemp("clone"), shortened)
    photograph(made.folder)
    yield made
    made.server_close()


@pytest.fixture(scope="module")
def own_clone(tmp_path_factory):
    """A clone whose interpreter works by itself: its genlit is changed, and nothing is shortened."""
    made = Clone(tmp_path_factory.mktemp("own"), shortened, alone=True)
    yield made
    made.server_close()


def photograph(folder: Path):
    """Pictures of two classes, and of two domains."""
    random = np.random.default_rng(0)
    splits = {"trainA": 8, "trainB": 8, "testA": 4, "testB": 4}
    places = {"photos/cats": 80, "photos/dogs": 80, "holiday": 3} | {f"pairs/{split}": n for split, n in splits.items()}
    for place, count in places.items():
        (folder / place).mkdir(parents=True)
        for index in range(count):
            pixels = random.integers(0, 256, (72, 80, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / place / f"{index}.jpg")


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A cluster's commands."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("CLUSTER", str(tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    made = Cluster(tmp_path)
    made.has(srun=PRINTS, torchrun=PRINTS.replace("exec", "shift; exec .venv/bin/genlit"))
    return made


@pytest.mark.xdist_group("pages")
@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_typed_from_beginning_to_end(page, request, monkeypatch):
    typed = request.getfixturevalue("own_clone" if page == "add-a-model.md" else "clone")
    shutil.rmtree(typed.folder / "experiments" / "runs", ignore_errors=True)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for what sweeps start
    monkeypatch.setenv("WANDB_MODE", "disabled")
    for name in NEEDS.get(page, ()):
        request.getfixturevalue(name)
    shown = list(blocks(page))
    assert any(name is None for name, _ in shown)
    for name, text in shown:
        if name:
            (typed.folder / name).write_text(text)
            continue
        interrupted = "press Ctrl-C" in text
        code, told = typed.type(text.replace("0 1 2", "0"), interrupted=interrupted)
        assert ("Error 130" in told) if interrupted else code == 0, f"{text}\n{told}"


def in_sentences(page: Path):
    """The commands for make and genlit that a page's sentences name."""
    for token in MarkdownIt().enable("table").parse(page.read_text()):
        spans = (child.content for child in token.children or () if child.type == "code_inline")
        yield from (span for span in spans if re.match(r"(make|genlit) [a-z]", span))


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name
)
def test_commands_inside_sentences_are_commands(page):
    for command in in_sentences(page):
        lines = [command]
        if command.startswith("make"):
            told = subprocess.run(["bash", "-ec", command.replace("make ", "make -n ")], **IN_ROOT)
            lines = [line for line in told.stdout.splitlines() if " -m " in line]
        assert lines
        for line in lines:
            understood(shlex.split(line.partition(" -m ")[2] or line))


def understood(words):
    """Wants what a command names: a verb of genlit that takes these words, or another module."""
    program, *words = words
    assert find_spec(program), program
    if program == "genlit" and len(words) > 1:
        cli.verbs.commands[words[0]].make_context(words[0], words[1:])
    elif program == "genlit":
        assert words[0] in cli.verbs.commands


def test_every_page_is_in_the_index():
    assert set(re.findall(r"\(docs/([\w-]+\.md)\)", (ROOT / "README.md").read_text())) == {*PAGES, "promises.md"}
