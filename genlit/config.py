"""Configurations: composed from files and flags, typed by the signatures they name, and built into objects.

Later ones win: configs/base.yaml, what the experiment is `based_on`, experiments/EXP.yaml, the overlays of the command
line, flags. `model.name` and `data.name` are classes of genlit.models and genlit.data, or of a package that the
user trusts by name; no file can import anything.
"""

import importlib
import inspect
import math
import re
from argparse import ArgumentError
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from jsonargparse import ActionConfigFile, ArgumentParser, Namespace
from lightning.pytorch import Trainer
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

import genlit.data
import genlit.models
from genlit.data import Source
from genlit.engine.play import PRECISIONS
from genlit.errors import GenlitError
from genlit.model import GenerativeModel
from genlit.runs.changes import differences
from genlit.secrets import redact

Contents = list[tuple[Path, dict[str, Any]]]  # files, and what `read` gives of each
SECTIONS = ("model", "data", "run", "trainer")
_TRUSTED: list[ModuleType] = []
TRAINER = {  # Lightning's options that mean the same here; the others are refused
    "accelerator", "benchmark", "default_root_dir", "detect_anomaly", "deterministic", "devices", "limit_val_batches",
    "log_every_n_steps", "max_steps", "max_time", "num_nodes", "precision", "sync_batchnorm", "val_check_interval",
}  # fmt: skip
COUNTS = (
    "trainer.max_steps", "trainer.num_nodes", "trainer.log_every_n_steps", "trainer.val_check_interval",
    "run.checkpoint_every", "run.keep", "run.pictures_every", "run.fidelity_samples", "run.evaluate_every",
    "run.patience",
)  # fmt: skip
WRONG_VALUE = re.compile(
    r'key "([\w.]+)":.*?(?:Subtypes: \[(.*?)\] Errors|Expected an? (.*?)\.? (?:Got|Given)).*[Vv]alue: (.*)'
)
INSTEAD = {
    "trainer.gradient_clip_val": "the engine clips by player: --model.clip=1.0",
    "trainer.gradient_clip_algorithm": "the engine clips by player's norm: --model.clip=1.0",
    "trainer.accumulate_grad_batches": "the engine accumulates within an iteration: --model.accumulate=2",
    "trainer.max_epochs": "the budget is counted in iterations: --trainer.max_steps=1000",
    "trainer.strategy": "several processes always train by genlit's own strategy: --trainer.devices=2",
    "trainer.fast_dev_run": "two iterations of everything: --smoke",
}


@dataclass
class Run:
    """What a run keeps and shows.

    Args:
        checkpoint_every: iterations between checkpoints.
        checkpoint_minutes: minutes between checkpoints, besides.
        keep: newest checkpoints that are kept.
        pictures_every: iterations between pictures.
        pictures: images in a grid.
        fidelity: extractor that samples are measured by while training: lenet, inception ...; null measures none.
        fidelity_samples: how many samples.
        fidelity_weights: a file of the extractor's weights; by default the published one.
        likelihood: draws of the bounds on log p(x) that are measured while training: [1] is the ELBO, [1, 50] adds
            IWAE-50; exact models ignore the numbers. null measures none.
        evaluate_every: images between these measurements.
        evaluate_share: of the wall time, that they may take; 1 leaves none out.
        sentinel: what a collapse that they show leads to: a warning, the training's stop, or a return: a stop that sets
            the checkpoints since the last healthy one aside. null does not look.
        wandb: where Weights & Biases records go; auto is online where a key is found, else offline.
        artifacts: whether the run there, where it is online, also keeps the best and the last checkpoint.
        project: Weights & Biases' project.
        tags: Weights & Biases' tags.
        progress: whether a progress bar is shown.
        patience: seconds that the processes of a training wait for one another: it ends where one of them hangs.
    """

    checkpoint_every: int = 1000
    checkpoint_minutes: float | None = 10
    keep: int = 2
    pictures_every: int = 1000
    pictures: int = 64
    fidelity: str | None = None
    fidelity_samples: int = 1000
    fidelity_weights: str | None = None
    likelihood: list[int] | None = None
    evaluate_every: int = 50_000
    evaluate_share: float = 0.1
    sentinel: Literal["warn", "stop", "return"] | None = "warn"
    wandb: Literal["auto", "online", "offline", "disabled"] = "auto"
    artifacts: bool = False
    project: str = "genlit"
    tags: list[str] | None = None
    progress: bool = True
    patience: int = 1800


