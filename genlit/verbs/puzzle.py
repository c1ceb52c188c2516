"""`genlit puzzle`: images made of patches whose places are not told."""

from pathlib import Path

import torch

from genlit.capabilities import Assembles, require
from genlit.errors import GenlitError
from genlit.files import write
from genlit.logging.media import png, save_each
from genlit.logging.media import puzzle as picture
from genlit.verbs.trained import images_of, trained


def puzzle(
    run: str,
    *,
    images: str | None = None,
    count: int = 8,
    seed: int = 0,
    out: str | None = None,
    split: str = "test",
    device: str = "cpu",
    trust: tuple[str, ...] = (),
) -> Path:
    """Cuts images to patches and writes them, where the model places them, and what it makes of them, as PNGs.

    The composite is the result with the patches as they were.

    In puzzle.png there is a row for each image: its patches, the mask of their places as it is guessed and as it is,
    the result and the image.

    Args:
        run: a run folder, an experiment's name or a checkpoint in its run folder.
        images: a folder, an .npz file or a split; by default `split`.
        count: images at most.
        seed: of the patches and the draws.
        out: folder of the pictures; by default `puzzle` in the run's.
        split: of the run's data.
        device: where the model runs.
        trust: packages of the user's own.

    Raises:
        GenlitError: the model assembles nothing, or the images will not do.
    """
    if count < 1:
        raise GenlitError(f"--count: {count} images cannot be cut to patches; ask for at least 1")
    _, folder, model, source, _ = trained(run, device, trust)
    require(model, "assemble", Assembles)
    originals = torch.cat(list(images_of(images or split, source, count).images(model.device, seed)))
    patches, mask = model.cut(originals, seed=seed)
    results, places = model.assemble(patches, seed=seed)
    place = Path(out) if out else folder / "puzzle"
    pasted = torch.where(mask > 0.5, originals, results)
    write(place / "puzzle.png", png(picture(patches, places, mask, results, originals)))
    roles = {f"patch-{k}": each for k, each in enumerate(patches.unbind(1))}
    roles |= {"mask": 2 * places - 1, "result": results, "composite": pasted, "original": originals}
    for role, made in roles.items():
        save_each(place, made, role)
    print(place)
    return place
