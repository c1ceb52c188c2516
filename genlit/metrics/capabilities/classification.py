"""How often a model that classifies is wrong."""

from typing import Any

from torch import Tensor

from genlit.capabilities import Classifies
from genlit.data import Source
from genlit.metrics.capabilities.means import per_image, protocol
from genlit.metrics.measure import Measure


def classification_error(
    model: Classifies, source: Source, split: str, limit: int | None = None, *, seed: int = 0
) -> list[Measure]:
    """Share of a split's first rows whose most probable label is not theirs: `classification-error/n2000.test`.

    Nothing of data without labels.

    Args:
        model: classifies images.
        source: their source.
        split: a split of it.
        limit: at most this many rows.
        seed: of the binarisation, which the name carries.

    Raises:
        GenlitError: there is no such row.
    """
    if not source.classes:
        return []

    def wrong(batch: dict[str, Any]) -> dict[str, Tensor]:
        return {"error": (model.classify(batch["image"]).argmax(1) != batch["label"]).float()}

    values, n = per_image(wrong, source, split, model.device, limit=limit, seed=seed)
    of = protocol(source, n, split)
    return [Measure(f"classification-error/{of}", values["error"], n)]
