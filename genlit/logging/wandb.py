"""The W&B dashboard: online when a key is found, else offline; it never asks, and never stops a run."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import wandb
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from genlit.files import write
from genlit.runs.records import OBJECTIVE, carries
from genlit.secrets import redact

log = logging.getLogger("genlit")


# Console, code, command line and installed packages may hold secrets: none of them is recorded.
SETTINGS = {
    "console": "off",
    "save_code": False,
    "disable_code": True,
    "disable_git": True,
    "x_disable_meta": True,
    "x_save_requirements": False,
    "silent": True,
    "finish_timeout": 60,  # s: what is not uploaded by then stays on disk, for `wandb sync`
    "finish_timeout_raises": True,
}
UPLOAD_TIMEOUT = 600  # s, of an artifact


class Dashboard(Logger):
    """Sends records and pictures to a W&B run; an error there is told once and training goes on.

    W&B's own step is left to count records: it refuses to go backwards, as a resumed run does. Everything is shown
    over `progress/images`, which every record must carry.

    Args:
        run: a W&B run that has started.
    """

    def __init__(self, run: wandb.Run):
        super().__init__()
        self.run = run
        self._told = False
        run.define_metric("progress/*")
        run.define_metric("*", step_metric="progress/images")

    @property
    def name(self) -> str:
        return self.run.project

    @property
    def version(self) -> str:
        return self.run.id

    @property
    def url(self) -> str | None:
        """Where the run is shown; None offline."""
        return None if self.run.offline else self.run.url

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Sends nothing: the configuration went with the start of the run."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Sends one record."""
        with self._forgiving():
            self.run.log(metrics | _objective(metrics))

    @rank_zero_only
    def log_pictures(self, pictures: dict[str, Image.Image], record: dict[str, float]) -> None:
        """Sends pictures by name, with the record's `progress/` axes beside them: W&B adds none to media."""
        axes = {key: value for key, value in record.items() if key.startswith("progress/")}
        with self._forgiving():
            self.run.log({f"pictures/{name}": wandb.Image(picture) for name, picture in pictures.items()} | axes)

    @rank_zero_only
    def log_artifact(self, artifact: wandb.Artifact, aliases: list[str]) -> None:
        """Uploads an artifact, and waits for it: what is left at the end has less time."""
        with self._forgiving():
            self.run.log_artifact(artifact, aliases=aliases).wait(timeout=UPLOAD_TIMEOUT)

    @rank_zero_only
    def finish(self, exit_code: int = 0) -> None:
        """Uploads what is left and closes the run; done at the exit of the program if not before.

        Args:
            exit_code: of the program; W&B shows a run as failed where it is not 0.
        """
        with self._forgiving():
            try:
                self.run.finish(exit_code=exit_code)
            except TimeoutError:
                place = Path(self.run.dir).parent
                log.warning("W&B did not take everything; upload it later: wandb sync --include-online %s", place)

    @rank_zero_only
    def preempted(self, exit_code: int) -> None:
        """Closes the run as one that will go on, which W&B shows as preempted until it does."""
        with self._forgiving():
            self.run.mark_preempting()
        self.finish(exit_code)

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever W&B raises, it is not worth a training run
            if not self._told:
                log.warning("W&B failed (%s: %s); training goes on, see history.jsonl", type(error).__name__, error)
            self._told = True


def dashboard(
    run_folder: str | Path,
    mode: Literal["auto", "online", "offline", "disabled"] = "auto",
    *,
    project: str = "genlit",
    name: str | None = None,
    config: dict[str, Any] | None = None,
    tags: tuple[str, ...] = (),
    timeout: float = 20,
) -> Dashboard | None:
    """Starts the W&B run of a run folder, or continues the one whose id lies there in `wandb-id.txt`.

    Args:
        run_folder: also takes W&B's files, under `wandb/`.
        mode: auto is online when W&B finds a key (environment, netrc, its settings) and offline otherwise; online falls
            back to offline with a warning.
        project: W&B's project.
        name: shown for the run.
        config: the configuration; secrets in it are redacted.
        tags: of the run.
        timeout: seconds to wait for the server at the start.

    Returns:
        None when disabled, in every process but the first, and with a warning where W&B does not run at all.
    """
    if "disabled" in (mode, os.environ.get("WANDB_MODE")) or rank_zero_only.rank:
        return None
    id_file = Path(run_folder, "wandb-id.txt")
    options = {
        "dir": str(run_folder),
        "id": id_file.read_text().strip() if id_file.exists() else None,
        "project": project,
        "name": name,
        "config": redact(config or {}),
        "tags": list(tags),
        "resume": "allow",
        "reinit": "create_new",
        "settings": wandb.Settings(**SETTINGS, init_timeout=timeout),
    }
    run = _online(options, asked=mode == "online") if mode != "offline" else None
    run = run or _offline(options)
    if run is None:
        return None
    write(id_file, run.id.encode())  # a W&B sweep gives an id of its own
    return Dashboard(run)


def _online(options: dict[str, Any], asked: bool) -> wandb.Run | None:
    """An online run; None where there is no key or no server."""
    try:
        wandb.setup(wandb.Settings(silent=True))  # else the login waits for the server, to print a name
        if wandb.login(prompt=False, verify=False):
            return wandb.init(mode="online", **options)
        reason = "no API key was found, or WANDB_MODE says so"
    except Exception as error:  # a bad key, no network, a dead server: each raises its own
        asked, reason = True, _first_line(error)
        wandb.teardown()  # the failed run still holds the id
    if asked:
        log.warning("W&B is offline: %s; upload later with `wandb sync`", reason)
    return None


def _offline(options: dict[str, Any]) -> wandb.Run | None:
    """An offline run; None where W&B's own process cannot start."""
    try:
        return wandb.init(mode="offline", **options)
    except Exception as error:
        log.warning("W&B does not run here: %s; training goes on, see history.jsonl", _first_line(error))
        return None


def _objective(metrics: dict[str, float]) -> dict[str, float]:
    """The metric that a sweep's server seeks, by the name it knows: it cannot know the digest in the full one."""
    sought = os.environ.get(OBJECTIVE)
    found = [value for name, value in metrics.items() if sought and carries(name, sought)]
    return {sought: found[-1]} if found else {}


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
