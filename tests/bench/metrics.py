"""The cost of measuring images beside the libraries that others measure with, in CPU time of one thread.

All see the same bytes through the same network with random weights, in blocks of 32 real and 32 generated images, and
every library takes its block in turns with genlit.
"""

import io
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from genlit.metrics.distances.frechet import frechet
from genlit.metrics.extractors import Extractor, Features, Inception
from genlit.metrics.extractors.base import PASS, exact_float32
from genlit.metrics.statistics import Collector
from tests.bench.training import Step, clocks, row

BATCH, SIDE = 32, 32
FEW, MANY = 5_000, 50_000
SPLITTING = "2048", "logits_unbiased"


class Contest(NamedTuple):
    """What genlit is compared with: its step on (real, generated) images, rounds, and the ratio's bound."""

    start: Callable[[Path], Callable[[Tensor, Tensor], None]]
    rounds: int
    bound: float


# The others


def torchmetrics(weights: Path) -> Callable[[Tensor, Tensor], None]:
    """FID, KID and IS as three metrics, each with a network of its own."""

    def network(layer: str) -> nn.Module:
        return NoTrainInceptionV3("inception-v3-compat", [layer], str(weights), antialias=False)

    fid = FrechetInceptionDistance(2048, feature_extractor_weights_path=str(weights), antialias=False)
    kid, score = KernelInceptionDistance(network("2048")), InceptionScore(network("logits_unbiased"))

    def step(real: Tensor, generated: Tensor) -> None:
        for metric in (fid, kid):
            metric.update(real, real=True)
            metric.update(generated, real=False)
        score.update(generated)

    return step


def torch_fidelity(weights: Path) -> Callable[[Tensor, Tensor], None]:
    """One extractor for all its metrics; it keeps features and adds nothing up before the end."""
    network, kept = FeatureExtractorInceptionV3("inception", [*SPLITTING], str(weights)), []

    def step(real: Tensor, generated: Tensor) -> None:
        with torch.no_grad():
            kept.extend(network(images) for images in (real, generated))

    return step


def convolutions(weights: Path) -> Callable[[Tensor, Tensor], None]:
    """The network's multiplications at the rate of its fastest convolution, which alone is timed."""
    calls = list(convolution_calls(Inception(weights)))
    work, fastest = sum(call.flops for call in calls), max(calls, key=rate)
    repeats = round(2 * work / fastest.flops)
    print(f"floor: {work / BATCH / 1e9:.2f} GFLOP an image; {rate(fastest) / 1e9:.0f} GFLOP/s in {fastest.layer}")

    def step(real: Tensor, generated: Tensor) -> None:
        for _ in range(repeats):
            fastest()

    return step


class Call(NamedTuple):
    """A convolution of 32 images."""

    layer: nn.Conv2d
    images: Tensor
    flops: int

    @torch.no_grad()
    def __call__(self) -> None:
        with exact_float32():
            self.layer(self.images)


def convolution_calls(extractor: Inception) -> Iterator[Call]:
    """All convolutions of one pass, each on random numbers in the layout that it meets."""
    met: list[tuple[nn.Conv2d, Tensor, int]] = []

    def note(layer: nn.Conv2d, inputs: tuple[Tensor], output: Tensor) -> None:
        met.append((layer, torch.rand_like(inputs[0]), 2 * output.numel() * layer.weight[0].numel()))

    for layer in extractor.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(note)
    extractor(random_images())
    for layer, *_ in met:
        layer._forward_hooks.clear()
    return (Call(*call) for call in met)


def rate(call: Call) -> float:
    """FLOP a second of CPU time, at its best."""
    return call.flops / min(timed(call)[0] for _ in range(4))


# Measuring


CONTESTS = {
    "torchmetrics FID + KID + IS": Contest(torchmetrics, 4, 1 / 4),
    "torch-fidelity's one pass": Contest(torch_fidelity, 6, 1 / 1.7),
    "fastest convolution": Contest(convolutions, 6, 1 / 0.7),
}


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """One row per library, genlit's time over theirs, and one for memory."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as fresh,
    ):
        # even the weights: a process starts with the highest memory of the one that starts it, so this one stays small
        weights = fresh.submit(random_weights, Path(folder) / "inception.pth").result()
        rows = list(fresh.map(compared, CONTESTS, [weights] * len(CONTESTS), [quick] * len(CONTESTS)))
        return rows if quick else [*rows, memory(*fresh.map(peak, (MANY, FEW)))]


def compared(name: str, weights: Path, quick: bool) -> dict[str, Any]:
    """Measures in turns, in this process, which is set up for it."""
    torch.set_num_threads(1)
    contest = CONTESTS[name]
    images = random_images(), random_images()
    steps = {who: partial(start(weights), *images) for who, start in (("genlit", genlit), (name, contest.start))}
    rounds = 1 + (2 if quick else contest.rounds)
    times = [{who: timed(step) for who, step in steps.items()} for _ in range(rounds)]
    return row(f"FID + KID + IS, float32: genlit / {name}", times[1:], name, contest.bound)  # the first round warms up


def genlit(weights: Path) -> Callable[[Tensor, Tensor], None]:
    """What FID, KID and IS are computed of; each image goes through the network once."""
    extractor = Inception(weights)
    known, drawn = (Collector(extractor, MANY, features=True, score=score) for score in (False, True))

    def step(real: Tensor, generated: Tensor) -> None:
        known.update(real)
        drawn.update(generated)

    return step


def timed(step: Step) -> np.ndarray:
    started = clocks()
    step()
    return clocks() - started


def random_images() -> Tensor:
    return torch.randint(256, (BATCH, 3, SIDE, SIDE), dtype=torch.uint8)


def random_weights(path: Path) -> Path:
    """Weights that keep the size of what passes them: the time of tiny numbers is another one."""

    class Untrained(FeatureExtractorInceptionV3):
        def load_state_dict(self, state: dict) -> None:
            """Keeps what it was initialised to."""

    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    network = Untrained("inception", [*SPLITTING], nothing)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    torch.save(network.state_dict(), path)
    return path


# Memory


class Noise(Extractor):
    """Random features of an Inception's width."""

    family, variant, digest, resize, width, classes = "noise", "", "", "none", 2048, None

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.generator = torch.Generator().manual_seed(0)

    def network(self, images: Tensor) -> Features:
        return Features(torch.randn(PASS, self.width, generator=self.generator), None)


def peak(n: int) -> int:
    """Bytes that the Fréchet distance of n images to n others needs, above what the imports do."""
    torch.set_num_threads(1)
    before = resident()
    collectors = [Collector(Noise(), n) for _ in range(2)]
    for collector in collectors:
        for positions in torch.arange(n).split(BATCH):
            collector.update(torch.zeros(len(positions), 1, 1, 1, dtype=torch.uint8), positions)
    frechet(*(collector.compute().moments for collector in collectors))
    return resident() - before


def resident() -> int:
    """Bytes at the highest point so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def memory(many: int, few: int) -> dict[str, Any]:
    print(f"memory of FID: {many / 2**20:.0f} MiB for {MANY:,} images, {few / 2**20:.0f} MiB for {FEW:,}")
    return {"name": f"memory of FID: {MANY:,} / {FEW:,} images", "ratio": many / few, "bound": 1.1, "better": "lower"}
