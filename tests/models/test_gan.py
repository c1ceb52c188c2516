import pytest
import torch
from torch import nn

from genlit.errors import GenlitError
from genlit.models import GAN


def small(**options) -> GAN:
    torch.manual_seed(0)
    return GAN((2, 1, 1), **{"latent": 3, "hidden": (5,)} | options)


def test_images_are_bounded_and_points_are_not():
    for shape, last in (((1, 8, 8), nn.Tanh), ((2, 1, 1), nn.Identity)):
        model = GAN(shape, latent=3, hidden=(5, 7))
        assert isinstance(model.generator[-1], last)
        assert model.sample(4).shape == (4, *shape)
        assert model.criticise(model.sample(4)).shape == (4,)


def test_the_networks_have_the_widths_asked_for():
    model = GAN((1, 8, 8), latent=3, hidden=(5, 7), pack=2)
    shapes = [
        [tuple(layer.weight.shape) for layer in network if isinstance(layer, nn.Linear)]
        for network in (model.generator, model.critic)
    ]
    assert shapes == [[(5, 3), (7, 5), (64, 7)], [(5, 128), (7, 5), (1, 7)]]


def test_spectral_norm_bounds_the_critic():
    model = small(spectral_norm=True, hidden=(16, 16))
    for _ in range(60):
        model.critic(torch.randn(4, 2, 1, 1))
    for layer in model.critic.eval():
        if isinstance(layer, nn.Linear):
            assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("loss", ["non-saturating", "relativistic"])
def test_the_generator_plays_against_the_critic_that_gradient_descent_leads_to(loss, at):
    model = at(small(loss=loss, unroll=3, unroll_lr=0.2).double(), 0)
    fake, real = torch.randn(2, 6, 2, 1, 1, dtype=torch.float64)
    before = [p.detach().clone() for p in model.critic.parameters()]
    found = model.generator_terms(fake, real)["adversarial"]
    assert all(torch.equal(a, b) for a, b in zip(before, model.critic.parameters(), strict=True))
    descent = torch.optim.SGD(model.critic.parameters(), lr=0.2)
    for _ in range(3):
        descent.zero_grad()
        model.loss.critic(model.critic(real), model.critic(fake)).backward()
        descent.step()
    torch.testing.assert_close(found, model.loss.generator(model.critic(fake), model.critic(real)))


def test_the_generators_gradient_goes_through_the_unrolled_steps(at):
    def slope(unroll):
        model = at(small(unroll=unroll, unroll_lr=0.5), 0)
        torch.manual_seed(1)
        (loss,) = model.generator_terms(model.generate(torch.randn(6, 3)), torch.ones(6, 2, 1, 1)).values()
        return torch.autograd.grad(loss, model.generator[0].weight)[0]

    assert slope(2).isfinite().all()
    assert not torch.allclose(slope(2), slope(0))


def test_an_unrolled_critic_is_not_compiled():
    model = small(unroll=1)
    assert model.compilable() == [model.generator]
    plain = small()
    assert plain.compilable() == [plain.generator, plain.critic]


@pytest.mark.parametrize("option", [{"hidden": ()}, {"unroll": -1}, {"latent": 0}])
def test_options_out_of_range_are_refused(option: dict):
    with pytest.raises(GenlitError, match=rf"model\.{next(iter(option))} is "):
        small(**option)
