"""What the Row LSTM and the Diagonal BiLSTM share."""

import pytest
import torch
from torch import Tensor

from genlit.errors import GenlitError
from genlit.families.autoregressive import Autoregressive
from genlit.models.diagonalbilstm import DiagonalBiLSTM
from genlit.models.rowlstm import RowLSTM
from tests.pixels import every

SHAPES = [(1, 4, 5), (3, 3, 4), (2, 1, 5), (1, 5, 1), (3, 1, 1)]


@pytest.fixture(params=[RowLSTM, DiagonalBiLSTM], ids=["row", "diagonal"])
def small(request):
    """A model in float64 with weights large enough for every dependence to show."""

    def made(shape=(1, 3, 3), width=3, layers=2, **options):
        torch.manual_seed(0)
        model = request.param(shape, width=width, layers=layers, **options).double()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
        return model

    return made


# Dependences


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("shape", "levels"), [((1, 4, 4), 2), ((3, 3, 3), 2), ((2, 2, 3), 4), ((3, 1, 2), 2)])
def test_no_logit_sees_its_own_pixel_or_a_later_one(small, shape, levels: int, layers: int):
    model = small(shape, layers=layers, levels=levels)
    images = torch.randn(20, *shape, dtype=torch.float64)
    slopes = torch.autograd.functional.jacobian(lambda x: model.logits(x).sum(0), images, vectorize=True)
    slopes = slopes.abs().sum((0, 4)).flatten(3).flatten(0, 2)[model.order()][:, model.order()]
    assert (slopes.triu() == 0).all()
    assert (slopes.tril(-1) > 0).any(1)[1:].all()  # and each but the first sees something


# Likelihood


@pytest.mark.parametrize(
    ("shape", "levels"), [((1, 3, 3), 2), ((1, 2, 4), 2), ((2, 2, 2), 2), ((3, 1, 2), 3), ((1, 5, 1), 3)]
)
def test_probabilities_sum_to_1(small, shape, levels: int):
    log_prob = small(shape, levels=levels).log_prob(every(shape, levels))
    assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-10)


def test_a_known_distribution_is_learned_to_its_entropy(small):
    """Pixels that tend to equal their neighbours: p(x) ∝ exp(½ Σ x_i x_j), fitted on all 512 images by their odds."""
    images = every((1, 3, 3))
    agreement = (images[..., 1:] * images[..., :-1]).sum((1, 2, 3))
    agreement += (images[..., 1:, :] * images[..., :-1, :]).sum((1, 2, 3))
    log_p = (agreement / 2).log_softmax(0)
    entropy = -(log_p.exp() * log_p).sum().item()

    torch.manual_seed(0)
    model = type(small())((1, 3, 3), width=4, layers=1).double()
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = (log_p.exp() * model.nll(images)).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    assert 0 <= -(log_p.exp() * model.log_prob(images)).sum().item() - entropy <= 5e-3


def test_single_precision_and_either_layout_agree(small):
    model, images = small((3, 4, 5)), torch.randint(2, (6, 3, 4, 5)).double() * 2 - 1
    expected = model.log_prob(images)
    torch.testing.assert_close(model.float().log_prob(images), expected.float(), rtol=1e-4, atol=1e-3)
    model.to(memory_format=torch.channels_last)
    torch.testing.assert_close(model.log_prob(images), expected.float(), rtol=1e-4, atol=1e-3)


# Drawing


@pytest.mark.parametrize("shape", SHAPES)
def test_samples_are_those_of_the_plain_loop(small, shape, monkeypatch):
    model = small(shape)
    fast = model.sample(8, seed=1, batch_size=8)
    monkeypatch.setattr(type(model), "conditionals", Autoregressive.conditionals)
    assert torch.equal(fast, model.sample(8, seed=1, batch_size=8))
    assert len(fast.unique(dim=0)) > 1


@pytest.mark.parametrize("shape", SHAPES)
def test_conditionals_pixel_by_pixel_are_those_of_the_whole_image(small, shape):
    model, images = small(shape, levels=3), torch.randint(3, (3, *shape)).double() - 1
    with torch.no_grad():
        whole = model.logits(images).flatten(2)
        for position, logits in model.conditionals(images):
            torch.testing.assert_close(logits, whole[..., position])


@pytest.mark.parametrize("option", ["width", "layers"])
def test_counts_start_at_1(small, option: str):
    with pytest.raises(GenlitError, match=rf"model\.{option} is 0"):
        small(**{option: 0})
