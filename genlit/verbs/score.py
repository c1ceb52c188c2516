"""`genlit score`: how probable images are to a trained model, and which are unlike its training's."""

import csv
import io
import math
from pathlib import Path

from rich.console import Console
from rich.table import Table
from torch import Tensor

from genlit.capabilities import Bounds, HasDensity, require
from genlit.errors import GenlitError
from genlit.files import write
from genlit.metrics.capabilities.likelihood import estimates, kind_of
from genlit.metrics.capabilities.outliers import Scores, auroc, scores, threshold
from genlit.verbs import tables
from genlit.verbs.trained import Held, images_of, trained

REFERENCE = 10_000  # held-out images at most that the threshold is set by
CAUTION = (
    "Raw likelihood is high for simple images whatever they show (Nalisnick et al. 2019), so an outlier may pass: "
    "--complexity corrects for it (Serrà et al. 2020)."
)


def score(
    run: str,
    images: str,
    *,
    against: str | None = None,
    complexity: bool = False,
    k: int = 50,
    quantile: float = 0.01,
    seed: int = 0,
    out: str | None = None,
    device: str = "cpu",
    trust: tuple[str, ...] = (),
) -> dict[str, Scores]:
    """Prints how probable images are, and writes name, measure, log_prob, bits_per_dim, oddity and outlier of each.

    Args:
        run: a run folder, an experiment's name or a checkpoint in its run folder.
        images: a folder, an .npz file or a split of the run's data.
        against: images that belong, likewise: how well they are told apart is printed.
        complexity: whether likelihood is corrected for how simple images are.
        k: draws of a bound, where the model gives no exact likelihood.
        quantile: share of the run's own held-out images that the threshold calls outliers.
        seed: of binarisation and draws.
        out: the CSV file; by default `scores.csv` in the run's folder.
        device: where the model runs.
        trust: packages of the user's own.

    Returns:
        The scores of the held-out images and of each set by its name.

    Raises:
        GenlitError: the model has no likelihood, or one of other images than these.
    """
    if not (k >= 1 and 0 < quantile < 1):
        raise GenlitError(f"--k is {k} and --quantile {quantile}: they must be at least 1, and between 0 and 1")
    path, folder, model, source, _ = trained(run, device, trust)
    require(model, "score", HasDensity, Bounds)
    held = Held(source.held_out, source, REFERENCE)
    kind = kind_of(model, source, held.place)
    if complexity and not kind.density:
        raise GenlitError(
            "--complexity compares bits with those of a file; this likelihood is of real numbers, or of a part"
        )
    measure, log_prob = next(iter(estimates(model, (k,)).items()))
    sets = [held, *(images_of(place, source) for place in filter(None, (images, against)))]
    with tables.busy(f"scoring by {path}"):
        found = [scores(log_prob, kind, each.images(model.device, seed), complexity=complexity) for each in sets]
    limit = threshold(found[0].oddity, quantile)
    place = Path(out) if out else folder / "scores.csv"
    write(place, _lines(sets[1].names, found[1], measure, limit))
    roles = [f"{source.held_out}, the run's own", images, *([against] if against else [])]
    _print(f"{path}, {measure}, {kind.word}", dict(zip(roles, found)), limit, quantile)
    if against:
        print(f"AUROC {auroc(found[2].oddity, found[1].oddity):.4f}: {images} told from {against}; 0.5 is chance")
    if not complexity:
        print(CAUTION)
    print(place)
    return dict(zip(roles, found))


def _lines(names: list[str], found: Scores, measure: str, limit: float) -> str:
    """The table as CSV: log_prob in nats, bits_per_dim empty where it means nothing, outlier 0 or 1."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["name", "measure", "log_prob", "bits_per_dim", "oddity", "outlier"])
    for name, nats, bits, oddity in zip(names, *(x.tolist() for x in (found.nats, found.bits, found.oddity))):
        table.writerow([name, measure, nats, "" if math.isnan(bits) else bits, oddity, int(oddity > limit)])
    return file.getvalue()


def _print(title: str, found: dict[str, Scores], limit: float, quantile: float) -> None:
    odd = "bits/dim beyond those of the shortest file" if next(iter(found.values())).complexity is not None else "nats"
    said = f"outliers: oddity above {limit:.6g} {odd}, which {quantile:.2%} of the held-out images exceed"
    table = Table("images", title=title, caption=said)
    for column in ("n", "nats", "bits/dim", "oddity", "outliers"):
        table.add_column(column, justify="right", no_wrap=True)
    for role, each in found.items():
        means = (f"{_mean(values):.6g}" for values in (each.nats, each.bits, each.oddity))
        table.add_row(role, str(len(each.nats)), *means, f"{(each.oddity > limit).double().mean():.1%}")
    Console().print(table)


def _mean(values: Tensor) -> float:
    return values.mean().item()
