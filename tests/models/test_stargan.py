from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, l1_loss

from genlit.data import Folder
from genlit.errors import GenlitError
from genlit.losses.adversarial import LOSSES
from genlit.losses.penalties import gradient_penalty, input_gradient
from genlit.models import StarGAN
from genlit.nn.norm import InstanceNorm
from tests.games import trainer

STYLES = {"label": ["red", "green", "blue"]}
TWO_SETS = {"label": ["red", "green", "blue"], "attributes": ["framed", "tall"]}


def small(**options) -> StarGAN:
    torch.manual_seed(0)
    sizes = {"width": 4, "blocks": 1, "halvings": 1, "critic_width": 4, "critic_layers": 2}
    return StarGAN((3, 8, 8), **{"labels": STYLES} | sizes | options).double()


def images(n: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, 8, 8, dtype=torch.float64, generator=generator) * 2 - 1


def mixed() -> dict[str, Tensor]:
    """Two images of the first set and two of the second."""
    attributes = torch.tensor([[-1.0, -1], [-1, -1], [1, 0], [0, 1]])
    return {"image": images(4), "label": torch.tensor([2, 0, -1, -1]), "attributes": attributes}


# Labels


def test_labels_are_one_hot_and_their_maps_constant_over_space():
    model, seen = small(), []
    model.generator.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    x = images(2)
    c = model.described({"image": x, "label": torch.tensor([2, 0])})
    assert c.tolist() == [[0, 0, 1], [1, 0, 0]]
    model.generator(x, c)
    assert torch.equal(seen[0], torch.cat([x, c[:, :, None, None].expand(-1, -1, 8, 8)], 1))


def test_binary_labels_are_themselves():
    model = small(labels={"attributes": ["a", "b"]})
    given = torch.tensor([[1.0, 0], [1, 1]])
    assert model.described({"image": images(2), "attributes": given}).tolist() == given.tolist()


def test_of_two_sets_the_unknown_one_is_zero_and_the_mask_says_which():
    assert small(labels=TWO_SETS).described(mixed()).tolist() == [
        [0, 0, 1, 0, 0, 1, 0],
        [1, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 1, 0, 0, 1],
        [0, 0, 0, 0, 1, 0, 1],
    ]


def test_an_image_that_knows_several_sets_stands_for_one_of_them_at_random():
    model, seen = small(labels=TWO_SETS), set()
    batch = {"image": images(1), "label": torch.tensor([2]), "attributes": torch.tensor([[1.0, 0]])}
    for seed in range(20):
        torch.manual_seed(seed)
        seen.add(tuple(model.described(batch)[0].tolist()))
    assert seen == {(0, 0, 1, 0, 0, 1, 0), (0, 0, 0, 1, 0, 0, 1)}


def test_one_unknown_label_makes_its_set_unknown():
    attributes = torch.tensor([[-1.0, 1], [1, 0]])
    batch = {"image": images(2), "label": torch.tensor([-1, -1]), "attributes": attributes}
    assert small(labels=TWO_SETS).described(batch).tolist() == [[0] * 7, [0, 0, 0, 1, 0, 0, 1]]
    assert small(labels={"attributes": ["a", "b"]}).described(batch).tolist() == [[-1, -1], [1, 0]]
    assert small().described(batch).tolist() == [[-1, -1, -1]] * 2


@pytest.mark.parametrize("labels", [TWO_SETS, {"attributes": ["framed", "tall"]}])
def test_images_that_know_nothing_are_asked_for_nothing_and_not_classified(labels: dict[str, list[str]]):
    model = small(labels=labels)
    attributes = torch.tensor([[-1.0, -1], [0, 0], [-1, -1], [1, 0]])
    described = model.described({"image": images(4), "label": torch.full((4,), -1), "attributes": attributes})
    asked, said = model.reordered(described), torch.randn(4, len(model.names), dtype=torch.float64)
    assert torch.equal(asked[::2], described[::2])
    assert sorted(asked[1::2].tolist()) == sorted(described[1::2].tolist())
    known = binary_cross_entropy_with_logits(said[1::2, -2:], attributes[1::2].double(), reduction="none").sum()
    torch.testing.assert_close(model.nll(said, described), known / 4)


