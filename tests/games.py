"""Small games and a quiet trainer for tests."""

import torch
from lightning.pytorch import Trainer
from torch import nn

from genlit.data import Digits
from genlit.model import GenerativeModel


class Game(GenerativeModel):
    """Two linear players on 8x8 digits; records who played, what each found, and when it validated."""

    players = {"critic": ["critic"], "generator": ["generator"]}
    terms = {"adversarial": 1.0, "size": 0.0}
    averaged = ("generator",)

    def __init__(self, shape=(1, 8, 8), n_critic=1, **engine):
        super().__init__(shape, **engine)
        self.n_critic = n_critic
        self.critic, self.generator = nn.Linear(64, 1), nn.Linear(4, 64)
        self.played, self.validated = [], []

    def turns(self, batch):
        real = batch["image"].flatten(1)
        fake = self.generator(torch.randn(len(real), 4))
        yield "critic", {"adversarial": self.critic(fake.detach()).mean() - self.critic(real).mean()}
        self.played.append(("critic", self.left_behind(), self.critic.weight.sum().item()))
        if self.every(self.n_critic):
            yield "generator", {"adversarial": -self.critic(fake).mean(), "size": fake.square().mean()}
            self.played.append(("generator", self.left_behind(), self.critic.weight.sum().item()))

    def validation_step(self, batch, batch_idx):
        self.validated.append((self.iteration, batch_idx))
        super().validation_step(batch, batch_idx)

    def left_behind(self):
        """Whether any parameter holds a gradient now."""
        return any(p.grad is not None for p in self.parameters())


def digits(batch_size=8, **options):
    return Digits(size=8, batch_size=batch_size, **options)


def trainer(folder, max_steps=4, **options):
    quiet = {
        "accelerator": "cpu",
        "max_epochs": -1,
        "check_val_every_n_epoch": None,
        "limit_val_batches": 0,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": folder,
    }
    return Trainer(max_steps=max_steps, **quiet | options)


def train(model, folder, max_steps=4, data=None, **options):
    """Trains on digits and returns the trainer."""
    trained = trainer(folder, max_steps, **options)
    trained.fit(model, data or digits())
    return trained


def assert_same(one, other, path="checkpoint"):
    """Whether two checkpoints hold the same under the same keys, hours aside."""
    assert type(one) is type(other), path
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), path
    elif isinstance(one, dict):
        assert list(one) == list(other), path
        for key in one:
            assert_same(one[key], other[key], f"{path}[{key!r}]")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), path
        for index, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{path}[{index}]")
    elif "hours" not in path:
        assert one == other, path
