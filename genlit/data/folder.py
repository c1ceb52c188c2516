"""A folder of one's own images."""

import csv
import io
import json
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from genlit.data.base import Source
from genlit.data.images import MODES, Images, read
from genlit.data.store import Contents, Stream, stamps
from genlit.errors import GenlitError

SUFFIXES = {".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
SPLITS = ("train", "val", "test")
BITS = {"0": 0.0, "-1": 0.0, "1": 1.0, "": -1.0}  # absent, absent (as CelebA writes it), there, unknown

Listing = list[tuple[Path, str | None]]  # a picture and its class


class Folder(Source):
    """A folder of images in one of these arrangements; other files are ignored.

    - pictures at the top, or in `images/`: no labels;
    - one sub-folder per class;
    - either of these in `train/`, `val/`, `test/`;
    - `trainA/`, `trainB/`, `testA/`, `testB/`: two domains `a` and `b`, paired in the test where the file names match,
      and in training where `paired` says so.

    Beside them `attributes.csv` (file, then a column of 0 or -1 and 1 per attribute), and `captions.csv` (columns
    file and caption) or `captions.jsonl` ({"file": ..., "caption": ... or "captions": [...]}). A batch's `attributes`
    are 1 (there), 0 (absent: 0 or -1 in the file) and -1 (unknown: an empty cell). Without a test split the last tenth
    by name, of each class, is the test split.

    Args:
        path: the folder.
        channels: 1 (grey), 3 (RGB, transparency over white) or 4 (RGBA).
        on_bad: whether a picture that cannot be read is an error, or skipped and counted in a warning.
        paired: whether training pictures of one name in `trainA/` and `trainB/` are counterparts.
        kwargs: those of Source.
    """

    remedies: ClassVar[dict[str, str]] = {
        "image": "arrange its images without trainA and trainB",
        "label": "put the images of each class into a sub-folder of their own",
        "attributes": "add attributes.csv",
        "text": "add captions.csv",
        "a": "put the two domains into trainA and trainB",
        "b": "put the two domains into trainA and trainB",
    }

    def __init__(
        self,
        path: str,
        channels: Literal[1, 3, 4] = 3,
        on_bad: Literal["fail", "skip"] = "fail",
        paired: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if channels not in MODES:
            raise GenlitError(f"data.channels is {channels}: it must be 1, 3 or 4.")
        if on_bad not in ("fail", "skip"):
            raise GenlitError(f"data.on_bad is {on_bad}: it must be fail or skip.")
        self.path, self.channels, self.on_bad, self.pairs = Path(path).expanduser(), channels, on_bad, paired

    def identity(self) -> object:
        """Gives the stamps of all files."""
        if not self.path.is_dir():
            raise GenlitError(f"{self.path} is not a folder: set data.path to a folder of images.")
        return [self.channels, self.on_bad, stamps(self.path), *["paired"] * self.pairs]

    def contents(self) -> Contents:
        """Finds the arrangement and reads the annotations; images are read as they are stored.

        Raises:
            GenlitError: there are no images, the arrangement is ambiguous or an annotation is missing.
        """
        return self._two_domains() if (self.path / "trainA").is_dir() else self._one_set()

    def _one_set(self) -> Contents:
        listings = {split: self._readable(listing) for split, listing in self._listings().items()}
        if "test" not in listings:
            listings["train"], listings["test"] = _last_tenth(listings["train"])
        classes = sorted({name for listing in listings.values() for _, name in listing if name is not None})
        names, attributes = _attributes(self.path / "attributes.csv")
        captions = _captions(self.path)

        def stream(listing: Listing) -> Stream:
            paths = [path for path, _ in listing]
            columns = {"image": Images(paths, self._decode)}
            if classes:
                columns["label"] = np.array([classes.index(name) for _, name in listing])
            if names:
                columns["attributes"] = np.array([self._annotation(attributes, path) for path in paths], np.float32)
            if captions:
                columns["text"] = ["\n".join(self._annotation(captions, path)) for path in paths]
            return columns

        splits = {split: [stream(listing)] for split, listing in listings.items() if listing}
        return Contents(splits, classes, names)

    def _listings(self) -> dict[str, Listing]:
        folders = {folder.name for folder in _folders(self.path)}
        if "train" not in folders or not folders <= set(SPLITS):
            return {"train": _listing(self.path)}
        return {split: _listing(self.path / split) for split in SPLITS if split in folders}

    def _two_domains(self) -> Contents:
        splits = [split for split in SPLITS if (self.path / f"{split}A").is_dir()]
        sides = {split: [self._side(split, side) for side in "AB"] for split in splits}
        if self.pairs:
            _refuse_unpaired(*sides["train"])
        if "test" not in sides:
            halves = [_last_tenth(side) for side in sides["train"]]
            sides["train"], sides["test"] = (list(half) for half in zip(*halves, strict=True))
        unpaired = {split: [self._domain("a", a), self._domain("b", b)] for split, (a, b) in sides.items()}
        paired = {split: [unpaired[split][0] | unpaired[split][1]] for split in sides if _matching(*sides[split])}
        return Contents(unpaired | paired | ({} if self.pairs else {"train": unpaired["train"]}))

    def _side(self, split: str, side: str) -> Listing:
        return self._readable([(path, None) for path in pictures(self.path / f"{split}{side}")])

    def _domain(self, column: str, listing: Listing) -> Stream:
        return {column: Images([path for path, _ in listing], self._decode)}

    def _decode(self, path: Path) -> np.ndarray:
        return self.fit(read(path, self.channels), path)

    def _readable(self, listing: Listing) -> Listing:
        if self.on_bad == "fail":
            return listing
        with ThreadPoolExecutor() as pool:
            good = list(pool.map(self._reads, (path for path, _ in listing)))
        bad = [path for (path, _), fine in zip(listing, good, strict=True) if not fine]
        if bad:
            said = f"{len(bad)} of {len(listing)} images cannot be read and are skipped; the first is {bad[0]}."
            warnings.warn(said, stacklevel=2)
        if len(bad) == len(listing):
            raise GenlitError(f"None of the {len(bad)} images can be read; the first is {bad[0]}: repair them.")
        return [one for one, fine in zip(listing, good, strict=True) if fine]

    def _reads(self, path: Path) -> bool:
        try:
            return read(path, self.channels) is not None
        except GenlitError:
            return False

    def _annotation(self, table: dict[str, list], path: Path) -> list:
        parts = path.relative_to(self.path).parts
        for k in range(len(parts)):
            if (name := "/".join(parts[k:])) in table:
                return table[name]
        raise GenlitError(f"No line of the annotations in {self.path} is about {'/'.join(parts)}: add one.")


def _folders(base: Path) -> list[Path]:
    return sorted(one for one in base.iterdir() if one.is_dir() and not one.name.startswith((".", "__")))


def pictures(base: Path) -> list[Path]:
    """The picture files of a folder, by name, at any depth; hidden ones are left out.

    Raises:
        GenlitError: there is no such folder, or no picture in it.
    """
    if not base.is_dir():
        raise GenlitError(f"{base} is missing: put images into it.")
    found = (path for path in base.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not (pictures := sorted(path for path in found if "/." not in f"/{path.relative_to(base).as_posix()}")):
        raise GenlitError(f"{base} has no images: put files like .png or .jpg into it, or remove it.")
    return pictures


def _listing(base: Path) -> Listing:
    if [folder.name for folder in _folders(base)] == ["images"]:
        base = base / "images"
    folders = _folders(base)
    if not folders:
        return [(path, None) for path in pictures(base)]
    if loose := [path for path in base.iterdir() if path.suffix.lower() in SUFFIXES]:
        raise GenlitError(f"{loose[0]} lies beside the class folder {folders[0].name}: move it into a class folder.")
    return _interleaved({folder.name: pictures(folder) for folder in folders})


def _interleaved(classes: dict[str, list[Path]]) -> Listing:
    # Spread evenly, so that the last rows, which are held out, have every class in its proportion.
    placed = [((k + 0.5) / len(paths), name, path) for name, paths in classes.items() for k, path in enumerate(paths)]
    return [(path, name) for _, name, path in sorted(placed)]


def _last_tenth(listing: Listing) -> tuple[Listing, Listing]:
    kept = len(listing) - min(len(listing) - 1, max(1, len(listing) // 10))
    return listing[:kept], listing[kept:]


def _matching(a: Listing, b: Listing) -> bool:
    return [path.stem for path, _ in a] == [path.stem for path, _ in b]


def _refuse_unpaired(a: Listing, b: Listing) -> None:
    names = [{path.stem: path for path, _ in side} for side in (a, b)]
    for here, there, side in zip(names, reversed(names), "BA", strict=True):
        if alone := sorted(set(here) - set(there)):
            raise GenlitError(
                f"{here[alone[0]]} has no counterpart of its name in train{side}: add it, or set data.paired: false."
            )
    if not _matching(a, b):
        raise GenlitError(f"{a[0][0].parent} holds a name twice, or in another order than trainB: rename its pictures.")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise GenlitError(f"{path} is not UTF-8 text ({error}): save it as UTF-8.") from error


def _lines(path: Path) -> list[list[str]]:
    try:
        return [row for row in csv.reader(io.StringIO(_text(path))) if row] or [[]]
    except csv.Error as error:
        raise GenlitError(f"{path} is not a CSV file ({error}): is a quotation mark missing?") from error


def _attributes(path: Path) -> tuple[list[str], dict[str, list[float]]]:
    if not path.is_file():
        return [], {}
    header, *lines = _lines(path)
    if not (names := header[1:]):
        raise GenlitError(f"{path} names no attribute: its first line must be file, then the attributes' names.")
    for number, (_, *values) in enumerate(lines, start=2):
        if len(values) != len(names) or not {value.strip() for value in values} <= set(BITS):
            raise GenlitError(
                f"{path}, line {number}: {values} must be {len(names)} values, each 0 or -1 or 1, or empty."
            )
    return names, {file: [BITS[value.strip()] for value in values] for file, *values in lines}


def _captions(base: Path) -> dict[str, list[str]]:
    captions: dict[str, list[str]] = {}
    for file, caption in (*_csv_captions(base / "captions.csv"), *_jsonl_captions(base / "captions.jsonl")):
        captions.setdefault(file, []).append(caption)
    return captions


def _csv_captions(path: Path) -> Iterator[tuple[str, str]]:
    if path.is_file():
        header, *lines = _lines(path)
        if not {"file", "caption"} <= set(header):
            raise GenlitError(f"{path} has the columns {header}: the first line must be file,caption.")
        for number, values in enumerate(lines, start=2):
            line = dict(zip(header, values))
            if not line.get("file") or not line.get("caption"):
                raise GenlitError(f"{path}, line {number}: there must be a file and a caption.")
            yield line["file"], _one_line(line["caption"])


def _jsonl_captions(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(_text(path).splitlines() if path.is_file() else [], start=1):
        try:
            record = json.loads(line)
            captions = record["captions"] if "captions" in record else [record["caption"]]
            yield from ((record["file"], _one_line(caption)) for caption in captions)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise GenlitError(
                f'{path}, line {number}: {line[:60]!r} is not like {{"file": "a.png", "caption": "a cat"}}.'
            ) from error


def _one_line(caption: str) -> str:
    return " ".join(caption.split())  # lines part the captions of one image