def test_targets_are_the_batchs_labels_in_another_order_within_their_set():
    model = small(labels=TWO_SETS)
    described, orders = model.described(mixed()), set()
    for seed in range(40):
        torch.manual_seed(seed)
        asked = model.reordered(described)
        for rows in (slice(0, 2), slice(2, 4)):
            assert sorted(asked[rows].tolist()) == sorted(described[rows].tolist())
        orders.add(str(asked.tolist()))
    assert len(orders) == 4


def test_what_is_unknown_is_not_classified():
    model, said = small(labels=TWO_SETS), torch.randn(4, 5, dtype=torch.float64)
    batch = mixed()
    first = cross_entropy(said[:2, :3], batch["label"][:2], reduction="none")
    second = binary_cross_entropy_with_logits(said[2:, 3:], batch["attributes"][2:].double(), reduction="none").sum(1)
    torch.testing.assert_close(model.nll(said, model.described(batch)), torch.cat([first, second]).mean())


@pytest.mark.parametrize("size", [8, 16])
def test_a_label_reaches_every_pixel(size: int):
    """An instance norm over the first layer would take constant maps out, and the generator would be deaf to them."""
    model = small()
    x = torch.rand(1, 3, size, size, dtype=torch.float64)
    change = (model.translate(x, "red") - model.translate(x, "blue")).abs()
    assert (change.amax(1) > 1e-7).all()


# The game


@pytest.mark.parametrize("identity", [0.0, 5.0])
def test_the_terms_are_the_equations(play, identity: float):
    model, x, label = small(weights={"identity": identity}), images(4), torch.tensor([2, 0, 1, 1])
    model.every = lambda n: True
    torch.manual_seed(3)
    terms = play(model, image=x, label=label)
    assert {player: [*each] for player, each in terms.items()} == {
        "critic": ["adversarial", "classification", "gradient_penalty"],
        "generator": ["adversarial", "target", "reconstruction", "identity"],
    }
    torch.manual_seed(3)
    own = model.described({"image": x, "label": label})
    asked = model.reordered(own)
    fake = model.generator(x, asked)
    (real_source, real_said), (fake_source, fake_said) = model.critic(x), model.critic(fake)
    u = torch.rand(4, 1, 1, 1, dtype=torch.float64)
    slopes = input_gradient(lambda images: model.critic(images)[0], fake + u * (x - fake)).flatten(1).norm(dim=1)
    expected = {
        "adversarial": fake_source.mean() - real_source.mean(),
        "classification": cross_entropy(real_said, label),
        "gradient_penalty": (slopes - 1).square().mean(),
    }
    torch.testing.assert_close(terms["critic"], expected)
    total = expected["adversarial"] + expected["classification"] + 10 * expected["gradient_penalty"]
    torch.testing.assert_close(model.total("critic", terms["critic"]), total)
    expected = {
        "adversarial": -fake_source.mean(),
        "target": cross_entropy(fake_said, asked.argmax(1)),
        "reconstruction": l1_loss(model.generator(fake, own), x),
        "identity": (fake - x).abs().mean((1, 2, 3))[(asked == own).all(1)].sum() / 4,
    }
    total = expected["adversarial"] + expected["target"] + 10 * expected["reconstruction"]
    total = total + identity * expected["identity"]
    torch.testing.assert_close(terms["generator"], expected)
    torch.testing.assert_close(model.total("generator", terms["generator"]), total)


@pytest.mark.parametrize("labels", [STYLES, TWO_SETS])
def test_images_without_a_label_are_not_asked_for_what_they_are(play, labels: dict[str, list[str]]):
    batch = {"image": images(2), "label": torch.tensor([-1, -1]), "attributes": torch.full((2, 2), -1.0).double()}
    assert play(small(labels=labels, n_critic=1), **batch)["generator"]["identity"] == 0


@pytest.mark.parametrize("name", ["least-squares", "relativistic"])
def test_another_loss_plays_without_the_penalty(play, name: str):
    model, x = small(loss=name, critic_norm="instance", weights={"gradient_penalty": 0.0}, n_critic=1), images(4)
    torch.manual_seed(3)
    terms = play(model, image=x, label=torch.tensor([2, 0, 1, 1]))
    assert [*terms["critic"]] == ["adversarial", "classification"]
    torch.manual_seed(3)
    fake = model.generator(x, model.reordered(model.described({"image": x, "label": torch.tensor([2, 0, 1, 1])})))
    real, fooled = model.critic(x)[0], model.critic(fake)[0]
    torch.testing.assert_close(terms["critic"]["adversarial"], LOSSES[name].critic(real, fooled))
    torch.testing.assert_close(terms["generator"]["adversarial"], LOSSES[name].generator(fooled, real))


