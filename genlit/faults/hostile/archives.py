"""Archives and folders of images that would run code, fill the memory, or lead elsewhere."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from warnings import catch_warnings
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from PIL import Image

from genlit.data import npz
from genlit.faults.harness.base import hold
from genlit.faults.harness.training import TINY, Command, Training
from genlit.faults.hostile.checkpoints import Payload
from genlit.faults.hostile.command import refused

GIANT = npz.SMALL + 1  # bytes
GIANT_SIDES = (10_000, 10_000)  # of a picture of 12 kB
WAIT = 60  # seconds that a refusal may take
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\n"


def arrays(folder: Path) -> str:
    """Of `.npz` files, which are zip archives, in training and in measuring."""
    marker, good = folder / "ran", np.random.default_rng(0).integers(256, size=(40, 16, 16), dtype=np.uint8)
    np.savez(folder / "good.npz", images=good)
    small, bomb, blown = _npy((1,)) + bytes(1), _npy((GIANT,)) + bytes(GIANT), f"would become {GIANT + 128}"
    hostile = {
        "pickled": (_pickled(marker), "Object arrays cannot be loaded"),
        "bomb": (_zipped(("images.npy", bomb), ("train_images.npy", bomb)), blown),
        "twice": (_zipped(("train_images.npy", small), ("train_images.npy", bomb)), blown),
        "bare name": (_zipped(("train_images.npy", small), ("train_images", bomb)), blown),
        "liar": (_zipped(("train_images.npy", _npy((10**15,)) + bytes(100))), "cannot be read"),
        "cut": (_npz(good)[:500], "cannot be read"),
    }
    for name, (content, said) in hostile.items():
        path = folder / f"{name}.npz"
        path.write_bytes(content)
        refused(folder, *_training(folder, path).words, says=said)
    sets = ["--images", folder / "bomb.npz", "--against", folder / "good.npz"]
    refused(folder, "eval", *sets, says=blown)
    hold(not marker.exists(), "the pickled code ran")
    np.load(folder / "pickled.npz", allow_pickle=True)["images"]
    hold(marker.exists(), "the pickled code does not run where it may")
    (folder / "climbs.npz").write_bytes(_npz(good, "../../../climbed.npy"))
    marker.unlink()
    before = {path.name for path in folder.iterdir()}
    _training(folder, folder / "climbs.npz").start().ends(0)
    new = {path.name for path in folder.iterdir()} - before - {"runs", "data"}
    hold(not new and not list(folder.parent.glob("climbed*")), f"a member's name led to {new}")
    return f"{', '.join(hostile)} were refused; a member called ../.. was written nowhere"


def pictures(folder: Path) -> str:
    """Of folders of pictures with one that is none among them, and of run folders whose page is drawn."""
    private = folder / "private.txt"
    private.write_text("canary-4711")
    drawn = _drawn(folder / "drawn")
    for name, (make, said) in _pictures(private).items():
        place = folder / name
        place.mkdir()
        Image.new("L", (16, 16)).save(place / "good.png")
        make(place / "zzz.png")
        words = ["--data.name=Folder", f"--data.path={place}", "--trainer.max_steps=1"]
        training = Training(folder, "dcgan", *TINY, *words, environment={"GENLIT_DATA": str(folder / "data")})
        training.start().ends(2, within=WAIT).says("zzz.png cannot be read as an image", said)
        hold("canary" not in training.said, f"what a link leads to was shown: {training.tail}")
        drawn.unlink()
        make(drawn)
        page = Command(folder, "report", str(drawn.parents[2])).start()
        page.ends(2, within=WAIT).says(f"{drawn.name} cannot be read as an image", said)
    return f"refused by name, at once, by train and report: {', '.join(_pictures(private))}"


def _drawn(folder: Path) -> Path:
    """A picture of a real run."""
    run = Training(folder, "dcgan", *TINY, "--trainer.max_steps=1", "--run.pictures_every=1").start().ends(0).run
    return next(run.glob("pictures/*/*.png"))


def _pictures(private: Path) -> dict[str, tuple[Callable[[Path], object], str]]:
    return {
        "a link to another file": (lambda path: path.symlink_to(private), "cannot identify"),
        "a link to itself": (lambda path: path.symlink_to(path), "no file"),
        "a link to an endless device": (lambda path: path.symlink_to("/dev/zero"), "no file"),
        "a pipe": (os.mkfifo, "no file"),
        "a program for Ghostscript": (lambda path: path.write_bytes(EPS), "cannot identify"),
        "a giant": (lambda path: Image.new("1", GIANT_SIDES).save(path), "pixels exceed the limit"),
    }


def _training(folder: Path, path: Path) -> Training:
    words = ["--data.name=Npz", f"--data.path={path}", "--trainer.max_steps=1"]
    return Training(folder, "dcgan", *TINY, *words, environment={"GENLIT_DATA": str(folder / "data")})


def _npy(shape: tuple[int, ...]) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return header.getvalue()


def _zipped(*members: tuple[str, bytes]) -> bytes:
    content = io.BytesIO()
    with ZipFile(content, "w", ZIP_DEFLATED) as archive, catch_warnings(action="ignore"):  # of a name that comes twice
        for name, data in members:
            archive.writestr(name, data)
    return content.getvalue()


def _npz(array: np.ndarray, *others: str) -> bytes:
    content = io.BytesIO()
    np.savez(content, train_images=array)
    with ZipFile(content, "a") as archive:
        for name in others:
            archive.writestr(name, _npy((0,)))
    return content.getvalue()


def _pickled(marker: Path) -> bytes:
    content, array = io.BytesIO(), np.array([Payload(marker)], object)
    np.savez(content, images=array, train_images=array)
    return content.getvalue()