@dataclass
class Claim:
    """What an experiment claims, for `genlit eval` to check.

    Args:
        metric: its name in the table of `genlit eval`.
        at_most: the upper bound.
        at_least: the lower bound.
    """

    metric: str
    at_most: float | None = None
    at_least: float | None = None


def folders(kind: Literal["experiments", "configs"]) -> list[Path]:
    """Where configuration files lie: the working directory's folder, then the checkout's."""
    return [Path(kind), Path(__file__).parents[1] / kind]


def find(kind: Literal["experiments", "configs"], name: str) -> Path:
    """The YAML file of an experiment or overlay: a path, or a name such as `dcgan` or `trainer/gpu`."""
    if Path(name).suffix in (".yaml", ".yml"):
        places = [Path(name)]
    else:
        places = [folder / f"{name}.yaml" for folder in folders(kind)]
    if found := next((place for place in places if place.is_file()), None):
        return found
    there = listed(kind)
    near = get_close_matches(name, there, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(there)}"
    raise GenlitError(f"there is no file {places[0]}: {hint}")


def listed(kind: Literal["experiments", "configs"]) -> list[str]:
    """Names of all experiments or overlays."""
    names = {p.relative_to(f).with_suffix("").as_posix() for f in folders(kind) for p in f.rglob("*.yaml")}
    return sorted(name for name in names if not name.startswith("runs/"))


def compose(experiment: str, overlays: list[str]) -> list[Path]:
    """The files of a configuration, in order."""
    own = _with_what_it_is_based_on(find("experiments", experiment))
    return [find("configs", "base"), *own, *(find("configs", name) for name in overlays)]


def _with_what_it_is_based_on(file: Path, above: tuple[Path, ...] = ()) -> list[Path]:
    """Experiments (`dcgan`) and overlays (`data/digits`) that a file names under `based_on`, then the file."""
    if file in above:
        raise GenlitError(f"{file} is based on itself, by way of {above[-1]}: remove one of the two from `based_on`")
    bases = [find("configs" if "/" in name else "experiments", name) for name in _based_on(file)]
    return [*(each for base in bases for each in _with_what_it_is_based_on(base, (*above, file))), file]


def _based_on(file: Path) -> list[str]:
    names = read(file).get("based_on") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise GenlitError(f"{file}: based_on is {names}, and must be a list of names: [dcgan]")
    return names


def read(file: Path) -> dict[str, Any]:
    """A YAML file as plain containers, its interpolations unresolved."""
    try:
        content = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    except (OSError, ValueError, OmegaConfBaseException, RecursionError) as error:
        raise GenlitError(f"{file} cannot be read: {_line(error)}") from error
    except Exception as error:  # the YAML library's errors share no base with any of these
        raise GenlitError(f"{file} is not valid YAML: {_line(error)}") from error
    if not isinstance(content, dict):
        raise GenlitError(f"{file} is not a configuration: it must hold `key: value` lines")
    return content


def merged(files: list[Path]) -> dict[str, Any]:
    """The files' content, later ones winning, untyped and unresolved: enough to list an experiment."""
    return OmegaConf.to_container(OmegaConf.merge(*(read(file) for file in files)), resolve=False)


def trust(packages: Iterable[str]) -> None:
    """Offers the models and sources of the user's own packages, which runs their code."""
    for package in packages:
        try:
            _TRUSTED.append(importlib.import_module(package))
        except ImportError as error:
            raise GenlitError(f"--trust: the package '{package}' cannot be imported: {error}") from error


def parse(files: list[Path], flags: list[str]) -> Namespace:
    """The resolved configuration.

    Raises:
        GenlitError: an unknown key or class, a value of the wrong type, a number that is not finite,
            a count below 1, a precision or devices that are not offered, a secret.
    """
    contents = [(file, read(file)) for file in files]
    _refuse_empty(contents)
    _refuse_replaced(contents, flags)
    parser = _parser(_named("model", contents, flags), _named("data", contents, flags))
    arguments = [f"--config={file}" for file in files] + flags
    OmegaConf.clear_resolver("oc.env")  # a secret of the environment must not reach a configuration that is saved
    try:
        config = parser.parse_args(arguments)
    except (ArgumentError, OmegaConfBaseException) as error:
        raise GenlitError(_explained(str(error), parser)) from error
    _check_numbers(config)
    _refuse_secrets(config, parser.get_defaults())
    config.trainer.devices = _devices(config.trainer.devices)
    config.trainer.precision = _precision(config.trainer.precision)
    return config


def dump(config: Namespace) -> dict[str, Any]:
    """The configuration as plain containers, for a file."""
    plain = config.clone().as_dict()
    plain.pop("config", None)
    return _plain(plain)


