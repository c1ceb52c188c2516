"""Measures small sets in 1, 2, 3 and 4 processes and saves what each found: `python -m tests.metrics.ranks OUT`.

Processes are forked, so that all of them together import genlit once.
"""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from PIL import Image
from torch.multiprocessing import start_processes
from torch.utils.data import DistributedSampler

from genlit.data import Digits, Emoji, Ring
from genlit.engine.processes import rank, world_size
from genlit.errors import GenlitError
from genlit.metrics.capabilities.likelihood import likelihoods
from genlit.metrics.capabilities.means import per_image
from genlit.metrics.capabilities.modes import modes
from genlit.metrics.capabilities.posterior import aggregated_posterior
from genlit.metrics.capabilities.reconstruction import reconstructions
from genlit.metrics.capabilities.translation import cycle_errors, paired_errors
from genlit.metrics.fidelity import METRICS, compare
from genlit.metrics.sets import Drawn, Pictures, Translated
from genlit.metrics.statistics import Collector
from genlit.models import VAE
from tests.metrics.stubs import Painter, Tiny, nothing_drawn, patterns, stored

WORLDS = (1, 2, 3, 4)
SECONDS = {"real_seconds", "seconds"}
BELOW_WIDTH = [metric for metric in METRICS if metric != "fid-infinity"]


def fewer_than_a_block(root):
    """Only the first process has images."""
    return told(stored(37), stored(41, 1), Tiny(), METRICS, root, seen=stored(70, 2))


def several_blocks(root):
    return told(stored(200), stored(150, 1), Tiny(), METRICS, root, seen=stored(70, 2))


def from_the_cache(root):
    return told(stored(200), stored(150, 1), Tiny(), METRICS, root, seen=stored(70, 2))


def fewer_images_than_features(root):
    return told(stored(37), stored(150, 1), Tiny(width=48), BELOW_WIDTH, root, seen=stored(70, 2))


def subsets_are_drawn(root):
    """KID takes subsets of 1,000."""
    return told(stored(1100), stored(1003, 1), Tiny(width=4), ["kid", "fid"], root)


def drawn(root):
    return told(Drawn(Painter(), 130, 3), stored(150, 1), Tiny(), METRICS, root, seen=stored(70, 2))


def drawn_by_a_network(root):
    return told(
        Drawn(vae(), 130, 3),
        stored(150, 1, channels=1, side=28),
        Tiny(),
        METRICS,
        root,
        seen=stored(70, 2, channels=1, side=28),
    )


def translated(root):
    return told(Translated(Negative(), stored(130), "b"), stored(150, 1), Tiny(), METRICS, root, seen=stored(70, 2))


def a_padded_sampler(root):
    """As Lightning's: every process has the same number of images, the last ones again from the start."""
    sampler = DistributedSampler(range(37), world_size(), rank(), shuffle=False)
    positions = torch.arange(len(sampler)) * world_size() + rank()
    return collected(torch.tensor(list(sampler)), positions, batch=5)


def uneven_batches(root):
    """The first process has all images but a few, which are shuffled over the others."""
    alone = world_size() == 1
    own = torch.randperm(37, generator=torch.Generator().manual_seed(1))
    few = own[: 37 if alone else 30] if rank() == 0 else own[30:][rank() - 1 :: world_size() - 1]
    return collected(few, few, batch=7 if rank() else 3)


def likelihood(root):
    rows = likelihoods(vae(), Digits(binarize="dynamic"), "test", k=(1, 3), limit=150)
    return {row.name: [row.value, row.n] for row in rows}


def by_capability(root):
    """Reconstructions, codes against the prior, translations, modes of a ring."""
    digits, emoji = Digits(binarize="dynamic"), Emoji(size=16).require(("a", "b"))
    rows = [*reconstructions(vae(), digits, "test", limit=150), *aggregated_posterior(vae(), digits, "test", 150)]
    rows += [*paired_errors(Negative(), emoji, "test"), *cycle_errors(Negative(), emoji, "test")]
    rows += modes(Points(), Ring(), 150)
    return {row.name: [row.value, row.n] for row in rows}


