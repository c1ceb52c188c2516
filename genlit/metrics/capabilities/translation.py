"""How far translations are from the true counterparts, where the data have them, and from where they started."""

from itertools import permutations
from typing import Any

from torch import Tensor

from genlit.capabilities import Translates
from genlit.data import Source
from genlit.metrics.capabilities.means import per_image
from genlit.metrics.capabilities.reconstruction import psnr
from genlit.metrics.measure import Measure


def directions(model: Translates) -> list[tuple[str, str]]:
    """Every (from, to) of a model's domains."""
    return list(permutations(model.domains, 2))


def paired_errors(model: Translates, source: Source, split: str) -> list[Measure]:
    """Mean absolute error in [0, 1] to the true counterpart, and that of the untranslated image, in each direction.

    E|G(a) − b| / 2 over images, channels and pixels of [-1, 1]; the name carries the number of pairs and the split. The
    ratio to the error of leaving the image as it is tells a translation (below 1) from nothing (1).

    Args:
        model: translates between the domains.
        source: its rows of `split` are pairs.
        split: the split.

    Raises:
        GenlitError: there is no such row.
    """

    def measure(batch: dict[str, Any]) -> dict[str, Tensor]:
        values = {}
        for start, end in directions(model):
            values[f"mae/{start}-to-{end}"] = _mae(model.translate(batch[start], end), batch[end])
            values[f"mae-untranslated/{start}-to-{end}"] = _mae(batch[start], batch[end])
        return values

    values, n = per_image(measure, source, split, model.device)
    for direction in (f"{start}-to-{end}" for start, end in directions(model)):
        if untouched := values[f"mae-untranslated/{direction}"]:
            values[f"mae-ratio/{direction}"] = values[f"mae/{direction}"] / untouched
    return [Measure(f"{name}.n{n}.{split}", value, n) for name, value in values.items()]


def cycle_errors(model: Translates, source: Source, split: str) -> list[Measure]:
    """Mean absolute error in [0, 1] and PSNR in dB of images that went to another domain and back.

    E|F(G(a)) − a| / 2 over images, channels and pixels of [-1, 1], by the path: `cycle-mae/a-to-b-to-a.n199.test`. A
    small one says that nothing was lost, not that anything was translated: for that see `paired_errors`.

    Args:
        model: translates between the domains.
        source: of unpaired domains, as many rows are read of each as the smaller has.
        split: the split.

    Raises:
        GenlitError: there is no such row.
    """

    def measure(batch: dict[str, Any]) -> dict[str, Tensor]:
        values = {}
        for start, end in directions(model):
            again = model.translate(model.translate(batch[start], end), start)
            values[f"cycle-mae/{start}-to-{end}-to-{start}"] = _mae(again, batch[start])
            values[f"cycle-psnr/{start}-to-{end}-to-{start}"] = psnr(again, batch[start])
        return values

    values, n = per_image(measure, source, split, model.device)
    return [Measure(f"{name}.n{n}.{split}", value, n) for name, value in values.items()]


def _mae(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).abs().flatten(1).double().mean(1) / 2
