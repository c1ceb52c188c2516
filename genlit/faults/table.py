"""Every fault that genlit promises something of."""

from genlit.errors import GenlitError, known
from genlit.faults import (
    configurations,
    images,
    kills,
    network,
    numbers,
    processes,
    resuming,
    signals,
    soaking,
    storage,
)
from genlit.faults.harness.base import Fault
from genlit.faults.hostile import HOSTILE

FAULTS = (
    Fault(
        "kill9",
        "Killed at any moment, also while it saves, a run loses no checkpoint and ends as if nothing had happened.",
        kills.kill9,
        options=("trials",),
    ),
    Fault(
        "sigterm",
        "SIGTERM to one process or to all ends the iteration, saves, and exits with 143; the same command goes on.",
        signals.sigterm,
    ),
    Fault("sigint", "So does Ctrl-C, with 130.", signals.sigint),
    Fault("sigusr1", "So does SIGUSR1, with 138.", signals.sigusr1),
    Fault(
        "slurm-requeue",
        "SIGUSR1 under SLURM queues the job again, and it goes on in the same run.",
        signals.slurm_requeue,
    ),
    Fault(
        "disk-full",
        "A full disk ends the training in a sentence; the checkpoints that are there stay good, and no rest is left.",
        storage.disk_full,
    ),
    Fault("readonly", "A folder that cannot be written is told of before training begins.", storage.readonly),
    Fault(
        "corrupt",
        "A checkpoint that is truncated, empty, garbage or has one bit flipped is named and never loaded; the run goes "
        "on from the one before.",
        storage.corrupt,
        quick=True,
    ),
    Fault(
        "resume",
        "Interrupted by SIGKILL and by SIGTERM, a run of any experiment whose data ship ends bit for bit where an "
        "uninterrupted one does.",
        resuming.resume,
        long=True,
        options=("experiment",),
    ),
    Fault(
        "config-changed",
        "A run is not gone on with under another configuration: the key is named; `--override` puts it into effect.",
        configurations.config_changed,
        quick=True,
    ),
    Fault(
        "resume-must",
        "`--resume` fails where there is no run to go on with, instead of training from scratch.",
        configurations.resume_must,
        quick=True,
    ),
    Fault(
        "nan",
        "A loss that is not finite stops the run before the step, by iteration and player, and is never saved.",
        numbers.nan,
        quick=True,
    ),
    Fault(
        "out-of-memory",
        "Where memory runs out, a sentence says with how many images; the run goes on from its last checkpoint.",
        numbers.out_of_memory,
        quick=True,
    ),
    Fault(
        "gpu-out-of-memory",
        "The same holds of a GPU's memory.",
        numbers.gpu_out_of_memory,
    ),
    Fault(
        "corrupt-images",
        "A file that is no sound image, or too large a one, is named before training, or skipped and counted.",
        images.corrupt_images,
    ),
    Fault("few-images", "No image, or too few to train on, is told of before training.", images.few_images),
    Fault(
        "fid-input",
        "Images of another range, with NaN or too few of them are not measured.",
        images.fid_input,
    ),
    Fault(
        "worker-killed",
        "Where a data worker dies, the training saves its last iteration, and fails with all of its processes.",
        processes.worker_killed,
    ),
    Fault(
        "worker-hung",
        "Where a data worker hangs, the training saves its last iteration after two minutes, and fails.",
        processes.worker_hung,
    ),
    Fault("rank-killed", "Where one process of several dies, all end at once.", processes.rank_killed),
    Fault("rank-raises", "So they do where one raises.", processes.rank_raises),
    Fault("rank-hangs", "Where one hangs, all end after `run.patience`.", processes.rank_hangs),
    Fault(
        "wandb-down",
        "Where Weights & Biases cannot be reached, or no longer, training goes on, and its records can be sent later.",
        network.wandb_down,
    ),
    Fault(
        "weights-unreachable",
        "Where the weights of an extractor cannot be fetched, a sentence says which file to put where.",
        network.weights_unreachable,
    ),
    Fault(
        "soak",
        "Struck again and again for 24 minutes or more, runs of ten families end as if nothing had happened; the "
        "memory and the open files of one that is left alone for 6 do not grow.",
        soaking.soak,
        long=True,
        options=("minutes",),
    ),
    *HOSTILE,
)


def chosen(names: tuple[str, ...]) -> list[Fault]:
    """The faults meant by names, in the table's order; `all` are those that are not long.

    Raises:
        GenlitError: there is none of a name.
    """
    if not names:
        raise GenlitError(f"name a fault, or all: {', '.join(fault.name for fault in FAULTS)}")
    known("genlit faults", names, ("all", *(fault.name for fault in FAULTS)))
    return [fault for fault in FAULTS if fault.name in names or ("all" in names and not fault.long)]
