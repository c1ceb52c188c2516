"""The game's own terms on held-out images."""

import torch

from genlit.data import Source
from genlit.metrics.measure import Measure
from genlit.model import GenerativeModel


@torch.no_grad()
def held_out_terms(model: GenerativeModel, source: Source, split: str) -> list[Measure]:
    """Means of the players' terms over a split, every image once; the names carry how it was binarised, if it was."""
    n = 0
    for index, batch in enumerate(source.loader(split)):
        moved = {k: v.to(model.device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
        model.examine(moved, index, source)
        n += len(next(iter(batch.values())))
    protocol = ".".join(filter(None, [source.binarize, f"n{n}", split]))
    terms = {name.removeprefix("val/"): value for name, value in model.examined().items()}
    return [
        Measure(f"{name}.{protocol}", value, n) for name, value in terms.items() if name.split("/")[0] in model.players
    ]
