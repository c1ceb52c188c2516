"""Run folders: where a training's outputs lie, what made them, and whether it may go on."""

import importlib.metadata
import json
import logging
import os
import platform
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from genlit.errors import GenlitError
from genlit.files import write
from genlit.secrets import redact

log = logging.getLogger("genlit")

ROOT = Path("experiments/runs")

MAY_CHANGE = ("trainer.max_steps", "trainer.default_root_dir", "run", "data.root", "data.workers", "claim", "cost")

_ABSENT = "(absent)"
_INTERACTIVE = ("bash", "interactive")  # the names of SLURM jobs in which a user types several trainings
_STARTED = time.time()
_PATIENCE = 60  # s that a process waits for the first one
_HEAD_START = 300  # s that the first process may be ahead


def slug(name: str) -> str:
    """A folder's name for any text: `[A-Za-z0-9._-]`, 1 to 80 characters, no leading dot.

    Raises:
        GenlitError: nothing of the name is left.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".")[:80]
    if not safe.strip("-"):
        raise GenlitError(f"{name!r} cannot name a run folder; use letters, digits, '.', '_' and '-'.")
    return safe


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


@contextmanager
def offered(run: Path, root: str | Path, experiment: str) -> Iterator[None]:
    """Lets the other processes of this training `take` the first one's run folder while the block lasts."""
    os.environ["GENLIT_RUN"] = str(run)
    link = _meeting_point(root, experiment) if primary() else None
    if link is None:
        yield
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)  # of a training under the same name that was killed
    link.symlink_to(os.path.relpath(run, link.parent))
    try:
        yield
    finally:
        link.unlink(missing_ok=True)


def take(root: str | Path, experiment: str) -> Path:
    """The run folder that the first process of this training has chosen.

    Raises:
        GenlitError: it has chosen none within a minute, or there is nothing to find it by.
    """
    link = _meeting_point(root, experiment)
    if link:
        return _awaited(link)
    if run := os.environ.get("GENLIT_RUN"):
        return Path(run)
    raise GenlitError(
        "this process is not the first of its training (see RANK, LOCAL_RANK, NODE_RANK) and shares no job id with it; "
        "start all of them by `srun` or by `torchrun --rdzv-id NAME`"
    )


def check_launch(asked: int) -> None:
    """Refuses a launcher that does not do what the trainer's options say; without one, the Trainer starts processes.

    Args:
        asked: the processes that the options ask for.

    Raises:
        GenlitError: the launcher started another number, or its processes have no name in common.
    """
    count = _started()
    if count not in (None, asked):
        raise GenlitError(
            f"the launcher (torchrun or SLURM) started {count} processes of this training, and trainer.devices · "
            f"trainer.num_nodes asks for {asked}; set --trainer.devices to the processes per node and "
            "--trainer.num_nodes to the nodes, and under SLURM start them by `srun`"
        )
    if count and count > 1:
        _job()


def primary() -> bool:
    """Whether this process is the first of its training, by the launcher's environment variables."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK"))


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


def record(run: Path, config_yaml: str, argv: list[str]) -> None:
    """Writes what made a run: config.yaml, environment.json and command.txt.

    Args:
        run: the run folder.
        config_yaml: the resolved configuration.
        argv: the command line; values of keys that name a secret are struck out.
    """
    environment = json.dumps(_environment(), indent=2)
    texts = {"config.yaml": config_yaml, "environment.json": environment, "command.txt": shlex.join(redact(argv))}
    for name, text in texts.items():
        write(run / name, f"{text.rstrip()}\n")


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


def differences(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What differs between two configurations: `{"model.lr": (old, new)}`, with `(absent)` where a key is missing."""
    before, after = _flat(old), _flat(new)
    pairs = {key: (before.get(key, _ABSENT), after.get(key, _ABSENT)) for key in before | after}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def check_same(old: dict[str, Any], new: dict[str, Any], allow: bool = False) -> None:
    """Refuses to resume a run under another configuration, except for `MAY_CHANGE`.

    Those are the budget, places, and what only looks on. How often a run validates and logs may not change: it shapes
    the history, and a checkpoint may owe a validation.

    Args:
        old: the run's configuration.
        new: the present one.
        allow: accept any difference.

    Raises:
        GenlitError: a key differs that may not change; every such key is listed.
    """
    changed = {key: pair for key, pair in differences(old, new).items() if not _may_change(key)}
    if changed and not allow:
        listed = ", ".join(f"{key}: {a} -> {b}" for key, (a, b) in changed.items())
        raise GenlitError(f"This configuration is not the run's ({listed}); undo it, begin a run or pass --override.")


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


