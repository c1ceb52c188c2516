"""Every model's gradients, fast, against the same model in float64 and the plain memory format."""

from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from genlit.models import DCGAN, VAE, CycleGAN

GAMES = {
    "dcgan": (DCGAN, {"shape": (3, 16, 16), "latent": 8, "width": 8}),
    "dcgan-relativistic-r1-r2": (
        DCGAN,
        {"shape": (3, 16, 16), "latent": 8, "width": 8, "critic_norm": "none", "loss": "relativistic"}
        | {"weights": {"r1": 1.0, "r2": 1.0}, "noise": 0.1, "noise_until": 100},
    ),
    "wgan-gp": (
        DCGAN,
        {"shape": (1, 16, 16), "latent": 8, "width": 8, "critic_norm": "instance", "loss": "wasserstein"}
        | {"weights": {"gradient_penalty": 10.0, "drift": 0.001}},
    ),
    "sngan": (
        DCGAN,
        {"shape": (3, 8, 8), "latent": 8, "width": 8, "critic_norm": "none", "spectral_norm": True, "loss": "hinge"},
    ),
    "cyclegan": (CycleGAN, {"shape": (3, 32, 32), "width": 4, "blocks": 1, "critic_width": 4}),
    "vae-bernoulli": (VAE, {"shape": (1, 8, 8), "latent": 4, "hidden": (16,)}),
    "vae-gaussian": (VAE, {"shape": (3, 8, 8), "latent": 4, "hidden": (16,), "likelihood": "gaussian"}),
    "vae-logistic": (VAE, {"shape": (3, 8, 8), "latent": 4, "hidden": (16,), "likelihood": "logistic"}),
}


@pytest.fixture
def same_noise(monkeypatch):
    """Draws in float64 the numbers of float32, which a seed alone does not give."""
    rand, randn = torch.rand, torch.randn

    def uniform(*size, dtype=None, device=None):
        return rand(*size, dtype=torch.float32, device=device).to(dtype or torch.get_default_dtype())

    def normal_like(x: Tensor) -> Tensor:
        return randn(x.shape, dtype=torch.float32).to(x.dtype)

    monkeypatch.setattr(torch, "rand", uniform)
    monkeypatch.setattr(torch, "randn_like", normal_like)


@contextmanager
def in_double():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def gradients(model, batch: dict[str, Tensor]) -> dict[tuple[str, str], Tensor]:
    """By player and parameter, at the same weights for every player."""
    model.configure_model()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {}
    torch.manual_seed(1)
    for player, terms in model._game(batch, None):
        owned = model._owned(player)
        slopes = torch.autograd.grad(model.total(player, terms), owned)
        found |= {(player, names[id(p)]): slope.double() for p, slope in zip(owned, slopes, strict=True)}
    return found


def images(shape: tuple[int, int, int], batch: int, seed: int) -> Tensor:
    """On the 256 levels."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (batch, *shape), generator=generator).float() / 127.5 - 1


@pytest.mark.parametrize("channels_last", [True, False], ids=["channels-last", "channels-first"])
@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("game", GAMES)
def test_gradients_are_those_of_float64(game: str, size: int, channels_last: bool, same_noise):
    kind, options = GAMES[game]
    torch.manual_seed(0)
    model = kind(**options, channels_last=channels_last)
    reference = kind(**options, channels_last=False).double()
    reference.load_state_dict(model.state_dict())
    batch = {name: images(model.shape, size, seed) for seed, name in enumerate(model.needs)}

    found = gradients(model, batch)
    with in_double():
        expected = gradients(reference, {name: x.double() for name, x in batch.items()})

    assert found.keys() == expected.keys()
    assert {player for player, _ in found} == set(model.players)
    whole = torch.stack([slope.norm() for slope in expected.values()]).norm()
    for name, slope in expected.items():
        # A bias that a norm removes has the slope 0 and only rounding in float32: it is held to the whole's scale
        assert (found[name] - slope).norm() <= 1e-3 * slope.norm() + 1e-6 * whole, name
