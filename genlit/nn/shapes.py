"""Sizes of images that networks of halvings and doublings can make."""

from genlit.errors import GenlitError


def doublings(shape: tuple[int, int, int], least: int = 1) -> int:
    """k of images of H = W = 4 · 2ᵏ pixels.

    Args:
        shape: (C, H, W).
        least: the smallest k.

    Raises:
        GenlitError: the images have another size.
    """
    _, height, width = shape
    k = (width // 4).bit_length() - 1
    if height != width or k < least or width != 4 << k:
        sizes = ", ".join(str(4 << each) for each in range(least, least + 4))
        raise GenlitError(
            f"these networks make square images of {sizes}, ... pixels, not {height}x{width}: choose --data.size"
        )
    return k
