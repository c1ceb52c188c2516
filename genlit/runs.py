"""Run folders: where a training's outputs lie, what made them, and whether it may go on."""

import importlib.metadata
import json
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from genlit.errors import GenlitError
from genlit.files import write

ROOT = Path("experiments/runs")

MAY_CHANGE = ("trainer.max_steps", "trainer.default_root_dir", "run", "data.root", "data.workers", "claim", "cost")

_ABSENT = "(absent)"
_SECRET = r"(?:[\w.-]+[._-])?(?:api_?key|key|token|secret|password|passwd|credentials?)"
_INTERACTIVE = ("bash", "interactive")  # the names of SLURM jobs in which a user types several trainings


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
    """Make the next run folder, `<root>/<experiment>/001` and so on; all processes of one training get the same.

    Args:
        root: where all runs lie.
        experiment: the experiment's name, slugged.

    Raises:
        GenlitError: the folder cannot be made, or processes started apart share no job id.
    """
    home, job = Path(root) / slug(experiment), _job()
    _refuse_outside(Path(root), home)
    try:
        home.mkdir(parents=True, exist_ok=True)
        run = _claim(home / job) if job else shared() or _next(home)
    except OSError as error:
        raise GenlitError(f"No run folder can be made in {home} ({error.strerror}); choose another root.") from error
    os.environ["GENLIT_RUN"] = str(run)
    return run


def shared() -> Path | None:
    """The run folder chosen by the process that started this one, or None in that process itself."""
    return None if primary() or "GENLIT_RUN" not in os.environ else Path(os.environ["GENLIT_RUN"])


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


def record(run: Path, config_yaml: str, argv: list[str]) -> None:
    """Write what made a run: config.yaml, environment.json and command.txt.

    Args:
        run: the run folder.
        config_yaml: the resolved configuration.
        argv: the command line; values of keys that name a secret are struck out.
    """
    environment = json.dumps(_environment(), indent=2)
    texts = {"config.yaml": config_yaml, "environment.json": environment, "command.txt": shlex.join(redact(argv))}
    for name, text in texts.items():
        write(run / name, f"{text.rstrip()}\n")


def redact(argv: list[str]) -> list[str]:
    """The command line with `***` for the values of keys, tokens, secrets and passwords."""
    secret = [bool(re.fullmatch(rf"--{_SECRET}", word, re.IGNORECASE)) for word in ["", *argv]]
    return ["***" if follows else _strike(word) for follows, word in zip(secret, argv, strict=False)]


@contextmanager
def lock(run: Path) -> Iterator[None]:
    """Hold a run folder for one training; the first process of a training holds it for all.

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
    """Refuse to resume a run under another configuration, budgets, cadences and places aside.

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


def finished(run: Path) -> bool:
    """Whether a run's newest good checkpoint has reached its configuration's `trainer.max_steps`."""
    from genlit.engine import checkpoint  # here, because it imports torch, which listing runs does not need

    if not (run / "config.yaml").is_file() or not (path := checkpoint.newest(run / "checkpoints")):
        return False
    return 0 <= _config(run)["trainer"]["max_steps"] <= checkpoint.iteration(path)


def adopt(run: Path) -> Path:
    """Make a run folder the one that all processes of this training share."""
    os.environ["GENLIT_RUN"] = str(run)
    return run


def unfinished(run: Path, config: dict[str, Any]) -> bool:
    """Whether a run was interrupted, under this configuration, and nobody trains in it now."""
    if not (run / "config.yaml").exists() or finished(run):
        return False
    try:
        with lock(run):
            check_same(_config(run), config)
    except GenlitError:
        return False
    return True


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


def _config(run: Path) -> dict[str, Any]:
    return yaml.safe_load((run / "config.yaml").read_text())


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


def _claim(link: Path) -> Path:
    # Processes started apart meet at a link named after their job: making one is atomic, so the first decides.
    if not link.is_symlink():
        run = _next(link.parent)
        try:
            link.symlink_to(run.name)
        except FileExistsError:
            run.rmdir()
    return link.parent / link.readlink()


def _job() -> str | None:
    # SLURM queues a job again under the same id, so that it finds its folder.
    env = os.environ
    if "SLURM_STEP_ID" in env and env.get("SLURM_JOB_NAME") not in _INTERACTIVE:
        return f".slurm-{slug(env['SLURM_JOB_ID'])}-{slug(env['SLURM_STEP_ID'])}"
    if env.get("TORCHELASTIC_RUN_ID") == "none":
        raise GenlitError("torchrun gave its processes no common name; start it with --standalone or --rdzv-id NAME.")
    return f".torchrun-{slug(env['TORCHELASTIC_RUN_ID'])}" if "TORCHELASTIC_RUN_ID" in env else None


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


def _strike(word: str) -> str:
    word = re.sub(rf"^((?:--)?{_SECRET}=).+", r"\1***", word, flags=re.IGNORECASE | re.DOTALL)
    return re.sub(r"(\w+://[^/\s:@]*):[^/\s@]+@", r"\1:***@", word)


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict) or not tree:
        return {prefix: tree} if prefix else {}
    branches = (_flat(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in tree.items())
    return {key: value for branch in branches for key, value in branch.items()}


def _may_change(key: str) -> bool:
    plain = key.replace(".init_args.", ".")
    return any(plain == name or plain.startswith(name + ".") for name in MAY_CHANGE)
