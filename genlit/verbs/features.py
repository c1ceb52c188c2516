"""`genlit features`: a trained model's codes of images, for use elsewhere."""

import io
from pathlib import Path

import numpy as np
import torch

from genlit.capabilities import Encodes, require
from genlit.files import write
from genlit.metrics.capabilities.codes import codes
from genlit.metrics.capabilities.probe import linear_probe
from genlit.metrics.measure import timed
from genlit.verbs import tables
from genlit.verbs.trained import Held, Own, trained


def features(
    run: str,
    *,
    images: str | None = None,
    split: str = "test",
    seed: int = 0,
    out: str | None = None,
    device: str = "cpu",
    trust: tuple[str, ...] = (),
) -> Path:
    """Writes `codes` (N, K) and `names` (N,), of a labelled split also `labels` (N,) and `classes`; returns the file.

    Of a labelled split a linear probe's accuracy is printed.

    Args:
        run: a run folder, an experiment's name or a checkpoint in its run folder.
        images: a folder or an .npz file; by default the split.
        split: of the run's data.
        seed: of the binarisation.
        out: the file; by default `features.npz` in the run's folder.
        device: where the model runs.
        trust: packages of the user's own.

    Raises:
        GenlitError: the model has no codes, or the images cannot be read.
    """
    path, folder, model, source, _ = trained(run, device, trust)
    require(model, "encode", Encodes)
    measured = []
    with tables.busy(f"encoding by {path}"):
        if images:
            own = Own(images, source)
            parts = [model.encode(batch).float().cpu() for batch in own.images(model.device, seed)]
            arrays = {"codes": torch.cat(parts).numpy(), "names": np.array(own.names)}
        else:
            arrays = codes(model, source, split, seed=seed) | {"names": np.array(Held(split, source).names)}
            measured = timed(lambda: linear_probe(model, source, split, seed=seed))
    if "label" in arrays:
        arrays |= {"labels": arrays.pop("label"), "classes": np.array(source.classes)}
    place = Path(out) if out else folder / "features.npz"
    np.savez(file := io.BytesIO(), **arrays)
    write(place, file.getvalue())
    if measured:
        tables.report(str(path), measured, {}, None)
    print(f"{place}: {len(arrays['codes'])} codes of {arrays['codes'].shape[1]} numbers")
    return place
