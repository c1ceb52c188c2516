"""Which process this is among those of its training, and how they agree on a run folder."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genlit.errors import GenlitError
from genlit.runs.names import slug

FOLDER = "GENLIT_FOLDER"  # the variable that gives a training its run folder: a trial of a sweep has its own
_INTERACTIVE = ("bash", "interactive")  # the names of SLURM jobs in which a user types several trainings
_STARTED = time.time()
_PATIENCE = 60  # s that a process waits for the first one
_HEAD_START = 300  # s that the first process may be ahead


def primary() -> bool:
    """Whether this process is the first of its training, by the launcher's environment variables."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK"))


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


def _started() -> int | None:
    """How many processes a launcher started; None without one."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    if "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in _INTERACTIVE:
        return int(os.environ["SLURM_NTASKS"]) if "SLURM_STEP_ID" in os.environ else 1  # without srun: this one
    return None


def _meeting_point(root: str | Path, experiment: str) -> Path | None:
    # Processes started apart meet at a link named after their start: a job that is queued again is another one.
    if (_started() or 1) == 1:
        return None
    restarts = (os.environ.get(name, "0") for name in ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT"))
    return Path(root) / slug(experiment) / "-".join([_job(), *restarts])


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


def _job() -> str:
    env = os.environ
    if "SLURM_STEP_ID" in env and env.get("SLURM_JOB_NAME") not in _INTERACTIVE:
        return f".slurm-{slug(env['SLURM_JOB_ID'])}-{slug(env['SLURM_STEP_ID'])}"
    if env["TORCHELASTIC_RUN_ID"] == "none":
        raise GenlitError("torchrun gave its processes no common name; start it with --standalone or --rdzv-id NAME.")
    return f".torchrun-{slug(env['TORCHELASTIC_RUN_ID'])}"
