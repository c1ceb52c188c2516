"""`genlit reproduce`: whether an experiment's claim holds when it is trained again."""

from collections.abc import Sequence
from pathlib import Path

from genlit import config
from genlit.errors import GenlitError
from genlit.verbs.evaluate import evaluate
from genlit.verbs.train import train


def reproduce(experiment: str, flags: list[str], *, seeds: Sequence[int] = (0,), trust: tuple[str, ...] = ()) -> None:
    """Trains an experiment from each seed, measures it on its test images, and checks its claim.

    Args:
        experiment: its name or file.
        flags: keys of the configuration, `--trainer.accelerator=cpu`.
        seeds: of the trainings.
        trust: packages of the user's own.

    Raises:
        GenlitError: it claims nothing, or its claim does not hold for a seed.
    """
    config.trust(trust)
    if not config.parse(config.compose(experiment, []), flags).claim:
        raise GenlitError(f"{experiment} claims nothing: give it `claim: {{metric: ..., at_most: ...}}`")
    failed = [said for seed in seeds if (said := _broken(experiment, [*flags, f"--seed={seed}"], trust))]
    if failed:
        raise GenlitError("; ".join(failed))
    print(f"{experiment} holds its claim for seed {', '.join(map(str, seeds))}")


def _broken(experiment: str, flags: list[str], trust: tuple[str, ...]) -> str | None:
    """What does not hold of a new run, in words; None where all does."""
    run: Path = train(experiment, [], flags, trust=trust)
    try:
        evaluate(str(run), trust=trust)
    except GenlitError as error:
        return str(error)
    return None
