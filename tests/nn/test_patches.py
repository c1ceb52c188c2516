"""Rectangles within the image, where they should lie, and what is cut out of them."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from genlit.nn.patches import covered, crops, detail, drawn, rectangles, uniforms


def images(n: int = 50, shape: tuple[int, int, int] = (3, 20, 32)) -> Tensor:
    return torch.rand(n, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1


def boxes_of(x: Tensor, n: int = 3, sides: tuple[float, float] = (0.25, 0.5), **options) -> Tensor:
    torch.manual_seed(0)
    return rectangles(x, uniforms(x.shape, len(x), n), sides, **options)


@pytest.mark.parametrize("places", ["key", "random"])
@pytest.mark.parametrize("sides", [(0.25, 0.5), (1.0, 1.0), (1e-9, 1.0)])
def test_rectangles_lie_within_the_image_and_have_the_sizes_asked_for(sides, places):
    boxes = boxes_of(images(500), sides=sides, places=places)
    assert boxes.shape == (500, 3, 4)
    assert boxes.dtype == torch.int64
    for pair, size in zip(boxes.split(2, dim=2), (20, 32), strict=True):
        start, end = pair.unbind(2)
        assert start.min() >= 0
        assert end.max() <= size
        short, long = (max(1, round(side * size)) for side in sides)
        lengths = end - start
        assert (lengths.min(), lengths.max()) == (short, long)


def test_sides_are_drawn_uniformly():
    boxes = boxes_of(images(4000, (1, 1, 32)), n=1)
    lengths = (boxes[:, 0, 3] - boxes[:, 0, 2]).bincount(minlength=17)[8:17] / 4000
    torch.testing.assert_close(lengths, torch.full((9,), 1 / 9), atol=0.02, rtol=0)


def test_an_images_rectangles_do_not_depend_on_the_others():
    x = images(8)
    uniform = uniforms(x.shape, 8, 3)
    assert torch.equal(rectangles(x, uniform, (0.2, 0.4))[5:6], rectangles(x[5:6], uniform[5:6], (0.2, 0.4)))


def test_key_places_are_where_the_detail_is():
    x = torch.zeros(200, 1, 32, 32)
    x[:, :, 20:28, 4:12] = torch.rand(200, 1, 8, 8)
    rows, columns = (boxes_of(x, n=1)[:, 0, i : i + 2].double().mean(1) for i in (0, 2))
    assert ((rows > 14) & (columns < 18)).double().mean() > 0.95
    rows, columns = (boxes_of(x, n=1, places="random")[:, 0, i : i + 2].double().mean(1) for i in (0, 2))
    assert rows.mean().item() == pytest.approx(16, abs=1)
    assert columns.mean().item() == pytest.approx(16, abs=1)


def test_a_blank_image_has_patches_anywhere():
    boxes = boxes_of(torch.zeros(500, 1, 16, 16), n=1)
    hits = covered(boxes, (16, 16)).double().mean((0, 1))
    assert hits.min() > 0
    torch.testing.assert_close(hits, hits.T, atol=0.08, rtol=0)


def test_a_centre_lies_in_no_earlier_rectangle():
    x = torch.zeros(300, 1, 16, 16)
    first, second = boxes_of(x, n=2, sides=(0.5, 0.5)).unbind(1)
    assert not (first == second).all(1).any()
    for boxes in boxes_of(x, n=5, sides=(1.0, 1.0)).unbind(1):
        assert boxes.unique(dim=0).tolist() == [[0, 16, 0, 16]]  # nothing is left to choose: no error


def test_detail_is_the_sum_of_central_differences():
    ramp = torch.arange(5.0).view(1, 1, 1, 5).expand(1, 2, 4, 5)
    expected = torch.tensor([2.0, 4, 4, 4, 2]).expand(1, 4, 5) + 1e-3
    torch.testing.assert_close(detail(ramp), expected)
    torch.testing.assert_close(detail(ramp.mT), expected.mT)


def test_pixels_are_drawn_in_proportion_to_their_weights():
    weights = torch.tensor([[0.0, 1, 2], [3, 0, 4]]).expand(40_000, 2, 3)
    torch.manual_seed(0)
    row, column = drawn(weights, torch.rand(40_000, 6))
    shares = (3 * row + column).bincount(minlength=6) / 40_000
    torch.testing.assert_close(shares, torch.tensor([0, 1, 2, 3, 0, 4]) / 10, atol=0.01, rtol=0)


def test_what_is_covered():
    inside = covered(torch.tensor([[[1, 3, 0, 2], [0, 1, 3, 4]]]), (3, 4))[0].long()
    assert inside.tolist() == [
        [[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]],
        [[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]],
    ]


@pytest.mark.parametrize("shape", [(3, 20, 32), (1, 8, 8), (2, 1, 1), (1, 1, 9)])
def test_a_crop_is_cut_out_first_and_resized_then(shape: tuple[int, int, int]):
    x = images(20, shape)
    boxes = boxes_of(x)
    found = crops(x, boxes)
    assert found.shape == (20, 3, *shape)
    for image, row, seen in zip(x, boxes.tolist(), found, strict=True):
        for (top, bottom, left, right), patch in zip(row, seen, strict=True):
            cut = image[None, :, top:bottom, left:right]
            torch.testing.assert_close(patch, interpolate(cut, shape[1:], mode="bilinear")[0], rtol=0, atol=1e-12)


def test_the_whole_image_is_its_own_crop():
    x = images(2)
    whole = torch.tensor([0, 20, 0, 32]).expand(2, 1, 4)
    torch.testing.assert_close(crops(x, whole)[:, 0], x, rtol=0, atol=1e-12)
