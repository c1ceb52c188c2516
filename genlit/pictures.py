"""Pictures from files that may be anything: the one way in which genlit opens them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from genlit.errors import GenlitError

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # PIL's others are rare, and EPS runs a program
MAX_PIXELS = 64_000_000


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Opens a picture; whatever is wrong with it within the block is told by its name.

    Args:
        path: a file in one of FORMATS, whatever its suffix, of at most MAX_PIXELS pixels.

    Raises:
        GenlitError: the file is damaged, too large or not a picture.
    """
    try:
        if not path.is_file():
            raise ValueError("it is no file")  # to read from a pipe would wait for ever
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels exceed the limit of {MAX_PIXELS}")
            yield image
    except Exception as error:  # PIL raises at least eight unrelated types on damaged files
        raise GenlitError(
            f"{path} cannot be read as an image ({error or type(error).__name__}): repair or remove it; "
            "where it is one to train on, data.on_bad: skip passes over it."
        ) from error
