"""`genlit train`: from an experiment to a run folder."""

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.loggers.logger import Logger

from genlit import config, runs
from genlit.callbacks.pictures import Pictures
from genlit.callbacks.progress import Progress
from genlit.callbacks.throughput import Throughput
from genlit.engine import checkpoint
from genlit.engine.checkpoint import Checkpoints, SafeIO
from genlit.engine.preempt import Preemption
from genlit.engine.strategy import Players
from genlit.errors import GenlitError
from genlit.logging.history import History
from genlit.logging.wandb import dashboard

log = logging.getLogger("genlit")


def train(
    experiment: str,
    overlays: list[str],
    flags: list[str],
    *,
    resume: str = "auto",
    override: bool = False,
    show: bool = False,
    trust: tuple[str, ...] = (),
) -> Path:
    """Trains an experiment, or goes on with one; returns the run folder.

    Raises:
        GenlitError: the configuration, the data or the run folder will not do; before any training.
    """
    config.trust(trust)
    settings = config.parse(config.compose(experiment, overlays), flags)
    plain = config.dump(settings)
    if show:
        print(yaml.safe_dump(plain, sort_keys=False), end="")
        return Path()
    hush()
    torch.manual_seed(settings.seed)
    source = config.source(settings)
    model = config.model(settings, source)
    run = runs.shared() or choose(settings.trainer.default_root_dir, Path(experiment).stem, plain, resume, override)
    with runs.lock(run):
        start = prepare(run, plain, override)
        build_trainer(settings, run, start).fit(model, datamodule=source, ckpt_path=start, weights_only=True)
    if runs.primary():
        print(f"{run}: {model.iteration} iterations, {model.images:,} images; use it: genlit sample {run}")
    return run


def hush() -> None:
    """Silences what Lightning says of things that are meant."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r".*module\(s\) in eval mode.*")  # the moving average
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # batches are slices of memory
    warnings.filterwarnings("ignore", message=".*isinstance.treespec.*")


def choose(root: str, experiment: str, plain: dict[str, Any], resume: str, override: bool) -> Path:
    """The run folder to train in: the newest one to be continued, or a new one."""
    last = runs.newest(root, experiment)
    if resume == "must":
        if last is None:
            raise GenlitError(f"there is no run of '{experiment}' in {root} to resume; leave --resume out to start one")
        return runs.adopt(last)
    if resume == "auto" and last and runs.unfinished(last, plain):
        log.warning("continuing the unfinished run %s; --resume=never starts anew", last)
        return runs.adopt(last)
    return runs.create(root, experiment)


def prepare(run: Path, plain: dict[str, Any], override: bool) -> Path | None:
    """Records what is about to be trained; returns the checkpoint to go on from."""
    if not runs.primary():
        return checkpoint.newest(run / "checkpoints")
    if (run / "config.yaml").exists():
        runs.check_same(config.read(run / "config.yaml"), plain, override)
    checkpoint.probe(run / "checkpoints")
    checkpoint.sweep(run / "checkpoints")
    runs.record(run, yaml.safe_dump(plain, sort_keys=False), sys.argv)
    start = checkpoint.newest(run / "checkpoints")
    History(run).rewind(checkpoint.iteration(start) if start else 0)
    return start


def build_trainer(settings: config.Namespace, run: Path, start: Path | None) -> Trainer:
    """Lightning's Trainer, with everything that the engine does instead of it switched off."""
    options = settings.trainer.as_dict() | {"default_root_dir": str(run)}
    return Trainer(
        **options,
        strategy=Players() if processes(options) > 1 else "auto",
        max_epochs=-1,  # one endless epoch: max_steps ends it
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_progress_bar=settings.run.progress,
        logger=loggers(settings, run),
        callbacks=callbacks(settings.run),
        plugins=[SafeIO()],
    )


def callbacks(options: config.Namespace) -> list:
    """What looks on while a model trains; checkpoints come last."""
    shown = [Progress()] if options.progress else []
    return [
        Throughput(),
        *shown,
        Pictures(options.pictures_every, options.pictures),
        Preemption(),
        Checkpoints(options.checkpoint_every, options.checkpoint_minutes, options.keep),
    ]


def loggers(settings: config.Namespace, run: Path) -> list[Logger]:
    """history.jsonl, and Weights & Biases where it is wanted; on the first process."""
    if not runs.primary():
        return []
    options, plain = settings.run, config.dump(settings)
    name = f"{run.parent.name}/{run.name}"
    tags = tuple(options.tags or ())
    board = dashboard(run, options.wandb, project=options.project, name=name, config=plain, tags=tags)
    return [History(run), *([board] if board else [])]


def processes(options: dict[str, Any]) -> int:
    """How many processes the trainer's options ask for."""
    devices = options["devices"]
    if isinstance(devices, list):
        here = len(devices)
    elif devices in ("auto", -1, "-1"):
        here = torch.cuda.device_count() if options["accelerator"] != "cpu" else 1
    else:
        here = int(devices)
    return here * options["num_nodes"]
