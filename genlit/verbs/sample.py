"""`genlit sample`: a trained model's pictures as files."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genlit import runs
from genlit.callbacks.pictures import matrix
from genlit.capabilities import (
    Illustrates,
    Interpolates,
    Samples,
    Translates,
    Traverses,
    codes_of,
    directions,
    require,
)
from genlit.data import Source
from genlit.data.domains import by_domain
from genlit.errors import GenlitError, known
from genlit.files import write
from genlit.loading import load
from genlit.logging.media import FILMS, captioned, film, png, save_each, side_by_side, to_pil, traversal
from genlit.logging.plane import POINT, density
from genlit.model import GenerativeModel
from genlit.nn.text import words_of
from genlit.verbs.trained import data_of, watched

log = logging.getLogger("genlit")

COUNT, POINTS, ROWS = 64, 2000, 8  # images, points of the plane or rows of a traversal, where no number is asked for
WALKS, STEPS, FRAMES = (
    16,
    8,
    40,
)  # walks in a film where no number is asked for; images of a walk: side by side, in a film


def sample(
    run: str,
    *,
    count: int | None = None,
    label: str | None = None,
    text: str | None = None,
    traverse: str | None = None,
    classes: str | None = None,
    interpolate: bool = False,
    film: str | None = None,
    truncation: float | None = None,
    seed: int = 0,
    out: str | None = None,
    split: str = "test",
    device: str = "cpu",
    trust: tuple[str, ...] = (),
) -> Path:
    """Writes samples, or translations of held-out images, as PNGs with a grid; returns their folder.

    Points of the plane become one picture, over real ones.

    Args:
        run: a run folder, an experiment's name or a checkpoint.
        count: how many; by default 64, or 2000 points of the plane, or 8 rows.
        label: the name of a class to draw from.
        text: a caption to draw images of.
        traverse: a code whose values stand side by side, each row from the same draws: `traverse-<code>.png`.
        classes: names of the classes that a traversal of the label shows, with commas between them.
        interpolate: whether each row is a walk from one sample to another, in `interpolate.png`.
        film: a .webp or .gif file of such walks, there and back, beside each other.
        truncation: the largest absolute value of a code from a Gaussian prior, see `truncated` in families/sampling.
        seed: of the draws.
        out: the folder; by default `samples` in the run's.
        split: whose images are translated.
        device: where the model runs.
        trust: packages of the user's own.

    Raises:
        GenlitError: the model can do neither, or knows no such class, code or word, or the options contradict each
            other.
    """
    _refuse(count, label, traverse, classes, truncation, interpolate or film is not None)
    path = runs.resolve(run)
    model = watched(load(path, device=device, trust=trust))
    require(model, "sample", Samples, Translates)
    folder = Path(out) if out else runs.folder_of(path) / "samples"
    if traverse is not None:
        values = None if classes is None else classes_of(classes, data_of(path))
        traversed(folder, model, traverse, count, seed, values)
    elif not isinstance(model, Samples):
        _refuse_for_translators(
            run, model, label=label, text=text, interpolate=interpolate, film=film, truncation=truncation
        )
        translations(folder, model, data_of(path), count or COUNT, split)
    else:
        condition = {} if label is None else {"label": class_of(label, data_of(path))}
        condition |= {} if text is None else {"text": understood(text, model)}
        condition |= {} if truncation is None else {"truncation": truncation}
        if interpolate or film is not None:
            return walked(folder, model, count, seed, condition, film and Path(film))
        images = model.sample(count or (POINTS if model.shape == POINT else COUNT), seed=seed, **condition)
        if not out:
            _clear(folder)
        if model.shape == POINT:
            real = data_of(path).first(POINTS, model.device, split)["image"]
            write(folder / "density.png", png(density(images, real)))
        elif isinstance(model, Illustrates):
            save(folder, images, [text] * len(images) if text else model.captions(len(images), seed=seed))
        else:
            save(folder, images)
    print(folder)
    return folder


def _refuse_for_translators(run: str, model: Translates, **given: str | float | bool | None) -> None:
    """Refuses what is said of samples, which a model that translates has none of."""
    if said := [f"--{name}" for name, value in given.items() if value not in (None, False)]:
        name, to = type(model).__name__, f"genlit translate {run} --images FOLDER --to {model.domains[-1]}"
        raise GenlitError(f"{', '.join(said)}: {name} translates images; to one domain: {to}")


def _refuse(
    count: int | None,
    label: str | None,
    traverse: str | None,
    classes: str | None,
    truncation: float | None,
    walks: bool,
) -> None:
    """Refuses options that say nothing, or nothing together."""
    if count is not None and count < 1:
        raise GenlitError(f"--count: {count} images cannot be written; ask for at least 1")
    if classes is not None and traverse != "label":
        raise GenlitError("--classes says which labels to show side by side: add --traverse label")
    if traverse is not None and label is not None:
        raise GenlitError("--label: one class alone has no traversal; leave it out, or choose columns with --classes")
    if traverse is not None and truncation is not None:
        raise GenlitError("--truncation says which samples are drawn, and --traverse varies a code: choose one of them")
    if traverse is not None and walks:
        raise GenlitError("--traverse varies a code, --interpolate and --film walk between samples: choose one of them")


def traversed(
    folder: Path, model: Traverses, code: str, rows: int | None, seed: int, values: Sequence[int] | None
) -> None:
    """A code's values side by side, in rows from fixed draws; points of the plane coloured by value.

    Raises:
        GenlitError: the model has no such code.
    """
    if code not in codes_of(model):
        has = f"it has {', '.join(codes_of(model))}" if codes_of(model) else "it has none that can be varied"
        raise GenlitError(f"--traverse: {type(model).__name__} has no code {code}: {has}")
    images = model.traverse(code, rows or (POINTS // 10 if model.shape == POINT else ROWS), seed=seed, values=values)
    write(folder / f"traverse-{code}.png", png(traversal(images)))


def walked(
    folder: Path, model: Interpolates, count: int | None, seed: int, condition: dict[str, Any], file: Path | None
) -> Path:
    """Walks between samples of neighbouring seeds: each a row of a picture, or all at once in a film; gives its path.

    Args:
        folder: where the picture goes.
        model: that walks.
        count: walks.
        seed: of the first one's start; the next number is that of its end, and so on.
        condition: what else `interpolate` takes.
        file: the film; None for the picture.

    Raises:
        GenlitError: the model has no codes to walk between, or the film's suffix is neither .webp nor .gif.
    """
    require(model, "interpolate", Interpolates)
    known("--film", [file.suffix] if file else [], FILMS)
    starts = range(seed, seed + 2 * (count or (WALKS if file else ROWS)), 2)
    steps = FRAMES if file else STEPS
    images = torch.stack([model.interpolate(steps, seeds=(start, start + 1), **condition) for start in starts])
    if file:
        pictures = [to_pil(frame, columns=4) for frame in images.unbind(1)]
        write(file, film([*pictures, *pictures[-2:0:-1]], file.suffix))
    else:
        file = folder / "interpolate.png"
        write(file, png(traversal(images)))
    print(file)
    return file


def _clear(folder: Path) -> None:
    """Takes the samples of an earlier call, of which there may have been more, out of the run's own folder."""
    for picture in folder.glob("[0-9]*.png"):
        picture.unlink()


