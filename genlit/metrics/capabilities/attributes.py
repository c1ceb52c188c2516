"""Whether edited images have the attributes asked for, and keep the others."""

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor
from torchmetrics.functional.classification import multilabel_stat_scores

from genlit.capabilities import NOT, Translates
from genlit.data import Source
from genlit.engine.processes import gather
from genlit.errors import GenlitError
from genlit.metrics.capabilities.conditional import reader
from genlit.metrics.capabilities.means import blocks, counted, protocol
from genlit.metrics.measure import Measure

UNCOUNTED = -1


def attribute_edits(
    model: Translates, source: Source, split: str, limit: int | None = None, *, device: torch.device | str = "cpu"
) -> list[Measure]:
    """`AttributeEdits` of held-out images, each attribute in turn turned into its opposite, by the source's classifier.

    `attributes-reached/lenet-1a2b3c4d.n200.test`, `attributes-preserved/…` and the classifier's own
    `attributes-ceiling/…`, means over attributes, each attribute's in the details. Attributes that exclude the one
    asked for count as asked to go.

    Args:
        model: every attribute and its absence are among its domains.
        source: of the images; the classifier is trained on it once.
        split: the split.
        limit: at most this many images.
        device: where the classifier runs.

    Raises:
        GenlitError: there is no such image, or the classifier cannot learn.
    """
    names, n = source.attribute_names, counted(source, split, limit)
    judge = reader(source, device, "attributes")
    metric = AttributeEdits(judge.logits, names)
    for batch, positions in blocks(source, split, n, model.device, 0):
        images, before = (batch[name][: int((positions < n).sum())] for name in ("image", "attributes"))
        metric.update_real(images, before)
        for place, there in product(range(len(names)), (0, 1)):
            rows = before[:, place] == 1 - there
            if rows.any():
                edited = model.translate(images[rows], names[place] if there else NOT + names[place])
                metric.update(edited, before[rows], asked(model, names, before[rows], place, there))
    found = metric.compute()
    return [
        Measure(
            f"attributes-{kind}/{protocol(source, n, split, judge.name)}",
            found[kind],
            n,
            {"by_attribute": {name: found[f"{kind}/{name}"] for name in names if f"{kind}/{name}" in found}},
        )
        for kind in ("reached", "preserved", "ceiling")
        if kind in found
    ]


def asked(model: Translates, names: list[str], before: Tensor, place: int, there: int) -> Tensor:
    """Attributes after an edit of the one at `place`, (B, A): another that it excludes goes."""
    after = before.clone()
    for group in getattr(model, "exclusive", []):
        if there and names[place] in group:
            after[:, [names.index(name) for name in group]] = 0
    after[:, place] = there
    return after


class AttributeEdits:
    """Per attribute, how often an edit that asked for it reached it, and how often one that did not left it alone.

    reached = P(ĉ = asked | asked ≠ before), preserved = P(ĉ = before | asked = before), ĉ what a classifier sees, which
    alone errs: its share right on real images is the ceiling. Reading either without the other rewards a model that
    changes nothing, or everything.

    Args:
        classifier: gives logits (B, A) of images; an attribute is seen where they are above 0.
        names: of the A attributes.
    """

    def __init__(self, classifier: Callable[[Tensor], Tensor], names: list[str]):
        self.classifier, self.names = classifier, names
        self.reset()

    def update(self, images: Tensor, before: Tensor, asked: Tensor) -> None:
        """Takes in edited images; every image once over all processes.

        Args:
            images: after the edit, (B, C, H, W).
            before: attributes of the originals, 0 or 1, (B, A).
            asked: attributes asked for, 0 or 1, (B, A).
        """
        seen, before, asked = self._seen(images), before.cpu().long(), asked.cpu().long()
        self.counts["reached"] += self._right(seen, torch.where(asked != before, asked, UNCOUNTED))
        self.counts["preserved"] += self._right(seen, torch.where(asked == before, before, UNCOUNTED))

    def update_real(self, images: Tensor, attributes: Tensor) -> None:
        """Takes in real images that the classifier was not trained on, and their attributes, 0 or 1, (B, A)."""
        self.counts["ceiling"] += self._right(self._seen(images), attributes.cpu().long())

    def compute(self) -> dict[str, float]:
        """reached, preserved and ceiling: their means over attributes, and each as reached/<attribute>.

        Attributes without an edit that counts are left out. All processes must ask.

        Raises:
            GenlitError: there is no edited image.
        """
        shares = gather(self.counts)
        totals = {kind: sum(share[kind] for share in shares) for kind in self.counts}
        if not (totals["reached"].any() or totals["preserved"].any()):
            raise GenlitError("attributes: there is no edited image to look at")
        return {name: value for kind, total in totals.items() for name, value in self._shares(kind, total).items()}

    def reset(self) -> None:
        """Forgets all images."""
        kinds = ("reached", "preserved", "ceiling")
        self.counts = {kind: torch.zeros(len(self.names), 2, dtype=torch.int64) for kind in kinds}

    def _seen(self, images: Tensor) -> Tensor:
        return (self.classifier(images) > 0).long().cpu()

    def _right(self, seen: Tensor, target: Tensor) -> Tensor:
        """How many are right, and how many count, (A, 2)."""
        options = {"ignore_index": UNCOUNTED, "average": "none"}
        positive, wrong_on, negative, wrong_off, _ = multilabel_stat_scores(seen, target, len(self.names), **options).T
        return torch.stack([positive + negative, positive + negative + wrong_on + wrong_off], 1)

    def _shares(self, kind: str, total: Tensor) -> dict[str, float]:
        each = {name: right / n for name, (right, n) in zip(self.names, total.tolist()) if n}
        mean = {kind: sum(each.values()) / len(each)} if each else {}
        return mean | {f"{kind}/{name}": share for name, share in each.items()}
