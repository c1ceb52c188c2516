"""The FVSBN by exact facts: logistic regressions in an order, probabilities that sum to 1, moments that it learns."""

import math

import pytest
import torch
from torch.distributions import Bernoulli
from torch.optim import LBFGS

from genlit.errors import GenlitError
from genlit.models.fvsbn import FVSBN
from tests.pixels import every, scrambled

SHAPES = pytest.mark.parametrize("shape", [(1, 3, 3), (1, 2, 4), (2, 2, 2), (1, 1, 1)], ids=str)
ORDERS = pytest.mark.parametrize("order", [None, 0, 3])


def small(shape: tuple[int, int, int] = (1, 3, 3), **options) -> FVSBN:
    return scrambled(FVSBN(shape, **options), std=1.0)


# Probabilities


@ORDERS
def test_conditionals_are_logistic_regressions(order: int | None):
    model, images = small((2, 2, 2), order=order), every((2, 2, 2))
    weight, bias, positions = model.network.weight, model.network.bias, model.order()
    values = (images.flatten(1) + 1) / 2
    log_prob = torch.zeros(256, dtype=torch.float64)
    for d, position in enumerate(positions):
        logits = bias[d] + sum(weight[d, k] * values[:, positions[k]] for k in range(d))
        log_prob += Bernoulli(logits=logits).log_prob(values[:, position])
    torch.testing.assert_close(model.log_prob(images), log_prob.detach(), rtol=0, atol=1e-12)


def test_untrained_it_knows_nothing():
    model = FVSBN((1, 4, 5)).double()
    cost = -model.log_prob(torch.randint(2, (3, 1, 4, 5)) * 2 - 1)
    torch.testing.assert_close(cost, torch.full_like(cost, 20 * math.log(2)))


# Orders


def test_without_a_seed_pixels_are_drawn_by_rows_and_channels_in_turn():
    assert FVSBN((2, 2, 2)).order() == [0, 4, 1, 5, 2, 6, 3, 7]


def test_an_order_follows_its_seed_and_is_in_the_checkpoint():
    model, other = small((1, 4, 4), order=1), small((1, 4, 4), order=2)
    assert model.order() == FVSBN((1, 4, 4), order=1).order()
    assert model.order() != other.order()
    assert sorted(model.order()) == list(range(16))
    other.load_state_dict(model.state_dict())
    assert other.order() == model.order()
    assert torch.equal(other.logits(torch.ones(1, 1, 4, 4).double()), model.logits(torch.ones(1, 1, 4, 4).double()))


# Training


def test_it_learns_the_moments_of_the_data_and_another_fvsbn_to_its_entropy():
    """At the maximum Σ_x p(x) (x_d − p(x_d = 1 | x_<d)) x_k = 0 for k < d, and without x_k."""
    images = every((1, 3, 3))
    p = small(order=3).log_prob(images).exp()
    entropy = -(p * p.log()).sum().item()
    model = FVSBN((1, 3, 3), order=3).double()
    optimiser = LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = (p * model.nll(images)).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    assert -1e-10 <= -(p * model.log_prob(images)).sum().item() - entropy <= 5e-3
    values = model.in_order(images)
    excess = values - torch.sigmoid(model.network(values))
    assert (excess.T @ (p[:, None] * values)).tril(-1).abs().max() < 1e-3
    assert (p @ excess).abs().max() < 1e-3


def test_weight_decay_pulls_every_parameter_towards_zero():
    model = small(weight_decay=0.5)
    (parameter,) = [p for name, p in model.named_parameters() if name == "network.bias"]
    before = parameter.detach().clone()
    optimiser = model.optimizer("model", list(model.parameters()))
    for each in model.parameters():
        each.grad = torch.zeros_like(each)
    optimiser.step()
    moved = parameter.detach() - before
    torch.testing.assert_close(moved, -1e-3 * before.sign(), rtol=1e-5, atol=0)  # Adam's first step is ± the rate
    assert small().optimizer("model", list(model.parameters())).param_groups[0]["weight_decay"] == 0


def test_a_negative_weight_decay_is_refused():
    with pytest.raises(GenlitError, match=r"model\.weight_decay is -1: it must be at least 0"):
        FVSBN((1, 2, 2), weight_decay=-1)
