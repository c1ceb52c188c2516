"""The cost of a training iteration beside the same mathematics in plain PyTorch, in CPU time of one thread.

genlit's side is what the command line runs: the configuration, the trainer, its callbacks and its logger. After every
block of its iterations the other loops play as many steps in the same process, so that all meet the same machine.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss, mse_loss, softplus
from torch.optim import Adam
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from genlit import config
from genlit.model import Batch, GenerativeModel, Turn
from genlit.models import DCGAN, cyclegan
from genlit.nn.initial import normal
from genlit.nn.pool import ImagePool
from genlit.verbs.train import build_trainer, hush, loggers

Step = Callable[[], None]
Columns = dict[str, np.ndarray]

COMMON = {
    "trainer": {"accelerator": "cpu", "log_every_n_steps": 50, "limit_val_batches": 0},
    "run": {"wandb": "disabled", "checkpoint_every": 10**9, "checkpoint_minutes": None, "pictures_every": 10**9},
}


class Loop(NamedTuple):
    """A loop that genlit is compared with: `start(columns)` gives its step; the ratio's bound."""

    start: Callable[[Columns], Step]
    bound: float


class Contest(NamedTuple):
    """A game that is measured: the configuration's sections, iterations a block, blocks, opponents by name."""

    settings: dict[str, dict[str, Any]]
    block: int
    blocks: int
    loops: dict[str, Loop]


class MLPGAN(GenerativeModel):
    """Lightning's example, basic_gan.py: min_G max_D E[log D(x)] + E[log(1 − D(G(z)))] with multilayer perceptrons."""

    players = {"critic": ["critic"], "generator": ["generator"]}
    terms = {"adversarial": 1.0}

    def __init__(self, shape: tuple[int, int, int], *, latent: int = 100, **engine):
        super().__init__(shape, **engine)
        self.latent, self.generator, self.critic = latent, mlp_generator(latent), mlp_critic()

    def turns(self, batch: Batch) -> Iterator[Turn]:
        real = batch["image"]
        fake = self.generator(torch.randn(len(real), self.latent, device=real.device))
        critic = softplus(-self.critic(real)).mean() + softplus(self.critic(fake.detach())).mean()
        yield "critic", {"adversarial": critic}
        yield "generator", {"adversarial": softplus(-self.critic(fake)).mean()}


def mlp_generator(latent: int) -> nn.Sequential:
    """100-128-256-512-1024-784."""
    layers: list[nn.Module] = [nn.Linear(latent, 128), nn.LeakyReLU(0.2, True)]
    for width in (128, 256, 512):
        layers += [nn.Linear(width, 2 * width), nn.BatchNorm1d(2 * width), nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*layers, nn.Linear(1024, 784), nn.Tanh(), nn.Unflatten(1, (1, 28, 28)))


def mlp_critic() -> nn.Sequential:
    """784-512-256-1."""
    first, second = ([nn.Linear(a, b), nn.LeakyReLU(0.2, True)] for a, b in ((784, 512), (512, 256)))
    return nn.Sequential(nn.Flatten(), *first, *second, nn.Linear(256, 1))


# The best plain loops


def plain_mlp(columns: Columns) -> Step:
    return plain_gan(columns["image"], mlp_generator(100), mlp_critic(), (100,), torch.randn, torch.contiguous_format)


def plain_dcgan(columns: Columns) -> Step:
    generator, critic = dcgan_networks()
    networks = (network.to(memory_format=torch.channels_last) for network in (generator, critic))
    return plain_gan(columns["image"], *networks, (100,), uniform, torch.channels_last)


def plain_gan(
    images: np.ndarray,
    generator: nn.Module,
    critic: nn.Module,
    latent: tuple[int, ...],
    draw: Callable,
    layout: torch.memory_format,
) -> Step:
    """The non-saturating game on batches of 64, one fake for both turns."""
    batches = in_memory(images, 64)
    owned = {network: list(network.parameters()) for network in (generator, critic)}
    adams = {network: fused(parameters) for network, parameters in owned.items()}

    def step() -> None:
        real = next(batches).contiguous(memory_format=layout)
        fake = generator(draw(64, *latent))
        update(critic, softplus(-critic(real)).mean() + softplus(critic(fake.detach())).mean())
        update(generator, softplus(-critic(fake)).mean())

    def update(player: nn.Module, loss: Tensor) -> None:
        loss.backward(inputs=owned[player])
        adams[player].step()
        adams[player].zero_grad()

    return step


