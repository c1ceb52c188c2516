"""The autoencoder against principal components, and what it does not claim to do."""

import pytest
import torch
from sklearn.datasets import load_iris
from torch import Tensor
from torch.optim import LBFGS

from genlit.capabilities import Encodes, HasPrior, Reconstructs, Samples, require
from genlit.errors import GenlitError
from genlit.models.autoencoder import AutoEncoder


def small(**options) -> AutoEncoder:
    torch.manual_seed(0)
    return AutoEncoder((1, 4, 4), **{"latent": 3, "hidden": (8,)} | options).double()


def images(n: int = 5) -> Tensor:
    return torch.rand(n, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("latent", [1, 2, 3])
def test_a_linear_bottleneck_leaves_the_variance_of_the_principal_components_it_has_no_room_for(latent: int, play):
    flowers = torch.from_numpy(load_iris().data)
    eigenvalues = torch.linalg.eigvalsh(flowers.T.cov(correction=0)).flip(0)
    torch.manual_seed(0)
    model = AutoEncoder((4, 1, 1), latent=latent, hidden=()).double()
    optimiser = LBFGS(model.parameters(), max_iter=2000, tolerance_change=1e-14, line_search_fn="strong_wolfe")

    def error() -> Tensor:
        return play(model, image=flowers[:, :, None, None])["autoencoder"]["squared_error"]

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = error()
        loss.backward()
        return loss

    optimiser.step(closure)
    assert error().item() == pytest.approx(eigenvalues[latent:].sum().item(), abs=1e-4)


def test_the_error_is_summed_over_pixels_and_averaged_over_images(play):
    model, x = small(), images()
    term = play(model, image=x)["autoencoder"]["squared_error"]
    torch.testing.assert_close(term, (model.decoder(model.encoder(x)) - x).square().sum() / 5)


def test_an_image_has_one_code_and_its_reconstruction_stays_in_range():
    model, x = small(), images()
    torch.nn.init.normal_(model.decoder[0][-1].weight, std=10)
    codes = model.encode(x)
    assert codes.shape == (5, 3)
    assert torch.equal(model.encode(x, sampled=True), codes)
    torch.testing.assert_close(model.reconstruct(x), model.decoder(codes).clamp(-1, 1))
    assert not model.reconstruct(x).requires_grad
    torch.testing.assert_close(model.encode(x.float()), model.encode(x.float().double()))
    assert model.training


def test_it_is_no_generative_model():
    model = small()
    assert isinstance(model, Encodes)
    assert isinstance(model, Reconstructs)
    assert not isinstance(model, Samples | HasPrior)
    with pytest.raises(GenlitError, match=r"AutoEncoder cannot sample images: .* no prior .* train a VAE or an AAE"):
        require(model, "sample", Samples)


def test_codes_and_widths_are_counts():
    with pytest.raises(GenlitError, match=r"model\.latent is 0: it must be at least 1"):
        small(latent=0)
    with pytest.raises(GenlitError, match=r"model\.hidden\.1 is 0: it must be at least 1"):
        small(hidden=(8, 0))
