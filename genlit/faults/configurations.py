"""Going on with a run that is not there, or under another configuration."""

from pathlib import Path

from genlit.faults.base import hold
from genlit.faults.training import TINY, Training
from genlit.logging import history

RATE = "--model.lr=0.001"


def resume_must(folder: Path) -> str:
    """`--resume` where no run is: refused; without it, the training begins."""
    training = Training(folder, "dcgan", *TINY, "--trainer.max_steps=1")
    training.start("--resume").ends(2).says("there is no run of 'dcgan'")
    refusal = training.sentence
    hold(not training.run.exists(), f"it made {training.run.name} although it refused")
    training.start().ends(0)
    return f"exit code 2: {refusal}"


def config_changed(folder: Path) -> str:
    """Goes on with a run at another learning rate: refused without `--override`, in effect with it."""
    training = Training(folder, "dcgan", *TINY, "--trainer.max_steps=2").start().ends(0)
    training.start("--trainer.max_steps=4", RATE, "--resume").ends(2).says("model.lr", "-> 0.001", "--override")
    refusal = training.sentence
    training.start("--trainer.max_steps=4", RATE, "--override").ends(0)
    rates = [record["rate/generator"] for record in history.read(training.run / "history.jsonl")]
    hold(len(rates) == 4, f"the run has {len(rates)} records in place of 4: it was not gone on with")
    hold(rates[1] != 0.001 == rates[2], f"with --override the rates were {rates}")
    return f"exit code 2: {refusal} With --override the new rate is in effect."
