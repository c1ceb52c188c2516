"""How far translations are from the true counterparts, where the data have them."""

import torch
from torch import Tensor

from genlit.capabilities import Translates
from genlit.data import Source


def paired_errors(model: Translates, source: Source, split: str) -> dict[str, float]:
    """Mean absolute error in [0, 1] to the true counterpart, and that of the untranslated image, in each direction.

    E|G(a) − b| / 2 over images, channels and pixels of [-1, 1]; the name carries the number of pairs and the split. The
    ratio to the error of leaving the image as it is tells a translation (below 1) from nothing (1).

    Args:
        model: translates between the two domains.
        source: its rows of `split` are pairs.
        split: the split.
    """
    errors = torch.cat([_errors(model, source, batch) for batch in source.loader(split)])
    protocol = f"n{len(errors)}.{split}"
    names = [f"{a}-to-{b}" for a, b in (model.domains, model.domains[::-1])]
    table = {}
    for name, translated, untouched in zip(names, *errors.mean(0).view(2, 2).T.tolist(), strict=True):
        table[f"mae/{name}.{protocol}"] = translated
        table[f"mae-untranslated/{name}.{protocol}"] = untouched
        if untouched:
            table[f"mae-ratio/{name}.{protocol}"] = translated / untouched
    return table


def _errors(model: Translates, source: Source, batch: dict[str, Tensor]) -> Tensor:
    """(B, 4): translated and untouched error from the first domain, then from the second."""
    batch = source.transform(batch, training=False)
    a, b = (batch[domain].to(model.device) for domain in model.domains)
    first, second = model.domains
    pairs = [(model.translate(a, second), b), (a, b), (model.translate(b, first), a), (b, a)]
    return torch.stack([(x - y).abs().flatten(1).mean(1).double() / 2 for x, y in pairs], 1).cpu()
