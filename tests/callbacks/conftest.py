"""What the callbacks look on at: a model that can do everything, data of plain shades, a logger that remembers."""

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers.logger import Logger
from torch import nn

from genlit.cli import verbs
from genlit.data import Source
from genlit.data.store import Contents
from genlit.model import GenerativeModel
from tests.games import trainer


class Data(Source):
    """Rows as their shade; `a` is as bright as the row's number, `b` ten brighter."""

    def __init__(self, paired=True):
        super().__init__(batch_size=4)
        self.is_paired = paired

    def identity(self):
        return self.is_paired

    def contents(self):
        shades = np.arange(200, dtype=np.uint8).reshape(-1, 1, 1, 1).repeat(8, 2).repeat(8, 3)
        first, second = {"image": shades, "a": shades}, {"b": shades + np.uint8(10)}
        streams = [first | second] if self.is_paired else [first, second]
        return Contents({"train": streams, "val": streams})


class Model(GenerativeModel):
    """Samples are white, reconstructions 102 levels brighter, translations inverted."""

    players = {"critic": ["critic"], "generator": ["generator"]}
    terms = {"adversarial": 1.0, "cycle": 10.0}
    domains, multiple = ("a", "b"), 1

    def __init__(self):
        super().__init__((1, 8, 8))
        self.critic, self.generator = nn.Linear(1, 1), nn.Linear(1, 1)

    def turns(self, batch):
        shade = batch["image"].mean().reshape(1)
        yield "critic", {"adversarial": 0 * self.critic(shade).sum() + (0.25 if self.training else 7.0)}
        yield "generator", {"adversarial": 0 * self.generator(shade).sum() + 0.5}

    def sample(self, n, *, seed=0, batch_size=64):
        return torch.full((n, 1, 8, 8), 1.0 - seed)

    def reconstruct(self, images):
        return images + 102 / 127.5

    def translate(self, images, to):
        return -images


class Notebook(Logger):
    """Keeps what it is told."""

    name = version = "notebook"

    def __init__(self):
        super().__init__()
        self.records, self.shown = [], []

    def log_hyperparams(self, *args, **kwargs):
        pass

    def log_metrics(self, metrics, step=None):
        self.records.append(dict(metrics))

    def log_pictures(self, pictures, record):
        self.shown.append((pictures, record))


@pytest.fixture
def fit(tmp_path):
    """Trains for some iterations with some callbacks; returns the trainer."""

    def run(*callbacks, model=None, data=None, steps=20, start=None, validate_every=1000):
        trained = trainer(
            tmp_path,
            steps,
            callbacks=list(callbacks),
            logger=Notebook(),
            log_every_n_steps=5,
            val_check_interval=validate_every,
            limit_val_batches=2,
            enable_progress_bar=any(hasattr(callback, "get_metrics") for callback in callbacks),
        )
        trained.fit(model or Model(), data or Data(), ckpt_path=start, weights_only=True)
        return trained

    return run


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def data():
    return Data


TINY = [
    "--model.width=8", "--data.batch_size=4", "--trainer.accelerator=cpu", "--trainer.limit_val_batches=1",
    "--trainer.val_check_interval=100", "--trainer.log_every_n_steps=1", "--run.wandb=disabled", "--run.progress=false",
    "--run.pictures_every=100", "--run.pictures=4", "--run.checkpoint_every=2", "--run.fidelity_samples=8",
    "--run.evaluate_every=8", "--run.evaluate_share=1", "--trainer.max_steps=6",
]  # fmt: skip


@pytest.fixture
def dcgan(tmp_path, hasty_lenet):
    """Trains a tiny DCGAN through the command line, which measures every second iteration; returns its run folder."""

    def train(*flags, root="runs"):
        words = ["train", "dcgan", *TINY, "--claim=null", f"--trainer.default_root_dir={tmp_path / root}", *flags]
        verbs.main(words, prog_name="genlit", standalone_mode=False)
        return max((tmp_path / root / "dcgan").iterdir())

    return train
