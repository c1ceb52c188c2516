"""A training by the real command line, in a folder and a process group of its own, that faults can strike."""

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

from genlit.engine import checkpoint
from genlit.faults.base import Broken

TIMEOUT = 180  # seconds that a process may take for what is expected of it, on a busy machine
LOADED = ["genlit.cli", "genlit.verbs.train", "genlit.faults.struck"]  # once, for all trainings
FOREIGN = (
    "WANDB_",
    "SLURM_",
    "TORCHELASTIC_",
    "RANK",
    "LOCAL_RANK",
    "NODE_RANK",
    "WORLD_SIZE",
    "MASTER_",
    "GENLIT_RUN",
)
QUIET = [
    "--trainer.accelerator=cpu", "--trainer.limit_val_batches=1", "--trainer.log_every_n_steps=1",
    "--run.pictures=4", "--run.progress=false", "--run.wandb=disabled", "--run.fidelity=null", "--run.likelihood=null",
]  # fmt: skip
TINY = [*QUIET, "--model.width=2", "--data.size=16", "--data.batch_size=8"]  # of dcgan: 10 ms an iteration


class Training:
    """A training in a folder of its own.

    Args:
        folder: an empty one, or one to be made; `runs` in it holds the run folders, `output.txt` what was said.
        words: what follows `genlit train`: an experiment, flags.
        environment: variables over those of this process.
        cold: whether it starts a Python of its own, as a user's does, in place of a fork of one that has loaded genlit.
    """

    def __init__(self, folder: Path, *words: str, environment: dict[str, str] | None = None, cold: bool = False):
        self.folder, self.runs, self.output = folder, folder / "runs", folder / "output.txt"
        self.words = ["train", *words, f"--trainer.default_root_dir={self.runs}"]
        self.environment, self.cold = _environment() | (environment or {}), cold
        self.process: BaseProcess | None = None
        self.silent = 0  # bytes of the output that are of earlier starts
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def run(self) -> Path:
        """The newest run folder; the first one, where there is none yet."""
        there = sorted(self.runs.glob("*/*"))
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
    def said(self) -> str:
        """What it has written to the terminal since it was last started."""
        return self.output.read_bytes()[self.silent :].decode(errors="replace") if self.output.exists() else ""

    @property
    def running(self) -> bool:
        """Whether its first process runs."""
        return self.process is not None and self.process.exitcode is None

    def start(self, *more: str, environment: dict[str, str] | None = None) -> "Training":
        """Starts it, once more perhaps.

        Args:
            more: further words.
            environment: further variables, for this time.
        """
        self.silent = self.output.stat().st_size if self.output.exists() else 0
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(LOADED)
        arguments = ([*self.words, *more], self.environment | (environment or {}), self.output, self.cold)
        arguments += (multiprocessing.get_start_method(),)  # a forked process would have its own children forked so
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

    def saves_beyond(self, iteration: int) -> bool:
        """Waits for a checkpoint after `iteration`; False when the training ended without."""
        return self.until(lambda: self.saved > iteration)

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

    def ends(self, *codes: int, within: float = TIMEOUT) -> "Training":
        """Waits for its end, which must be with one of these codes.

        Raises:
            Broken: it ends with another, or not at all.
        """
        code = self.code(within)
        if code not in codes:
            raise Broken(f"it ended with {code} in place of {' or '.join(map(str, codes))}: {self.tail}")
        return self

    def says(self, *parts: str) -> "Training":
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


def _play(words: list[str], environment: dict[str, str], output: Path, cold: bool, method: str) -> None:
    os.setsid()
    with output.open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    if cold:
        os.execve(sys.executable, [sys.executable, "-m", "genlit", *words], environment)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # what the server of forks has found is not what this environment says
    multiprocessing.set_start_method(method, force=True)  # of data workers
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
