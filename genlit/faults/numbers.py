"""Numbers that are not finite, and memory that runs out."""

from itertools import chain
from pathlib import Path

import torch

from genlit.engine import checkpoint
from genlit.faults.harness.base import NotShown, hold
from genlit.faults.harness.struck import MODEL, Strike
from genlit.faults.harness.training import TINY, Training

WORDS = ("dcgan", *TINY, *MODEL, "--run.checkpoint_every=1", "--trainer.max_steps=9")


def nan(folder: Path) -> str:
    """Makes the critic's loss, the generator's and the images NaN in an iteration."""
    for whom, player in {"critic": "critic", "generator": "generator", "input": "critic"}.items():
        training = Training(folder / whom, *WORDS).start(environment=Strike("nan", 5, whom).environment)
        training.ends(2).says(f"iteration 5, player '{player}'", "is nan")
        hold(training.saved == 5, f"{whom}: the newest checkpoint is of {training.saved} in place of 5")
        hold(_finite(training), f"{whom}: the newest checkpoint is not finite")
    said = training.sentence
    return f"exit code 2 in the critic's loss, the generator's and the images; the last checkpoint is finite: {said}"


def out_of_memory(folder: Path) -> str:
    """Asks for more memory than there is in the generator's turn."""
    return _without_memory(folder)


def gpu_out_of_memory(folder: Path) -> str:
    """Asks a GPU for more memory than it has."""
    if not torch.cuda.is_available():
        raise NotShown("this machine has no GPU")
    return _without_memory(folder, "--trainer.accelerator=gpu")


def _without_memory(folder: Path, *words: str) -> str:
    training = Training(folder, *WORDS, *words).start(environment=Strike("memory", 5).environment)
    training.ends(2).says("iteration 5", "memory", "its 8 images", "data.batch_size")
    hold(training.saved == 5, f"the newest checkpoint is of {training.saved} in place of 5")
    refusal = training.sentence
    training.start().ends(0)
    return f"exit code 2: {refusal}. Without the shortage the run goes on from its last checkpoint."


def _finite(training: Training) -> bool:
    saved = checkpoint.load(checkpoint.checkpoints(training.checkpoints)[0])
    optimisers = (state.values() for each in saved["optimizer_states"] for state in each["state"].values())
    tensors = chain(saved["state_dict"].values(), *optimisers)
    return all(torch.as_tensor(tensor).isfinite().all() for tensor in tensors)
