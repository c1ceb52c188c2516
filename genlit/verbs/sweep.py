"""`genlit sweep`: many trainings of one experiment, and the best of them."""

import logging
import multiprocessing
import shlex
from pathlib import Path
from typing import Any

import yaml

from genlit import runs
from genlit.errors import GenlitError
from genlit.files import write
from genlit.sweep import command, local, online, schema
from genlit.sweep.journal import open_journal, running
from genlit.sweep.outcome import write_outcome

log = logging.getLogger("genlit")

MAY_CHANGE = ("run_cap", "early_terminate", "name", "description", "controller")
PROJECT = "genlit"


def sweep(
    experiment: str,
    file: str | None,
    *,
    on_this_machine: bool,
    workers: int,
    count: int | None,
    folder: str | None,
    args: str,
) -> None:
    """Runs a sweep, or goes on with the one in its folder.

    Args:
        experiment: its name or file.
        file: the sweep's, or its name below configs/sweep; by default the experiment's.
        on_this_machine: leave W&B's server out.
        workers: processes that run trials at the same time.
        count: how many trials there are at most.
        folder: where the trials go; by default experiments/runs/sweep-EXPERIMENT, with the file's name behind it where
            that is another.
        args: what every trial has, as `genlit train` takes it.

    Raises:
        GenlitError: the sweep, a parameter or the folder will not do; before any trial.
    """
    from genlit import config

    place = config.find("configs", file if file and Path(file).suffix else f"sweep/{file or Path(experiment).stem}")
    content = config.read(place)
    spec = schema.read(content)
    overlays, flags, trust = _of_every_trial(experiment, args)
    caps = [cap for cap in (count, spec.run_cap) if cap]
    home = Path(folder) if folder else runs.ROOT / runs.slug(_name(experiment, place))
    asked = local.Asked(content, experiment, overlays, flags, trust, home, workers, min(caps, default=None))
    _check(asked, spec)
    if on_this_machine or spec.local or not online.available():
        _locally(asked, spec)
    else:
        _on_the_server(asked, spec)


def _locally(asked: local.Asked, spec: schema.Spec) -> None:
    _same_as_begun(asked)
    try:
        signal = local.run(asked)
    finally:
        journal = open_journal(asked.folder, spec.metric)
        write_outcome(journal, spec, [asked.experiment, *asked.overlays], asked.flags)
    if left := running(journal):
        log.warning("%d trials in %s have not ended; the same command goes on with them", len(left), asked.folder)
    if signal:
        raise SystemExit(128 + signal)


def _on_the_server(asked: local.Asked, spec: schema.Spec) -> None:
    overlays = [word for overlay in asked.overlays for word in ("--with", overlay)]
    trusted = [word for package in asked.trust for word in ("--trust", package)]
    words = [asked.experiment, *overlays, *trusted, *asked.flags, f"--trainer.default_root_dir={asked.folder}"]
    content = online.described(spec, words, asked.cap)
    project, entity = content.get("project", PROJECT), content.get("entity")
    sweep = online.create(content, project)
    context = multiprocessing.get_context("spawn")
    agents = [context.Process(target=online.agent, args=(sweep, None, project, entity)) for _ in range(asked.workers)]
    for agent in agents:
        agent.start()
    for agent in agents:
        agent.join()


def _of_every_trial(experiment: str, args: str) -> tuple[list[str], list[str], tuple[str, ...]]:
    """Overlays, flags and trusted packages of words for `genlit train`."""
    from genlit.cli import train

    try:
        words = shlex.split(args)
    except ValueError as error:
        raise GenlitError(f"--args: {args!r} cannot be split into words ({error})") from error
    context = train.make_context("train", [experiment, *words])
    smoke = ["trainer/smoke"] if context.params["smoke"] else []
    return [*context.params["overlays"], *smoke], context.args, context.params["trust"]


def _name(experiment: str, place: Path) -> str:
    stem = Path(experiment).stem
    return f"sweep-{stem}" if place.stem == stem else f"sweep-{stem}-{place.stem}"


def _check(asked: local.Asked, spec: schema.Spec) -> None:
    """Refuses macros, keys and values that would fail every trial."""
    if spec.command:
        command.check(spec.command)
        return
    for parameter in spec.parameters:
        for value in _examples(parameter):
            local.resolved(asked, command.flags({parameter.name: value}))


def _examples(parameter: Any) -> list[Any]:
    """Values of a parameter that stand for all: those of a list, else the lowest integer, or the middle."""
    if "value" in parameter.settings:
        return [parameter.settings["value"]]
    middle = parameter.settings.get("min") if parameter.distribution == "int_uniform" else 0.5
    return parameter.settings.get("values") or [parameter.value(middle)]


def _same_as_begun(asked: local.Asked) -> None:
    """Notes what a sweep searches in its folder; refuses to go on with another."""
    noted = asked.folder / "sweep.yaml"
    now = {"experiment": asked.experiment, "overlays": asked.overlays, "args": asked.flags, "sweep": asked.content}
    if noted.exists():
        before = yaml.safe_load(noted.read_text())
        changed = runs.differences(_fixed(before), _fixed(now))
        if changed:
            told = ", ".join(f"{key}: {old} -> {new}" for key, (old, new) in changed.items())
            raise GenlitError(f"{asked.folder} holds another sweep ({told}); choose another --dir")
    write(noted, yaml.safe_dump(now, sort_keys=False))


def _fixed(noted: dict[str, Any]) -> dict[str, Any]:
    """What a sweep is told by, without what may change while it goes on: when it and its trials end, and its words."""
    kept = {key: value for key, value in noted["sweep"].items() if key not in MAY_CHANGE}
    return noted | {"sweep": kept | {"metric": noted["sweep"]["metric"] | {"target": None}}}
