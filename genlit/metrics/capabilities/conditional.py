"""Whether samples show the class that was asked for."""

from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from genlit.engine.processes import gather
from genlit.errors import GenlitError


class ConditionalAccuracy:
    """The share of samples that a classifier puts into the class asked for, beside its own on real images: the ceiling.

    Counts are integers and are added over processes, so every process must see its images once.

    Args:
        classifier: gives logits (B, K) of images.
        classes: K names.
    """

    def __init__(self, classifier: Callable[[Tensor], Tensor], classes: list[str]):
        self.classifier, self.classes = classifier, classes
        self.reset()

    def update(self, images: Tensor, labels: Tensor) -> None:
        """Takes in samples and the classes asked for, int64 (B,)."""
        self.samples += self._confusion(images, labels)

    def update_real(self, images: Tensor, labels: Tensor) -> None:
        """Takes in real images that the classifier was not trained on, and their classes, int64 (B,)."""
        self.real += self._confusion(images, labels)

    def compute(self) -> dict[str, float]:
        """accuracy, its mean over classes accuracy-macro, accuracy/<class>, and the same of `ceiling`.

        The ceiling is left out where no real image was seen. All processes must ask.

        Raises:
            GenlitError: of some class there is no image.
        """
        samples, real = (sum(counts) for counts in zip(*gather((self.samples, self.real))))
        return self._shares("accuracy", samples) | (self._shares("ceiling", real) if real.any() else {})

    def reset(self) -> None:
        """Forgets all images."""
        self.samples, self.real = torch.zeros(2, len(self.classes), len(self.classes), dtype=torch.int64)

    def _confusion(self, images: Tensor, labels: Tensor) -> Tensor:
        logits = self.classifier(images)
        return multiclass_confusion_matrix(logits, labels.to(logits.device), len(self.classes)).cpu()

    def _shares(self, name: str, confusion: Tensor) -> dict[str, float]:
        right, asked = confusion.diagonal().double(), confusion.sum(1).double()
        if absent := [label for label, n in zip(self.classes, asked) if not n]:
            raise GenlitError(f"{name}: there is no image of class {', '.join(absent)}; ask for images of every class")
        each = right / asked
        table = {name: (right.sum() / asked.sum()).item(), f"{name}-macro": each.mean().item()}
        return table | {f"{name}/{label}": share for label, share in zip(self.classes, each.tolist())}
