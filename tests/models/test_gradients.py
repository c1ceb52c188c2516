"""Gradients, fast, of every model that plays in float32, against the same in float64 and the plain memory format."""

from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from genlit.model import Batch, GenerativeModel
from genlit.models import (
    AAE,
    CVAE,
    DCGAN,
    FVSBN,
    GAN,
    IWAE,
    MADE,
    NADE,
    SNGAN,
    VAE,
    VQVAE,
    AutoEncoder,
    ConditionalGAN,
    CycleGAN,
    DiagonalBiLSTM,
    GatedPixelCNN,
    InfoGAN,
    Pix2Pix,
    PixelCNN,
    ProgressiveGAN,
    PuzzleGAN,
    QuadrantCVAE,
    QuadrantNetwork,
    RowLSTM,
    SemiSupervisedAAE,
    StackGAN,
    StackGANTwo,
    StarGAN,
    Text2Image,
)

SMALL = {"shape": (1, 8, 8), "latent": 4, "hidden": (16,)}
COLOURS = {"shape": (3, 5, 4), "levels": 256, "width": 4}
QUANTISED = {"codes": 8, "latent": 4, "width": 8, "blocks": 1, "prior_width": 8, "prior_blocks": 2}
OF_TEXT = {"latent": 8, "width": 4, "critic_width": 4, "words": 10, "embedding": 8, "projected": 8}

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
    "sngan-resnet": (SNGAN, {"shape": (3, 16, 16), "latent": 4, "width": 8, "critic_width": 8, "n_critic": 1}),
    "gan-unrolled": (GAN, {"shape": (2, 1, 1), "latent": 4, "hidden": (16,), "unroll": 2}),
    "augmented-packs": (
        DCGAN,
        {"shape": (3, 16, 16), "latent": 8, "width": 8, "critic_norm": "none", "pack": 2}
        | {"augment": ("flip", "colour", "translation", "cutout")},
    ),
    "conditional-projection": (
        ConditionalGAN,
        {"shape": (3, 16, 16), "classes": 3, "latent": 8, "width": 8, "judge": "projection", "spectral_norm": True},
    ),
    "conditional-concatenation": (ConditionalGAN, {"shape": (1, 16, 16), "classes": 3, "latent": 8, "width": 8}),
    "progressive": (ProgressiveGAN, {"shape": (1, 8, 8), "latent": 4, "width": 8, "row_features": 64}),
    "puzzlegan": (
        PuzzleGAN,
        {"shape": (3, 16, 16), "latent": 4, "embedding": 4, "width": 4, "critic_width": 4},
    ),
    "pix2pix": (Pix2Pix, {"shape": (3, 32, 32), "width": 4, "dropout": 0.0, "critic_width": 4}),
    "stargan": (
        StarGAN,
        {"shape": (3, 16, 16), "width": 4, "blocks": 1, "critic_width": 4, "critic_layers": 3}
        | {"labels": {"label": ["a", "b", "c"]}, "n_critic": 1},
    ),
    "text2image": (Text2Image, {"shape": (3, 16, 16)} | OF_TEXT | {"vision_width": 4}),
    "stackgan": (StackGAN, {"shape": (3, 16, 16)} | OF_TEXT | {"vision_width": 4}),
    "stackgan-two": (StackGANTwo, {"shape": (3, 16, 16), "factor": 2, "blocks": 1} | OF_TEXT),
    "infogan": (InfoGAN, {"shape": (1, 16, 16), "latent": 8, "width": 8, "q_width": 8, "networks": "dcgan"}),
    "infogan-dense": (
        InfoGAN,
        {"shape": (1, 8, 12), "latent": 8, "width": 4, "q_width": 8, "norm": "instance", "critic_norm": "none"},
    ),
    "cyclegan": (CycleGAN, {"shape": (3, 32, 32), "width": 4, "blocks": 1, "critic_width": 4}),
    "autoencoder": (AutoEncoder, SMALL),
    "vae-bernoulli": (VAE, SMALL),
    "vae-gaussian": (VAE, SMALL | {"shape": (3, 8, 8), "likelihood": "gaussian"}),
    "vae-logistic": (VAE, SMALL | {"shape": (3, 8, 8), "likelihood": "logistic"}),
    "cvae": (CVAE, SMALL | {"classes": 3}),
    "quadrant-network": (QuadrantNetwork, {"shape": (1, 8, 8), "hidden": (16,)}),
    "quadrant-cvae": (QuadrantCVAE, SMALL),
    "iwae": (IWAE, SMALL | {"draws": 3}),
    "aae": (AAE, SMALL),
    "aae-labels": (AAE, SMALL | {"latent": 2, "prior": "mixture", "classes": 3}),
    "semi-supervised-aae": (SemiSupervisedAAE, SMALL | {"classes": 3}),
    "vqvae-bernoulli": (VQVAE, QUANTISED | {"shape": (1, 8, 8)}),
    "vqvae-logistic": (VQVAE, QUANTISED | {"shape": (3, 8, 8), "likelihood": "logistic"}),
    "fvsbn": (FVSBN, {"shape": (1, 6, 6)}),
    "nade": (NADE, {"shape": (1, 6, 6), "hidden": 16, "order": 0}),
    "made": (MADE, {"shape": (1, 6, 6), "hidden": (16, 16)}),
    "made-orders": (MADE, {"shape": (1, 6, 6), "hidden": (16,), "masks": 2, "order": 0}),
    "pixelcnn-binary": (PixelCNN, {"shape": (1, 5, 4), "width": 4, "blocks": 1}),
    "pixelcnn": (PixelCNN, COLOURS | {"blocks": 1}),
    "gated-pixelcnn": (GatedPixelCNN, COLOURS | {"blocks": 2}),
    "gated-pixelcnn-labels": (GatedPixelCNN, {"shape": (1, 5, 4), "width": 4, "blocks": 2, "classes": 3}),
    "row-lstm": (RowLSTM, COLOURS | {"layers": 1}),
    "diagonal-bilstm": (DiagonalBiLSTM, COLOURS | {"layers": 1}),
}


