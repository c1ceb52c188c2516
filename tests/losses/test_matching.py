import math

import pytest
import torch
from torch.nn.functional import normalize

from genlit.losses.matching import matching


def embeddings(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_is_the_mean_of_both_cross_entropies():
    texts, images = embeddings(4, 0), embeddings(4, 1)
    p = (normalize(texts) @ normalize(images).T / 0.1).exp()
    forth, back = (-(p.diagonal() / p.sum(k)).log().mean() for k in (1, 0))
    assert matching(texts, 3 * images, list("abcd")).item() == pytest.approx(((forth + back) / 2).item(), rel=1e-12)


def test_embeddings_that_say_nothing_cost_the_logarithm_of_the_batch():
    same = torch.ones(5, 3)
    assert matching(same, same, list("abcde")).item() == pytest.approx(math.log(5), rel=1e-6)


def test_an_equal_caption_s_image_is_no_wrong_answer():
    texts, images = embeddings(3, 0), embeddings(3, 1)
    p = (normalize(texts) @ normalize(images).T / 0.1).exp()
    p[0, 1] = p[1, 0] = 0
    forth, back = (-(p.diagonal() / p.sum(k)).log().mean() for k in (1, 0))
    assert matching(texts, images, list("aac")).item() == pytest.approx(((forth + back) / 2).item(), rel=1e-12)
    assert matching(texts[:2], images[:2], ["a", "a"]) == 0


def test_a_pair_alone_has_no_gradient():
    text = embeddings(1, 0).requires_grad_()
    matching(text, embeddings(1, 1), ["a"]).backward()
    assert (text.grad == 0).all()
