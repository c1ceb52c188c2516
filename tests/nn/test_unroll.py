import pytest
import torch
from torch import Tensor, nn

from genlit.losses.adversarial import LOSSES
from genlit.nn.norm import spectral
from genlit.nn.unroll import unrolled


def line(slope: float) -> nn.Linear:
    critic = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(critic.weight, slope)
    return critic


def network(*layers: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 5), nn.Tanh(), *layers, nn.Linear(5, 1)).double()


def points(seed: int, n: int = 6) -> Tensor:
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def game(real: Tensor, fake: Tensor):
    return lambda critic: LOSSES["non-saturating"].critic(critic(real), critic(fake))


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_steps_on_a_line_are_those_of_the_hand(steps: int):
    # critic(x) = w x, loss ½ (w x − y)²: w ← w − lr x (w x − y), so w − y/x shrinks by (1 − lr x²) in a step
    x, y, lr, slope = torch.tensor([[2.0]]).double(), 3.0, 0.1, 0.5
    ahead = unrolled(line(slope), lambda critic: 0.5 * (critic(x) - y).square().sum(), steps, lr)
    expected = 1.5 + (slope - 1.5) * (1 - lr * 4) ** steps
    assert ahead(torch.ones(1, 1).double()).item() == pytest.approx(expected, rel=1e-12)


def test_the_generator_sees_how_the_critic_answers():
    # loss w (f − r): one step gives w' = w − lr (f − r), and −w' f has the slope −w + lr (2f − r) in f
    real, fake = torch.tensor([[1.0]]).double(), torch.tensor([[0.25]]).double().requires_grad_(True)
    ahead = unrolled(line(2.0), lambda critic: (critic(fake) - critic(real)).sum(), 1, 0.1)
    assert torch.autograd.grad(-ahead(fake).sum(), fake)[0].item() == pytest.approx(-2 + 0.1 * (2 * 0.25 - 1))


@pytest.mark.parametrize("steps", [1, 3])
def test_gradient_through_the_steps_is_the_difference_quotient(steps: int):
    critic, real = network(), points(1)

    def generator_loss(fake: Tensor) -> Tensor:
        return LOSSES["non-saturating"].generator(unrolled(critic, game(real, fake), steps, 0.5)(fake), None)

    assert torch.autograd.gradcheck(generator_loss, points(2).requires_grad_(True))


def test_steps_are_those_of_gradient_descent():
    critic, real, fake = network(), points(1), points(2)
    ahead = unrolled(critic, game(real, fake), 4, 0.3)
    expected = network()
    optimizer = torch.optim.SGD(expected.parameters(), 0.3)
    for _ in range(4):
        optimizer.zero_grad()
        game(real, fake)(expected).backward()
        optimizer.step()
    torch.testing.assert_close(ahead(real), expected(real), rtol=1e-12, atol=1e-12)


def test_no_steps_are_the_critic_itself():
    critic = network()
    assert unrolled(critic, lambda critic: pytest.fail("no step looks at the loss"), 0, 0.1) is critic


@pytest.mark.parametrize("made", [network, lambda: network(nn.BatchNorm1d(5)), lambda: spectral(network())])
def test_the_live_critic_stays_as_it_is(made):
    critic, fake = made(), points(2).requires_grad_(True)
    before = {name: value.clone() for name, value in critic.state_dict().items()}
    ahead = unrolled(critic, game(points(1), fake), 3, 0.5)
    slope = torch.autograd.grad(ahead(fake).sum(), fake)[0]
    assert slope.isfinite().all()
    assert all(torch.equal(value, before[name]) for name, value in critic.state_dict().items())
    assert all(parameter.grad is None for parameter in critic.parameters())
    assert (ahead(fake) != critic(fake)).all()


def test_unrolls_where_no_gradient_is_asked_for():
    with torch.no_grad():
        ahead = unrolled(network(), game(points(1), points(2)), 2, 0.5)
        assert not ahead(points(1)).requires_grad


def test_weights_that_the_loss_does_not_use_stay():
    critic = network()
    ahead = unrolled(critic, lambda critic: critic(points(1)).sum() * 0 + points(1).sum(), 2, 0.5)
    assert torch.equal(ahead(points(2)), critic(points(2)))


def test_a_frozen_critic_looks_ahead_as_a_live_one_does():
    torch.manual_seed(0)
    critic, x = nn.Linear(3, 1), torch.randn(5, 3)
    live = unrolled(critic, lambda c: c(x).square().mean(), 2, 0.1)(x)
    frozen = unrolled(critic.requires_grad_(False), lambda c: c(x).square().mean(), 2, 0.1)(x)
    torch.testing.assert_close(live, frozen)
