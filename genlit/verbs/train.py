"""`genlit train`: from an experiment to a run folder."""

import logging
import os
import shlex
import shutil
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from genlit import config, runs
from genlit.callbacks.best import Best
from genlit.callbacks.evaluation import Evaluation
from genlit.callbacks.fidelity import Fidelity
from genlit.callbacks.likelihood import Likelihood
from genlit.callbacks.pictures import Pictures
from genlit.callbacks.posterior import Posterior
from genlit.callbacks.progress import Progress
from genlit.callbacks.report import Report
from genlit.callbacks.sentinel import Sentinel
from genlit.callbacks.throughput import Throughput
from genlit.engine import checkpoint
from genlit.engine.checkpoint import Checkpoints, SafeIO
from genlit.engine.preempt import Preemption
from genlit.engine.processes import gather
from genlit.engine.strategy import SyncAtStep
from genlit.errors import GenlitError
from genlit.logging import artifacts
from genlit.logging.history import History
from genlit.logging.wandb import Dashboard, dashboard
from genlit.model import GenerativeModel
from genlit.secrets import redact

log = logging.getLogger("genlit")


def train(
    experiment: str,
    overlays: list[str],
    flags: list[str],
    *,
    resume: str = "auto",
    override: bool = False,
    trust: tuple[str, ...] = (),
) -> Path:
    """Trains an experiment, or goes on with one; returns the run folder.

    Args:
        experiment: its name or file.
        overlays: names or files of overlays, later ones win.
        flags: keys of the configuration, `--model.lr=1e-4`.
        resume: auto, must, never, or the run to go on with; see `choose`.
        override: go on although the configuration has changed; makes `auto` a `must`.
        trust: packages of the user's own whose models and sources may be built.

    Raises:
        GenlitError: the configuration, the data or the run folder will not do; before any training.
    """
    config.trust(trust)
    settings = config.parse(config.compose(experiment, overlays), flags)
    runs.check_launch(processes(settings.trainer))
    hush()
    torch.manual_seed(settings.seed)
    source = config.source(settings)
    model = config.model(settings, source)
    place, plain = (settings.trainer.default_root_dir, Path(experiment).stem), config.dump(settings)
    resume = "must" if override and resume == "auto" else resume
    run = choose(*place, plain, resume) if runs.primary() else runs.take(*place)
    with runs.lock(run):
        words, fresh = command(experiment, overlays, flags, resume), not (run / "config.yaml").exists()
        start = prepare(run, plain, override, words, departures(experiment, plain))
        with runs.offered(run, *place):
            boards = loggers(settings, run)
            with discarding(run, fresh, model, boards):
                trainer = build_trainer(settings, run, start, boards)
                with ending_others(trainer):
                    trainer.fit(model, datamodule=source, ckpt_path=start, weights_only=True)
    if runs.primary():
        runs.note_end(run, True)
        summarise(run, model, trainer.loggers, trust)
        close(run, trainer.loggers, settings.run.artifacts)
    return run


def print_config(experiment: str, overlays: list[str], flags: list[str], trust: tuple[str, ...] = ()) -> None:
    """Prints the resolved configuration of an experiment."""
    config.trust(trust)
    settings = config.parse(config.compose(experiment, overlays), flags)
    print(yaml.safe_dump(config.dump(settings), sort_keys=False), end="")


def summarise(run: Path, model: GenerativeModel, loggers: list[Logger], trust: tuple[str, ...] = ()) -> None:
    """Prints how far a training came, how to use what it made, and where its records are shown."""
    use = shlex.join([program(), "sample", str(run), *(f"--trust={package}" for package in trust)])
    print(f"{run}: {model.iteration} iterations, {model.images:,} images; use it: {use}")
    print(f"look at it: {run / 'report.html'}")
    for logger in loggers:
        if isinstance(logger, Dashboard) and logger.url:
            print(f"Weights & Biases: {logger.url}")


