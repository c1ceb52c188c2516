"""Whether a second stage paints as sharply as real images are, where the first one's images are only enlarged."""

from genlit.capabilities import Enlarges
from genlit.metrics.capabilities.means import PerImage
from genlit.metrics.images import to_float
from genlit.metrics.measure import Measure
from genlit.metrics.sets import Drawn, Stored
from genlit.nn.patches import detail


def sharpness(model: Enlarges, real: Stored, n: int, seed: int = 0) -> list[Measure]:
    """E d(G(z)) / E d(x), d the mean over pixels of an image's `detail`, at full size: 1 is as sharp as real images.

    `detail-ratio/n597` of samples, `detail-ratio-stage-one/n597` of the first stage's images of these draws, enlarged.
    Noise has detail, too: read it beside the distance.

    Args:
        model: draws both.
        real: x.
        n: samples.
        seed: theirs.
    """
    sets = {"": Drawn(model, n, seed), "-stage-one": Drawn(model, n, seed, model.enlarged)}
    whole = _detail(real)
    return [Measure(f"detail-ratio{stage}/n{n}", _detail(images) / whole, n) for stage, images in sets.items()]


def _detail(images: Drawn | Stored) -> float:
    mean = PerImage(len(images))
    for block, positions in images.blocks():
        mean.update({"detail": detail(to_float(block).double()).flatten(1).mean(1)}, positions)
    return mean.compute()["detail"]
