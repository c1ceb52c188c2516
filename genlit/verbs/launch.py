"""`genlit launch`: a training, or workers of a sweep, as a job of a SLURM cluster."""

import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from genlit import config
from genlit.errors import GenlitError
from genlit.runs import slug


@dataclass(frozen=True)
class Job:
    """What a job asks of the cluster.

    Args:
        nodes: how many.
        gpus: of a node, with a process each; 0 trains on the CPU, with a process on each node.
        workers: of a sweep, each a job of its own in an array; None trains.
        folder: that the workers share.
        time: as sbatch takes it, 24:00:00.
        partition: the cluster's name for a kind of node.
    """

    nodes: int = 1
    gpus: int = 1
    workers: int | None = None
    folder: str | None = None
    time: str | None = None
    partition: str | None = None

    @property
    def tasks(self) -> int:
        """Processes of a node."""
        return max(1, self.gpus)


def launch(experiment: str, flags: tuple[str, ...], job: Job, *, show: bool = False) -> None:
    """Submits an experiment, or prints the script that would be.

    Args:
        experiment: its name or file.
        flags: of `genlit train`, or of `genlit sweep` where there are workers.
        job: what it asks of the cluster.
        show: print, and submit nothing.

    Raises:
        GenlitError: the training would refuse its flags, a sweep's workers would not meet, or sbatch refuses the job.
    """
    words, logs = _sweep(experiment, flags, job) if job.workers else _train(experiment, flags, job)
    text = script(f"genlit-{slug(Path(experiment).stem)}", words, logs, job)
    if show:
        print(text, end="")
        return
    if not shutil.which("sbatch"):
        raise GenlitError("there is no sbatch here: launch on a machine of the cluster, or add --print")
    logs.mkdir(parents=True, exist_ok=True)
    print(f"{_submit(text)}; its output: {logs}")


def script(name: str, words: list[str], logs: Path, job: Job) -> str:
    """The batch script of a command.

    Args:
        name: of the job.
        words: of the command, after `genlit`.
        logs: folder of the job's output.
        job: what it asks of the cluster.
    """
    templates = Environment(
        loader=PackageLoader("genlit", "verbs"), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    log, command = logs / f"slurm-{'%A_%a' if job.workers else '%j'}.out", [sys.executable, "-m", "genlit", *words]
    given = vars(job) | {"name": name, "tasks": job.tasks, "log": log, "command": shlex.join(command)}
    return templates.get_template("sbatch.jinja").render(given)


def _train(experiment: str, flags: tuple[str, ...], job: Job) -> tuple[list[str], Path]:
    """The words of a training, checked as it would, and the folder of its runs."""
    from genlit.cli import train

    place = [f"--trainer.num_nodes={job.nodes}", f"--trainer.devices={job.tasks}"]
    words = ["train", experiment, f"--trainer.accelerator={'gpu' if job.gpus else 'cpu'}", *place, *flags]
    context = train.make_context("genlit train", words[1:])
    config.trust(context.params["trust"])
    settings = config.parse(config.compose(experiment, list(context.params["overlays"])), context.args)
    return words, Path(settings.trainer.default_root_dir) / slug(Path(experiment).stem)


def _sweep(experiment: str, flags: tuple[str, ...], job: Job) -> tuple[list[str], Path]:
    """The words of a sweep's worker, and the folder that all workers share."""
    if job.nodes > 1 or job.gpus > 1:
        raise GenlitError(
            "a worker of a sweep has one node and at most one GPU: leave out --nodes, and --gpus is 0 or 1"
        )
    if not job.folder:
        raise GenlitError("the workers of a sweep meet in a folder that they share: add --dir DIR")
    return ["sweep", experiment, "--local", "--dir", job.folder, *flags], Path(job.folder)


def _submit(text: str) -> str:
    done = subprocess.run(["sbatch"], input=text, capture_output=True, text=True)
    if done.returncode:
        raise GenlitError(f"sbatch refuses the job: {' '.join(done.stderr.split())}")
    return done.stdout.strip()
