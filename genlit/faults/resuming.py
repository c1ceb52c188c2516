"""Interrupted and gone on with: every experiment, at moments that nobody chose."""

import random
import signal
import time
from itertools import product
from pathlib import Path

from genlit import config
from genlit.data.folder import Folder
from genlit.data.vision import Vision
from genlit.faults.harness.base import Broken, hold
from genlit.faults.harness.compare import same
from genlit.faults.harness.training import QUIET, Training

STEPS = 40
FLAGS = [
    *QUIET, f"--trainer.max_steps={STEPS}", "--trainer.val_check_interval=10", "--trainer.limit_val_batches=4",
    "--trainer.log_every_n_steps=5", "--run.checkpoint_every=7", "--run.pictures_every=1000000",
]  # fmt: skip
CAPTIONED = ["--model.width=4", "--model.critic_width=4", "--data.batch_size=8"]
SMALL = {
    "DCGAN": ["--model.width=8", "--data.batch_size=16"],
    "ProgressiveGAN": ["--model.width=8", "--model.stage_images=100", "--data.batch_size={0: 8, 150: 4}"],
    "CycleGAN": ["--model.width=4", "--model.blocks=1", "--model.critic_width=4", "--model.pool=5"],
    "Pix2Pix": ["--model.width=4", "--model.critic_width=4"],
    "StarGAN": ["--model.width=4", "--model.blocks=1", "--model.critic_width=4"],
    "PuzzleGAN": ["--model.width=4", "--model.critic_width=4", "--data.batch_size=8"],
    "Text2Image": CAPTIONED,
    "StackGAN": CAPTIONED,
    "StackGANTwo": CAPTIONED,  # of StackGAN's width, whose networks it takes
    "VAE": ["--model.hidden=[32]"],
}
CODES = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 128 + signal.SIGTERM}
LATE = (0, -signal.SIGTERM)  # codes of a signal that came when all was saved


def resume(folder: Path, experiment: str | None = None) -> str:
    """Interrupts trainings by SIGKILL and by SIGTERM, and compares their ends with an uninterrupted one's.

    Args:
        folder: an empty one.
        experiment: its name, to be tried with two processes and with data workers, too; without it, all whose data ship
            are, in one process.
    """
    cases = list(product((1, 2), (0, 2)))[:3] if experiment else [(1, 0)]
    names = [experiment] if experiment else shipped()
    tried, broken = 0, []
    words = {name: beginning(folder / f"{Path(name).stem}-first", name) for name in names}
    for name, (processes, workers) in product(names, cases):
        place = folder / f"{Path(name).stem}-{processes}-{workers}"
        try:
            tried += _resumed(place, name, *words[name], processes=processes, workers=workers)
        except Broken as error:
            broken.append(f"{name}, {processes} processes, {workers} data workers: {error}")
    hold(not broken, "; ".join(broken))
    return f"{len(names) * len(cases)} trainings, interrupted {tried} times, all ended identically"


def shipped() -> list[str]:
    """The experiments that train on what ships."""
    sources = {name: config.offered("data", _content(name)["data"]["name"]) for name in config.listed("experiments")}
    return [name for name, source in sources.items() if not issubclass(source, (Folder, Vision))]


def training(folder: Path, experiment: str, *words: str, processes: int = 1, workers: int = 0) -> Training:
    """A training of an experiment, small, with further words."""
    small = SMALL.get(_content(experiment)["model"]["name"], [])
    spread = (f"--trainer.devices={processes}", f"--data.workers={workers}")
    return Training(folder, experiment, *FLAGS, *small, *spread, *words, cold=processes > 1)


def beginning(folder: Path, experiment: str) -> list[str]:
    """The words that name the run of a first stage, trained here for a moment, where an experiment begins with one."""
    first = _content(experiment)["model"].get("stage_one")
    if first not in config.listed("experiments"):
        return []
    return [f"--model.stage_one={training(folder, first, '--trainer.max_steps=1').start().ends(0).run}"]


def _content(experiment: str) -> dict:
    return config.merged(config.compose(experiment, []))


def _resumed(folder: Path, experiment: str, *words: str, processes: int, workers: int) -> int:
    """Interrupts one training with each signal; gives how often it came in time."""
    reference = training(folder / "uninterrupted", experiment, *words, processes=processes).start()
    reference.saves_beyond(0)
    first = time.monotonic()
    reference.ends(0)
    span = time.monotonic() - first
    struck = training(folder / "struck", experiment, *words, processes=processes, workers=workers)
    count = sum(_interrupted(struck, number, span) for number in CODES)
    if struck.saved < STEPS:
        struck.start().ends(0)
    hold(struck.run.name == "001", "the run was not gone on with")
    hold(count > 0, "it ended before any signal")
    same(reference.run, struck.run, STEPS)
    return count


def _interrupted(struck: Training, number: signal.Signals, span: float) -> bool:
    """Goes on, and signals at a random moment after the next checkpoint; whether that came in time."""
    if struck.saved == STEPS:
        return False
    struck.start()
    if struck.saves_beyond(struck.saved):
        time.sleep(random.uniform(0, span / 3))
        struck.send(number)
    struck.ends(CODES[number], *LATE)
    struck.send(signal.SIGKILL)  # whatever is left of its group
    return struck.saved < STEPS