def test_a_critic_per_label_scores_an_image_for_its_own():
    model, x = small(critic_per_label=True), images(3)
    c = torch.tensor([[0.0, 1, 0], [1, 0, 0], [-1, -1, -1]], dtype=torch.float64)
    maps, said = model.critic(x)
    source, logits = model.scores(x, c)
    assert maps.shape == (3, 3, 2, 2)
    assert torch.equal(source, torch.stack([maps[0, 1:2], maps[1, 0:1], torch.zeros_like(maps[2, :1])]))
    assert torch.equal(logits, said)
    with pytest.raises(GenlitError, match="critic_per_label is True: it must be false"):
        small(labels=TWO_SETS, critic_per_label=True)


def test_a_critic_under_no_penalty_may_be_compiled():
    for weight, networks in ((10.0, ["generator"]), (0.0, ["critic", "generator"])):
        model = small(weights={"gradient_penalty": weight})
        assert model.compilable() == [model.get_submodule(name) for name in networks]


def test_a_critic_that_mixes_images_is_refused():
    with pytest.raises(GenlitError, match="critic_norm is batch: it must be none or instance"):
        small(critic_norm="batch")


def test_the_critic_is_told_the_labels_of_what_it_judges(play):
    model, x, label = small(critic_per_label=True, n_critic=1), images(4), torch.tensor([2, 0, 1, 1])
    torch.manual_seed(3)
    terms = play(model, image=x, label=label)
    torch.manual_seed(3)
    own = model.described({"image": x, "label": label})
    asked = model.reordered(own)
    fake = model.generator(x, asked)
    real, fooled = model.scores(x, own)[0].mean(), model.scores(fake, asked)[0].mean()
    slope = gradient_penalty(lambda images: model.scores(images, asked)[0], x, fake.detach())
    torch.testing.assert_close(terms["critic"]["adversarial"], fooled - real)
    torch.testing.assert_close(terms["critic"]["gradient_penalty"], slope)
    torch.testing.assert_close(terms["generator"]["adversarial"], -fooled)


def test_a_norm_leaves_every_image_to_itself():
    critic, x = small(critic_norm="instance").critic, images(4)
    assert [type(layer) for layer in critic.trunk].count(InstanceNorm) == 1
    torch.testing.assert_close(critic(x)[0], torch.cat([critic(one)[0] for one in x.split(1)]))


def test_a_generator_that_changes_nothing_or_is_its_own_inverse_reconstructs(play):
    for change in (lambda x, c: x, lambda x, c: x.flip(1)):
        model = small(n_critic=1)
        model.generator.forward = change
        assert play(model, image=images(2), label=torch.tensor([0, 1]))["generator"]["reconstruction"] == 0


def test_the_critic_does_not_teach_the_generator(play):
    model = small(n_critic=1)
    critic = model.total("critic", play(model, image=images(2), label=torch.tensor([0, 1]))["critic"])
    assert all(slope is None for slope in torch.autograd.grad(critic, model._owned("generator"), allow_unused=True))


def test_the_generator_plays_after_n_critic_iterations(at):
    model = small(n_critic=3)
    for iteration, players in ((0, ["critic"]), (1, ["critic"]), (2, ["critic", "generator"])):
        turns = at(model, iteration).turns({"image": images(2), "label": torch.tensor([0, 1])})
        assert [player for player, _ in turns] == players


def test_the_papers_critic():
    critic = StarGAN((3, 128, 128), labels={"attributes": list("abcde")}, width=2, blocks=1).critic
    widths = [layer.out_channels for layer in critic.trunk if hasattr(layer, "out_channels")]
    assert widths == [64, 128, 256, 512, 1024, 2048]
    source, said = critic(torch.zeros(1, 3, 128, 128))
    assert source.shape == (1, 1, 2, 2)
    assert said.shape == (1, 5)


# Translation


def test_domains_and_directions():
    assert small().domains == ("red", "green", "blue")
    assert len(small().directions) == 6
    model = small(labels={"attributes": ["Young", "Male"]})
    assert model.domains == ("Young", "Male", "not-Young", "not-Male")
    assert model.directions == [("image", name) for name in model.domains]
    assert small(labels=TWO_SETS).domains[:4] == ("red", "green", "blue", "framed")