def plain_cyclegan(columns: Columns) -> Step:
    """What passes the same network together shares a batch."""
    to_b, to_a, critic_a, critic_b = cyclegan_networks()
    batches_a, batches_b = (in_memory(columns[domain], 1) for domain in "ab")
    pool_a, pool_b = ImagePool(50), ImagePool(50)
    generators, critics = ([*one.parameters(), *two.parameters()] for one, two in ((to_b, to_a), (critic_a, critic_b)))
    generators_adam, critics_adam = fused(generators), fused(critics)

    def fooling(critic: nn.Module, fake: Tensor) -> Tensor:
        return (critic(fake) - 1).square().mean()

    def judging(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        on_real, on_fake = critic(torch.cat([real, fake])).chunk(2)
        return 0.5 * (on_real - 1).square().mean() + 0.5 * on_fake.square().mean()

    def step() -> None:
        a, b = next(batches_a), next(batches_b)
        fake_b, same_b = to_b(torch.cat([a, b])).chunk(2)
        fake_a, same_a, again_a = to_a(torch.cat([b, a, fake_b])).chunk(3)
        cycle = l1_loss(again_a, a) + l1_loss(to_b(fake_a), b)
        identity = l1_loss(same_b, b) + l1_loss(same_a, a)
        loss = fooling(critic_b, fake_b) + fooling(critic_a, fake_a) + 10 * cycle + 5 * identity
        loss.backward(inputs=generators)
        generators_adam.step()
        generators_adam.zero_grad()
        old_a, old_b = pool_a(fake_a.detach(), 0), pool_b(fake_b.detach(), 0)
        (judging(critic_a, a, old_a) + judging(critic_b, b, old_b)).backward(inputs=critics)
        critics_adam.step()
        critics_adam.zero_grad()

    return step


# The loops of tutorials: PIL images, default Adam, a number read in every step, nobody frozen


def naive_dcgan(columns: Columns) -> Step:
    generator, critic = dcgan_networks()
    generator_adam, critic_adam = (Adam(n.parameters(), lr=2e-4, betas=(0.5, 0.999)) for n in (generator, critic))
    batches = endless(lambda: DataLoader(Pictures(columns["image"]), 64, shuffle=True, drop_last=True))
    ones, zeros = torch.ones(64, 1), torch.zeros(64, 1)
    seen = []

    def step() -> None:
        (real,) = next(batches)
        critic_adam.zero_grad()
        on_real = binary_cross_entropy_with_logits(critic(real), ones)
        on_real.backward()
        fake = generator(uniform(64, 100))
        on_fake = binary_cross_entropy_with_logits(critic(fake.detach()), zeros)
        on_fake.backward()
        critic_adam.step()
        generator_adam.zero_grad()
        fooling = binary_cross_entropy_with_logits(critic(fake), ones)
        fooling.backward()
        generator_adam.step()
        seen.append(((on_real + on_fake).item(), fooling.item()))

    return step


def naive_cyclegan(columns: Columns) -> Step:
    to_b, to_a, critic_a, critic_b = cyclegan_networks()
    pairs = ((to_b, to_a), (critic_a, critic_b))
    generators_adam, critics_adam = (
        Adam(chain(one.parameters(), two.parameters()), lr=2e-4, betas=(0.5, 0.999)) for one, two in pairs
    )
    batches = endless(lambda: DataLoader(Pictures(columns["a"], columns["b"]), 1, shuffle=True))
    pool_a, pool_b = ImagePool(50), ImagePool(50)
    seen = []

    def judged(logits: Tensor, real: bool) -> Tensor:
        return mse_loss(logits, torch.full_like(logits, real))

    def judging(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        return 0.5 * (judged(critic(real), True) + judged(critic(fake), False))

    def step() -> None:
        a, b = next(batches)
        fake_b, fake_a = to_b(a), to_a(b)
        cycle = l1_loss(to_a(fake_b), a) + l1_loss(to_b(fake_a), b)
        identity = l1_loss(to_b(b), b) + l1_loss(to_a(a), a)
        fooling = judged(critic_b(fake_b), True) + judged(critic_a(fake_a), True)
        generators_adam.zero_grad()
        (fooling + 10 * cycle + 5 * identity).backward()
        generators_adam.step()
        critics_adam.zero_grad()
        on_a = judging(critic_a, a, pool_a(fake_a.detach(), 0))
        on_a.backward()
        on_b = judging(critic_b, b, pool_b(fake_b.detach(), 0))
        on_b.backward()
        critics_adam.step()
        seen.append([loss.item() for loss in (fooling, cycle, identity, on_a, on_b)])

    return step


# What loops share


class Pictures(Dataset):
    """Items as torchvision's sets give them: a PIL image and two transforms; of unpaired arrays, one image of each."""

    def __init__(self, *arrays: np.ndarray):
        self.arrays = [np.ascontiguousarray(array.transpose(0, 2, 3, 1)) for array in arrays]
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)])

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, row: int) -> tuple[Tensor, ...]:
        rows = [row, *(int(torch.randint(len(array), ())) for array in self.arrays[1:])]
        return tuple(self.transform(Image.fromarray(a[k])) for a, k in zip(self.arrays, rows, strict=True))


