"""Memory that runs out is told of; other errors pass."""

import pytest
import torch

from genlit.engine.memory import memory_for
from genlit.errors import GenlitError


def test_what_asks_for_too_much_is_told_with_the_batch():
    with pytest.raises(GenlitError, match=r"iteration 5: .* its 64 images .*--data.batch_size"), memory_for(64, 5):
        torch.empty(1 << 50)


def test_a_gpus_error_is_one_of_memory():
    with pytest.raises(GenlitError, match="CUDA out of memory"), memory_for(64, 5):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 ...")


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="shapes"), memory_for(64, 5):
        raise RuntimeError("shapes differ")