def test_a_domain_is_asked_for_by_its_name_and_its_set():
    assert small().request(images(2), "green").tolist() == [[0, 1, 0]] * 2
    model = small(labels=TWO_SETS)
    assert model.request(images(1), "blue").tolist() == [[0, 0, 1, 0, 0, 1, 0]]
    assert model.request(images(1), "framed")[0, 3:].tolist()[::3] == [1, 1]


def test_attributes_that_are_not_named_stay_as_the_critic_sees_them(monkeypatch):
    model = small(labels={"attributes": ["a", "b", "c"]})
    monkeypatch.setattr(model, "seen", lambda images: torch.tensor([[2.0, -1, 3], [-2, 1, -3]]).double())
    assert model.request(images(2), "b").tolist() == [[1, 1, 1], [0, 1, 0]]
    assert model.request(images(2), "not-a").tolist() == [[0, 0, 1], [0, 1, 0]]
    assert model.request(images(2), "b, not-c").tolist() == [[1, 1, 0], [0, 1, 0]]


def test_an_attribute_clears_those_that_it_excludes(monkeypatch):
    model = small(labels={"attributes": ["black", "blond", "brown", "young"]}, exclusive=[["black", "blond", "brown"]])
    monkeypatch.setattr(model, "seen", lambda images: torch.tensor([[2.0, -1, 3, 1]]).double())
    for to, asked in {
        "blond": [0, 1, 0, 1],
        "not-black": [0, 0, 1, 1],
        "not-young": [1, 0, 1, 0],
        "not-young,black": [1, 0, 0, 0],
        "not-brown,blond": [0, 1, 0, 1],
    }.items():
        assert model.request(images(1), to).tolist() == [asked], to
    with pytest.raises(GenlitError, match="to is black,blond: it must be attributes that do not exclude each other"):
        model.translate(images(1), "black,blond")


@pytest.mark.parametrize("exclusive", [[["a", "red"]], [["a", "b"], ["b"]], [["a", "a"]]])
def test_groups_are_of_attributes_each_in_one_at_most(exclusive: list[list[str]]):
    with pytest.raises(GenlitError, match=r"model.exclusive is .*: it must be groups of names of labels.attributes"):
        small(labels=STYLES | {"attributes": ["a", "b"]}, exclusive=exclusive)


def test_images_of_any_size_are_translated():
    model = small(labels={"attributes": ["a", "b"]})
    for size in ((8, 8), (12, 20), (30, 8)):
        x = torch.rand(1, 3, *size)
        assert model.translate(x, "not-b").shape == x.shape
    assert model.training


@pytest.mark.parametrize(
    "to", ["yellow", "red,green", "red,framed", "not-red", "framed,yellow", "framed,not-framed", "tall,tall"]
)
def test_what_is_no_domain_is_refused(to: str):
    with pytest.raises(GenlitError, match=r"to"):
        small(labels=TWO_SETS).translate(images(1), to)


@pytest.mark.parametrize(
    ("shape", "options", "said"),
    [
        ((3, 12, 12), {"critic_layers": 3}, "12x12 pixels do not suit 2 halvings and 3 strided critic layers"),
        ((3, 16, 16), {"halvings": 4}, "16x16 pixels do not suit 4 halvings .* and at least 32"),
        ((3, 2, 2), {"halvings": 0}, "at least 4"),
        ((3, 8, 8), {"critic_layers": 3, "critic_norm": "instance"}, "at least 16"),
        ((3, 8, 8), {"labels": {}}, "names, each once"),
        ((3, 8, 8), {"labels": {"label": ["a", "a"]}}, "names, each once"),
    ],
)
def test_options_that_do_not_suit_are_refused(shape: tuple[int, int, int], options: dict, said: str):
    with pytest.raises(GenlitError, match=said):
        StarGAN(shape, **{"critic_layers": 1} | options)


# Learning