def means(root):
    values = per_image(brightness, Digits(binarize="dynamic"), "test", torch.device("cpu"), limit=37)
    return dict(zip(("means", "n"), values))


def missing(root):
    return refusal(lambda: given(torch.arange(36)[rank() :: world_size()]))


def doubled(root):
    """By every process."""
    return refusal(lambda: given(torch.arange(37)))


def one_process_draws_nan(root):
    return refusal(lambda: told(Drawn(Spoilt(), 130, 3), stored(150, 1), Tiny(), ["fid"], root))


def the_first_process_meets_a_damaged_picture(root):
    folder = root.with_suffix(".pictures")
    return refusal(lambda: told(stored(37), Pictures(folder), Tiny(), ["fid"], root))


def the_first_process_cannot_measure(root):
    return refusal(lambda: told(stored(30), stored(150, 1), Tiny(), ["fid-infinity"], root))


MEASURED = (
    fewer_than_a_block, several_blocks, from_the_cache, fewer_images_than_features, subsets_are_drawn, drawn,
    drawn_by_a_network, translated, likelihood, by_capability, means,
)  # fmt: skip
COLLECTED = (a_padded_sampler, uneven_batches)
REFUSED = (
    missing, doubled, one_process_draws_nan, the_first_process_meets_a_damaged_picture,
    the_first_process_cannot_measure,
)  # fmt: skip


class Spoilt(Painter):
    """Has one sample that is not a number."""

    def sample(self, n, *, seed=0, start=0, batch_size=64):
        images = super().sample(n, seed=seed, start=start, batch_size=batch_size)
        return images.log() if start == 64 else images


class Negative:
    """Translates to the negative."""

    domains = ("a", "b")
    device = torch.device("cpu")

    def translate(self, images, to):
        return -images


def vae():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return VAE((1, 28, 28), latent=3, hidden=(16,))


class Points:
    """Draws points of the plane, the same ones whatever process asks."""

    device = torch.device("cpu")

    def sample(self, n, *, seed=0, start=0, batch_size=64):
        blocks = (torch.Generator().manual_seed(k) for k in range((start + n) // 64 + 1))
        return torch.cat([torch.randn(64, 2, 1, 1, generator=each) for each in blocks])[start : start + n]


def brightness(batch):
    return {"brightness": batch["image"].flatten(1).mean(1)}


def told(generated, real, extractor, metrics, root, **seen):
    """Values and details by name."""
    records = [row.record() for row in compare(generated, real, extractor, metrics, root=root, against="test", **seen)]
    return {record["name"]: {k: v for k, v in record.items() if k not in SECONDS} for record in records}


def collected(indices, positions, batch):
    """What the first process computes of 37 images, of which this one gives those at `indices`."""
    images = torch.from_numpy(patterns(37))
    collector = Collector(Tiny(), 37, features=True, score=True)
    for some, where in zip(indices.split(batch), positions.split(batch)):
        collector.update(images[some], where)
    summary = collector.compute()
    return summary and plain(summary)


def plain(summary):
    tensors = summary.moments.mean, summary.moments.covariance, summary.features
    return [*summary.score, *(tensor.flatten().tolist() for tensor in tensors)]


def given(positions):
    collector = Collector(Tiny(), 37)
    collector.update(torch.from_numpy(patterns(37))[positions], positions)
    collector.compute()


def refusal(call):
    """What is said, or None where nothing is."""
    try:
        call()
    except GenlitError as error:
        return str(error)


def damage(folder):
    """Makes a picture that ends too early."""
    folder.mkdir()
    Image.effect_noise((64, 64), 50).save(folder / "cut.png")
    whole = (folder / "cut.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])


def work(number, world, folder):
    """One of the processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/{world}.store", rank=number, world_size=world)
    found = {}
    for case in MEASURED + COLLECTED + REFUSED:
        with nothing_drawn():
            found[case.__name__] = case(folder / f"data-{world}")
    (folder / f"{world}.{number}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    out = Path(sys.argv[1])
    Digits().prepare_data()
    for world in WORLDS:
        damage(out / f"data-{world}.pictures")
        start_processes(work, (world, out), nprocs=world, start_method="fork")
