import pytest
import torch
from torch import Tensor, nn

from genlit.errors import GenlitError
from genlit.metrics.extractors.base import PASS, Extractor, Features, exact_float32, variant_of


class Toy(Extractor):
    """A layer with dropout and batch norm, which evaluation mode makes harmless."""

    family, variant, digest, resize, width, classes = "toy", "v", "d", "none", 5, 2

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(48, 5), nn.BatchNorm1d(5), nn.Dropout())
        self.sizes: list[int] = []

    def network(self, images: Tensor) -> Features:
        self.sizes.append(len(images))
        pool = self.net(images.float())
        return Features(pool, pool[:, :2])


def images(n: int) -> Tensor:
    return torch.randint(256, (n, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(n))


@pytest.mark.parametrize("n", [1, PASS - 1, PASS, PASS + 1, 3 * PASS])
def test_the_network_always_sees_one_number_of_images(n: int):
    toy = Toy().eval()
    features = toy(images(n))
    assert set(toy.sizes) == {PASS}
    assert [part.shape for part in features] == [(n, 5), (n, 2)]


def test_features_do_not_depend_on_companions():
    toy, x = Toy(), images(70)
    together = toy.train()(x).pool
    assert torch.equal(together, torch.cat([toy(x[i : i + 7]).pool for i in range(0, 70, 7)]))
    assert torch.equal(together[50:51], toy(x[50:51]).pool)
    assert not together.requires_grad


def test_no_images_have_no_features():
    pool, logits = Toy()(images(0))
    assert pool.shape == (0, 5)
    assert logits.shape == (0, 2)


@pytest.mark.parametrize("wrong", [torch.zeros(2, 3, 4, 4), torch.zeros(3, 4, 4, dtype=torch.uint8)])
def test_what_are_no_bytes_is_refused(wrong: Tensor):
    with pytest.raises(GenlitError, match="uint8 images"):
        Toy()(wrong)


def test_the_precision_around_is_left_aside_and_comes_back():
    toy, x = Toy(), images(4)
    quiet = toy(x).pool
    torch.set_float32_matmul_precision("medium")
    try:
        before = torch.backends.mkldnn.matmul.fp32_precision
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(toy(x).pool, quiet)
        assert torch.backends.mkldnn.matmul.fp32_precision == before
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_inside_the_block_float32_is_float32():
    before = torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        with exact_float32():
            assert torch.backends.mkldnn.matmul.fp32_precision == "ieee"
            assert torch.backends.cudnn.conv.fp32_precision == "ieee"
            assert not torch.backends.cudnn.benchmark
        assert torch.backends.cudnn.benchmark
    finally:
        torch.backends.cudnn.benchmark = before[1]
    assert torch.backends.cuda.matmul.fp32_precision == before[0]


def test_a_variant_holds_what_a_value_depends_on():
    assert variant_of(None, "tf1", torch.float32) == "tf1"
    assert variant_of("1a2b3c4d5e6f", "clean", torch.bfloat16) == "1a2b3c4d-clean-bf16"
    assert variant_of(None, "tf1", torch.float64) == "tf1-f64"


def test_the_identity_holds_what_a_statistic_depends_on():
    identity = Toy().identity
    assert identity["dtype"] == "float32"
    assert {"family", "variant", "digest", "resize", "channels"} < set(identity)
