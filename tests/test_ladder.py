"""The ladder: what each density makes of scikit-learn's 8x8 digits, in nats per image."""

import pytest
import torch
from torch import Tensor

from genlit.model import GenerativeModel
from genlit.models import NADE, VAE, Bernoulli, MarkovChain
from tests.pixels import binary_digits


def nats(model: GenerativeModel, images: Tensor) -> float:
    return -model.log_prob(images).mean().item()


def trained(
    model: GenerativeModel, images: Tensor, epochs: int, batch_size: int, falls: bool = False
) -> GenerativeModel:
    """By the model's own turns, terms and optimiser, whose rate `falls` to 0 over the second half."""
    model.configure_optimizers()
    (optimiser,) = model._optimizers.values()
    rate = optimiser.param_groups[0]["lr"]
    for epoch in range(epochs):
        optimiser.param_groups[0]["lr"] = rate * (min(1, 2 - 2 * epoch / epochs) if falls else 1)
        for batch in images[torch.randperm(len(images))].split(batch_size):
            for player, terms in model.turns({"image": batch}):
                optimiser.zero_grad()
                model.total(player, terms).backward()
                optimiser.step()
    return model


@pytest.mark.parametrize(
    ("kind", "laplace", "train", "test"),
    [
        (Bernoulli, 0.0, 25.0743503, float("inf")),
        (Bernoulli, 1.0, 25.0825885, 25.2791159),
        (MarkovChain, 1.0, 23.9935635, 24.2497552),
    ],
)
def test_counts(kind: type, laplace: float, train: float, test: float):
    seen, held_out = binary_digits()
    model = kind((1, 8, 8), laplace=laplace).double()
    model.count(seen)
    assert nats(model, seen) == pytest.approx(train, abs=1e-6)
    assert nats(model, held_out) == pytest.approx(test, abs=1e-6)


def test_nade():
    seen, held_out = (images.float() for images in binary_digits())
    torch.manual_seed(0)
    model = trained(NADE((1, 8, 8), hidden=100, lr=3e-3, weight_decay=1e-4), seen, epochs=150, batch_size=64)
    assert nats(model, seen) == pytest.approx(15.0, abs=0.1)
    assert 17.2 < nats(model, held_out) < 17.4


def test_vae():
    seen, held_out = (images.float() for images in binary_digits())
    torch.manual_seed(0)
    model = VAE((1, 8, 8), latent=10, hidden=(200, 200), lr=1e-3)
    model.begin_at(seen)
    trained(model, seen, epochs=300, batch_size=100, falls=True)
    assert 17.9 < -model.bound(held_out.repeat(20, 1, 1, 1)).mean().item() < 18.2
    assert 16.8 < -model.bound(held_out, k=1000).mean().item() < 17.2
