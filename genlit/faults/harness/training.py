"""The real command line in processes of its own, that faults can strike."""

import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Self

from genlit.engine import checkpoint
from genlit.faults.harness.base import Broken
from genlit.logging import history

TIMEOUT = 600  # seconds that a process may take for what is expected of it, on the busiest machine
GONE = 10  # seconds that its other processes may outlive the first
LOADED = ["genlit.cli", "genlit.verbs.train", "genlit.faults.harness.struck"]  # once, for all trainings
FOREIGN = (
    "WANDB_", "SLURM_", "TORCHELASTIC_", "RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_", "GENLIT_RUN",
)  # fmt: skip
QUIET = [
    "--trainer.accelerator=cpu", "--trainer.limit_val_batches=1", "--trainer.log_every_n_steps=1",
    "--run.pictures=4", "--run.progress=false", "--run.wandb=disabled", "--run.fidelity=null", "--run.likelihood=null",
]  # fmt: skip
ENDLESS = ["--model.decay=null", "--trainer.max_steps=100000000"]  # of dcgan, until it is told to end
TINY = [*QUIET, "--model.width=2", "--data.size=16", "--data.batch_size=8"]  # of dcgan: 10 ms an iteration


class Command:
    """A verb of the command line, run in a process group of its own.

    Args:
        folder: for what it says, `output.txt`; made where it is missing.
        words: what follows `genlit`.
        environment: variables over those of this process.
        cold: whether it starts a Python of its own, as a user's does, in place of a fork of one that has loaded genlit.
        under: a command that it runs under, such as `unshare --net`; it is cold, then.
    """

    def __init__(
        self,
        folder: Path,
        *words: str,
        environment: dict[str, str] | None = None,
        cold: bool = False,
        under: tuple[str, ...] = (),
    ):
        self.folder, self.words, self.output = folder, words, folder / "output.txt"
        self.environment = _environment() | (environment or {})
        self.python = (*under, sys.executable, "-m", "genlit") if cold or under else None
        self.process: BaseProcess | None = None
        self.silent = 0  # bytes of the output that are of earlier starts
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def said(self) -> str:
        """What it has written to the terminal since it was last started."""
        return self.output.read_bytes()[self.silent :].decode(errors="replace") if self.output.exists() else ""

    @property
    def running(self) -> bool:
        """Whether its first process runs."""
        return self.process is not None and self.process.exitcode is None

    def start(self, *more: str, environment: dict[str, str] | None = None) -> Self:
        """Starts it, once more perhaps.

        Args:
            more: further words.
            environment: further variables, for this time.
        """
        self.silent = self.output.stat().st_size if self.output.exists() else 0
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(LOADED)
        words, variables = [*self.words, *more], self.environment | (environment or {})
        arguments = (words, variables, self.output, self.python, multiprocessing.get_start_method())
        self.process = context.Process(target=_play, args=arguments)
        self.process.start()
        self.until(lambda: os.getpgid(self.process.pid) == self.process.pid)
        return self

    def until(self, reached: Callable[[], bool]) -> bool:
        """Waits for something; False when the training ended without.

        Raises:
            Broken: it neither came nor ended.
        """
        deadline = time.monotonic() + TIMEOUT
        while self.running and not _true(reached):
            if time.monotonic() > deadline:
                self.kill()
                raise Broken(f"nothing happened within {TIMEOUT} s: {self.tail}")
            time.sleep(0.002)
        return self.running

    def send(self, number: int) -> None:
        """Signals all of its processes that are left."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """Ends all of its processes at once."""
        self.send(signal.SIGKILL)
        self.process.join()

    def code(self, within: float = TIMEOUT) -> int:
        """Waits for its end; gives the exit code, -9 for one that was killed.

        Args:
            within: seconds.

        Raises:
            Broken: it still runs then.
        """
        self.process.join(within)
        if self.running:
            self.kill()
            raise Broken(f"it still ran after {within:.0f} s: {self.tail}")
        return self.process.exitcode

    def ends(self, *codes: int, within: float = TIMEOUT) -> Self:
        """Waits for its end, which must be with one of these codes.

        Raises:
            Broken: it ends with another, or not at all.
        """
        code = self.code(within)
        if code not in codes:
            raise Broken(f"it ended with {code} in place of {' or '.join(map(str, codes))}: {self.tail}")
        return self

    def says(self, *parts: str) -> Self:
        """Wants words in what it has said.

        Raises:
            Broken: some are missing.
        """
        said = " ".join(self.said.split())
        for part in parts:
            if part not in said:
                raise Broken(f"it did not say '{part}': {self.tail}")
        return self

    @property
    def tail(self) -> str:
        """The end of what it has said, in a line."""
        return " ".join(self.said.split())[-600:]

    @property
    def sentence(self) -> str:
        """The last line that it has said, as it stands after `genlit:`."""
        lines = [line for line in self.said.splitlines() if line.strip()]
        return lines[-1].removeprefix("genlit: ") if lines else ""

    def left(self) -> list[int]:
        """Those of its processes that still run, the first aside."""
        session = self.process.pid
        others = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
        return [pid for pid in others if pid != session and _session(pid) == session]

    def gone(self) -> bool:
        """Whether all of its processes end within some seconds of the first."""
        deadline = time.monotonic() + GONE
        while self.left() and time.monotonic() < deadline:
            time.sleep(0.1)
        return not self.left()


class Training(Command):
    """`genlit train` in a folder of its own: its runs go to `runs` there.

    Args:
        folder: an empty one, or one to be made.
        words: what follows `genlit train`: an experiment, flags.
        options: of Command.
    """

    def __init__(self, folder: Path, *words: str, **options: Any):
        self.runs = folder / "runs"
        super().__init__(folder, "train", *words, f"--trainer.default_root_dir={self.runs}", **options)

    @property
    def run(self) -> Path:
        """The newest run folder, or one that is not there."""
        there = sorted(path for path in self.runs.glob("*/*") if path.is_dir())
        return there[-1] if there else self.runs / "none"

    @property
    def checkpoints(self) -> Path:
        """Where the newest run's checkpoints lie."""
        return self.run / "checkpoints"

    @property
    def saved(self) -> int:
        """The newest checkpoint's iteration, 0 without one."""
        return max(map(checkpoint.iteration, checkpoint.checkpoints(self.checkpoints)), default=0)

    @property
    def finished(self) -> int:
        """The last iteration in the history, 0 without one; true where every iteration is logged."""
        file = self.run / "history.jsonl"
        records = history.read(file) if file.exists() else []
        return int(records[-1]["progress/iter"]) if records else 0

    def saves_beyond(self, iteration: int) -> bool:
        """Waits for a checkpoint after `iteration`; False when the training ended without."""
        return self.until(lambda: self.saved > iteration)


def end_all() -> None:
    """Ends every command that still runs, with all of its processes."""
    for process in multiprocessing.active_children():
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.join()


def _play(
    words: list[str], environment: dict[str, str], output: Path, python: tuple[str, ...] | None, method: str
) -> None:
    os.setsid()
    with output.open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    if python:
        os.execvpe(python[0], [*python, *words], environment)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # what the server of forks has found is not what this environment says
    multiprocessing.set_start_method(method, force=True)  # of data workers, as a user's training starts them
    sys.argv = ["genlit", *words]

    from genlit.cli import main

    main()


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return kept | {"OMP_NUM_THREADS": "1"}


def _true(reached: Callable[[], bool]) -> bool:
    with suppress(OSError):  # what is looked at comes and goes
        return reached()
    return False


def _session(pid: int) -> int:
    with suppress(OSError):
        return os.getsid(pid)
    return 0
