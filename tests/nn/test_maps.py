"""Numbers beside an image's channels."""

import torch

from genlit.nn.maps import with_maps


def test_numbers_stand_beside_the_channels_the_same_at_every_pixel():
    images, numbers = torch.randn(2, 3, 4, 5, dtype=torch.float64), torch.tensor([[1, 2], [3, 4]])
    joined = with_maps(images, numbers)
    assert joined.dtype == torch.float64
    assert torch.equal(joined[:, :3], images)
    assert torch.equal(joined[:, 3:], numbers.double()[:, :, None, None].expand(2, 2, 4, 5))
