"""`genlit sample`: a trained model's pictures as files."""

from itertools import permutations
from pathlib import Path

from torch import Tensor

from genlit import runs
from genlit.capabilities import Samples, Translates, require
from genlit.data import Source
from genlit.errors import GenlitError
from genlit.files import write
from genlit.loading import load
from genlit.logging.media import png, side_by_side, single, to_pil
from genlit.verbs.trained import data_of, watched


def sample(
    run: str,
    *,
    count: int = 64,
    label: str | None = None,
    seed: int = 0,
    out: str | None = None,
    split: str = "test",
    device: str = "cpu",
    trust: tuple[str, ...] = (),
) -> Path:
    """Writes `count` samples, or translations of held-out images, as PNGs with a grid; returns their folder.

    Raises:
        GenlitError: the model can do neither, or knows no classes or not the one whose name is `label`.
    """
    if count < 1:
        raise GenlitError(f"--count: {count} images cannot be written; ask for at least 1")
    path = runs.resolve(run)
    model = load(path, device=device, trust=trust)
    require(model, "sample", Samples, Translates)
    run_folder = path.parent.parent if path.parent.name == "checkpoints" else path.parent
    folder = Path(out) if out else run_folder / "samples"
    if isinstance(model, Samples):
        condition = {} if label is None else {"label": class_of(label, data_of(path))}
        images = watched(model).sample(count, seed=seed, **condition)
        if not out:
            _clear(folder)
        save(folder, images)
    else:
        translations(folder, model, data_of(path).first(count, model.device, split))
    print(folder)
    return folder


def _clear(folder: Path) -> None:
    """Takes the samples of an earlier call, of which there may have been more, out of the run's own folder."""
    for picture in folder.glob("*.png"):
        picture.unlink()


def class_of(name: str, source: Source) -> int:
    """The number of a class by its name in the data.

    Raises:
        GenlitError: the data have no such class.
    """
    if name not in source.classes:
        raise GenlitError(f"--label: there is no class {name}: the data's are {', '.join(source.classes)}")
    return source.classes.index(name)


def save(folder: Path, images: Tensor) -> None:
    """One PNG an image in its own size, and all of them in grid.png."""
    for index, image in enumerate(images):
        write(folder / f"{index:05d}.png", png(single(image)))
    write(folder / "grid.png", png(to_pil(images)))


def translations(folder: Path, model: Translates, rows: dict[str, Tensor]) -> None:
    """Images of each domain translated to the other, and both side by side."""
    for origin, target in permutations(model.domains, 2):
        translated = model.translate(rows[origin], target)
        save(folder / f"{origin}-to-{target}", translated)
        write(folder / f"{origin}-to-{target}.png", png(side_by_side(rows[origin], translated)))