def blocks(n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Dark images with a coloured rectangle, half of them in a white frame; colours and frames."""
    generator = torch.Generator().manual_seed(seed)
    colour, framed = torch.randint(3, (n,), generator=generator), torch.randint(2, (n,), generator=generator)
    corner, side = torch.randint(1, 4, (n, 2), generator=generator), torch.randint(3, 5, (n, 2), generator=generator)
    x = torch.full((n, 3, 8, 8), -1.0)
    x[framed == 1] = 0.8
    x[:, :, 1:-1, 1:-1] = -1
    for image, c, (top, left), (height, width) in zip(x, colour, corner.tolist(), side.tolist(), strict=True):
        image[c, top : min(top + height, 7), left : min(left + width, 7)] = 0.8
    return x, colour, framed


def colour_of(x: Tensor) -> Tensor:
    return (x[:, :, 1:-1, 1:-1] + 1).sum((2, 3)).argmax(1)


def is_framed(x: Tensor) -> Tensor:
    border = torch.ones(8, 8, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    return x[:, :, border].mean((1, 2)) > -0.1


def trained(labels: dict, batch, iterations: int) -> StarGAN:
    torch.manual_seed(0)
    sizes = {"width": 8, "blocks": 1, "halvings": 1, "critic_width": 16, "critic_layers": 2}
    model = StarGAN((3, 8, 8), labels=labels, n_critic=1, lr=1e-3, weights={"reconstruction": 1.0}, **sizes)
    optimizers = dict(zip(model.players, model.configure_optimizers(), strict=True))
    for _ in range(iterations):
        for player, terms in model.turns(batch(torch.randint(1000, (16,)))):
            model.total(player, terms).backward(inputs=model._owned(player))
            optimizers[player].step()
            optimizers[player].zero_grad()
    return model


def test_translations_have_the_colour_that_is_asked_for():
    x, colour, _ = blocks(1000, seed=0)
    model = trained(STYLES, lambda rows: {"image": x[rows], "label": colour[rows]}, iterations=300)
    held_out = blocks(90, seed=1)[0]
    for index, name in enumerate(STYLES["label"]):
        assert (colour_of(model.translate(held_out, name)) == index).double().mean() >= 0.95, name


def test_two_sets_that_know_different_labels_are_learned_together():
    """Half of each batch knows colours alone, half frames alone, and either can be asked for of both."""
    x, colour, framed = blocks(1000, seed=0)

    def batch(rows: Tensor) -> dict[str, Tensor]:
        first = torch.arange(16) < 8
        attributes = torch.where(first, -1, framed[rows]).float()[:, None]
        return {"image": x[rows], "label": torch.where(first, colour[rows], -1), "attributes": attributes}

    model = trained(STYLES | {"attributes": ["framed"]}, batch, iterations=300)
    held_out = blocks(90, seed=1)[0]
    for index, name in enumerate(STYLES["label"]):
        assert (colour_of(model.translate(held_out, name)) == index).double().mean() >= 0.95, name
    for name in ("framed", "not-framed"):
        assert (is_framed(model.translate(held_out, name)) == (name == "framed")).double().mean() >= 0.95, name


@pytest.fixture
def faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve pictures in three class folders; the attributes of every other are unknown."""
    monkeypatch.setenv("GENLIT_DATA", str(tmp_path / "stores"))
    lines = ["file,framed,tall"]
    for k in range(12):
        path = tmp_path / "faces" / ["blue", "green", "red"][k % 3] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (20 * k, 0, 0)).save(path)
        lines.append(f"{path.name},," if k % 2 else f"{path.name},1,0")
    (tmp_path / "faces" / "attributes.csv").write_text("\n".join(lines))
    return tmp_path / "faces"


@pytest.mark.parametrize("labels", [{"label": ["blue", "green", "red"]}, {}])
def test_it_trains_on_a_folder_whose_attributes_are_partly_unknown(labels: dict[str, list[str]], faces: Path):
    labels = labels | {"attributes": ["framed", "tall"]}
    source = Folder(str(faces), batch_size=8).require(("image", *labels))
    unknown = (next(iter(source.loader("train")))["attributes"] < 0).all(1)
    assert 0 < unknown.sum() < len(unknown)
    sizes = {"width": 4, "blocks": 1, "halvings": 1, "critic_width": 4, "critic_layers": 2}
    model, clock = StarGAN(source.shape, labels=labels, n_critic=1, **sizes), trainer(faces.parent, max_steps=2)
    clock.fit(model, source)
    assert clock.global_step == 2
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_images_that_are_alone_have_nothing_to_be_asked_for(faces: Path):
    source = Folder(str(faces), batch_size=2).require(("image", "label"))
    sizes = {"width": 4, "blocks": 1, "halvings": 1, "critic_width": 4, "critic_layers": 2}
    model = StarGAN(source.shape, labels={"label": ["blue", "green", "red"]}, accumulate=2, **sizes)
    with pytest.raises(GenlitError, match="a micro-batch of one image has no other's labels to ask for"):
        trainer(faces.parent, max_steps=2).fit(model, source)
