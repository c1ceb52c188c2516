"""R-precision of encoders that know everything, nothing, and something."""

import pytest
import torch

from genlit.errors import GenlitError
from genlit.metrics.capabilities.retrieval import RPrecision

CAPTIONS = [f"caption {k // 2}" for k in range(400)]  # every caption twice


def embeddings(n=400, seed=0):
    return torch.randn(n, 16, generator=torch.Generator().manual_seed(seed))


def precision(texts, images, captions=CAPTIONS, seed=0):
    metric = RPrecision(captions, texts, seed)
    for rows in torch.randperm(len(images)).split(37):
        metric.update(images[rows], rows)
    return metric.compute()


def test_an_encoder_that_knows_scores_one():
    texts = embeddings()[::2].repeat_interleave(2, 0)
    assert precision(texts, 3 * texts) == 1


def test_an_encoder_that_says_nothing_scores_chance():
    """The first of equal scores would always be the true caption."""
    assert precision(torch.ones(400, 16), embeddings()) == pytest.approx(0.01, rel=1e-12)


def test_an_encoder_that_guesses_scores_chance():
    captions = [str(k) for k in range(4000)]
    assert precision(embeddings(4000), embeddings(4000, seed=1), captions) == pytest.approx(0.01, abs=0.005)


def test_mismatched_captions_differ_from_the_true_one_and_each_other():
    metric = RPrecision(CAPTIONS, embeddings())
    for position in range(400):
        true, *others = [CAPTIONS[row] for row in metric._candidates(position)]
        assert true == CAPTIONS[position]
        assert len({true, *others}) == 100


def test_every_other_caption_is_drawn():
    metric = RPrecision(CAPTIONS[:204], embeddings(204))
    drawn = {row for position in range(204) for row in metric._candidates(position)[1:]}
    assert drawn == set(metric.rows)


def test_draws_are_the_positions_own():
    texts, images = embeddings(), embeddings() + embeddings(seed=1)
    state = torch.random.get_rng_state()
    metric = RPrecision(CAPTIONS, texts)
    hits = metric.found(images, torch.arange(400))
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(metric.found(images[300:], torch.arange(300, 400)), hits[300:])
    assert 0.1 < hits.mean() < 1
    assert not torch.equal(RPrecision(CAPTIONS, texts, seed=1).found(images, torch.arange(400)), hits)


def test_padding_does_not_count():
    texts = embeddings()[::2].repeat_interleave(2, 0)
    metric = RPrecision(CAPTIONS, texts)
    metric.update(texts, torch.arange(400))
    metric.update(-texts[:3], torch.arange(400, 403))
    assert metric.compute() == 1


def test_too_few_captions_are_refused():
    with pytest.raises(GenlitError, match="there are 99"):
        RPrecision(CAPTIONS[:198], embeddings(198))
