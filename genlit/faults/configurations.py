"""Going on with a run that is not there, or under another configuration."""

from pathlib import Path

from genlit.faults.base import hold
from genlit.faults.training import TINY, Training


def resume_must(folder: Path) -> str:
    """`--resume` where no run is: refused; without it, the training begins."""
    training = Training(folder, "dcgan", *TINY, "--trainer.max_steps=1")
    training.start("--resume").ends(2).says("no run")
    refusal = training.sentence
    hold(not training.run.exists(), f"it made {training.run.name} although it refused")
    training.start().ends(0)
    return f"--resume ended with 2 ({refusal}), without it the training ran"
