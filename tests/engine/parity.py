"""Trains small games in one or two processes and saves where they end: `python -m tests.engine.parity OUT`.

In two processes (the test sets LOCAL_RANK) every case runs once per process; in one process it runs with as many
micro-batches as there are slots in the other, so that both draw the same numbers for the same images.
"""

import os
import sys
from pathlib import Path

import torch
from lightning.pytorch import Trainer

from genlit.data import Digits, Emoji
from genlit.engine.strategy import SyncAtStep
from genlit.errors import GenlitError
from genlit.models import DCGAN, VAE, ConditionalGAN, CycleGAN, InfoGAN
from genlit.models.markovchain import MarkovChain
from genlit.models.pix2pix import Pix2Pix
from genlit.models.progressivegan import ProgressiveGAN
from genlit.models.puzzlegan import PuzzleGAN
from genlit.models.stackgan import StackGAN
from genlit.models.stackgantwo import StackGANTwo
from genlit.models.stargan import StarGAN
from genlit.models.text2image import Text2Image

ITERATIONS = 6


def dcgan(critic_norm="none", norm="none", **options):
    model = DCGAN((1, 8, 8), latent=4, width=4, norm=norm, critic_norm=critic_norm, **options)
    return model, Digits(size=8, batch_size=8, mirror=True)


def wgan_gp(**options):
    return dcgan(loss="wasserstein", n_critic=3, weights={"gradient_penalty": 10.0}, **options)


def conditional(**options):
    model = ConditionalGAN((1, 8, 8), latent=4, width=4, judge="projection", norm="instance", **options)
    return model, Digits(size=8, batch_size=8).require(model.needs)


def infogan(**options):
    model = InfoGAN((1, 8, 8), latent=4, width=4, q_width=4, networks="mlp", **options)
    return model, Digits(size=8, batch_size=8)


def cyclegan(**options):
    model = CycleGAN((3, 16, 16), width=4, blocks=1, critic_width=4, critic_layers=2, pool=3, **options)
    return model, Emoji(size=16, batch_size=4).require(model.needs)


def pix2pix(**options):
    model = Pix2Pix((3, 16, 16), width=4, critic_width=4, critic_layers=2, **options)
    return model, Emoji(size=16, batch_size=4, mirror=True, paired=True).require(model.needs)


def stargan(**options):
    labels = {"label": ["noto", "twemoji", "fluent"]}
    small = {"width": 4, "blocks": 1, "critic_width": 4, "critic_layers": 3, "n_critic": 2}
    model = StarGAN((3, 16, 16), labels=labels, **small, **options)
    return model, Emoji(size=16, label="style", batch_size=8).require(("image", "label"))


def puzzlegan(**options):
    small = {"latent": 4, "embedding": 4, "width": 4, "critic_width": 4, "norm": "instance", "critic_norm": "instance"}
    return PuzzleGAN((1, 8, 8), fade=32, **small, **options), Digits(size=8, batch_size=8)


def of_text(kind, **options):
    small = {"latent": 4, "width": 4, "critic_width": 4, "vision_width": 4, "words": 500, "embedding": 8}
    model = kind((3, 8, 8), norm="instance", critic_norm="instance", **small, **options)
    return model, Emoji(size=8, batch_size=8).require(model.needs)


def stage_two(**options):
    small = {"latent": 4, "width": 4, "critic_width": 4, "blocks": 1, "words": 500, "embedding": 8}
    model = StackGANTwo((3, 16, 16), factor=2, norm="instance", critic_norm="instance", **small, **options)
    model.vocabulary.learn(["face in noto style", "hand in fluent style"], [])  # as if a stage I had been met
    return model, Emoji(size=16, batch_size=8).require(model.needs)


def vae(**options):
    model = VAE((1, 8, 8), latent=3, hidden=(16,), **options)
    return model, Digits(size=8, batch_size=8, binarize="dynamic")


def markovchain(**options):
    return MarkovChain((1, 8, 8), order=0, **options), Digits(size=8, batch_size=8, binarize="dynamic")


