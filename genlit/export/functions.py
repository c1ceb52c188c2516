"""What of a model is a function of one tensor, row by row: what a graph can hold."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from genlit.capabilities import (
    Classifies,
    Clusters,
    Criticises,
    Decodes,
    Encodes,
    HasDensity,
    Reconstructs,
    Translates,
    directions,
)
from genlit.engine.clock import derive, reseed
from genlit.model import GenerativeModel

ROWS = 4  # of an example
OF_IMAGES = {
    "encode": Encodes,
    "reconstruct": Reconstructs,
    "classify": Classifies,
    "cluster": Clusters,
    "criticise": Criticises,
    "log_prob": HasDensity,
}


class Function(NamedTuple):
    """A pure function of rows.

    Attributes:
        name: of the model's method, with the domain of a translation: `decode`, `translate-b`.
        call: the function.
        rows: gives n rows to try it on.
    """

    name: str
    call: Callable[[Tensor], Tensor]
    rows: Callable[[int], Tensor]


def functions(model: GenerativeModel) -> Iterator[Function]:
    """The functions of a model, by its capabilities."""
    if isinstance(model, Decodes):
        yield Function("decode", model.decode, partial(draws, model))
    for name, capability in OF_IMAGES.items():
        if isinstance(model, capability):
            yield Function(name, getattr(model, name), partial(images, model))
    if isinstance(model, Translates):
        for domain in dict.fromkeys(target for _, target in directions(model)):
            yield Function(f"translate-{domain}", partial(model.translate, to=domain), partial(images, model))


def draws(model: Decodes, n: int) -> Tensor:
    """n rows that `decode` takes."""
    cpu = torch.device("cpu")
    with model.evaluation():
        reseed(cpu, "export")
        return model.draws(n, cpu)


def images(model: GenerativeModel, n: int) -> Tensor:
    """n images of noise, (n, C, H, W), of the values that the model knows."""
    noise = torch.rand(n, *model.shape, generator=torch.Generator().manual_seed(derive("export"))) * 2 - 1
    return noise.sign() if getattr(model, "levels", None) == 2 else noise
