"""The two sets that come with genlit: digits and emoji."""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from genlit.data.base import Source
from genlit.data.images import pixels
from genlit.data.store import Contents, Stream
from genlit.errors import GenlitError
from genlit.files import sha256

ASSETS = Path(__file__).parent / "assets"
STYLES = ("noto", "twemoji", "fluent")
VALIDATION = 20  # every 20th of the training emoji is for validation
COMPOSED = 2  # part of the store's key: raise it when captions are composed differently


def tiles(path: Path, columns: int) -> np.ndarray:
    """Cuts a sheet of square tiles, read row by row, into uint8 (N, C, H, W)."""
    sheet = pixels(Image.open(path))
    side = sheet.shape[2] // columns
    cut = sheet.reshape(len(sheet), -1, side, columns, side)
    return np.ascontiguousarray(cut.transpose(1, 3, 0, 2, 4)).reshape(-1, len(sheet), side, side)


class Digits(Source):
    """The first 10,000 training and 2,000 test images of MNIST: 28 x 28, grey, brought to other sizes bilinearly.

    Args:
        upscale: whether sizes above 28 are allowed.
        kwargs: those of Source.
    """

    licence = "CC BY-SA 3.0 (MNIST: Yann LeCun, Corinna Cortes, Christopher J. C. Burges)"
    resample = Image.Resampling.BILINEAR

    def __init__(self, upscale: bool = True, **kwargs: Any):
        super().__init__(upscale=upscale, **kwargs)

    def identity(self) -> object:
        """Gives the checksums of the shipped files."""
        return [sha256(path) for path in sorted((ASSETS / "digits").iterdir())]

    def contents(self) -> Contents:
        """Reads the shipped files."""
        return Contents({split: [self._stream(split)] for split in ("train", "test")}, [str(d) for d in range(10)])

    def _stream(self, split: str) -> Stream:
        images = tiles(ASSETS / "digits" / f"{split}.png", columns=100)
        labels = np.fromfile(ASSETS / "digits" / f"{split}.labels", np.uint8).astype(np.int64)
        return {"image": self.fit.arrays(images, "Digits"), "label": labels}


class Emoji(Source):
    """1,599 emoji in three styles of drawing, 64 x 64 RGB on white; every eighth emoji is for the test.

    Every 20th of the others is for validation, whatever `holdout` says.

    A model that needs `a` and `b` gets two styles, unpaired in training and paired in validation and test. Any other
    gets all three as one set, with labels and captions composed from name, keywords and style: the first, "rocket,
    space, in noto style", is never drawn in training; the others are the name alone, the name with each other keyword,
    and the keywords alone.

    Args:
        domains: the styles of `a` and `b`: two of noto, twemoji, fluent.
        label: what `label` tells: the category (8 classes) or the style (3 classes).
        paired: whether `a` and `b` of a training row are one emoji, too, as they are of held-out rows.
        kwargs: those of Source.

    Raises:
        GenlitError: `domains` are not two different styles.
    """

    licence = "Apache-2.0 (Noto Emoji: Google), CC BY 4.0 (Twemoji: Twitter), MIT (Fluent Emoji: Microsoft)"
    spared = 1

    def __init__(
        self,
        domains: tuple[str, str] = ("noto", "twemoji"),
        label: Literal["category", "style"] = "category",
        paired: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if len(set(domains)) != 2 or not set(domains) <= set(STYLES):
            raise GenlitError(f"data.domains is {list(domains)}: it must be two of {', '.join(STYLES)}.")
        if label not in ("category", "style"):
            raise GenlitError(f"data.label is {label}: it must be category or style.")
        self.domains, self.label, self.pairs = tuple(domains), label, paired

    def identity(self) -> object:
        """Gives the checksums of the shipped files and the arrangement."""
        arrangement = [*self.domains, *["paired"] * self.pairs] if self._translating else self.label
        return [arrangement, VALIDATION, COMPOSED, *(sha256(path) for path in sorted((ASSETS / "emoji").iterdir()))]

    def contents(self) -> Contents:
        """Reads the shipped files."""
        emoji = json.loads((ASSETS / "emoji" / "emoji.json").read_text(encoding="utf-8"))
        rows = {split: [k for k, one in enumerate(emoji) if one["split"] == split] for split in ("train", "test")}
        rows["val"] = rows["train"][::VALIDATION]
        rows["train"] = sorted({*rows["train"]} - {*rows["val"]})
        return self._two_domains(rows) if self._translating else self._all_styles(emoji, rows)

    def counterparts(self, split: str) -> bool:
        """Tells that the k-th images of all styles show one emoji."""
        return self.label == "style"

    @property
    def _translating(self) -> bool:
        return bool({"a", "b"} & set(self.needs))

    def _two_domains(self, rows: dict[str, list[int]]) -> Contents:
        a, b = (_sheet(style) for style in self.domains)
        paired = {split: [{"a": self._fitted(a[k]), "b": self._fitted(b[k])}] for split, k in rows.items()}
        train = [{name: column} for name, column in paired["train"][0].items()]
        return Contents(paired if self.pairs else paired | {"train": train})

    def _all_styles(self, emoji: list[dict], rows: dict[str, list[int]]) -> Contents:
        sheets = np.stack([_sheet(style) for style in STYLES], axis=1)
        categories = sorted({one["category"] for one in emoji})

        def stream(chosen: list[int]) -> Stream:
            category = np.repeat([categories.index(emoji[k]["category"]) for k in chosen], len(STYLES))
            style = np.tile(np.arange(len(STYLES)), len(chosen))
            return {
                "image": self._fitted(sheets[chosen].reshape(-1, *sheets.shape[2:])),
                "label": category if self.label == "category" else style,
                "text": ["\n".join(captions(emoji[k], style)) for k in chosen for style in STYLES],
            }

        classes = categories if self.label == "category" else list(STYLES)
        return Contents({split: [stream(chosen)] for split, chosen in rows.items()}, classes)

    def _fitted(self, images: np.ndarray) -> Any:
        return self.fit.arrays(images, "Emoji")


def _sheet(style: str) -> np.ndarray:
    return tiles(ASSETS / "emoji" / f"{style}.webp", columns=40)


def captions(emoji: dict, style: str) -> list[str]:
    """The captions of an emoji in a style: name and first keyword, then those that training draws."""
    name, spoken = emoji["name"], [" ".join(word.replace("_", " ").split()) for word in emoji["keywords"]]
    keywords = [word for word in dict.fromkeys(spoken) if word != name]
    told = [[name, keywords[0]], [name], *([name, word] for word in keywords[1:]), keywords]
    return [", ".join([*words, f"in {style} style"]) for words in told]
