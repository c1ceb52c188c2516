"""How far translations are from the true counterparts, where the data have them, and from where they started."""

from typing import Any

import torch
from torch import Tensor

from genlit.capabilities import Translates, directions
from genlit.data import Source
from genlit.data.domains import ByDomain, by_domain
from genlit.metrics.capabilities.colours import Colours
from genlit.metrics.capabilities.conditional import ConditionalAccuracy, reader
from genlit.metrics.capabilities.means import per_image, protocol
from genlit.metrics.capabilities.reconstruction import psnr
from genlit.metrics.images import to_float
from genlit.metrics.measure import Measure
from genlit.metrics.sets import Stored, Translated


def between_domains(model: Translates) -> list[tuple[str, str]]:
    """Every (from, to) that a model knows and whose images are told apart: none from any `image`."""
    return [(start, end) for start, end in directions(model) if start in model.domains]


def paired_errors(model: Translates, source: Source | ByDomain, split: str) -> list[Measure]:
    """Mean absolute error in [0, 1] to the true counterpart, and that of the untranslated image, in each direction.

    E|G(a) − b| / 2 over images, channels and pixels of [-1, 1]; the name carries the number of pairs and the split. The
    ratio to the error of leaving the image as it is tells a translation (below 1) from nothing (1). `mae-colours` is
    the error of an image whose colours alone are brought to the other domain's, see `Colours`, and
    `mae-colours-ratio` the ratio to that.

    Args:
        model: translates between the domains.
        source: its rows of `split` are pairs.
        split: the split.

    Raises:
        GenlitError: there is no such row.
    """

    ways = between_domains(model)
    colours = Colours(source, list(model.domains))

    def measure(batch: dict[str, Any]) -> dict[str, Tensor]:
        values = {}
        for start, end in ways:
            values[f"mae-colours/{start}-to-{end}"] = _mae(colours.moved(batch[start], start, end), batch[end])
            values[f"mae/{start}-to-{end}"] = _mae(model.translate(batch[start], end), batch[end])
            values[f"mae-untranslated/{start}-to-{end}"] = _mae(batch[start], batch[end])
        return values

    values, n = per_image(measure, source, split, model.device)
    for direction in (f"{start}-to-{end}" for start, end in ways):
        for name, other in (("mae-ratio", "mae-untranslated"), ("mae-colours-ratio", "mae-colours")):
            if error := values[f"{other}/{direction}"]:
                values[f"{name}/{direction}"] = values[f"mae/{direction}"] / error
    return [Measure(f"{name}.{protocol(source, n, split)}", value, n) for name, value in values.items()]


def cycle_errors(model: Translates, source: Source | ByDomain, split: str) -> list[Measure]:
    """Mean absolute error in [0, 1] and PSNR in dB of images that went to another domain and back.

    E|F(G(a)) − a| / 2 over images, channels and pixels of [-1, 1], by the path: `cycle-mae/a-to-b-to-a.n199.test`. A
    small one says that nothing was lost, not that anything was translated: for that see `paired_errors`. Nothing of a
    model that knows no way back.

    Args:
        model: translates between the domains.
        source: of unpaired domains, as many rows are read of each as the smaller has.
        split: the split.

    Raises:
        GenlitError: there is no such row.
    """

    ways = [(start, end) for start, end in between_domains(model) if (end, start) in directions(model)]
    if not ways:
        return []

    def measure(batch: dict[str, Any]) -> dict[str, Tensor]:
        values = {}
        for start, end in ways:
            again = model.translate(model.translate(batch[start], end), start)
            values[f"cycle-mae/{start}-to-{end}-to-{start}"] = _mae(again, batch[start])
            values[f"cycle-psnr/{start}-to-{end}-to-{start}"] = psnr(again, batch[start])
        return values

    values, n = per_image(measure, source, split, model.device)
    return [Measure(f"{name}.{protocol(source, n, split)}", value, n) for name, value in values.items()]


def target_accuracy(
    model: Translates, source: Source, split: str, limit: int | None = None, *, device: torch.device | str = "cpu"
) -> list[Measure]:
    """The share of translations that a classifier puts into the domain asked for, from all others.

    `target-accuracy/lenet-1a2b3c4d.to-noto.n398.test` of those to noto; `target-accuracy-ceiling/...` is the
    classifier's own on the split's images. Nothing of a model that does not lead to every domain.

    Args:
        model: translates between the domains.
        source: of their images; the classifier is trained on it.
        split: the split.
        limit: at most this many images of each domain.
        device: where the classifier runs.

    Raises:
        GenlitError: there is no classifier for this source, or no image of some domain.
    """
    ways, domains = between_domains(model), list(model.domains)
    if {end for _, end in ways} != {*domains}:
        return []
    name, logits = reader(source, device)
    metric, sets = ConditionalAccuracy(logits, domains), _sets(by_domain(source, model.domains), domains, split, limit)
    for start, end in ways:
        for images, _ in Translated(model, sets[start], end).blocks():
            metric.update(to_float(images), torch.full((len(images),), domains.index(end)))
    for domain, real in sets.items():
        for images, _ in real.blocks():
            metric.update_real(to_float(images), torch.full((len(images),), domains.index(domain)))
    found, measured = metric.compute(), []
    for domain in domains:
        n = sum(len(sets[start]) for start, end in ways if end == domain)
        of = protocol(source, n, split, f"{name}.to-{domain}")
        measured.append(Measure(f"target-accuracy/{of}", found[f"accuracy/{domain}"], n))
    n = sum(map(len, sets.values()))
    return [*measured, Measure(f"target-accuracy-ceiling/{protocol(source, n, split, name)}", found["ceiling"], n)]


def _sets(source: Source | ByDomain, domains: list[str], split: str, limit: int | None) -> dict[str, Stored]:
    return {domain: Stored.of(source, split, domain, limit) for domain in domains}


def _mae(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).abs().flatten(1).double().mean(1) / 2