def source(config: Namespace) -> Source:
    """The data, arranged as the model needs it."""
    data, kind = offered("data", config.data.name)(**_arguments(config.data), seed=config.seed), config.model.name
    model, classes, labels = offered("model", kind), config.model.get("classes"), config.model.get("labels") or {}
    if config.data.get("labelled") and (classes or labels) and not model.unlabelled:
        raise GenlitError(f"data.labelled is {config.data.labelled}, and {kind} needs every label: set it to null")
    return data.require((*model.needs, *["label"] * bool(classes), *labels))


def model(config: Namespace, data: Source) -> GenerativeModel:
    """The model, shaped by the data.

    Raises:
        GenlitError: it is to be conditioned on another number of classes than the data have, or on other names, or it
            learns from pairs and the data have none.
    """
    kind, classes = offered("model", config.model.name), config.model.get("classes")
    if classes and classes != len(data.classes):
        raise GenlitError(f"model.classes is {classes}, and the data have {len(data.classes)} classes; set it to that")
    for column, names in (config.model.get("labels") or {}).items():
        found = {"label": data.classes, "attributes": data.attribute_names}.get(column, list(names))
        if list(names) != found:
            raise GenlitError(f"model.labels.{column} is {list(names)}, and the data's are {found}: set it to them")
    if kind.pairs and not data.paired("train"):
        raise GenlitError(
            f"{config.model.name} learns from pairs, and the training rows are none: set data.paired: true"
        )
    return kind(data.shape, **_arguments(config.model), seed=config.seed)


def offered(kind: Literal["model", "data"], name: str) -> type:
    """The class that `model.name` or `data.name` means.

    Raises:
        GenlitError: neither genlit nor a trusted package offers it; the nearest name is given.
    """
    base, own = {"model": (GenerativeModel, genlit.models), "data": (Source, genlit.data)}[kind]
    named = {name: thing for module in [*_TRUSTED, own] for name, thing in vars(module).items()}
    classes = {n: c for n, c in named.items() if isinstance(c, type) and issubclass(c, base) and c is not base}
    if name not in classes:
        near = get_close_matches(str(name), classes, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(classes))}"
        raise GenlitError(f"{kind}.name: there is no {kind} '{name}'; {hint} (your own package: --trust=PACKAGE)")
    return classes[name]


def arguments(kind: type[GenerativeModel], given: dict[str, Any]) -> dict[str, Any]:
    """A model's options but its shape, as its signature types them: where a file has a list, say, a tuple.

    Raises:
        GenlitError: the model has no such option, or not of that type.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "model", skip={"shape"})
    try:
        return parser.parse_object({"model": given}).model.as_dict()
    except ArgumentError as error:
        raise GenlitError(_explained(str(error), parser)) from error


def _parser(model: type[GenerativeModel], data: type[Source]) -> ArgumentParser:
    parser = ArgumentParser(
        prog="genlit train EXP", parser_mode="omegaconf+", exit_on_error=False, add_help=True, allow_abbrev=False
    )
    parser.add_argument("--config", action=ActionConfigFile, help="further files, before the flags that follow")
    parser.add_argument("--based_on", type=list[str] | None, help="experiments and overlays that come before this one")
    parser.add_argument("--seed", type=int, default=0, help="seed of the initial weights, the data order and all draws")
    parser.add_argument("--claim", type=Claim | list[Claim] | None, default=None, help="what the experiment claims")
    parser.add_argument("--cost", type=str | None, default=None, help="what the experiment costs, in words")
    parser.add_argument("--model.name", type=str, required=True, help="a class of genlit.models")
    parser.add_argument("--data.name", type=str, required=True, help="a class of genlit.data")
    parser.add_class_arguments(model, "model", skip={"shape", "seed"})
    parser.add_class_arguments(data, "data", skip={"seed"})
    parser.add_class_arguments(Run, "run")
    parser.add_class_arguments(Trainer, "trainer", skip=_other_trainer_options())
    return parser


def _other_trainer_options() -> set[str]:
    return set(inspect.signature(Trainer.__init__).parameters) - TRAINER - {"self"}


def _named(kind: Literal["model", "data"], contents: Contents, flags: list[str]) -> type:
    """The class that the last of files and flags names."""
    names = [content[kind]["name"] for _, content in contents if "name" in content.get(kind, {})]
    names += [value for key, value in _pairs(flags) if key == f"{kind}.name"]
    if not names:
        raise GenlitError(f"{contents[-1][0]} names no {kind}: write `{kind}:` and under it `name: ...`")
    return offered(kind, str(names[-1]))


def _refuse_empty(contents: Contents) -> None:
    for file, content in contents:
        for section in SECTIONS:
            if not isinstance(content.get(section, {}), dict):
                given = content[section]
                raise GenlitError(f"{file}: {section} is {given}: write `key: value` lines under it, or leave it out")


def _refuse_replaced(contents: Contents, flags: list[str]) -> None:
    """Options of Lightning's whose work the engine does: each is refused with what to write instead."""
    given = {flag for flag, _ in _pairs(flags)}
    given |= {f"trainer.{key}" for _, content in contents for key in content.get("trainer", {})}
    for key, remedy in INSTEAD.items():
        if key in given:
            raise GenlitError(f"{key} is not offered: {remedy}")