def program() -> str:
    """What to type for genlit: its name, where the shell knows it."""
    return "genlit" if shutil.which("genlit") else os.path.relpath(Path(sys.executable).with_name("genlit"))


def close(run: Path, loggers: list[Logger], keep: bool) -> None:
    """Closes the dashboards of a training that has ended, where wanted with its checkpoints."""
    for board in (logger for logger in loggers if isinstance(logger, Dashboard)):
        if keep:
            artifacts.keep(run, board)
        board.finish()


def hush() -> None:
    """Silences what Lightning says of things that are meant."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r".*module\(s\) in eval mode.*")  # the moving average
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # batches are slices of memory
    warnings.filterwarnings("ignore", message=".*isinstance.treespec.*")


def choose(root: str, experiment: str, plain: dict[str, Any], resume: str) -> Path:
    """The run folder to train in: the one that GENLIT_FOLDER names, if it is set.

    Args:
        root: where all runs lie.
        experiment: the experiment's name.
        plain: the configuration.
        resume: auto goes on with the newest unfinished run of the same configuration, if there is one; must with the
            newest run; a run's folder or `experiment/number` with that one; never begins anew.

    Raises:
        GenlitError: the run to go on with is not there, has used up its budget, or has damaged checkpoints alone.
    """
    if given := os.environ.get(runs.FOLDER):
        return Path(given)
    if resume == "never":
        return runs.create(root, experiment)
    if resume == "auto":
        last = next((run for run in runs.runs(root, experiment) if runs.unfinished(run, plain)), None)
        if last:
            log.warning("continuing the unfinished run %s; --resume=never starts anew", last)
        return last or runs.create(root, experiment)
    run = runs.newest(root, experiment) if resume == "must" else runs.named(resume, root)
    if run is None:
        raise GenlitError(f"there is no run of '{experiment}' in {root} to resume; leave --resume out to start one")
    if plain["trainer"]["max_steps"] <= (done := runs.reached(run)):
        raise GenlitError(f"{run} is already at {done} iterations; raise --trainer.max_steps")
    return run


def departures(experiment: str, plain: dict[str, Any]) -> runs.Differences | None:
    """What a configuration has in place of its experiment's, by overlays and flags; None of one that needs them."""
    try:
        own = config.dump(config.parse(config.compose(experiment, []), []))
    except GenlitError:
        return None
    return runs.differences(redact(own), redact(plain))


def command(experiment: str, overlays: list[str], flags: list[str], resume: str) -> list[str]:
    """The command line that asks for a training, whether one or Python did."""
    given = [*(f"--with={overlay}" for overlay in overlays), *([] if resume == "auto" else [f"--resume={resume}"])]
    return ["genlit", "train", experiment, *given, *flags]


def prepare(
    run: Path, plain: dict[str, Any], override: bool, words: list[str], departures: runs.Differences | None = None
) -> Path | None:
    """Records what is about to be trained; returns the checkpoint to go on from."""
    if not runs.primary():
        return checkpoint.newest(run / "checkpoints")
    if (run / "config.yaml").exists():
        runs.check_same(config.read(run / "config.yaml"), plain, override)
    checkpoint.probe(run / "checkpoints")
    checkpoint.sweep(run / "checkpoints")
    runs.note_end(run, False)
    runs.record(run, yaml.safe_dump(plain, sort_keys=False), words, departures)
    start = checkpoint.newest(run / "checkpoints")
    History(run).rewind(checkpoint.iteration(start) if start else 0)
    return start


def build_trainer(settings: config.Namespace, run: Path, start: Path | None, loggers: Sequence[Logger] = ()) -> Trainer:
    """Lightning's Trainer, with everything that the engine does instead of it switched off.

    Raises:
        GenlitError: Lightning refuses an option, such as a GPU where there is none.
    """
    options = settings.trainer.as_dict() | {"default_root_dir": str(run)}
    options |= {"logger": list(loggers), "callbacks": [Unison(run, start), *callbacks(settings.run)]}
    try:
        return Trainer(
            **options,
            strategy=strategy(settings),
            max_epochs=-1,  # one endless epoch: max_steps ends it
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_model_summary=False,
            enable_progress_bar=settings.run.progress,
            plugins=[SafeIO()],
        )
    except (MisconfigurationException, ValueError, ImportError) as error:
        raise GenlitError(f"the trainer's options will not do: {' '.join(str(error).split())}") from error


