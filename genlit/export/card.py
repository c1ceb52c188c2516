"""The card of an exported model: what it is, of which data, how to use it, and how good it is."""

import inspect
import json
from importlib.metadata import version
from pathlib import Path
from shutil import copy
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from genlit import config
from genlit.capabilities import (
    Assembles,
    Bounds,
    Completes,
    Encodes,
    HasDensity,
    Illustrates,
    Reconstructs,
    Samples,
    Translates,
    directions,
)
from genlit.files import write
from genlit.logging import history
from genlit.logging.media import captioned, png, to_pil
from genlit.logging.plane import POINT
from genlit.model import GenerativeModel

CARD, PICTURE = "README.md", "samples.png"
COUNT, POINTS = 16, 2000  # samples, or points of the plane, in the picture


def write_card(folder: Path, run: Path, checkpoint: Path, model: GenerativeModel, graphs: list[dict[str, Any]]) -> None:
    """Writes README.md and its picture.

    Args:
        folder: where to.
        run: the run folder, whose tables of `genlit eval` of that checkpoint are quoted.
        checkpoint: where the model was read.
        model: the model.
        graphs: what `write_checked` said of each.
    """
    settings = config.parse([run / "config.yaml"], [])
    data = {
        key: value for key, value in config.dump(settings)["data"].items() if key not in ("root", "workers", "path")
    }
    environment = json.loads((run / "environment.json").read_text())
    template = Environment(loader=PackageLoader("genlit.export", "."), undefined=StrictUndefined)
    card = template.get_template("card.md.jinja").render(
        name=run.resolve().parent.name,
        model=type(model).__name__,
        data=data.pop("name"),
        options=", ".join(f"{key}: {value}" for key, value in data.items() if value not in (None, False)),
        licence=config.offered("data", settings.data.name).licence or "not known",
        about=inspect.getdoc(type(model)).partition("\nArgs:")[0].strip(),
        picture=PICTURE,
        pictured=picture(folder / PICTURE, run, model),
        version=version("genlit"),
        uses=uses(model),
        graphs=graphs,
        draws=inspect.getdoc(model.draws) if any(graph["file"].startswith("decode.") for graph in graphs) else "",
        iteration=model.iteration,
        images=model.images,
        hours=history.cost(run / "history.jsonl")["hours"],
        commit=environment["commit"],
        metrics=[row for table in measured(run, checkpoint) for row in table["metrics"]],
    )
    write(folder / CARD, card)


def measured(run: Path, checkpoint: Path) -> list[dict[str, Any]]:
    """The tables of `genlit eval` in a run folder that are of this checkpoint."""
    tables = (json.loads(file.read_text()) for file in sorted(run.glob("eval-*.json")))
    return [table for table in tables if table["checkpoint"] == checkpoint.name]


def picture(file: Path, run: Path, model: GenerativeModel) -> str:
    """Draws samples, or copies the newest picture of the training; gives what it shows, nothing without any."""
    if isinstance(model, Illustrates):
        write(file, png(captioned(model.sample(COUNT), model.captions(COUNT))))
    elif isinstance(model, Samples):
        write(file, png(to_pil(model.sample(POINTS if model.shape == POINT else COUNT))))
    else:
        newest = max(run.glob("pictures/*/it-*.png"), key=lambda path: path.name, default=None)
        if newest:
            copy(newest, file)
        return f"{newest.parent.name}, {newest.stem}" if newest else ""
    return "samples"


def uses(model: GenerativeModel) -> list[str]:
    """Lines of Python that show what the model can do."""
    lines = {
        Samples: "images = model.sample(64, seed=0)  # (64, C, H, W) in [-1, 1]",
        Illustrates: 'images = model.sample(8, text="...", seed=0)',
        Encodes: "codes = model.encode(images)",
        Reconstructs: "again = model.reconstruct(images)",
        HasDensity: "log_likelihood = model.log_prob(images)  # (B,) in nats",
        Bounds: "bound = model.bound(images, k=50)  # (B,) in nats",
        Completes: "completed = model.complete(images, mask, seed=0)  # mask: True where observed",
        Assembles: "image, places = model.assemble(patches)",
    }
    said = [line for capability, line in lines.items() if isinstance(model, capability)]
    if isinstance(model, Translates):
        targets = dict.fromkeys(target for _, target in directions(model))
        said.append(f'translated = model.translate(images, "{next(iter(targets))}")  # to {", ".join(targets)}')
    return said