def dcgan_networks() -> tuple[nn.Module, nn.Module]:
    model = DCGAN((3, 32, 32))
    return model.generator, model.critic


def cyclegan_networks() -> list[nn.Module]:
    """To b, to a, and the critics of a and b, as in the paper."""
    generators = [normal(cyclegan.generator(3, 64, 9, halvings=2)) for _ in "ba"]
    return generators + [normal(cyclegan.critic(3, 64, 3)) for _ in "ab"]


def fused(parameters: list[nn.Parameter]) -> Adam:
    return Adam(parameters, lr=2e-4, betas=(0.5, 0.999), fused=True)


def uniform(*shape: int) -> Tensor:
    return torch.rand(shape) * 2 - 1


def in_memory(images: np.ndarray, size: int) -> Iterator[Tensor]:
    """Shuffled batches in [-1, 1] of bytes that lie in memory."""
    pixels = torch.from_numpy(np.array(images))
    return (pixels[rows].float().div_(255).sub_(0.5).div_(0.5) for rows in endless(lambda: shuffled(pixels, size)))


def shuffled(pixels: Tensor, size: int) -> tuple[Tensor, ...]:
    return torch.randperm(len(pixels))[: len(pixels) // size * size].split(size)


def endless(epoch: Callable[[], Any]) -> Iterator[Any]:
    while True:
        yield from epoch()


# Measuring


class Alternate(Callback):
    """Plays the other loops after every block of genlit's iterations, and times all; it must be the last callback.

    Args:
        block: iterations a block.
        steps: the other loops.
    """

    def __init__(self, block: int, steps: dict[str, Step]):
        self.block, self.steps = block, steps
        self.rows: list[dict[str, np.ndarray]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = clocks()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if trainer.global_step % self.block == 0:
            genlit = (clocks() - self.started) / self.block
            self.rows.append({"genlit": genlit} | {name: self._timed(step) for name, step in self.steps.items()})
            self.started = clocks()

    def _timed(self, step: Step) -> np.ndarray:
        with without_lightning():
            started = clocks()
            for _ in range(self.block):
                step()
            return (clocks() - started) / self.block


@contextmanager
def without_lightning() -> Iterator[None]:
    """Unsets Lightning's variable that makes every step of Adam look for a GPU: a plain program lacks it."""
    name = "PYTORCH_NVML_BASED_CUDA_CHECK"
    value = os.environ.pop(name, None)
    yield
    os.environ |= {name: value} if value else {}


def clocks() -> np.ndarray:
    """CPU and wall time, in seconds."""
    return np.array([time.process_time(), time.perf_counter()])


GAN = {"model": {"name": "DCGAN"}, "data": {"name": "Npz", "holdout": 0.0, "batch_size": 64}}
TRANSLATION = {"model": {"name": "CycleGAN"}, "data": {"name": "Emoji", "size": 64, "batch_size": 1}}
CONTESTS = {
    "DCGAN 32, batch 64": Contest(GAN, 5, 16, {"plain": Loop(plain_dcgan, 1.03), "tutorial": Loop(naive_dcgan, 0.95)}),
    "CycleGAN 64, batch 1": Contest(
        TRANSLATION, 2, 14, {"plain": Loop(plain_cyclegan, 1.03), "tutorial": Loop(naive_cyclegan, 0.95)}
    ),
    "MLP GAN, batch 64": Contest(GAN | {"model": {"name": "MLPGAN"}}, 50, 16, {"plain": Loop(plain_mlp, 1.15)}),
}
SHAPES = {"DCGAN": (10_000, 32, 32, 3), "MLPGAN": (10_000, 28, 28, 1)}


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """One row per game and opponent: genlit's time over theirs, the median over neighbouring blocks."""
    # A process each: one and the same loop was 9 % slower in a process that had played another game before.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as fresh:
        return [row for rows in fresh.map(compared, CONTESTS, [quick] * len(CONTESTS)) for row in rows]


def compared(name: str, quick: bool) -> list[dict[str, Any]]:
    """Plays a contest in this process, which it sets up for it."""
    torch.set_num_threads(1)
    config.trust(["tests.bench.training"])  # for MLPGAN
    hush()
    contest = CONTESTS[name]
    rows = played(contest, 3 if quick else contest.blocks)
    return [row(f"{name}: genlit / {other}", rows, other, loop.bound) for other, loop in contest.loops.items()]


def row(name: str, rows: list[dict[str, np.ndarray]], other: str, bound: float) -> dict[str, Any]:
    ours, theirs = (np.stack([times[who] for times in rows]) for who in ("genlit", other))
    ratio, wall_ratio = np.median(ours / theirs, axis=0)
    quartiles = statistics.quantiles((ours / theirs)[:, 0])
    return {
        "name": name,
        "ratio": ratio,
        "bound": bound,
        "better": "lower",
        "ours_ms": 1000 * np.median(ours[:, 0]),
        "theirs_ms": 1000 * np.median(theirs[:, 0]),
        "wall_ratio": wall_ratio,
        "quartiles": [quartiles[0], quartiles[2]],
    }


def played(contest: Contest, blocks: int) -> list[dict[str, np.ndarray]]:
    """Trains by the command line's own parts; gives the times of each block."""
    with tempfile.TemporaryDirectory() as folder:
        settings = settled(contest, Path(folder), blocks)
        source = config.source(settings)
        model = config.model(settings, source)
        columns = {name: column for stream in source.rows("train").streams for name, column in stream.items()}
        alternate = Alternate(contest.block, {name: loop.start(columns) for name, loop in contest.loops.items()})
        trainer = build_trainer(settings, Path(folder), None, loggers(settings, Path(folder)))
        trainer.callbacks.append(alternate)
        trainer.fit(model, datamodule=source)
    return alternate.rows[1:]  # the first block warms up


def settled(contest: Contest, folder: Path, blocks: int) -> config.Namespace:
    """The contest's configuration; random images stand in for CIFAR-10 and MNIST."""
    data = contest.settings["data"] | {"root": f"{folder}/data"}
    if data["name"] == "Npz":
        pixels = np.random.default_rng(0).integers(256, size=SHAPES[contest.settings["model"]["name"]], dtype=np.uint8)
        np.savez(folder / "images.npz", train_images=pixels)
        data["path"] = f"{folder}/images.npz"
    trainer = COMMON["trainer"] | {"max_steps": contest.block * (blocks + 1)}
    file = folder / "bench.yaml"
    file.write_text(yaml.safe_dump(contest.settings | COMMON | {"data": data, "trainer": trainer}))
    return config.parse([config.find("configs", "base"), file], [])
