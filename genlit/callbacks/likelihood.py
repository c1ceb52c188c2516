"""Likelihood while a model trains."""

from lightning.pytorch import LightningModule, Trainer

from genlit.callbacks.evaluation import selection
from genlit.capabilities import Bounds, HasDensity
from genlit.errors import GenlitError
from genlit.metrics.capabilities.likelihood import likelihoods


class Likelihood:
    """Measures log p(x), or its bounds, and bits per dimension of validation images, else of training images.

    Args:
        k: draws of the bounds: 1 is the ELBO, more is IWAE-k.
        limit: images at most.

    Raises:
        GenlitError: a number of draws is below 1.
    """

    def __init__(self, k: tuple[int, ...] = (1,), limit: int = 500):
        if not k or min(k) < 1:
            raise GenlitError(f"run.likelihood is {list(k)}: it must be numbers of draws, each at least 1, or null")
        self.k, self.limit = k, limit

    def prepare(self, trainer: Trainer, model: LightningModule) -> None:
        """Measures once, so that what cannot be measured is refused before training.

        Raises:
            GenlitError: the model has no likelihood, or one of other images than these.
        """
        if not isinstance(model, Bounds | HasDensity):
            raise GenlitError(f"run.likelihood: {type(model).__name__} neither gives nor bounds one; set it to null")
        self._measured(trainer, model, k=(1,))

    def measure(self, trainer: Trainer, model: LightningModule) -> dict[str, float]:
        """The metrics by name."""
        return self._measured(trainer, model, self.k)

    def _measured(self, trainer: Trainer, model: LightningModule, k: tuple[int, ...]) -> dict[str, float]:
        source = trainer.datamodule
        measures = likelihoods(model, source, selection(source), k, self.limit)
        return {measure.name: measure.value for measure in measures}
