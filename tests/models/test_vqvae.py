"""The VQ-VAE: whom each term moves, what the codes are, and a bound that is one."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import grad
from torch.nn.functional import mse_loss

from genlit.models.vqvae import VQVAE, perplexity


def small(shape: tuple[int, int, int] = (1, 8, 8), **options) -> VQVAE:
    torch.manual_seed(0)
    sizes = {"codes": 6, "latent": 3, "width": 8, "blocks": 1, "prior_width": 8, "prior_blocks": 2}
    return VQVAE(shape, **sizes | options).double()


def binary(n: int, shape: tuple[int, int, int] = (1, 8, 8)) -> Tensor:
    return torch.randint(2, (n, *shape), generator=torch.Generator().manual_seed(0)).double() * 2 - 1


def begun() -> VQVAE:
    """With a codebook that begins at images, so that several codes are in use."""
    model = small()
    model.begin_at(binary(4))
    return model


def everything(shape: tuple[int, int, int]) -> Tensor:
    values = list(product([-1.0, 1.0], repeat=math.prod(shape)))
    return torch.tensor(values, dtype=torch.float64).view(-1, *shape)


def slopes(model: VQVAE, player: str, term: str, module: str) -> list[Tensor | None]:
    """Gradients of a term with respect to a module's parameters."""
    terms = dict(model.turns({"image": binary(4)}))[player]
    return list(grad(terms[term], model.get_submodule(module).parameters(), allow_unused=True))


def moves(found: list[Tensor | None]) -> bool:
    return any(slope is not None and slope.any() for slope in found)


@pytest.mark.parametrize(
    ("player", "term", "moved"),
    [
        ("autoencoder", "reconstruction", {"encoder", "decoder"}),
        ("autoencoder", "codebook", {"codebook"}),
        ("autoencoder", "commitment", {"encoder"}),
        ("prior", "code_nll", {"prior_network"}),
    ],
)
def test_a_term_moves_its_own_networks(player: str, term: str, moved: set[str]):
    networks = ("encoder", "codebook", "decoder", "prior_network")
    assert {name for name in networks if moves(slopes(small(), player, term, name))} == moved


def test_the_gradient_passes_from_the_vectors_to_the_encoder_unchanged():
    model, images = small(), binary(4)
    seen = {}
    model.encoder.register_forward_hook(lambda module, inputs, output: seen.update(z=output))
    model.decoder.register_forward_pre_hook(lambda module, inputs: seen.update(e=inputs[0]))
    reconstruction = dict(model.turns({"image": images}))["autoencoder"]["reconstruction"]
    at_encoder, at_decoder = grad(reconstruction, [seen["z"], seen["e"]])
    torch.testing.assert_close(at_encoder, at_decoder, rtol=0, atol=0)
    torch.testing.assert_close(seen["e"], model.vectors(model.nearest(seen["z"])))


def test_the_codebook_begins_with_vectors_of_the_encoder():
    codebook = begun().codebook.weight
    vectors = small().encoder(binary(4)).movedim(1, -1).flatten(0, 2)
    assert (torch.cdist(codebook, vectors).amin(1) < 1e-12).all()
    assert len(codebook.unique(dim=0)) > 1


def test_the_prior_meets_the_codebook_that_has_moved():
    model, images = begun(), binary(4)
    codes = model.nearest(model.encoder(images))
    before = model.code_nll(codes, model.vectors(codes)).mean()
    turns = model.turns({"image": images})
    next(turns)
    nn.init.normal_(model.codebook.weight)
    found = next(turns)[1]["code_nll"]
    torch.testing.assert_close(found, model.code_nll(codes, model.vectors(codes)).mean())
    assert not torch.isclose(found, before)


def test_codes_are_the_nearest_vectors_and_distances_are_summed():
    model, images = small(), binary(4)
    z = model.encoder(images)
    codes = model.nearest(z)
    vectors = z.permute(0, 2, 3, 1)[..., None, :]
    assert torch.equal(codes, (vectors - model.codebook.weight).square().sum(-1).argmin(-1))
    terms = dict(model.turns({"image": images}))["autoencoder"]
    total = mse_loss(z, model.vectors(codes), reduction="sum") / 4
    torch.testing.assert_close(terms["codebook"], total)
    torch.testing.assert_close(terms["commitment"], total)


@pytest.mark.parametrize(
    ("shape", "grid"), [((1, 1, 1), (1, 1)), ((3, 6, 5), (6, 5)), ((1, 28, 28), (7, 7)), ((1, 6, 8), (3, 4))]
)
def test_sides_are_halved_as_often_as_both_are_even(shape: tuple[int, int, int], grid: tuple[int, int]):
    model = small(shape)
    assert model.grid == grid
    assert model.reconstruct(binary(2, shape)).shape == (2, *shape)
    assert model.encode(binary(2, shape)).shape == (2, 3 * math.prod(grid))


def test_the_bound_is_below_a_probability():
    model = small((1, 2, 4))
    images = everything((1, 2, 4))
    bound = model.bound(images)
    assert 0 < bound.exp().sum() <= 1
    codes = model.nearest(model.encoder(images))
    given = -model.likelihood(model.decoder(model.vectors(codes)), images)
    prior = torch.log_softmax(model.prior_network(model.vectors(codes)), 1).gather(1, codes[:, None]).sum((1, 2, 3))
    torch.testing.assert_close(bound, given + prior)


def test_samples_are_those_of_the_plain_loop():
    model = small((1, 12, 8))
    draws = torch.rand(5, 6, dtype=torch.float64)
    canvas = torch.zeros(5, 3, 3, 2, dtype=torch.float64)
    with torch.no_grad():
        for place, (row, column) in enumerate(product(range(3), range(2))):
            passed = model.prior_network(canvas)[:, :, row, column].softmax(1).cumsum(1) > draws[:, place, None]
            canvas[:, :, row, column] = model.codebook(passed.int().argmax(1))
        torch.testing.assert_close(model.decode(draws), model.likelihood.mean(model.decoder(canvas)))


def test_perplexity_counts_the_codes_in_use():
    assert perplexity(torch.arange(8).repeat(3), 16).item() == pytest.approx(8)
    assert perplexity(torch.full((5, 2, 2), 3), 16).item() == pytest.approx(1)


def test_the_codebooks_perplexity_is_observed(at):
    model, images = at(begun(), 0).eval(), binary(4)
    model.examine({"image": images}, 0, None)
    expected = perplexity(model.nearest(model.encoder(images)), 6).item()
    assert 1.5 < model.examined()["val/codebook_perplexity"] == pytest.approx(expected)


def test_two_codes_are_drawn_as_often_as_the_prior_says():
    model = small((1, 1, 1), codes=2)
    with torch.no_grad():
        share = model.prior_network(torch.zeros(1, 3, 1, 1, dtype=torch.float64)).softmax(1)[0, 1, 0, 0]
        model.codebook.weight.copy_(torch.tensor([[-1.0] * 3, [1.0] * 3]))
        seen = []
        model.decoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0][:, 0, 0, 0] > 0))
        model.decode(torch.rand(20_000, 1, dtype=torch.float64))
    assert seen[0].double().mean().item() == pytest.approx(share.item(), abs=0.01)
