"""The cost of drawing images pixel by pixel: from what layers remember, beside the plain loop; CPU time of one thread.

A pixel costs the same at every place, so the plain loop, which would take minutes, is timed on a batch's first pixels.
"""

import time
from collections.abc import Callable, Iterator
from itertools import islice

import torch

from genlit.families.autoregressive import Autoregressive, Conditional
from genlit.models import NADE, DiagonalBiLSTM, GatedPixelCNN, PixelCNN, RowLSTM

SHAPE, BATCH, PIXELS = (1, 28, 28), 64, 14
BOUNDS = {NADE: 20.0, PixelCNN: 8.0, GatedPixelCNN: 8.0, RowLSTM: 8.0, DiagonalBiLSTM: 8.0}

Loop = Callable[[Autoregressive, torch.Tensor], Iterator[Conditional]]


def measure() -> list[dict]:
    """Time both loops of every model, in turns, and compare the milliseconds per pixel of a batch."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rows = [compared(kind(SHAPE), bound) for kind, bound in BOUNDS.items()]
    torch.set_num_threads(threads)
    return rows


@torch.no_grad()
def compared(model: Autoregressive, bound: float) -> dict:
    """A row of the table."""
    cached, plain = (
        min(per_pixel(loop, model, pixels) for _ in range(2))
        for loop, pixels in ((type(model).conditionals, SHAPE[1] * SHAPE[2]), (Autoregressive.conditionals, PIXELS))
    )
    name = f"sampling {type(model).__name__}, batch {BATCH}, plain loop over incremental"
    return {"name": name, "ratio": plain / cached, "bound": bound, "better": "higher"} | {
        "ours_ms": 1000 * cached,
        "theirs_ms": 1000 * plain,
    }


def per_pixel(loop: Loop, model: Autoregressive, pixels: int) -> float:
    """Seconds of one thread for a pixel of a batch, setting up included."""
    canvas = torch.zeros(BATCH, *SHAPE)
    start = time.process_time()
    for position, logits in islice(loop(model, canvas), pixels):
        canvas.view(BATCH, -1)[:, position] = model.pixels.draw(logits, torch.rand(BATCH))
    return (time.process_time() - start) / pixels