def _check_numbers(config: Namespace) -> None:
    for key, value in vars(config.as_flat()).items():
        for number in _floats(value):
            if not math.isfinite(number):
                raise GenlitError(f"{key}: {number} is not a finite number")
    if type(config.seed) is not int or not 0 <= config.seed < 2**63:
        raise GenlitError(f"seed: {config.seed} is not a whole number of at least 0 and below 2^63; set --seed=N")
    for key in COUNTS:
        if type(config[key]) is not int or config[key] < 1:
            raise GenlitError(f"{key}: {config[key]} is not a whole number of at least 1; set --{key}=N")


def _floats(value: Any) -> Iterator[float]:
    """The real numbers in a value, at any depth."""
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _floats(item)
    elif isinstance(value, float):
        yield value


def _refuse_secrets(config: Namespace, defaults: Namespace) -> None:
    """A configuration is written into the run folder, the checkpoints and the dashboard: no place for a secret."""
    plain = dump(config)
    for key, (_, given) in differences(redact(plain), plain).items():
        if given != defaults.get(key):
            raise GenlitError(f"{key} looks like a secret and would be saved: let code read it from the environment")


def _devices(given: Any) -> int | Literal["auto"]:
    """A number of devices as one, whether a flag or a file wrote it."""
    if given == "auto" or re.fullmatch(r"-1|0*[1-9]\d*", str(given)):
        return given if given == "auto" else int(given)
    raise GenlitError(
        f"trainer.devices: {given} is not a number of devices, -1 (all) or auto; choose certain GPUs by the "
        "environment: CUDA_VISIBLE_DEVICES=0,1 and --trainer.devices=2"
    )


def _precision(given: Any) -> str:
    """A precision by its full name, where Lightning has several."""
    name = {"None": "32-true", "32": "32-true", "bf16": "bf16-mixed", "64": "64-true"}.get(str(given), given)
    if name in PRECISIONS:
        return name
    why = "float16's one loss scaler over several optimisers corrupts gradients, and weights need more than 8 bits"
    raise GenlitError(f"trainer.precision: {given} is not offered ({why}); choose one of {', '.join(PRECISIONS)}")


def _pairs(flags: list[str]) -> Iterator[tuple[str, str]]:
    """(key, value) of `--key=value` and `--key value`."""
    for flag, following in pairwise([*flags, ""]):
        if flag.startswith("--"):
            key, equals, value = flag[2:].partition("=")
            yield key, value if equals else following


def _arguments(section: Namespace) -> dict[str, Any]:
    return {key: value for key, value in section.as_dict().items() if key != "name"}


def _explained(message: str, parser: ArgumentParser) -> str:
    """The parser's message as one sentence: an unknown key with the nearest, a wrong value with what is expected."""
    message = " ".join(redact(message.split()))
    if wrong := WRONG_VALUE.search(message):
        key, several, single, value = wrong.groups()
        kind = (several or single).replace("<class '", "").replace("'>", "").replace("typing.", "")
        kind = kind.replace(", NoneType", " or null")
        if choices := re.fullmatch(r"Literal\[(.*)\]( or null)?", kind):
            return f"{key}: {value} is not one of: {choices[1].replace(chr(39), '')}{choices[2] or ''}"
        return f"{key}: {value} is not of the type {kind}"
    message = re.sub(r"Group '([\w.]+)' does not accept option '([\w.]+)'", r"unknown key \1.\2", message)
    keys = [action.dest for action in parser._actions]
    unknown = re.search(r"(?:[Uu]nrecognized arguments?: -*|[Kk]ey |[Oo]ption )['\"]?([\w.]+)", message)
    near = get_close_matches(unknown[1], keys, n=1) if unknown and unknown[1] not in keys else []
    return message + (f" (did you mean '{near[0]}'?)" if near else "")


def _plain(value: Any) -> Any:
    if isinstance(value, Namespace):
        value = vars(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