def progressive(**options):
    growing = {"stage_images": 16, "stage_lr": {8: 0.5}, "ema": 100}  # 4x4, from iteration 2 to 3 a fade, then 8x8
    model = ProgressiveGAN((1, 8, 8), latent=4, width=8, row_features=32, **growing, **options)
    return model, Digits(size=8, batch_size={0: 8, 32: 16})


CASES = {
    "dcgan-instance-norm": lambda **o: dcgan("instance", "instance", **o),
    "dcgan-no-norm-noise": lambda **o: dcgan(noise=0.1, noise_until=100, **o),
    "hinge": lambda **o: dcgan(loss="hinge", **o),
    "relativistic-r1-r2": lambda **o: dcgan(loss="relativistic", weights={"r1": 1.0, "r2": 1.0}, **o),
    "packs-lazy-augmented": lambda **o: dcgan(pack=2, augment=("cutout",), lazy=2, weights={"r1": 1.0}, **o),
    "wgan-clip": lambda **o: dcgan(loss="wasserstein", critic_clip=0.01, **o),
    "wgan-gp": wgan_gp,
    "conditional": conditional,
    "infogan": infogan,
    "cyclegan": cyclegan,
    "pix2pix": pix2pix,
    "stargan": stargan,
    "puzzlegan": puzzlegan,
    "text2image": lambda **o: of_text(Text2Image, **o),
    "stackgan": lambda **o: of_text(StackGAN, **o),
    "stackgan-two": stage_two,
    "vae": vae,
    "counts": markovchain,
    "clipping": lambda **o: vae(clip=0.1, **o),
    "average-and-rates": lambda **o: dcgan("instance", "instance", ema=100, warmup=20, decay=(24, 60), **o),
    "accumulation": wgan_gp,
    "progressive": progressive,
}
MICRO_BATCHES = {"accumulation": 2}  # in each of two processes


def play(case, out, processes):
    """Trains one case and saves its weights, with the first codes that its generator saw."""
    torch.manual_seed(0)
    accumulate = MICRO_BATCHES.get(case, 1) * (1 if processes > 1 else 2)
    model, data = CASES[case](accumulate=accumulate)
    codes = []
    if hasattr(model, "generator"):
        model.generator.register_forward_pre_hook(lambda _, inputs: codes.append(inputs[0].detach().clone()))
    trainer(out, processes).fit(model, data)
    weights = {name: value for name, value in model.state_dict().items() if isinstance(value, torch.Tensor)}
    torch.save({"weights": weights, "codes": codes[:accumulate], "iterations": model.iteration}, out)


def share(out):
    """Trains with batch normalisation and two held-out images; saves what was evaluated, and the mean."""
    torch.manual_seed(0)
    model, data = dcgan("batch", "batch")
    data.holdout = 2 / 10_000
    trainer(out, 2).fit(model, data)
    torch.save({"statistics": dict(model.named_buffers()), "validation": model.latest}, out)


def refuse(out):
    """Steps an optimiser behind the engine's back."""
    model, data = dcgan()
    model.on_train_batch_start = lambda *_: model._optimizers["critic"].step()
    try:
        trainer(out, 2).fit(model, data)
    except GenlitError as error:
        out.write_text(str(error))


def trainer(out, processes):
    return Trainer(
        accelerator="cpu",
        devices=processes,
        strategy=SyncAtStep() if processes > 1 else "auto",
        precision="64-true",
        max_steps=ITERATIONS,
        max_epochs=-1,
        limit_val_batches=2,
        val_check_interval=3,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=out.parent,
    )


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    folder, rank = Path(sys.argv[1]), os.environ.get("LOCAL_RANK")
    for name in CASES:
        play(name, folder / (f"{name}.{rank}.pt" if rank else f"{name}.pt"), 2 if rank else 1)
    if rank:
        share(folder / f"shared.{rank}.pt")
        refuse(folder / f"refused.{rank}")