@pytest.fixture
def same_noise(monkeypatch):
    """Draws in float64 the numbers of float32, which a seed alone does not give."""
    rand, randn = torch.rand, torch.randn

    def single(draw):
        def drawn(*size, dtype=None, device=None):
            return draw(*size, dtype=torch.float32, device=device).to(dtype or torch.get_default_dtype())

        return drawn

    monkeypatch.setattr(torch, "rand", single(rand))
    monkeypatch.setattr(torch, "randn", single(randn))
    monkeypatch.setattr(torch, "randn_like", lambda x: single(randn)(x.shape, dtype=x.dtype))


@contextmanager
def in_double():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def gradients(model: GenerativeModel, batch: Batch) -> dict[tuple[int, str, str], Tensor]:
    """By turn, player and parameter, at the same weights for every turn; 0 where a turn has no use for a parameter."""
    model.configure_model()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {}
    torch.manual_seed(1)
    for turn, (player, terms) in enumerate(model._game(batch, None)):
        owned = model._owned(player)
        slopes = torch.autograd.grad(model.total(player, terms), owned, materialize_grads=True)
        found |= {(turn, player, names[id(p)]): slope.double() for p, slope in zip(owned, slopes, strict=True)}
    return found


def rows(model: GenerativeModel, size: int) -> Batch:
    """Images on the levels that the model knows, or on 256, and labels of three classes."""
    levels, needs = getattr(model, "levels", None) or 256, dict.fromkeys([*model.needs, "label"])

    def column(name: str, seed: int) -> Tensor | list[str]:
        if name == "text":
            return [f"caption {row}" for row in range(size)]
        generator = torch.Generator().manual_seed(seed)
        if name.endswith("label"):
            return torch.randint(3, (size,), generator=generator)
        return torch.randint(levels, (size, *model.shape), generator=generator).float() * 2 / (levels - 1) - 1

    return {name: column(name, seed) for seed, name in enumerate(needs)}


def doubled(column: Tensor | list[str]) -> Tensor | list[str]:
    return column.double() if isinstance(column, Tensor) and column.is_floating_point() else column


@pytest.mark.parametrize("channels_last", [True, False], ids=["channels-last", "channels-first"])
@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("game", GAMES)
def test_gradients_are_those_of_float64(game: str, size: int, channels_last: bool, same_noise):
    kind, options = GAMES[game]
    torch.manual_seed(0)
    model = kind(**options, channels_last=channels_last)
    if model.firsts:
        model.begin_at(rows(model, 8)["image"][4:])  # none of the batch's, which a VQ-VAE's codebook would hold
    if "text" in model.needs:
        model.vocabulary.learn(rows(model, 4)["text"], [])
    reference = kind(**options, channels_last=False).double()
    reference.load_state_dict(model.state_dict())
    batch = rows(model, size)

    found = gradients(model, batch)
    with in_double():
        expected = gradients(reference, {name: doubled(column) for name, column in batch.items()})

    assert found.keys() == expected.keys()
    assert {player for _, player, _ in found} == set(model.players)
    whole = torch.stack([slope.norm() for slope in expected.values()]).norm()
    for name, slope in expected.items():
        # A bias that a norm removes has the slope 0 and only rounding in float32: it is held to the whole's scale
        assert (found[name] - slope).norm() <= 1e-3 * slope.norm() + 1e-6 * whole, name
