"""Records of the ledger: a saved table of `genlit eval`, with what made the run and what it cost."""

import json
from pathlib import Path
from typing import Any

from genlit import config, runs
from genlit.engine import checkpoint
from genlit.errors import GenlitError
from genlit.files import write
from genlit.logging import history

ROOT = Path("experiments/records")
PLACES = ("root", "workers")  # keys of `data` that say where and how, not what
DECISIVE = ("max_steps", "precision")  # keys of `trainer` that say what is trained

Record = dict[str, Any]


def of_run(run: Path) -> list[Record]:
    """The records of a run: of its last checkpoint and of its best, as far as the test images have measured them.

    Args:
        run: a run folder.

    Raises:
        GenlitError: a table is older than the checkpoint that it should be of.
    """
    tables = {"last": run / "eval-test.json", "best": run / "eval-test@best.json"}
    return [_record(run, which, _table(file)) for which, file in tables.items() if file.is_file()]


def add(run: Path, name: str | None = None, root: Path = ROOT) -> list[Path]:
    """Writes the records of a run, `<root>/<name>/<seed>.json` and `<seed>@best.json`.

    Args:
        run: a run folder.
        name: what they are called; by default the experiment's name.
        root: where all records lie.

    Raises:
        GenlitError: the run has not been measured, or is of another configuration than the records there.
    """
    found = of_run(run)
    if not found:
        raise GenlitError(f"{run} has no table of its test images: genlit eval {run}")
    folder = root / runs.slug(name or found[0]["experiment"])
    for record in found:
        refuse_mixed([record, *read(folder)])
    files = [folder / f"{each['seed']}{'@best' * (each['checkpoint'] == 'best')}.json" for each in found]
    for file, record in zip(files, found, strict=True):
        write(file, json.dumps(record, indent=2, allow_nan=False, sort_keys=True) + "\n")
    return files


def read(folder: Path) -> list[Record]:
    """The records of a name, by seed; the last before the best."""
    read = [(path, _table(path)) for path in folder.glob("*.json")]
    return [
        record for _, record in sorted(read, key=lambda each: (each[1]["seed"], each[0].name.endswith("@best.json")))
    ]


def refuse_mixed(records: list[Record]) -> None:
    """Refuses records that may not stand in one row, with the keys that differ.

    Raises:
        GenlitError: they are of different experiments or configurations.
    """
    for record in records[1:]:
        pairs = runs.differences(_sort(record), _sort(records[0]))
        if pairs:
            listed = ", ".join(f"{key}: {a} -> {b}" for key, (a, b) in pairs.items())
            raise GenlitError(
                f"the ledger's {record['experiment']} is of another configuration ({listed}): give these another --name"
            )


def _sort(record: Record) -> dict[str, Any]:
    return {"experiment": record["experiment"]} | record["configuration"]


def _table(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GenlitError(f"{file} cannot be read ({error}): measure the run again") from error


def _record(run: Path, which: str, table: dict[str, Any]) -> Record:
    _refuse_stale(run, which, table)
    settings, environment = config.parse([run / "config.yaml"], []), _table(run / "environment.json")
    experiment, own = run.resolve().parent.name, essential(config.dump(settings))
    shipped = essential(config.dump(config.parse(config.compose(experiment, []), [])))
    kept = ("iteration", "images", "split", "claim", "extractor", "metrics")
    return {key: table[key] for key in kept if key in table} | {
        "experiment": experiment,
        "checkpoint": which,
        "seed": settings.seed,
        "configuration": own,
        "departs": {key: value for key, (_, value) in runs.differences(shipped, own).items()},
        "cost": history.cost(run / "history.jsonl"),
        "machine": {key: environment[key] for key in ("platform", "cpus", "gpus", "packages")},
        "commit": environment["commit"],
    }


def _refuse_stale(run: Path, which: str, table: dict[str, Any]) -> None:
    path = runs.resolve(f"{run}@best" if which == "best" else run)
    if checkpoint.iteration(path) != table["iteration"]:
        name = f"{run}@best" if which == "best" else str(run)
        raise GenlitError(
            f"{name} was measured at iteration {table['iteration']}, and is {path.name} now: genlit eval {name}"
        )


def essential(plain: dict[str, Any]) -> dict[str, Any]:
    """What of a configuration decides the result, the seed aside."""
    data = {key: value for key, value in plain["data"].items() if key not in PLACES}
    return {"model": plain["model"], "data": data, "trainer": {key: plain["trainer"][key] for key in DECISIVE}}
