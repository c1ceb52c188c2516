import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate, layer_norm, linear, scaled_dot_product_attention
from torch_fidelity import feature_extractor_clip as clip

from genlit.errors import GenlitError
from genlit.files import sha256
from genlit.metrics.extractors import CLIP, DINOv2
from genlit.metrics.extractors import transformers as module
from genlit.metrics.extractors.resize import RESIZES

WIDTH, LAYERS, HEADS = 128, 2, 2
FAMILY = "clip-vit-b-32"


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randint(256, (5, 3, 5, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def block(random: torch.Generator) -> dict[str, Tensor]:
    shapes = {
        "norm1.weight": (WIDTH,),
        "norm1.bias": (WIDTH,),
        "attn.qkv.weight": (3 * WIDTH, WIDTH),
        "attn.qkv.bias": (3 * WIDTH,),
        "attn.proj.weight": (WIDTH, WIDTH),
        "attn.proj.bias": (WIDTH,),
        "ls1.gamma": (WIDTH,),
        "norm2.weight": (WIDTH,),
        "norm2.bias": (WIDTH,),
        "mlp.fc1.weight": (4 * WIDTH, WIDTH),
        "mlp.fc1.bias": (4 * WIDTH,),
        "mlp.fc2.weight": (WIDTH, 4 * WIDTH),
        "mlp.fc2.bias": (WIDTH,),
        "ls2.gamma": (WIDTH,),
    }
    scales = {name: 1 if len(shape) == 1 else shape[-1] ** -0.5 for name, shape in shapes.items()}
    return {name: torch.randn(shape, generator=random) * scales[name] for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def dinov2() -> dict[str, Tensor]:
    """Random weights in the authors' names: their grid of 37 x 37 patches of 14 pixels."""
    random = torch.Generator().manual_seed(0)
    state = {
        "cls_token": torch.randn(1, 1, WIDTH, generator=random),
        "pos_embed": torch.randn(1, 1 + 37 * 37, WIDTH, generator=random),
        "mask_token": torch.zeros(1, WIDTH),
        "patch_embed.proj.weight": torch.randn(WIDTH, 3, 14, 14, generator=random) * 0.04,
        "patch_embed.proj.bias": torch.randn(WIDTH, generator=random),
        "norm.weight": torch.randn(WIDTH, generator=random),
        "norm.bias": torch.randn(WIDTH, generator=random),
    }
    for k in range(LAYERS):
        state |= {f"blocks.{k}.{name}": tensor for name, tensor in block(random).items()}
    return state


def dinov2_by_hand(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """The class token of DINOv2, written from the paper's equations and with its layer scales unfolded."""
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    x = (RESIZES["clean"](images, 224) / 255 - mean) / deviation
    patches = nn.functional.conv2d(x, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=14)
    x = torch.cat([state["cls_token"].expand(len(x), -1, -1), patches.flatten(2).transpose(1, 2)], 1)
    grid = state["pos_embed"][:, 1:].reshape(1, 37, 37, WIDTH).permute(0, 3, 1, 2)
    grid = interpolate(grid, scale_factor=(16.1 / 37, 16.1 / 37), mode="bicubic")
    x = x + torch.cat([state["pos_embed"][:, :1], grid.permute(0, 2, 3, 1).reshape(1, 256, WIDTH)], 1)
    for k in range(LAYERS):
        w = {name.removeprefix(f"blocks.{k}."): tensor for name, tensor in state.items()}
        y = layer_norm(x, (WIDTH,), w["norm1.weight"], w["norm1.bias"], 1e-6)
        qkv = linear(y, w["attn.qkv.weight"], w["attn.qkv.bias"]).unflatten(2, (3, HEADS, WIDTH // HEADS))
        y = scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4)).transpose(1, 2).flatten(2)
        x = x + w["ls1.gamma"] * linear(y, w["attn.proj.weight"], w["attn.proj.bias"])
        y = layer_norm(x, (WIDTH,), w["norm2.weight"], w["norm2.bias"], 1e-6)
        y = linear(gelu(linear(y, w["mlp.fc1.weight"], w["mlp.fc1.bias"])), w["mlp.fc2.weight"], w["mlp.fc2.bias"])
        x = x + w["ls2.gamma"] * y
    return layer_norm(x, (WIDTH,), state["norm.weight"], state["norm.bias"], 1e-6)[:, 0]


def test_dinov2_is_its_authors_network(dinov2: dict[str, Tensor], images: Tensor, tmp_path: Path):
    torch.save(dinov2, tmp_path / "dinov2.pth")
    random = torch.get_rng_state()
    net = DINOv2("dinov2-vit-s-14", tmp_path / "dinov2.pth")
    pool, logits = net(images)
    assert torch.equal(torch.get_rng_state(), random)
    theirs = dinov2_by_hand(dinov2, images)
    assert logits is None
    assert pool.shape == (5, net.width)
    assert (pool - theirs).abs().max() <= 1e-3 * theirs.std(0).mean()  # of what tells the images apart
    assert torch.equal(net(images[3:4]).pool, pool[3:4])
    assert net.identity["family"] == "dinov2-vit-s-14"
    assert net.variant == f"{net.digest[:8]}-clean"


def test_other_weights_are_not_dinov2(dinov2: dict[str, Tensor], tmp_path: Path):
    for name, change in {"more": {"register_tokens": torch.zeros(1, 4, WIDTH)}, "less": {"norm.weight": None}}.items():
        state = {key: tensor for key, tensor in (dinov2 | change).items() if tensor is not None}
        torch.save(state, tmp_path / f"{name}.pth")
        with pytest.raises(GenlitError, match=f"{name}.pth does not hold the weights of dinov2"):
            DINOv2("dinov2-vit-s-14", tmp_path / f"{name}.pth")
    torch.save({"a": torch.zeros(1)}, tmp_path / "none.pth")
    with pytest.raises(GenlitError, match=r"none\.pth does not hold the weights of dinov2"):
        DINOv2("dinov2-vit-s-14", tmp_path / "none.pth")


class Archived(nn.Module):
    """A small CLIP with both its names for shapes."""

    def __init__(self):
        super().__init__()
        self.visual = clip.CLIPVisual(32, 32, 2, 64, 16).visual.half().float()
        self.text_projection = nn.Parameter(torch.zeros(8, 32))

    def forward(self, x: Tensor) -> Tensor:
        return self.visual(x) + self.text_projection.sum()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.pt"
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        torch.jit.save(torch.jit.trace(Archived().eval(), torch.zeros(1, 3, 32, 32)), path)
    return path


def test_clip_is_torch_fidelitys(archive: Path, images: Tensor, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(module.CLIP_FAMILIES, FAMILY, sha256(archive))
    net = CLIP(FAMILY, archive, resize="tf1")
    theirs = clip.FeatureExtractorCLIP(FAMILY, ["clip"], feature_extractor_weights_path=str(archive))(images)[0]
    pool, logits = net(images)
    assert (net.variant, net.width, net.classes, logits) == ("tf1", 32, None, None)
    assert (pool - theirs).abs().max() <= 1e-3 * theirs.std(0).mean()  # of what tells the images apart
    assert torch.equal(net(images[3:4]).pool, pool[3:4])


def test_an_archive_that_is_not_the_published_one_is_not_opened(archive: Path):
    with pytest.raises(GenlitError, match=r"clip\.pt is not a file of weights"):
        CLIP(FAMILY, archive)


def test_a_state_dict_of_clip_is_named_by_its_digest(archive: Path, images: Tensor, tmp_path: Path):
    state = dict(torch.jit.load(archive).state_dict())
    torch.save(state, tmp_path / "clip.pth")
    net = CLIP(FAMILY, tmp_path / "clip.pth")
    assert net.variant == f"{net.digest[:8]}-clean"
    torch.save(state | {"text_projection": torch.ones(8, 32)}, tmp_path / "text.pth")
    assert CLIP(FAMILY, tmp_path / "text.pth").digest == net.digest  # the text tower gives no features


def test_other_weights_are_not_clip(tmp_path: Path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(GenlitError, match=r"other\.pth does not hold the weights of clip-vit-b-32"):
        CLIP(FAMILY, tmp_path / "other.pth")
