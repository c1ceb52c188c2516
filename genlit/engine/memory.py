"""Memory that runs out ends a training in a sentence that says what would need less."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from genlit.errors import GenlitError


@contextmanager
def memory_for(images: int, iteration: int) -> Iterator[None]:
    """A block that needs memory in proportion to a batch.

    Args:
        images: in the batch that this process plays.
        iteration: that plays it.

    Raises:
        GenlitError: the memory did not suffice.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not exhausted(error):
            raise
        reason = str(error).partition("\n")[0]
        raise GenlitError(
            f"iteration {iteration}: the memory does not suffice for its {images} images ({reason}); go on from the "
            "last checkpoint with --resume --override and a smaller --data.batch_size, or a larger --model.accumulate"
        ) from error


def exhausted(error: Exception) -> bool:
    """Whether an error says that memory, the processor's or a GPU's, has run out."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or "can't allocate memory" in str(error)  # PyTorch's allocator on the CPU raises a plain RuntimeError
