"""Pictures for the page: as WebP in data URIs, of so many time steps as there is room for."""

import base64
import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from genlit.pictures import opened
from genlit.report.gather import Run

STEPS = 48  # of a film at most
ROOM = 13_000_000  # bytes that all pictures of a page may take: with base64's four thirds they stay below 20 MB
WIDE, QUALITY, EFFORT = 1024, 80, 2  # px at most, and WebP's two scales; effort 2 of 6 takes half the time of 4


@dataclass(frozen=True)
class Frame:
    """A picture at a moment.

    Attributes:
        iteration: when it was drawn.
        images: seen by then.
        uri: the picture.
    """

    iteration: int
    images: int
    uri: str


@dataclass(frozen=True)
class Film:
    """Pictures of one kind of a run, the first to the last.

    Attributes:
        kind: samples, reconstructions, traverse-label, a-to-b, completions ...
        run: its position among the page's runs.
        frames: those that are shown, the last one always.
        drawn: how many there are in the run folder.
    """

    kind: str
    run: int
    frames: list[Frame]
    drawn: int

    @property
    def steps(self) -> list[dict[str, Any]]:
        """What the page's script needs of the frames; the last one's picture is on the page already."""
        uris = [*(frame.uri for frame in self.frames[:-1]), None]
        return [{"images": frame.images, "uri": uri} for frame, uri in zip(self.frames, uris, strict=True)]


@dataclass(frozen=True)
class Still:
    """A picture without time.

    Attributes:
        kind: closest, completions, domains ...
        run: its position among the page's runs.
        uri: the picture.
    """

    kind: str
    run: int
    uri: str


def films(runs: list[Run]) -> dict[str, list[Film]]:
    """The films of all runs by kind."""
    room = ROOM // max(1, sum(len(run.films) + len(run.stills) for run in runs))
    found = (
        Film(kind, index, _frames(run, drawn, room), len(drawn))
        for index, run in enumerate(runs)
        for kind, drawn in run.films.items()
    )
    return _by_kind(film for film in found if film.frames)


def stills(runs: list[Run]) -> dict[str, list[Still]]:
    """The other pictures of all runs by kind."""
    return _by_kind(Still(kind, i, webp(path)) for i, run in enumerate(runs) for kind, path in run.stills.items())


def webp(path: Path) -> str:
    """A picture file as a data URI; a wide one is made smaller.

    Raises:
        GenlitError: it is not a picture.
    """
    return _webp(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=512)  # a training refreshes its page with few new pictures
def _webp(path: Path, written: int) -> str:
    with opened(path) as image:
        picture = image.convert("RGB")
    picture.thumbnail((WIDE, WIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="WEBP", quality=QUALITY, method=EFFORT)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _frames(run: Run, drawn: dict[int, Path], room: int) -> list[Frame]:
    """Every picture, or every second, fourth ... and the last, as there is room for them; none where one is too much.

    By powers of two, so that a film which grows goes on with pictures that are encoded already.
    """
    stride = 1
    while True:
        kept = _every(stride, sorted(drawn))
        if len(kept) <= STEPS:
            frames = [Frame(it, run.images_at(it), webp(drawn[it])) for it in kept]
            if sum(len(frame.uri) for frame in frames) * 3 <= room * 4:
                return frames
            if len(kept) == 1:
                return []
        stride *= 2


def _every(stride: int, iterations: list[int]) -> list[int]:
    """The `stride`-th ones and the last; of two or fewer that are too many, the last alone."""
    if stride > len(iterations):
        return iterations[-1:]
    return [it for index, it in enumerate(iterations) if index % stride == 0 or it == iterations[-1]]


def _by_kind(pictures: Iterable[Any]) -> dict[str, list[Any]]:
    by_kind = defaultdict(list)
    for picture in pictures:
        by_kind[picture.kind].append(picture)
    return dict(by_kind)
