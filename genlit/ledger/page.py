"""The table of the ledger, between two marks of a page that is written by hand."""

from collections.abc import Iterable
from pathlib import Path
from statistics import mean, stdev

from genlit.errors import GenlitError
from genlit.files import write
from genlit.ledger.records import ROOT, Record, read, refuse_mixed

PAGE = Path("experiments/README.md")
BEGIN, END = "<!-- ledger: written by `make ledger` from experiments/records -->", "<!-- ledger: end -->"
COLUMNS = ("experiment", "metric", "last, by seed", "mean ± spread", "best, by seed", "mean ± spread", "cost")


def build(page: Path = PAGE, root: Path = ROOT) -> None:
    """Writes the table of all records into the page; what stands around it stays.

    Raises:
        GenlitError: the page has no place for it, or records mix configurations.
    """
    text = page.read_text(encoding="utf-8") if page.is_file() else f"{BEGIN}\n{END}\n"
    if text.count(BEGIN) != 1 or END not in text.partition(BEGIN)[2]:
        raise GenlitError(f"{page} has no place for the table: give it the lines {BEGIN} and {END}")
    before, _, rest = text.partition(BEGIN)
    write(page, f"{before}{BEGIN}\n{table(root)}\n{END}{rest.partition(END)[2]}")


def table(root: Path = ROOT) -> str:
    """The records of a folder as a Markdown table: a row is one experiment and one metric with one protocol."""
    lines = [COLUMNS, ("---",) * len(COLUMNS)]
    for folder in sorted(path for path in root.glob("*") if path.is_dir()):
        records = read(folder)
        refuse_mixed(records)
        lines += _rows(folder.name, records)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rows(name: str, records: list[Record]) -> list[tuple[str, ...]]:
    """An experiment's rows, of which the first says what it is and what it cost."""
    metrics = dict.fromkeys(row["name"] for record in records for row in record["metrics"])
    said, cost, rows = what(name, records[0]), costs(records), []
    for metric in metrics:
        rows.append((said, f"`{metric}`", *_values(records, metric, "last"), *_values(records, metric, "best"), cost))
        said = cost = ""
    return rows


def _values(records: list[Record], metric: str, which: str) -> tuple[str, str]:
    """The values of a metric by seed, and their mean and standard deviation."""
    found = {
        record["seed"]: row["value"]
        for record in records
        for row in record["metrics"]
        if record["checkpoint"] == which and row["name"] == metric and row["value"] is not None
    }
    return ", ".join(f"{seed}: {value:.4g}" for seed, value in found.items()), summary(found.values())


def summary(values: Iterable[float]) -> str:
    """The mean and, of several values, their standard deviation: `4.103 ± 0.2`."""
    values = list(values)
    spread = f" ± {stdev(values):.2g}" if len(values) > 1 else ""
    return f"{mean(values):.4g}{spread}" if values else ""


def what(name: str, record: Record) -> str:
    """An experiment, its model and data, and where it departs from its file."""
    configuration = record["configuration"]
    departs = "".join(f" `--{key}={value}`" for key, value in record["departs"].items())
    return f"**{name}** {configuration['model']['name']}, {configuration['data']['name']}{departs}"


def costs(records: list[Record]) -> str:
    """What the runs cost, on the mean: minutes, images, and on what they were spent."""
    last = [record for record in records if record["checkpoint"] == "last"] or records
    wall, cpu = (mean(60 * record["cost"][key] for record in last) for key in ("hours", "cpu_hours"))
    machines = dict.fromkeys(machine(record) for record in last)
    commits = dict.fromkeys(commit(record["commit"] or "unknown") for record in last)
    said = f"{wall:.2g} min, {cpu:.2g} of CPU; {last[0]['images']:,} images; {', '.join(machines)}"
    return f"{said}; {', '.join(commits)}"


def commit(name: str) -> str:
    """A commit's short name, which still says that files had been changed."""
    return name[:7] + "-dirty" * name.endswith("-dirty")


def machine(record: Record) -> str:
    """What a run was trained on."""
    gpus = record["machine"]["gpus"]
    return ", ".join(gpus) if gpus else f"{record['machine']['cpus']} CPU cores"
