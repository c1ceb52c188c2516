"""The game's own terms on held-out images."""

import torch
from lightning.fabric.utilities import move_data_to_device

from genlit.data import Source
from genlit.engine.clock import untouched
from genlit.metrics.capabilities.means import protocol
from genlit.metrics.measure import Measure
from genlit.model import GenerativeModel


@torch.no_grad()
def held_out_terms(model: GenerativeModel, source: Source, split: str) -> list[Measure]:
    """Means of the players' terms over a split, every image once; the names carry how it was binarised, if it was."""
    n = 0
    with untouched(model.device):
        for index, batch in enumerate(source.loader(split)):
            model.examine(move_data_to_device(batch, model.device), index, source)
            n += len(next(iter(batch.values())))
    of = protocol(source, n, split)
    terms = {name.removeprefix("val/"): value for name, value in model.examined().items()}
    return [Measure(f"{name}.{of}", value, n) for name, value in terms.items() if name.split("/")[0] in model.players]
