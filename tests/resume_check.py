"""Whether a training that is killed and resumed ends where an uninterrupted one does, bit for bit.

    python -m tests.resume_check dcgan --processes 1,2 --workers 0,2 --signal KILL,TERM

Every case runs the real command line in a folder of its own, signals its whole process group at random moments after a
checkpoint, starts the same command again until it has finished, and compares the last checkpoint and the history with
an uninterrupted run's.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import product, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch

from genlit import config
from genlit.engine import checkpoint
from genlit.errors import GenlitError
from genlit.logging import history

KILLS, STEPS, TIMEOUT = 2, 40, 300  # interruptions of a case, iterations, seconds that one process may take
CODES = {"KILL": -signal.SIGKILL, "TERM": 128 + signal.SIGTERM}
LATE = (0, -signal.SIGTERM)  # codes of a signal that came when all was saved
COMPARED = ("global_step", "hyper_parameters", "state_dict", "optimizer_states", "processes")
TIMES = ("throughput/", "progress/hours")
FLAGS = [
    f"--trainer.max_steps={STEPS}", "--trainer.accelerator=cpu", "--trainer.val_check_interval=10",
    "--trainer.limit_val_batches=4", "--trainer.log_every_n_steps=5", "--run.checkpoint_every=7",
    "--run.pictures_every=1000000", "--run.wandb=disabled",
]  # fmt: skip
SMALL = {
    "DCGAN": ["--model.width=8", "--data.batch_size=16"],
    "ProgressiveGAN": ["--model.width=8", "--model.stage_images=100", "--data.batch_size={0: 8, 150: 4}"],
    "CycleGAN": ["--model.width=4", "--model.blocks=1", "--model.critic_width=4", "--model.pool=5"],
    "Pix2Pix": ["--model.width=4", "--model.critic_width=4"],
    "StarGAN": ["--model.width=4", "--model.blocks=1", "--model.critic_width=4"],
    "PuzzleGAN": ["--model.width=4", "--model.critic_width=4", "--data.batch_size=8"],
    "Text2Image": ["--model.width=4", "--model.critic_width=4", "--data.batch_size=8"],
    "StackGAN": ["--model.width=4", "--model.critic_width=4", "--data.batch_size=8"],
    "VAE": ["--model.hidden=[32]"],
}


class Case(NamedTuple):
    """How a run is interrupted, and how it is spread."""

    signal: str
    processes: int
    workers: int

    def __str__(self) -> str:
        return f"SIG{self.signal}, processes {self.processes}, workers {self.workers}"


class Training:
    """The command line's training of an experiment in a folder of its own.

    Args:
        experiment: its name.
        folder: where the run goes; its neighbour `data` holds the decoded store.
        processes: how many train.
        workers: data workers of each.
    """

    def __init__(self, experiment: str, folder: Path, processes: int, workers: int):
        model = config.merged(config.compose(experiment, []))["model"]["name"]
        spread = [f"--trainer.devices={processes}", f"--data.workers={workers}", f"--trainer.default_root_dir={folder}"]
        self.command = [sys.executable, "-m", "genlit", "train", experiment, *FLAGS, *SMALL.get(model, []), *spread]
        self.folder, self.home, self.output = folder, folder / Path(experiment).stem, folder / "output.txt"
        self.environment = os.environ | {"OMP_NUM_THREADS": "1", "GENLIT_DATA": str(folder.parent / "data")}
        folder.mkdir()

    @property
    def run(self) -> Path:
        return self.home / "001"

    @property
    def saved(self) -> int:
        """The newest checkpoint's iteration, 0 without one."""
        return max(map(checkpoint.iteration, checkpoint.checkpoints(self.run / "checkpoints")), default=0)

    def start(self) -> subprocess.Popen:
        with self.output.open("a") as output:
            return subprocess.Popen(
                self.command, env=self.environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def saves_beyond(self, process: subprocess.Popen, iteration: int) -> bool:
        """Waits for a checkpoint after `iteration`; False when the process ended, or hung, without one."""
        deadline = time.monotonic() + TIMEOUT
        while self.saved <= iteration and process.poll() is None:
            time.sleep(0.002)
            if time.monotonic() > deadline:
                send(process, signal.SIGKILL)
                return False
        return process.poll() is None

    def end(self, process: subprocess.Popen, expected: int) -> None:
        """Waits for the end, which must be with `expected`; a signal after the last checkpoint meets less order."""
        with suppress(subprocess.TimeoutExpired):
            process.wait(TIMEOUT)
        code = process.poll()
        send(process, signal.SIGKILL)  # whatever is left of its group
        if code != expected and not (self.saved == STEPS and code in LATE):
            end = f"still ran after {TIMEOUT} s" if code is None else f"ended with {code}"
            raise BrokenError(f"{end}, not {expected}:\n" + self.output.read_text()[-1500:])

    def uninterrupted(self) -> float:
        """Trains to the end; gives the seconds between the first checkpoint and the last."""
        process = self.start()
        self.saves_beyond(process, 0)
        first = time.monotonic()
        self.saves_beyond(process, STEPS - 1)
        span = time.monotonic() - first
        self.end(process, 0)
        return span

    def interrupted(self, name: str, span: float) -> list[int]:
        """Trains to the end with KILLS interruptions; gives the iterations that were resumed at."""
        resumed = []
        while len(resumed) < KILLS:
            process = self.start()
            if self.saves_beyond(process, self.saved):
                time.sleep(random.uniform(0, span / (KILLS + 1)))
                send(process, signal.Signals[f"SIG{name}"])
            self.end(process, CODES[name])
            if self.saved == STEPS:
                return resumed
            resumed.append(self.saved)
        self.end(self.start(), 0)
        return resumed


class BrokenError(Exception):
    """A training did not end as it should."""


def send(process: subprocess.Popen, number: int) -> None:
    """Signals a process group, if there is any of it left."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def differences(one: Any, other: Any, where: str) -> Iterator[str]:
    """What differs between two trees of containers and tensors, leaf by leaf."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if one.dtype != other.dtype or not torch.equal(one, other):
            yield f"{where}: {_distance(one, other)}"
    elif isinstance(one, dict) and isinstance(other, dict):
        for key in one | other:
            yield from differences(one.get(key, "absent"), other.get(key, "absent"), f"{where}.{key}")
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        for index, pair in enumerate(zip_longest(one, other, fillvalue="absent")):
            yield from differences(*pair, f"{where}[{index}]")
    elif one != other:
        yield f"{where}: {one} and {other}"


def compare(one: Path, other: Path) -> list[str]:
    """What differs between two runs: the last checkpoint, and the history but for the times in it."""
    name = f"it-{STEPS:08d}.ckpt"
    states = (checkpoint.load(run / "checkpoints" / name) for run in (one, other))
    records = (history.read(run / "history.jsonl") for run in (one, other))
    return [
        *differences(*({key: state[key] for key in COMPARED} for state in states), "checkpoint"),
        *differences(*([_timeless(record) for record in run] for run in records), "history"),
    ]


def check(case: Case, training: Training, reference: Path, span: float) -> list[str]:
    """Plays one case; gives what went wrong."""
    try:
        resumed = training.interrupted(case.signal, span)
        runs = sorted(path.name for path in training.home.iterdir())
        wrong = compare(reference, training.run) if runs == ["001"] else [f"the run was not continued: {runs}"]
    except (BrokenError, GenlitError) as error:
        print(f"{case}: broken")
        return [str(error)]
    wrong += [] if resumed else ["the run ended before the signal: nothing was tried"]
    moments = " and ".join(map(str, resumed))
    print(f"{case}: resumed at {moments}: {f'{len(wrong)} differences' if wrong else 'identical'}", flush=True)
    return wrong


def _distance(one: torch.Tensor, other: torch.Tensor) -> str:
    if one.shape != other.shape or one.dtype != other.dtype:
        return f"{one.dtype} {tuple(one.shape)} and {other.dtype} {tuple(other.shape)}"
    return f"up to {(one.double() - other.double()).abs().max():.3g} apart"


def _timeless(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if not key.startswith(TIMES)}


def _numbers(context: click.Context, option: click.Option, text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


@click.command()
@click.argument("experiment")
@click.option("--signal", "signals", default="KILL,TERM", show_default=True, help="Signals, each a set of cases.")
@click.option("--processes", default="1,2", show_default=True, callback=_numbers, help="Numbers of processes.")
@click.option("--workers", default="0,2", show_default=True, callback=_numbers, help="Numbers of data workers.")
def main(experiment: str, signals: str, processes: list[int], workers: list[int]) -> None:
    """Kill and resume EXPERIMENT; several processes are tried with the first number of workers alone."""
    spreads = [(p, w) for p, w in product(processes, workers) if p == processes[0] or w == workers[0]]
    folder, failed = Path(tempfile.mkdtemp(prefix="resume-")), False
    references = {p: Training(experiment, folder / f"uninterrupted-{p}", p, 0) for p in processes}
    spans = {p: training.uninterrupted() for p, training in references.items()}
    for name, (p, w) in product(signals.split(","), spreads):
        training = Training(experiment, folder / f"{name}-{p}-{w}", p, w)
        wrong = check(Case(name, p, w), training, references[p].run, spans[p])
        print("".join(f"  {line}\n" for line in wrong[:8]), end="")
        failed = failed or bool(wrong)
    if failed:
        sys.exit(f"the runs lie in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
