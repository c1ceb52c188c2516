"""`genlit eval RUN RUN ...`: several runs ranked by the likelihood of the same images."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from genlit.capabilities import Bounds, HasDensity, require
from genlit.data import Source
from genlit.errors import GenlitError
from genlit.files import write
from genlit.logging import history
from genlit.metrics.capabilities.likelihood import likelihoods
from genlit.metrics.measure import Measure, timed
from genlit.metrics.sets import Stored
from genlit.verbs import tables
from genlit.verbs.trained import Trained, trained

K = 50


@dataclass(frozen=True)
class Entry:
    """A run in the table.

    Args:
        run: its name.
        checkpoint: that was measured.
        trained_images: images seen in training.
        hours: of training; None without a record.
        measure: log-prob (exact), iwae-50 (a lower bound); None where there is neither.
        protocol: what images: `dynamic.n2000.test`.
        shape: theirs, (C, H, W).
        digest: of their pixels, before they are binarised.
        n: their number.
        nats: log p(x) per image, or its bound.
        bits_per_dim: the same; None for data that are real numbers.
        seconds: that the measuring took.
        apart: why it is not ranked; None for one that is.
    """

    run: str
    checkpoint: str
    trained_images: int
    hours: float | None
    measure: str | None = None
    protocol: str | None = None
    shape: tuple[int, int, int] | None = None
    digest: str | None = None
    n: int = 0
    nats: float | None = None
    bits_per_dim: float | None = None
    seconds: float | None = None
    apart: str | None = None

    @property
    def images(self) -> tuple:
        """What must agree between runs that are ranked together."""
        return self.protocol, self.digest, (self.measure or "").partition("-given-")[2]


def rank(
    names: Sequence[str],
    *,
    split: str = "test",
    n: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    out: str | None = None,
    trust: tuple[str, ...] = (),
) -> list[Entry]:
    """Prints runs in the order of their likelihood; those of other images apart, with the reason.

    Those are ranked whose protocol most of the runs share: the same images, binarised alike, as many of the same split.

    Args:
        names: runs, experiments or checkpoints in their run folders.
        split: of the runs' data.
        n: images at most.
        seed: of binarisation and draws.
        device: where the models run.
        out: a JSON file for the table.
        trust: packages of the user's own.

    Raises:
        GenlitError: there is no such run, or none has a likelihood.
    """
    entries = []
    for name in names:
        with tables.busy(f"measuring {name}"):
            entries.append(_entry(trained(name, device, trust), split, n, seed))
    shared = Counter(entry.images for entry in entries if entry.measure)
    if not shared:
        raise GenlitError(f"no run can be ranked: {'; '.join(f'{entry.run}: {entry.apart}' for entry in entries)}")
    chosen = shared.most_common(1)[0][0]
    ranked = sorted((entry for entry in entries if entry.images == chosen), key=lambda entry: -entry.nats)
    others = [_apart(entry, ranked[0]) for entry in entries if entry.images != chosen]
    _print(ranked, others)
    if out:
        record = {"split": split, "seed": seed, "ranked": [*map(_plain, ranked)], "apart": [*map(_plain, others)]}
        write(Path(out), json.dumps(record, indent=2, allow_nan=False) + "\n")
    return ranked + others


def _entry(run: Trained, split: str, n: int | None, seed: int) -> Entry:
    name = f"{run.folder.parent.name}/{run.folder.name}"
    entry = Entry(name, run.path.name, run.model.images, _hours(run.folder))
    try:
        require(run.model, "score", HasDensity, Bounds)
        measured = timed(lambda: likelihoods(run.model, run.source, split, (K,), n, seed=seed))
    except GenlitError as error:
        return replace(entry, apart=str(error))
    return replace(entry, **_said(measured), **_images(run.source, split, measured[0].n))


def _said(measured: list[Measure]) -> dict[str, object]:
    """The exact likelihood if there is one, else the bound."""
    first, *others = measured
    measure, _, protocol = first.name.partition("/")
    bits = next((row.value for row in others if row.name == f"bits-per-dim/{measure}.{protocol}"), None)
    return {
        "measure": measure,
        "protocol": protocol,
        "nats": first.value,
        "bits_per_dim": bits,
        "seconds": first.seconds,
    }


def _images(source: Source, split: str, n: int) -> dict[str, object]:
    return {"n": n, "shape": source.shape, "digest": Stored.of(source, split, limit=n).fingerprint()}


def _hours(folder: Path) -> float | None:
    file = folder / "history.jsonl"
    return history.cost(file)["hours"] if file.exists() else None


def _apart(entry: Entry, best: Entry) -> Entry:
    """With the reason why it is not ranked beside the best."""
    if entry.apart:
        return entry
    if entry.shape != best.shape:
        here, there = (" x ".join(map(str, each.shape)) for each in (entry, best))
        return replace(entry, apart=f"its images are {here}, not {there}")
    if entry.protocol != best.protocol:
        return replace(entry, apart=f"its images are {entry.protocol}, not {best.protocol}")
    if entry.digest != best.digest:
        return replace(entry, apart="its images are others")
    return replace(entry, apart=f"it gives {entry.measure}, the others {best.measure}")


def _plain(entry: Entry) -> dict[str, object]:
    """As plain containers; JSON has no word for a value that is not finite, which becomes None."""
    infinite = (key for key, x in asdict(entry).items() if isinstance(x, float) and not math.isfinite(x))
    return asdict(entry) | dict.fromkeys(infinite)


def _print(ranked: list[Entry], others: list[Entry]) -> None:
    said = f"{ranked[0].protocol}, {' x '.join(map(str, ranked[0].shape))}"
    bounds = any(entry.measure.startswith(("elbo", "iwae")) for entry in ranked)
    caption = f"elbo and iwae-{K} are lower bounds of log-prob: such a run may be better than its place"
    table = Table("", "run", "measure", title=f"likelihood of {said}", caption=caption if bounds else None)
    for column in ("nats", "bits/dim", "hours", "seconds"):
        table.add_column(column, justify="right", no_wrap=True)
    for place, entry in enumerate(ranked, start=1):
        numbers = (entry.nats, entry.bits_per_dim, entry.hours, entry.seconds)
        table.add_row(str(place), entry.run, entry.measure, *("" if x is None else f"{x:.5g}" for x in numbers))
    Console().print(table)
    if others:
        apart = Table("run", "nats", "reason", title="not to be compared with these")
        for entry in others:
            apart.add_row(entry.run, "" if entry.nats is None else f"{entry.nats:.6g}", entry.apart)
        Console().print(apart)
