"""No network: the dashboard's server, and weights that would be fetched."""

import signal
from pathlib import Path

import numpy as np

from genlit.faults.harness.base import hold, needs_namespaces
from genlit.faults.harness.training import ENDLESS, TINY, Command, Training
from genlit.faults.harness.wandb_server import VARIABLES, Server
from genlit.logging import history

OFFLINE = ("unshare", "--user", "--map-root-user", "--net")
STEPS = 100
WORDS = ("dcgan", *TINY, "--run.wandb=online")


def wandb_down(folder: Path) -> str:
    """Trains with a dashboard whose server is not there, then with one that dies in the middle."""
    server = Server()
    absent = f"http://127.0.0.1:{server.server_port}"
    server.close()
    never = _shown(folder / "never", absent, f"--trainer.max_steps={STEPS}").start().ends(0).says("W&B is offline")
    _keeps(never, STEPS)
    server = Server()
    server.dies_after = 2
    dies = _shown(folder / "dies", server.address, *ENDLESS).start()
    dies.until(lambda: server.dead)
    then = dies.finished
    dies.until(lambda: dies.finished >= then + STEPS)
    dies.send(signal.SIGTERM)
    dies.ends(128 + signal.SIGTERM).says("wandb sync --include-online")
    server.close()
    _keeps(dies, dies.saved)
    return (
        f"without a server a training ended well; one whose server died at iteration {then} went on to {dies.saved}; "
        "all of their records are on the disk, for `wandb sync`"
    )


def weights_unreachable(folder: Path) -> str:
    """Measures by FID's own network where there is neither its file nor a network."""
    needs_namespaces(*OFFLINE)
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    np.savez(folder / "images.npz", images=images)
    file = f"{folder}/images.npz"
    words = ("eval", "--images", file, "--against", file, "--extractor", "inception")
    command = Command(folder, *words, environment={"TORCH_HOME": str(folder / "torch")}, under=OFFLINE)
    command.start().ends(2).says("could not be fetched", "put the file there", "--weights")
    hold(not list((folder / "torch").rglob("*.pth")), "half a file was left")
    return f"exit code 2: {command.sentence}"


def _shown(folder: Path, address: str, *words: str) -> Training:
    home = folder / "home"
    home.mkdir(parents=True)
    variables = VARIABLES | {"WANDB_BASE_URL": address, "HOME": str(home)}
    return Training(folder, *WORDS, *words, environment=variables, cold=True)


def _keeps(training: Training, steps: int) -> None:
    records = history.read(training.run / "history.jsonl")
    hold(len(records) >= steps, f"{len(records)} of {steps} records are on the disk")
    hold(any(training.run.glob("wandb/*run-*/*.wandb")), "there is nothing that `wandb sync` could send")
