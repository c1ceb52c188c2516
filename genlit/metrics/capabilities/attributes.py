"""Whether edited images have the attributes asked for, and keep the others."""

from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics.functional.classification import multilabel_stat_scores

from genlit.engine.processes import gather
from genlit.errors import GenlitError

UNCOUNTED = -1


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
