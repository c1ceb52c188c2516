"""Causal layers at a cursor."""

import pytest
import torch
from torch import Tensor, nn

from genlit.nn.incremental import Causal, Cursor, incremental


class Running(Causal):
    """The sum over all pixels so far."""

    def whole(self, x: Tensor, factor: float = 1.0) -> Tensor:
        return x.flatten(2).cumsum(2).view_as(x) * factor

    def at(self, x: Tensor, cursor: Cursor, factor: float = 1.0) -> Tensor:
        cursor.memory[self] = cursor.memory.get(self, 0) + x
        return cursor.memory[self] * factor


def pixels(images: Tensor) -> list[Tensor]:
    return [images[:, :, i, j, None, None] for i in range(images.shape[2]) for j in range(images.shape[3])]


def test_every_layer_keeps_a_memory_of_its_own():
    images, network = torch.randn(2, 1, 3, 4), nn.Sequential(Running(), nn.ReLU(), Running())
    whole = network(images)
    with incremental(network, images):
        parts = [network(pixel) for pixel in pixels(images)]
    torch.testing.assert_close(torch.cat(parts, -1).view(2, 1, 3, 4), whole)


def test_what_else_is_given_is_passed_on():
    images, layer = torch.randn(2, 1, 1, 1), Running()
    torch.testing.assert_close(layer(images, 3.0), images * 3)
    with incremental(layer, images):
        torch.testing.assert_close(layer(images, 3.0), images * 3)


def test_layers_are_whole_again_after_the_block_even_after_an_error():
    images, layer = torch.randn(2, 1, 2, 2), Running()
    with incremental(layer, images) as cursor:
        assert cursor.size == (2, 2)
        assert layer.cursor is cursor
    assert layer.cursor is None
    with pytest.raises(RuntimeError), incremental(layer, images):
        torch.ones(2) @ torch.ones(3)
    assert layer.cursor is None
    assert layer(images).shape == images.shape


def test_a_second_block_remembers_nothing_of_the_first():
    images, layer = torch.ones(1, 1, 1, 1), Running()
    for _ in range(2):
        with incremental(layer, images):
            assert layer(images).item() == 1
