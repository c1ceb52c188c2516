"""The codes of a model while it trains."""

from lightning.pytorch import LightningModule, Trainer

from genlit.callbacks.evaluation import selection
from genlit.capabilities import Encodes
from genlit.metrics.capabilities.active import active_units


class Posterior:
    """Counts the active units of validation images, else of training images, of a model that has codes and a prior.

    Args:
        limit: images at most.
    """

    def __init__(self, limit: int = 500):
        self.limit = limit

    def prepare(self, trainer: Trainer, model: LightningModule) -> None:
        """Needs nothing."""

    def measure(self, trainer: Trainer, model: LightningModule) -> dict[str, float]:
        """The metric by name."""
        source = trainer.datamodule
        measures = active_units(model, source, selection(source), self.limit) if isinstance(model, Encodes) else []
        return {measure.name: measure.value for measure in measures}