def strategy(settings: config.Namespace) -> SyncAtStep | str:
    """How several processes train together."""
    several = processes(settings.trainer) > 1
    return SyncAtStep(timeout=timedelta(seconds=settings.run.patience)) if several else "auto"


@contextmanager
def discarding(run: Path, fresh: bool, model: GenerativeModel, loggers: list[Logger]) -> Iterator[None]:
    """A block that leaves nothing of a new run which is refused before its first iteration has begun.

    Args:
        run: its folder.
        fresh: whether this training is the folder's first; one that others have named stays.
        model: that is trained.
        loggers: what records it; dashboards write into the folder until they are closed.
    """
    try:
        yield
    except GenlitError:
        begun = model._trainer and model._trainer.fit_loop.epoch_loop.batch_progress.total.ready
        if runs.primary() and fresh and runs.FOLDER not in os.environ and not begun:
            for board in (logger for logger in loggers if isinstance(logger, Dashboard)):
                board.finish(1)
            shutil.rmtree(run, ignore_errors=True)
        raise


@contextmanager
def ending_others(trainer: Trainer) -> Iterator[None]:
    """A block whose failure ends the processes that this one has started: one that hangs would outlive it."""
    try:
        yield
    except Exception:
        if launcher := trainer.strategy.launcher:
            launcher.kill(signal.SIGKILL)
        raise


class Unison(Callback):
    """Refuses to train when the processes would not go on from the same checkpoint of the same run.

    Args:
        run: the run folder of this process.
        start: its checkpoint.
    """

    def __init__(self, run: Path, start: Path | None):
        self.place = f"{run.parent.name}/{run.name} at {start.name if start else 'its beginning'}"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Compares, as soon as the processes can talk."""
        places = sorted(set(gather(self.place)))
        if len(places) > 1:
            raise GenlitError(f"the processes of this training would go on from {' and '.join(places)}; start it again")


def callbacks(options: config.Namespace) -> list:
    """What looks on while a model trains; checkpoints come last."""
    shown = [Progress()] if options.progress else []
    return [
        Throughput(),
        *shown,
        Pictures(options.pictures_every, options.pictures),
        *evaluation(options),
        Report(),
        Preemption(),
        Checkpoints(options.checkpoint_every, options.checkpoint_minutes, options.keep),
    ]


def evaluation(options: config.Namespace) -> list:
    """What measures a model while it trains, and what acts on the measurements."""
    measures, watchers = [], []
    if options.fidelity:
        measures.append(Fidelity(options.fidelity, options.fidelity_samples, options.fidelity_weights))
        watchers.append(Best())
    if options.likelihood:
        measures.append(Likelihood(tuple(options.likelihood)))
    if measures:
        measures.append(Posterior())
    if options.sentinel:
        watchers.append(Sentinel(options.sentinel))
    return [Evaluation(measures, options.evaluate_every, options.evaluate_share), *watchers] if measures else []


def loggers(settings: config.Namespace, run: Path) -> list[Logger]:
    """history.jsonl, and Weights & Biases where it is wanted; on the first process."""
    if not runs.primary():
        return []
    options, plain = settings.run, config.dump(settings)
    name = f"{run.parent.name}/{run.name}"
    tags = tuple(options.tags or ())
    board = dashboard(run, options.wandb, project=options.project, name=name, config=plain, tags=tags)
    return [History(run), *([board] if board else [])]


def processes(options: config.Namespace) -> int:
    """How many processes the trainer's options ask for."""
    here = options.devices
    if here in ("auto", -1):
        here = 1 if options.accelerator == "cpu" else max(1, torch.cuda.device_count())
    return here * options.num_nodes
