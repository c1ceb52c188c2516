"""Fidelity while a model trains: how far a few samples are from held-out images."""

from lightning.pytorch import LightningModule, Trainer

from genlit.callbacks.evaluation import selection
from genlit.capabilities import Samples
from genlit.data import Source
from genlit.engine.clock import derive
from genlit.engine.processes import agreed, broadcast, rank
from genlit.errors import GenlitError, known
from genlit.metrics.distances.neighbours import K_DENSITY
from genlit.metrics.extractors import EXTRACTORS, extractor
from genlit.metrics.fidelity import compare
from genlit.metrics.references import reference
from genlit.metrics.sets import Drawn, Stored

SEED = derive("selection")  # no seed that a user gives `genlit eval`: a checkpoint is not chosen by what is reported
METRICS = ("fid", "diversity", "kid", "precision", "recall")
LEAST = K_DENSITY + 1  # images that precision and recall need


class Fidelity:
    """Measures n samples of the averaged weights against the validation images, on a seed kept for this.

    Where no image is held out for validation, it is the training images that they are compared with: never those of the
    test, which `genlit eval` reports. The extractor belongs to this object and not to the model, so no checkpoint
    holds it.

    Args:
        name: of the extractor: inception, lenet, ...
        n: samples, at least 6.
        weights: a file of the extractor's weights.

    Raises:
        GenlitError: there is no such extractor, or the samples are too few.
    """

    def __init__(self, name: str, n: int = 1000, weights: str | None = None):
        known("run.fidelity", [name], EXTRACTORS)
        if n < LEAST:
            raise GenlitError(f"run.fidelity_samples is {n}: it must be at least {LEAST}")
        self.name, self.n, self.weights = name, n, weights

    def prepare(self, trainer: Trainer, model: LightningModule) -> None:
        """Gets the extractor, which the first process makes so that all have the same, and the real statistics.

        Raises:
            GenlitError: the model draws no samples, there are too few real images, or the extractor cannot be had.
        """
        if not isinstance(model, Samples):
            raise GenlitError(f"run.fidelity: {type(model).__name__} draws no samples to measure; set it to null")
        source = trainer.datamodule
        if len(real := self._real(source)) < LEAST:
            raise GenlitError(
                f"run.fidelity: {len(real)} {real.name} images are too few to compare with, it needs at least {LEAST}: "
                "hold out a larger data.holdout, or set run.fidelity to null"
            )
        with agreed():
            made = extractor(self.name, source=source, weights=self.weights) if rank() == 0 else None
        self._extractor = broadcast(made).to(model.device)
        reference(real, self._extractor, source.root, features=True)

    def measure(self, trainer: Trainer, model: LightningModule) -> dict[str, float]:
        """The metrics by name."""
        source = trainer.datamodule
        drawn, real = Drawn(model, self.n, SEED), self._real(source)
        measures = compare(drawn, real, self._extractor, METRICS, root=source.root, against=real.name)
        return {measure.name: measure.value for measure in measures}

    def _real(self, source: Source) -> Stored:
        return Stored.of(source, selection(source), limit=10 * self.n)