def unfinished(run: Path, new: dict[str, Any]) -> bool:
    """Whether a run of this configuration was interrupted before its budget and the present one are used up."""
    if not (old := _free_and_same(run, new)):
        return False
    try:
        return reached(run) < min(each["trainer"]["max_steps"] for each in (old, new))
    except GenlitError as error:
        log.warning("%s is not continued: %s", run, error)
        return False


def resolve(path: str | Path, root: str | Path = ROOT) -> Path:
    """The checkpoint meant by a checkpoint file, a run folder, an experiment's name or `experiment/number`.

    Args:
        path: what the user gave; a folder or name means its newest good checkpoint.
        root: where all runs lie.

    Raises:
        GenlitError: it is an address, or there is no such run or no good checkpoint in it; the runs there are listed.
    """
    if "://" in str(path):
        raise GenlitError(f"{path} is an address: download it first, verify it, then load the file.")
    if Path(path).is_file():
        return Path(path)
    from genlit.engine import checkpoint

    found = (checkpoint.newest(run / "checkpoints") for run in _meant(Path(path), Path(root)))
    if good := next(filter(None, found), None):
        return good
    raise GenlitError(f"There is no good checkpoint at {path}; {_listing(Path(root))}.")


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


def _meant(path: Path, root: Path) -> list[Path]:
    folder = path if path.is_dir() else root / path
    return [folder] if (folder / "checkpoints").is_dir() else runs(folder.parent, folder.name)


def _listing(root: Path) -> str:
    names = [f"{path.parent.name}/{path.name}" for path in every(root)]
    return f"the runs in {root}: {', '.join(names)}" if names else f"{root} holds no runs yet"


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


def _started() -> int | None:
    """How many processes a launcher started; None without one."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    if "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in _INTERACTIVE:
        return int(os.environ["SLURM_NTASKS"]) if "SLURM_STEP_ID" in os.environ else 1  # without srun: this one
    return None


def _awaited(link: Path) -> Path:
    give_up = time.monotonic() + _PATIENCE
    while not _fresh(link):
        if time.monotonic() > give_up:
            raise GenlitError(
                f"the first process of this training offered no run folder at {link} within {_PATIENCE} s; "
                "its own message says why, if the two share this folder"
            )
        time.sleep(0.1)
    return Path(os.path.normpath(link.parent / link.readlink()))


def _fresh(link: Path) -> bool:
    # A training that was killed leaves its link behind, and torchrun's names can be used again.
    return link.is_symlink() and link.lstat().st_mtime > _STARTED - _HEAD_START


def _meeting_point(root: str | Path, experiment: str) -> Path | None:
    # Processes started apart meet at a link named after their start: a job that is queued again is another one.
    if (_started() or 1) == 1:
        return None
    restarts = (os.environ.get(name, "0") for name in ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT"))
    return Path(root) / slug(experiment) / "-".join([_job(), *restarts])


def _job() -> str:
    env = os.environ
    if "SLURM_STEP_ID" in env and env.get("SLURM_JOB_NAME") not in _INTERACTIVE:
        return f".slurm-{slug(env['SLURM_JOB_ID'])}-{slug(env['SLURM_STEP_ID'])}"
    if env["TORCHELASTIC_RUN_ID"] == "none":
        raise GenlitError("torchrun gave its processes no common name; start it with --standalone or --rdzv-id NAME.")
    return f".torchrun-{slug(env['TORCHELASTIC_RUN_ID'])}"


def _environment() -> dict[str, Any]:
    import torch

    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in ("genlit", "torch", "lightning")},
        "commit": _commit(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    # `describe` of a file git does not track would name whatever repository an environment happens to lie in.
    here = Path(__file__)
    if not _git("ls-files", here.name, folder=here.parent):
        return None
    return _git("describe", "--always", "--dirty", "--abbrev=40", folder=here.parent)


def _git(*words: str, folder: Path) -> str | None:
    try:
        done = subprocess.run(["git", "-C", folder, *words], check=False, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict) or not tree:
        return {prefix: tree} if prefix else {}
    branches = (_flat(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in tree.items())
    return {key: value for branch in branches for key, value in branch.items()}


def _may_change(key: str) -> bool:
    return any(key == name or key.startswith(name + ".") for name in MAY_CHANGE)
