"""Runs of a moment's training, for what verbs do with them."""

from contextlib import redirect_stdout
from io import StringIO

import numpy as np
import pytest
from PIL import Image

from genlit.cli import verbs

SMALL = [
    "--trainer.max_steps=2", "--trainer.accelerator=cpu", "--trainer.limit_val_batches=1", "--run.wandb=disabled",
    "--run.pictures=4", "--run.progress=false", "--run.fidelity=null", "--run.likelihood=null",
    "--trainer.log_every_n_steps=1",
]  # fmt: skip
SIZES = "width: 2, blocks: 1, critic_width: 2"
EXPERIMENTS = {
    "unpaired": f"model: {{name: CycleGAN, {SIZES}, critic_layers: 1}}\ndata: {{name: Emoji, size: 8}}\n",
    "pairs": "model: {name: Pix2Pix, width: 2, critic_width: 2, critic_layers: 1}\n"
    "data: {name: Emoji, size: 8, paired: true}\n",
    "styles": f"model: {{name: StarGAN, {SIZES}, critic_layers: 2, labels: {{label: [noto, twemoji, fluent]}}}}\n"
    "data: {name: Emoji, size: 8, label: style}\n",
    "pixels": "model: {name: PixelCNN, width: 2, blocks: 1}\ndata: {name: Digits, size: 8, binarize: threshold}\n",
    "codes": "model: {name: VAE, hidden: [8], latent: 3}\ndata: {name: Digits, size: 8, binarize: threshold}\n",
    "dynamic": "model: {name: VAE, hidden: [8], latent: 3}\ndata: {name: Digits, size: 8, binarize: dynamic}\n",
    "larger": "model: {name: VAE, hidden: [8], latent: 3}\ndata: {name: Digits, size: 9, binarize: threshold}\n",
    "quadrants": "model: {name: QuadrantNetwork, hidden: [8]}\ndata: {name: Digits, size: 8, binarize: threshold}\n",
    "labels": "model: {name: CVAE, hidden: [8], latent: 3}\ndata: {name: Digits, size: 8, binarize: threshold}\n",
    "categories": "model: {name: InfoGAN, width: 2, q_width: 2, continuous: 1}\ndata: {name: Digits, size: 16}\n",
    "game": "model: {name: DCGAN, width: 2}\ndata: {name: Digits, size: 16}\n",
    "puzzle": "model: {name: PuzzleGAN, width: 2, critic_width: 2, patches: 2}\ndata: {name: Digits, size: 16}\n",
    "text": "model: {name: Text2Image, width: 2, critic_width: 2, vision_width: 2, words: 5000, embedding: 4}\n"
    "data: {name: Emoji, size: 8, label: style}\n",
    "ring": "model: {name: VAE, likelihood: gaussian, hidden: [4]}\ndata: {name: Ring}\n",
}


def command(*words):
    verbs.main([str(word) for word in words], prog_name="genlit", standalone_mode=False)


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory):
    """Gives the run folder of one of EXPERIMENTS, trained when it is first asked for, in silence."""
    root, known = tmp_path_factory.mktemp("verbs"), {}

    def run(name):
        if name not in known:
            file = root / f"{name}.yaml"
            file.write_text(EXPERIMENTS[name])
            with redirect_stdout(StringIO()):
                command("train", file, *SMALL, f"--trainer.default_root_dir={root}")
            known[name] = root / name / "001"
        return known[name]

    return run


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Five pictures in colour, of several sizes, one in a folder of its own and one half transparent."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    random = np.random.default_rng(0)
    for name, size in (("a.png", (20, 30)), ("b.jpg", (30, 20)), ("c.png", (5, 5)), ("more/d.png", (8, 8))):
        Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / name)
    half = np.zeros((8, 8, 4), np.uint8)
    half[:4, :, 3] = 255
    Image.fromarray(half).save(folder / "half.png")
    return folder
