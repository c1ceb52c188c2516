"""Run folders: numbered, found by name, held by one training at a time."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from genlit.errors import GenlitError
from genlit.files import write
from genlit.runs.changes import check_same
from genlit.runs.launch import primary
from genlit.runs.names import slug

log = logging.getLogger("genlit")

ROOT = Path("experiments/runs")
WEIGHTS, HUB = "model.safetensors", "hf:"  # of an exported model; before the name of one on a hub
_ENDED = "ended"  # a file in a run folder


def create(root: str | Path, experiment: str) -> Path:
    """Makes the next run folder, `<root>/<experiment>/001` and so on.

    Args:
        root: where all runs lie.
        experiment: the experiment's name, slugged.

    Raises:
        GenlitError: the folder cannot be made.
    """
    home = Path(root) / slug(experiment)
    _refuse_outside(Path(root), home)
    try:
        home.mkdir(parents=True, exist_ok=True)
        return _next(home)
    except OSError as error:
        raise GenlitError(f"No run folder can be made in {home} ({error.strerror}); choose another root.") from error


def runs(root: str | Path, experiment: str) -> list[Path]:
    """The run folders of an experiment, latest first."""
    folders = [path for path in (Path(root) / slug(experiment)).glob("*") if path.name.isdecimal() and path.is_dir()]
    return sorted(folders, key=lambda path: int(path.name), reverse=True)


def every(root: Path) -> list[Path]:
    """All run folders, by experiment and number."""
    return sorted(path for path in root.glob("*/*") if path.name.isdecimal() and path.is_dir())


def newest(root: str | Path, experiment: str) -> Path | None:
    """The latest run folder of an experiment, or None."""
    return next(iter(runs(root, experiment)), None)


def named(name: str, root: str | Path) -> Path:
    """The run folder meant by its path or by `experiment/number`.

    Raises:
        GenlitError: there is no such run; the runs there are listed.
    """
    for folder in (Path(name), Path(root) / name):
        if (folder / "config.yaml").is_file():
            return folder
    raise GenlitError(f"There is no run {name} (nor is it auto, must or never); {_listing(Path(root))}.")


def resolve(path: str | Path, root: str | Path = ROOT) -> Path:
    """The checkpoint meant by a checkpoint file, a run folder, an experiment's name, `experiment/number` or a W&B run.

    Of an exported model, a folder or `hf:owner/name` on a hub, it is `model.safetensors`.

    Args:
        path: what the user gave; a folder or name means its newest good checkpoint, with `@best` behind it the one
            with the lowest distance in training; `wandb:entity/project/run` is downloaded.
        root: where all runs lie.

    Raises:
        GenlitError: it is an address, or there is no such run or no good checkpoint in it; the runs there are listed.
    """
    if str(path).startswith("wandb:"):
        from genlit.logging import artifacts

        return artifacts.fetched(str(path))
    if str(path).startswith(HUB):
        from genlit.export.hub import fetch

        return fetch(str(path).removeprefix(HUB)) / WEIGHTS
    if (exported := Path(path) / WEIGHTS).is_file():
        return exported
    if "://" in str(path):
        raise GenlitError(f"{path} is an address: download it first, verify it, then load the file.")
    if Path(path).is_file():
        return Path(path)
    from genlit.engine import checkpoint

    if str(path).endswith("@best"):
        return _best(Path(str(path).removesuffix("@best")), Path(root))
    found = (checkpoint.newest(run / "checkpoints") for run in _meant(Path(path), Path(root)))
    if good := next(filter(None, found), None):
        return good
    raise GenlitError(f"There is no good checkpoint at {path}; {_listing(Path(root))}.")


def _best(path: Path, root: Path) -> Path:
    noted = (_noted(run) for run in _meant(path, root))
    if best := next((each for each in noted if each and each.is_file()), None):
        return best
    raise GenlitError(
        f"No run at {path} has kept a best checkpoint: set run.fidelity in its experiment; {_listing(root)}."
    )


def _noted(run: Path) -> Path | None:
    """The checkpoint that a run's `best.json` names; None without one that says so."""
    from genlit.engine import checkpoint

    try:
        return checkpoint.named(run / "checkpoints", json.loads((run / "best.json").read_text())["iteration"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def reached(run: Path) -> int:
    """The iterations of a run's newest good checkpoint; 0 before its first.

    Raises:
        GenlitError: there are checkpoints, and none of them is good.
    """
    from genlit.engine import checkpoint  # here, because it imports torch, which the command line's help does not need

    folder = run / "checkpoints"
    if good := checkpoint.newest(folder):
        return checkpoint.iteration(good)
    if checkpoint.checkpoints(folder):
        raise GenlitError(f"no checkpoint in {folder} is good; copy one there or begin anew with --resume=never.")
    return 0


def note_end(run: Path, ended: bool) -> None:
    """Notes in a run folder whether its training has come to an end: its budget, or a rule that stopped it."""
    if ended:
        write(run / _ENDED, "")
    else:
        (run / _ENDED).unlink(missing_ok=True)


def ended(run: Path) -> bool:
    """Whether a run's training has come to an end, and was not interrupted."""
    return (run / _ENDED).is_file()


def unfinished(run: Path, new: dict[str, Any]) -> bool:
    """Whether a run of this configuration was interrupted before its budget and the present one are used up."""
    if not (old := _free_and_same(run, new)):
        return False
    try:
        return reached(run) < min(each["trainer"]["max_steps"] for each in (old, new))
    except GenlitError as error:
        log.warning("%s is not continued: %s", run, error)
        return False


@contextmanager
def lock(run: Path) -> Iterator[None]:
    """Holds a run folder for one training; the first process of a training holds it for all.

    Raises:
        GenlitError: another training holds it.
    """
    if not primary():
        yield
        return
    held = FileLock(run / ".lock")
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise GenlitError(f"{run} is being trained by another process; wait for it or start a new run.") from None
    except OSError as error:
        raise GenlitError(f"{run} cannot be locked ({error.strerror}); start a new run.") from error
    try:
        yield
    finally:
        held.release()


def _free_and_same(run: Path, new: dict[str, Any]) -> dict[str, Any] | None:
    """A run's configuration, if it may go on under the new one and nobody trains in it now."""
    from genlit import config

    try:
        old = config.read(run / "config.yaml")
        check_same(old, new)
        with lock(run):
            return old
    except GenlitError:
        return None


def folder_of(checkpoint: Path) -> Path:
    """The run folder of a checkpoint; where it lies alone, its own folder."""
    return checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent


def _meant(path: Path, root: Path) -> list[Path]:
    folder = path if path.is_dir() else root / path
    return [folder] if (folder / "checkpoints").is_dir() else runs(folder.parent, folder.name)


def _listing(root: Path) -> str:
    names = [f"{path.parent.name}/{path.name}" for path in every(root)]
    return f"the runs in {root}: {', '.join(names)}" if names else f"{root} holds no runs yet: train first"


def _refuse_outside(root: Path, home: Path) -> None:
    if root.resolve() not in home.resolve().parents:
        raise GenlitError(f"{home} leads out of {root}; remove the link that leads there.")


def _next(home: Path) -> Path:
    taken = (int(path.name) for path in home.iterdir() if path.name.isdecimal())
    run = home / f"{max(taken, default=0) + 1:03d}"
    try:
        run.mkdir()
    except FileExistsError:  # another training was faster
        return _next(home)
    return run
