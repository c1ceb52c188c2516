"""Whether samples show the class that was asked for."""

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from genlit.capabilities import Samples
from genlit.data import Source
from genlit.data.toy import Mixture
from genlit.engine.processes import gather
from genlit.errors import GenlitError
from genlit.metrics.capabilities.means import blocks, counted, protocol
from genlit.metrics.extractors.lenet import Column, lenet
from genlit.metrics.images import to_uint8
from genlit.metrics.measure import Measure
from genlit.metrics.sets import owned


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


class Reader(NamedTuple):
    """What tells the labels of a source's images.

    Attributes:
        name: as it stands in the names of metrics: ring8, lenet-1a2b3c4d.
        logits: of images (B, C, H, W) in [-1, 1], or points: (B, K).
    """

    name: str
    logits: Callable[[Tensor], Tensor]


def reader(source: Source, device: torch.device | str = "cpu", column: Column = "label") -> Reader:
    """The nearest centre of a mixture in the plane; of pictures the source's own classifier, lenet.

    It sees images of 64 pixels and more at 64 x 64: what tells drawing styles apart is fine.

    Args:
        source: of the images; lenet is trained on it once.
        device: where lenet runs.
        column: what it tells.

    Raises:
        GenlitError: lenet cannot learn from this source.
    """
    if isinstance(source, Mixture):
        centres = source.centres.double()
        name = f"{type(source).__name__.lower()}{len(centres)}"
        return Reader(name, lambda points: -torch.cdist(points.detach().cpu().double().flatten(1), centres))
    network = lenet(source, column, side=64 if min(source.shape[1:]) >= 64 else 32).to(device)
    return Reader(
        f"{network.family}-{network.variant}", lambda images: network(to_uint8(images.clamp(-1, 1)).to(device)).logits
    )


def balanced(model: Samples, code: str, values: int, n: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """This process's samples and their values of a code, int64 (B,): ⌊n / values⌋ of each value, but one at least.

    Args:
        model: draws them; it has `code` among its traversals.
        code: label or category.
        values: how many it has.
        n: samples in all.
        seed: theirs; each is drawn from noise of its own.
    """
    each = max(1, n // values)
    for value in range(values):
        for positions in owned(each):
            start = value * each + int(positions[0])
            images = model.sample(len(positions), seed=seed, start=start, **{code: value})
            yield images, torch.full_like(positions, value)


def label_accuracy(
    model: Samples, source: Source, n: int, seed: int = 0, *, device: torch.device | str = "cpu"
) -> list[Measure]:
    """`ConditionalAccuracy` of n samples, as many of each label: `label-accuracy/lenet-1a2b3c4d.n2000` and its ceiling.

    The ceiling is the classifier's accuracy on held-out images, `label-accuracy-ceiling/lenet-1a2b3c4d.n2000.test`, and
    where the data are binarised another on these, whose name says so: it holds for samples of binary pixels.

    Args:
        model: has "label" among its traversals.
        source: of the images that it learned.
        n: number of samples.
        seed: theirs, and of the binarisation.
        device: where the classifier runs.

    Raises:
        GenlitError: there is no classifier for this source, or no held-out image of some class.
    """
    name, logits = reader(source, device)
    found = _accuracy(logits, source, balanced(model, "label", len(source.classes), n, seed))
    by_class = {label: found[f"accuracy/{label}"] for label in source.classes}
    asked = len(by_class) * max(1, n // len(by_class))
    grey = copy(source)
    grey.binarize = None
    ceilings = [_ceiling(name, logits, each, seed) for each in [grey] + [source] * bool(source.binarize)]
    return [Measure(f"label-accuracy/{name}.n{asked}", found["accuracy"], asked, {"by_class": by_class}), *ceilings]


def _ceiling(name: str, logits: Callable[[Tensor], Tensor], source: Source, seed: int) -> Measure:
    """The accuracy on all held-out images."""
    split = "test" if "test" in source.store.splits else "val"
    n = counted(source, split, None)
    real = (batch for batch, _ in blocks(source, split, n, torch.device("cpu"), seed))
    found = _accuracy(logits, source, ((batch["image"], batch["label"]) for batch in real))
    return Measure(f"label-accuracy-ceiling/{protocol(source, n, split, name)}", found["accuracy"], n)


def _accuracy(
    logits: Callable[[Tensor], Tensor], source: Source, images: Iterable[tuple[Tensor, Tensor]]
) -> dict[str, float]:
    metric = ConditionalAccuracy(logits, source.classes)
    for each in images:
        metric.update(*each)
    return metric.compute()
