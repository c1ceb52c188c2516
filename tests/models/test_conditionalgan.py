import pytest
import torch
from torch import Tensor

from genlit.errors import GenlitError
from genlit.models import ConditionalGAN

JUDGES = ("concatenation", "projection")


def small(**options) -> ConditionalGAN:
    torch.manual_seed(0)
    return ConditionalGAN((1, 8, 8), **{"classes": 3, "latent": 4, "width": 4} | options)


def images(n: int) -> Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("networks", ["mlp", "dcgan", "resnet"])
@pytest.mark.parametrize("judge", JUDGES)
def test_it_plays_on_any_networks(networks: str, judge: str, play):
    model = small(networks=networks, judge=judge, spectral_norm=True, weights={"r1": 1.0}, loss="relativistic")
    terms = play(model, image=images(6), label=torch.arange(6) % 3)
    assert {player: [*each] for player, each in terms.items()} == {
        "critic": ["adversarial", "r1"],
        "generator": ["adversarial"],
    }
    assert model.sample(2, label=1).shape == (2, 1, 8, 8)


def test_samples_are_of_the_real_images_classes(play):
    model, seen = small(), []
    model.critic.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[1]))
    label = torch.tensor([2, 0, 1, 1])
    play(model, image=images(4), label=label)
    assert [labels.tolist() for labels in seen] == [[2, 0, 1, 1] * 2, [2, 0, 1, 1]]


def test_a_label_enters_the_generator_beside_the_codes():
    model = small(networks="mlp")
    z, label = torch.randn(2, 4), torch.tensor([2, 0])
    expected = model.generator(torch.cat([z, torch.tensor([[0.0, 0, 1], [1, 0, 0]])], 1))
    assert torch.equal(model.generate(z, label), expected)


def test_concatenated_labels_are_maps_constant_over_space():
    model, seen = small(judge="concatenation"), []
    model.critic.trunk.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    x = images(2)
    model.critic(x, torch.tensor([2, 0]))
    maps = torch.tensor([[0.0, 0, 1], [1, 0, 0]])[:, :, None, None].expand(-1, -1, 8, 8)
    assert torch.equal(seen[0], torch.cat([x, maps], 1))


def test_a_projection_adds_the_inner_product_of_label_and_features():
    model = small(judge="projection").double()
    x, critic = images(2).double(), model.critic
    features = critic.trunk(x)
    v = critic.embedding.weight.T[[2, 0]]
    expected = critic.head(features).squeeze(1) + torch.einsum("bf,bf->b", v, features)
    torch.testing.assert_close(critic(x, torch.tensor([2, 0])).squeeze(1), expected)


def test_a_label_chooses_the_class_and_nothing_else():
    model = small()
    z = torch.randn(3, 4)
    model.eval()
    with torch.no_grad():
        whole = torch.cat([z, torch.tensor([[0.1], [0.5], [0.9]])], 1)
        torch.testing.assert_close(model.decode(whole), model.generate(z, torch.tensor([0, 1, 2])))
        torch.testing.assert_close(model.decode(whole, 2), model.generate(z, torch.tensor([2, 2, 2])))
    assert not torch.equal(model.sample(2, label=0), model.sample(2, label=1))
    with pytest.raises(GenlitError, match="label is 3: it must be one of the 3 classes 0 to 2"):
        model.sample(1, label=3)


def test_packs_and_batch_norm_under_a_penalty_are_refused():
    with pytest.raises(GenlitError, match="pack is 2: it must be 1"):
        small(pack=2)
    with pytest.raises(GenlitError, match="critic_norm: batch does not go with the penalty 'r1'"):
        ConditionalGAN((1, 16, 16), width=4, critic_norm="batch", weights={"r1": 1.0})
