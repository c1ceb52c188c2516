"""Hostile input: files, names and servers that would run code, read secrets or write elsewhere."""

from genlit.faults.harness.base import Fault
from genlit.faults.hostile import archives, checkpoints, configs, downloads, names, secrets

HOSTILE = (
    Fault(
        "hostile-checkpoint",
        "A checkpoint or exported model with code in it is refused by every verb that loads one, by Python and by an "
        "address; it does not run.",
        checkpoints.resumed,
        quick=True,
    ),
    Fault(
        "hostile-weights",
        "A file of a pretrained network's weights with code in it is refused, and the code does not run.",
        checkpoints.weights,
        quick=True,
    ),
    Fault(
        "hyperparameters",
        "What a checkpoint remembers of a model can be loaded again, or the training does not begin.",
        checkpoints.hyperparameters,
    ),
    Fault(
        "hostile-configuration",
        "No file and no flag imports or runs anything that the command line does not trust by name, or reads the "
        "environment; each is refused in a sentence.",
        configs.configurations,
        quick=True,
    ),
    Fault(
        "names",
        "Whatever an experiment is called, its runs lie below the root.",
        names.named,
    ),
    Fault(
        "secrets",
        "No key, token or password of the environment reaches a file or the terminal; a configuration with one is "
        "refused.",
        secrets.planted,
        quick=True,
    ),
    Fault(
        "archives",
        "An archive of images with code in it, blown up or cut off is refused before it is unpacked; its names lead "
        "nowhere.",
        archives.arrays,
        quick=True,
    ),
    Fault(
        "hostile-images",
        "What is no picture in a folder of pictures is refused by name: links, pipes, devices, giants, programs.",
        archives.pictures,
        quick=True,
    ),
    Fault(
        "downloads",
        "Published weights that are not the published bytes are refused, and nothing of them is kept.",
        downloads.downloads,
        quick=True,
    ),
)
