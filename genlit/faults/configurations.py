"""Going on with a run that is not there, or under another configuration."""

from pathlib import Path

from genlit.faults.harness.base import hold
from genlit.faults.harness.training import TINY, Training
from genlit.logging import history

OLD, NEW = 0.001, 0.0005  # of the generator: the experiment's, and another


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
    more = ("--trainer.max_steps=4", f"--model.lr={NEW}")
    training.start(*more, "--resume").ends(2).says("model.lr", f"-> {NEW}", "--override")
    refusal = training.sentence
    training.start(*more, "--override").ends(0)
    rates = [record["rate/generator"] for record in history.read(training.run / "history.jsonl")]
    hold(rates == [OLD, OLD, NEW, NEW], f"with --override the generator's rates were {rates}")
    return f"exit code 2: {refusal} With --override the new rate is in effect."
