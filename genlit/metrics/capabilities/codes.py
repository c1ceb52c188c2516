"""The codes of a split's images."""

import numpy as np
import torch

from genlit.capabilities import Encodes
from genlit.data import Source
from genlit.engine.processes import gather
from genlit.metrics.capabilities.means import blocks, counted

Columns = dict[str, np.ndarray]


def codes(
    model: Encodes, source: Source, split: str, limit: int | None = None, *, seed: int = 0, sampled: bool = False
) -> Columns:
    """The code of each of a split's first rows under `codes`, float32 (N, K); labels, if any, are int64 (N,).

    The same on every number of processes, which must all ask.

    Args:
        model: encodes.
        source: of the images.
        split: a split of it.
        limit: at most this many rows.
        seed: of the binarisation and of draws.
        sampled: whether a code is drawn from q(z|x) instead of the best.

    Raises:
        GenlitError: there is no such row.
    """
    n, own = counted(source, split, limit), []
    for batch, positions in blocks(source, split, n, model.device, seed):
        columns = {"codes": model.encode(batch["image"], sampled=sampled).float(), "position": positions}
        columns |= {"label": batch["label"]} if "label" in batch else {}
        own.append({name: column.cpu() for name, column in columns.items()})
    parts = [part for share in gather(own) for part in share]
    columns = {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}
    rows = np.argsort(columns.pop("position"))[:n]
    return {name: column[rows] for name, column in columns.items()}
