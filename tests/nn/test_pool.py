import pytest
import torch
from torch import Tensor

from genlit.nn.pool import ImagePool


def numbered(start: int, n: int) -> Tensor:
    """Images that hold their own number."""
    return torch.arange(start, start + n).float().reshape(n, 1, 1, 1).expand(n, 1, 2, 2)


def test_no_history_returns_what_comes_in():
    pool, images = ImagePool(0), numbered(0, 4)
    assert pool(images, 0) is images
    assert not pool.kept


def test_a_pool_fills_up_with_what_it_returns():
    pool = ImagePool(50)
    for start in range(0, 50, 5):
        assert torch.equal(pool(numbered(start, 5), 0), numbered(start, 5))
    assert torch.equal(pool.kept[0], numbered(0, 50))


@pytest.mark.parametrize("batch", [1, 7])
def test_no_image_is_lost_or_doubled(batch: int):
    torch.manual_seed(0)
    pool = ImagePool(50)
    returned = [pool(numbered(start, batch), 0) for start in range(0, 490, batch)]
    assert len(pool.kept[0]) == 50
    # What filled the pool was returned too; afterwards every image is either kept or returned
    numbers = torch.cat([*returned, pool.kept[0]])[:, 0, 0, 0]
    assert sorted(numbers.tolist()) == sorted([*range(490), *range(50)])


def test_a_full_pool_returns_half_of_the_images_at_once_and_forgets_evenly():
    torch.manual_seed(0)
    pool, trials = ImagePool(50), 4000
    pool(numbered(0, 50), 0)
    new = torch.stack([pool(numbered(n, 1), 0)[0, 0, 0, 0] == n for n in range(50, 50 + trials)])
    assert new.float().mean().item() == pytest.approx(0.5, abs=0.03)

    ages = 50 + trials - pool.kept[0][:, 0, 0, 0]
    assert ages.mean().item() == pytest.approx(100, abs=50)  # swapped out at each call with probability 1 / 100


def test_slots_have_their_own_history():
    together, alone = ImagePool(3), ImagePool(3)
    for start in range(0, 30, 3):
        torch.manual_seed(start)
        shown = together(numbered(start, 3), 0)
        together(numbered(1000 + start, 3), 1)
        torch.manual_seed(start)
        assert torch.equal(shown, alone(numbered(start, 3), 0))
    assert (together.kept[1] >= 1000).all()


def test_the_history_does_not_share_memory_with_what_it_returns():
    torch.manual_seed(0)
    pool = ImagePool(2)
    pool(numbered(0, 2), 0)
    returned = pool(numbered(2, 8), 0)
    returned.fill_(-1)
    assert (pool.kept[0] >= 0).all()
