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


def refuse_unsuited(
    model: str, shape: tuple[int, int, int], halvings: int, critic_layers: int, *, multiple: int, least: int
) -> None:
    """Refuses images that a translating generator cannot halve or a critic cannot judge.

    Args:
        model: name of the model.
        shape: (C, H, W).
        halvings: strided layers of the generator.
        critic_layers: strided layers of the critic.
        multiple: of what both sides must be multiples.
        least: the least length of both sides.

    Raises:
        GenlitError: the images have another size.
    """
    _, height, width = shape
    if height % multiple or width % multiple or min(height, width) < least:
        raise GenlitError(
            f"{model}: images of {height}x{width} pixels do not suit {halvings} halvings and {critic_layers} strided "
            f"critic layers: both sides must be multiples of {multiple} and at least {least}; choose --data.size, "
            "--model.halvings or --model.critic_layers"
        )
