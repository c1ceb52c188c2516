"""Names of experiments that would lead out of the folder of runs, and links that do."""

import re
from pathlib import Path

from genlit.faults.harness.base import hold
from genlit.faults.harness.training import TINY, Training
from genlit.faults.hostile.command import refused

NAMES = ["..a", "a\nb", "-rf ~", "x" * 240, "$(touch RAN)", "\u202egnp.a"]
NOTHING = ["...", "ä"]  # of which no name is left
SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")


def named(folder: Path) -> str:
    """Trainings of experiments in files of such names, beside one that shows what else was written."""
    place = folder / "files"
    place.mkdir()
    for number, name in enumerate([*NAMES, *NOTHING]):
        (place / f"{name}.yaml").write_text("based_on: [dcgan]\n")
        training = _training(folder, place / f"{name}.yaml")
        if name in NOTHING:
            refused(folder, *training.words, says="cannot name a run folder")
            continue
        training.start().ends(0)
        hold(len(there := list(training.runs.glob("*/001/config.yaml"))) == number + 1, f"{name!r} made {there}")
    made = [path.name for path in training.runs.iterdir()]
    hold(all(SAFE.fullmatch(name) for name in made), f"folders of odd names were made: {made}")
    hold(not Path("RAN").exists(), "a name was run as a command")
    _linked(folder, training)
    left = {path.name for path in folder.iterdir()} - {"files", "runs", "elsewhere", "output.txt"}
    hold(not left, f"something was written outside of the runs: {left}")
    return (
        f"{len(NAMES)} names became folders below the root, {', '.join(sorted(made)[:3])} ...; a link out was refused"
    )


def _linked(folder: Path, training: Training) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (training.runs / "dcgan").symlink_to(elsewhere)
    refused(folder, *_training(folder, "dcgan").words, says="leads out of")
    hold(not list(elsewhere.iterdir()), "a run was made behind the link")


def _training(folder: Path, experiment: Path | str) -> Training:
    return Training(folder, str(experiment), *TINY, "--trainer.max_steps=1")
