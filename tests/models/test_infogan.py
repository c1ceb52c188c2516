import math

import pytest
import torch
from torch import Tensor

from genlit.errors import GenlitError
from genlit.models import InfoGAN


def small(**options) -> InfoGAN:
    torch.manual_seed(0)
    return InfoGAN((1, 8, 8), **{"categories": 4, "continuous": 2, "latent": 3, "width": 4, "q_width": 6} | options)


def codes(model: InfoGAN, n: int) -> Tensor:
    return model.codes(torch.rand(n, 1 + model.continuous))


def information(model: InfoGAN, said: Tensor, codes: Tensor) -> dict[str, float]:
    """L_I by code, in nats."""
    return {name: -term.item() for name, term in model.beside(said, codes).items()}


def test_the_bound_is_the_entropy_where_the_codes_are_known_and_0_where_nothing_is():
    model = small()
    c = codes(model, 1000)
    known = torch.cat([c[:, :4] * 100, c[:, 4:]], 1)
    assert information(model, known, c)["category"] == pytest.approx(math.log(4), abs=1e-6)
    assert information(model, torch.zeros_like(c), c)["category"] == pytest.approx(0, abs=1e-6)


def test_the_bound_never_exceeds_the_entropy():
    model, entropy = small(), math.log(4)
    for scale in (0.1, 1.0, 10.0, 1000.0):
        c = codes(model, 200)
        assert information(model, c * scale + torch.randn_like(c), c)["category"] <= entropy + 1e-6


def test_the_continuous_bound_is_that_of_a_unit_normal():
    model = small(categories=0, continuous=2)
    said, c = torch.tensor([[0.5, 0.0]]), torch.tensor([[0.0, 1.0]])
    log_q = torch.distributions.Normal(said, 1.0).log_prob(c).sum()
    expected = log_q + 2 * math.log(2)  # H(c) of U(-1, 1) is log 2
    assert information(model, said, c)["continuous"] == pytest.approx(expected.item(), abs=1e-6)


def test_an_untrained_model_knows_nothing(play):
    terms = play(small(), image=torch.zeros(64, 1, 8, 8))
    for player in ("critic", "generator"):
        assert -terms[player]["category"].item() == pytest.approx(0, abs=0.05)


def test_codes_are_one_hot_and_uniform():
    model = small()
    drawn = codes(model, 4000)
    assert drawn.shape == (4000, 6)
    assert torch.equal(drawn[:, :4].sum(1), torch.ones(4000))
    assert drawn[:, :4].mean(0).tolist() == pytest.approx([0.25] * 4, abs=0.03)
    assert drawn[:, 4:].var(0).tolist() == pytest.approx([1 / 3] * 2, abs=0.02)
    assert model.codes(torch.rand(5, 3), category=2)[:, :4].argmax(1).tolist() == [2] * 5


def test_both_players_learn_of_the_codes_by_their_own_parameters(play):
    model = small()
    terms = play(model, image=torch.zeros(4, 1, 8, 8))
    recognition = [*model.critic.recognition.parameters()]
    slopes = torch.autograd.grad(terms["critic"]["category"], recognition, retain_graph=True)
    assert all(slope.isfinite().all() and slope.any() for slope in slopes)
    of_generator = torch.autograd.grad(terms["critic"]["category"], [*model.generator.parameters()], allow_unused=True)
    assert of_generator == (None,) * len(of_generator)
    moved = torch.autograd.grad(terms["generator"]["category"], [*model.generator.parameters()])
    assert all(slope.any() for slope in moved)


@pytest.mark.parametrize("networks", ["mlp", "dcgan", "resnet"])
def test_it_plays_and_clusters_on_any_networks(networks: str, play):
    model = small(networks=networks, critic_norm="none", weights={"gradient_penalty": 10.0})
    terms = play(model, image=torch.zeros(4, 1, 8, 8))
    assert [*terms["critic"]] == ["adversarial", "category", "continuous", "gradient_penalty"]
    assert [*terms["generator"]] == ["adversarial", "category", "continuous"]
    probabilities = model.cluster(torch.randn(5, 1, 8, 8))
    assert probabilities.shape == (5, 4)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(5))


def test_the_critics_logit_does_not_depend_on_q():
    model, x = small().eval(), torch.randn(3, 1, 8, 8)
    before = model.critic(x)[:, 0]
    torch.nn.init.zeros_(model.critic.recognition[0].weight)
    assert torch.equal(model.critic(x)[:, 0], before)


def test_samples_of_a_category():
    model = small()
    assert model.sample(3, category=1).shape == (3, 1, 8, 8)
    assert not torch.equal(model.sample(3, category=1), model.sample(3, category=2))
    with pytest.raises(GenlitError, match="one of the 4 classes 0 to 3"):
        model.sample(1, category=4)


def test_codes_are_varied_one_at_a_time():
    model = small()
    assert model.traversals == ("category", "continuous-0", "continuous-1")
    assert small(categories=0, continuous=1).traversals == ("continuous-0",)
    draws = model.draws(3, torch.device("cpu"))
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(model.varied(draws, "category", 2), model.decode(draws, category=2))
        own = draws[0, 5].item() * 2 - 1  # the second continuous code
        torch.testing.assert_close(model.varied(draws[:1], "continuous-1", own), model.decode(draws[:1]))
    assert model.traverse("category", 2).shape == (2, 4, 1, 8, 8)
    walk = model.traverse("continuous-0", 2, steps=3)
    assert walk.shape == (2, 3, 1, 8, 8)
    torch.testing.assert_close(walk[:, 1], model.traverse("continuous-0", 2, values=[0.0])[:, 0])


@pytest.mark.parametrize("option", [{"categories": 1}, {"continuous": -1}, {"pack": 2}])
def test_options_out_of_range_are_refused(option: dict):
    with pytest.raises(GenlitError, match=rf"model\.{next(iter(option))} is "):
        small(**option)


def test_a_model_without_codes_is_refused():
    with pytest.raises(GenlitError, match="continuous is 0: it must be at least 0, and a code"):
        small(categories=0, continuous=0)