def class_of(name: str, source: Source, option: str = "--label") -> int:
    """The number of a class by its name in the data.

    Args:
        name: the name.
        source: the data.
        option: where the name was given.

    Raises:
        GenlitError: the data have no such class.
    """
    if name not in source.classes:
        raise GenlitError(f"{option}: there is no class {name}: the data's are {', '.join(source.classes)}")
    return source.classes.index(name)


def classes_of(names: str, source: Source) -> list[int]:
    """The numbers of classes by their names, with commas between them."""
    return [class_of(name.strip(), source, "--classes") for name in names.split(",")]


def understood(text: str, model: GenerativeModel) -> str:
    """The caption, of which the model knows at least a word; those that it does not know are told.

    Raises:
        GenlitError: it knows none of them.
    """
    if not isinstance(model, Illustrates):
        return text  # which the model refuses itself
    unknown = model.vocabulary.unknown(text)
    if len(unknown) == len(words_of(text)):
        raise GenlitError(f"--text: no caption in training had a word of '{text}'; choose others")
    if unknown:
        log.warning("--text: words that no caption in training had are left out: %s", ", ".join(unknown))
    return text


def save(folder: Path, images: Tensor, captions: list[str] | None = None) -> None:
    """One PNG an image in its own size, and all of them in grid.png, with their captions if they have any."""
    save_each(folder, images)
    write(folder / "grid.png", png(captioned(images, captions) if captions else to_pil(images)))


def translations(folder: Path, model: Translates, source: Source, count: int, split: str) -> None:
    """Images of a split, translated, and beside their translations; of more than two domains, each in all of them."""
    rows = by_domain(source, model.domains).first(count, model.device, split)
    for origin, target in directions(model):
        translated = model.translate(rows[origin], target)
        save(folder / f"{origin}-to-{target}", translated)
        write(folder / f"{origin}-to-{target}.png", png(side_by_side(rows[origin], translated)))
    if len(model.domains) > 2:
        write(folder / "domains.png", png(matrix(model, rows, ROWS)))
