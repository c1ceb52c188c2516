"""Active units of codes whose variances over the images are known."""

import pytest
import torch

from genlit.data import Digits
from genlit.metrics.capabilities.active import active_units
from genlit.models import VAE


class Coder:
    """Codes with the variances over the images that are asked for, to which draws would add one."""

    device = torch.device("cpu")

    def __init__(self, *variances: float):
        self.variances = torch.tensor(variances)

    def encode(self, images, *, sampled=False):
        spread = 5 + torch.randn(len(images), len(self.variances)) * self.variances.sqrt()
        return spread + torch.randn_like(spread) * sampled

    def prior(self, n, device):
        return torch.randn(n, len(self.variances), device=device)


@pytest.mark.parametrize(("variances", "active"), [((0, 0.009, 0.011, 1), 2), ((0.009,), 0), ((0.5, 0.02), 2)])
def test_a_code_is_active_by_the_variance_of_its_mean(variances, active):
    state = torch.random.get_rng_state()
    (row,) = active_units(Coder(*variances), Digits(), "train", 5000)
    assert torch.equal(state, torch.random.get_rng_state())
    assert (row.name, row.value, row.n) == ("active-units/codes.n5000.train", active, 5000)


def test_rows_beyond_the_limit_do_not_count():
    """Blocks are whole: rows 70 to 127 are encoded, too."""
    shades = iter([torch.zeros(64, 1), torch.cat([torch.zeros(6, 1), torch.ones(58, 1)])])

    class Late(Coder):
        def encode(self, images, *, sampled=False):
            return next(shades)

    (row,) = active_units(Late(1), Digits(binarize="threshold"), "test", 70)
    assert (row.name, row.value) == ("active-units/codes.threshold.n70.test", 0)


def test_a_collapsed_vae_has_none():
    model = VAE((1, 28, 28), latent=3, hidden=(8,))
    torch.nn.init.normal_(model.encoder[1][-1].weight)
    torch.nn.init.zeros_(model.encoder[1][-1].weight[:2])
    (row,) = active_units(model, Digits(binarize="dynamic"), "test", 200)
    assert row.value == 1
    torch.nn.init.zeros_(model.encoder[1][-1].weight)
    (row,) = active_units(model, Digits(binarize="dynamic"), "test", 200)
    assert row.value == 0


def test_codes_without_a_prior_have_no_unit():
    class Encoder:
        encode = staticmethod(lambda images, sampled: images.flatten(1))

    assert active_units(Encoder(), Digits(), "test") == []
