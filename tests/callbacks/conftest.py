"""The least that the callbacks need: a model that can do everything, data of a few images, an endless loader."""

from itertools import repeat

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.loggers.logger import Logger
from torch import nn
from torch.utils.data import DataLoader, IterableDataset


class Forever(IterableDataset):
    def __iter__(self):
        return repeat({"image": torch.zeros(4, 1, 8, 8)})


class Data(LightningDataModule):
    """Rows as their shade, in batches of two; `a` is as bright as the row's number, `b` ten brighter."""

    batch_size = 2

    def __init__(self, splits=("val",), paired=True):
        super().__init__()
        self.splits, self.is_paired = splits, paired

    def train_dataloader(self):
        return DataLoader(Forever(), batch_size=None)

    def val_dataloader(self):
        return DataLoader([{"image": torch.zeros(4, 1, 8, 8)}] * 2, batch_size=None)

    def loader(self, split):
        for start in range(0, 200 if split in self.splits else 0, 2):
            shades = torch.arange(start, start + 2, dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 1, 8, 8)
            yield {"image": shades, "a": shades, "b": shades + 10, "text": ["one", "two"]}

    def transform(self, batch, training):
        assert not training
        noise = {"noise": torch.rand(3)}
        return noise | {key: images.float().div(127.5).sub(1) for key, images in batch.items()}

    def paired(self, split):
        return self.is_paired


class Model(LightningModule):
    """Samples are white, reconstructions 102 levels brighter, translations inverted."""

    batch_images = 4
    domains = ("a", "b")
    weights = {"adversarial": 1.0, "cycle": 10.0}

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.latest = {}

    @property
    def images(self):
        return self.trainer.global_step * self.batch_images

    def progress(self):
        return {"progress/iter": self.trainer.global_step, "progress/images": self.images, "progress/epoch": 0.0}

    def training_step(self, batch, batch_idx):
        return self.layer(batch["image"].mean().reshape(1)).square().mean()

    def on_train_batch_end(self, *args):
        if self.trainer.global_step % 5 == 0:
            self.flush({"train/critic/adversarial": 0.25, "train/generator/adversarial": 0.5})

    def validation_step(self, batch, batch_idx):
        pass

    def on_validation_epoch_end(self):
        self.flush({"val/critic/adversarial": 7.0})

    def flush(self, record):
        self.latest = record | self.progress()
        for callback in self.trainer.callbacks:
            self.latest |= callback.metrics() if hasattr(callback, "metrics") else {}
        for logger in self.trainer.loggers:
            logger.log_metrics(self.latest)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

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
        trainer = Trainer(
            default_root_dir=tmp_path,
            max_steps=steps,
            max_epochs=-1,
            val_check_interval=validate_every,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            callbacks=list(callbacks),
            logger=Notebook(),
            accelerator="cpu",
            devices=1,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=any(hasattr(callback, "get_metrics") for callback in callbacks),
        )
        trainer.fit(model or Model(), datamodule=data or Data(), ckpt_path=start)
        return trainer

    return run


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def data():
    return Data
