"""Images that cannot be read, too few images, and none."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from genlit.data import Digits
from genlit.faults.harness.base import hold, refusal
from genlit.faults.harness.training import TINY, Command, Training
from genlit.metrics import Collector, extractor
from genlit.metrics.images import to_uint8

SIDE = 10_000  # of a picture of 12 kB that is 100 million pixels


def corrupt_images(folder: Path) -> str:
    """Puts bad files among good ones: one by one, then all at once with `on_bad: skip`."""
    bad = _bad()
    for name, data in bad.items():
        training = _of(folder / name.replace(".", "-"), {name: data})
        training.start().ends(2).says(f"{name} cannot be read as an image")
        hold(not training.checkpoints.exists(), f"{name}: it trained")
    training = _of(folder / "all", bad, "--data.on_bad=skip")
    training.start().ends(0).says(f"{len(bad)} of {len(bad) + 12} images cannot be read and are skipped")
    return (
        f"{', '.join(bad)}: each refused by its name; with data.on_bad=skip {len(bad)} of {len(bad) + 12} are skipped"
    )


def few_images(folder: Path) -> str:
    """Trains on no image, on one and on fewer than a batch."""
    none = _of(folder / "none", {}, good=0).start().ends(2).says("has no images")
    hold(not none.checkpoints.exists(), "it trained on nothing")
    for count in (1, 2):
        _of(folder / str(count), {}, good=count).start().ends(2).says("images")
    _of(folder / "5", {}, good=5).start().ends(0)
    return f"none: {none.sentence} Five images make batches of 8, as the order begins anew."


def fid_input(folder: Path) -> str:
    """Measures images of another range or type, with NaN, too few of them, and fewer than were said."""
    network, images = extractor("lenet", source=Digits(size=16)), torch.rand(20, 1, 16, 16)
    few = Collector(network, 30)
    few.update(to_uint8(images))
    np.savez(folder / "real.npz", images=images.numpy())
    file = f"{folder}/real.npz"
    command = Command(folder, "eval", "--images", file, "--against", file).start().ends(2).says("must be uint8")
    refused = [
        refusal(lambda: to_uint8(2 * images - 1, low=0, high=1), "lie outside [0, 1]"),
        refusal(lambda: to_uint8(images / 0 * 0), "not finite"),
        refusal(lambda: Collector(network, 1), "too few"),
        refusal(few.compute, "10 of 30 images were never given"),
        command.sentence,
    ]
    return "; ".join(refused)


def _of(folder: Path, bad: dict[str, bytes], *words: str, good: int = 12) -> Training:
    """A training on so many good images and some bad ones."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    for index in range(good):
        (pictures / f"good{index:02d}.png").write_bytes(_encoded(_noise(index), "PNG"))
    for name, data in bad.items():
        (pictures / name).write_bytes(data)
    data = ("--data.name=Folder", f"--data.path={pictures}", f"--data.root={folder / 'stores'}")
    return Training(folder, "dcgan", *TINY, *data, *words, "--trainer.max_steps=2")


def _bad() -> dict[str, bytes]:
    png, jpeg, gif = (_encoded(_noise(99), kind) for kind in ("PNG", "JPEG", "GIF"))
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 1
    return {
        "truncated.png": png[: len(png) // 2],
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "truncated.gif": gif[: len(gif) // 2],
        "flipped.png": bytes(flipped),
        "empty.png": b"",
        "text.png": b"not a picture\n",
        "zeros.jpg": bytes(1000),
        "bomb.png": _encoded(Image.new("1", (SIDE, SIDE)), "PNG"),
    }


def _noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8))


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()
