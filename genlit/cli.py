"""The command line: one verb per thing to do, each imported when it is called."""

import os
import sys

import click

from genlit.errors import GenlitError
from genlit.runs import ROOT

HELP = ["-h", "--help"]
TRUST = click.option("--trust", multiple=True, metavar="PACKAGE", help="Offer the models and sources of this package.")
SPLIT = click.option("--split", type=click.Choice(["train", "val", "test"]), default="test", show_default=True)
DEVICE = click.option("--device", default="cpu", show_default=True, help="Where the model runs: cpu, cuda, ...")


@click.group(context_settings={"help_option_names": HELP})
@click.version_option(package_name="genlit")
def verbs() -> None:
    """Train, compare and use generative image models."""


@verbs.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []})
@click.argument("experiment")
@click.option(
    "--with", "overlays", multiple=True, metavar="OVERLAY", help="Apply configs/OVERLAY.yaml: trainer/gpu ..."
)
@click.option("--smoke", is_flag=True, help="Two iterations of everything: --with trainer/smoke.")
@click.option(
    "--resume",
    metavar="[auto|must|never|RUN]",
    is_flag=False,
    flag_value="must",
    default="auto",
    help="Continue the newest run that is unfinished and the same (auto), the newest in any case (must, or bare "
    "--resume), none (never), or RUN: a folder or experiment/number.",
)
@click.option("--override", is_flag=True, help="Resume although the configuration has changed; implies --resume.")
@click.option("--print_config", "show", is_flag=True, help="Print the resolved configuration and stop.")
@TRUST
@click.pass_context
def train(context: click.Context, experiment: str, smoke: bool, overlays: tuple[str, ...], **options) -> None:
    """Train an experiment: genlit train dcgan --model.lr=1e-4 --trainer.max_steps=20.

    Every key of the configuration is a flag; `genlit train EXP --help` lists those of its model, data and trainer.
    """
    if experiment in HELP:
        click.echo(context.get_help())
        return
    from genlit.verbs import train

    asked = (experiment, [*overlays, *(["trainer/smoke"] if smoke else [])], context.args)
    if options.pop("show"):
        train.print_config(*asked, options["trust"])
    else:
        train.train(*asked, **options)


@verbs.command("eval")
@click.argument("names", metavar="[RUN]...", nargs=-1)
@click.option("--images", metavar="DIR|NPZ", help="Measure these images instead of a run's.")
@click.option("--against", metavar="DIR|NPZ", help="The real images, or others' .npz of `mu` and `sigma`.")
@click.option(
    "--metrics",
    metavar="NAME,...",
    help="fid, fid-infinity, fid-floor, kid, is, precision, recall, density, coverage, authenticity, diversity.",
)
@click.option("--extractor", metavar="NAME", help="Network of the features: inception, lenet, dinov2-vit-b-14, ...")
@click.option("--weights", metavar="FILE", help="The network's weights; by default the published ones.")
@click.option(
    "-n",
    "--count",
    type=click.IntRange(min=2),
    help="How many samples, or images of several runs; by default as many as real images.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of samples and draws.")
@click.option("--json", "out", metavar="FILE", help="Where the table goes; by default into the run folder.")
@SPLIT
@DEVICE
@TRUST
def evaluate(names: tuple[str, ...], images: str | None, against: str | None, **options) -> None:
    """Print and save every metric that a trained model allows, rank several by likelihood, or compare two sets.

    genlit eval dcgan   |   genlit eval dcgan@best   |   genlit eval vae pixelcnn   |   genlit eval --images samples
    --against photos --metrics fid,kid
    """
    from genlit.verbs.evaluate import Request, compare_sets, evaluate
    from genlit.verbs.rank import rank

    if bool(names) == bool(images) or bool(images) != bool(against):
        raise GenlitError("give a run, or two sets of images: genlit eval RUN, or genlit eval --images A --against B")
    out, trust, metrics = options.pop("out"), options.pop("trust"), options.pop("metrics")
    asked = tuple(name.strip() for name in metrics.split(",")) if metrics else None
    request = Request(n=options.pop("count"), metrics=asked, **options)
    if len(names) > 1:
        if asked or request.extractor or request.weights:
            raise GenlitError("several runs are ranked by likelihood: leave out --metrics, --extractor and --weights")
        rank(names, split=request.split, n=request.n, seed=request.seed, device=request.device, out=out, trust=trust)
    elif names:
        evaluate(names[0], request, out=out, trust=trust)
    else:
        compare_sets(images, against, request, out=out)


@verbs.command()
@click.argument("run")
@click.option("-n", "--count", type=int, help="How many images [64], points of the plane [2000] or rows [8].")
@click.option("--label", metavar="CLASS", help="Draw from this class alone, by its name in the data.")
@click.option("--text", metavar="CAPTION", help="Draw images of this caption; by default of captions of the data.")
@click.option(
    "--traverse", metavar="CODE", help="Show a code's values side by side, of the same draws: label, category ..."
)
@click.option("--classes", metavar="CLASS,...", help="With --traverse label: these classes alone, by their names.")
@click.option("--interpolate", is_flag=True, help="Walk from one sample to another, a row each.")
@click.option("--film", metavar="FILE", help="Show such walks, there and back, in a .webp or .gif file.")
@click.option(
    "--truncation",
    type=float,
    metavar="T",
    help="Draw codes of a Gaussian prior as if those beyond ±T were drawn again.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the draws.")
@click.option("--out", default=None, help="Folder for the pictures; by default `samples` in the run's.")
@SPLIT
@DEVICE
@TRUST
def sample(run: str, **options) -> None:
    """Write a trained model's samples (or translations of held-out images) as PNGs and a grid.

    genlit sample dcgan   |   genlit sample cvae --label 7   |   genlit sample cvae --traverse label --classes 3,7
    genlit sample text2image --text "rocket, in noto style"   |   genlit sample dcgan --film walk.webp --truncation 0.7
    """
    from genlit.verbs.sample import sample

    sample(run, **options)


@verbs.command()
@click.argument("run")
@click.option("--images", metavar="DIR", required=True, help="The folder of images, of any size and number.")
@click.option("--to", metavar="DOMAIN", required=True, help="Where to: b, twemoji, Young,not-Male ...")
@click.option("--out", metavar="DIR", help="Where they go; by default `translations/DOMAIN` in the run's folder.")
@DEVICE
@TRUST
def translate(run: str, **options) -> None:
    """Translate a folder of your own images: each under its name, and side-by-side.png.

    genlit translate cyclegan --images photos --to b   |   genlit translate stargan --images photos --to twemoji
    """
    from genlit.verbs.translate import translate

    translate(run, **options)


@verbs.command()
@click.argument("run")
@click.option("--images", metavar="DIR|NPZ|SPLIT", help="Complete these instead of the split's.")
@click.option(
    "--mask",
    metavar="WHAT",
    help="What is hidden: top, bottom, left, right, centre, random:0.5, or a picture that is white there; by default "
    "what the model was trained to complete, else the bottom half.",
)
@click.option("-n", "--count", default=8, show_default=True, help="How many images.")
@click.option("--completions", default=4, show_default=True, help="How many of each.")
@click.option("--seed", default=0, show_default=True, help="Seed of the draws.")
@click.option("--out", default=None, help="Folder for the pictures; by default `completions` in the run's.")
@SPLIT
@DEVICE
@TRUST
def complete(run: str, **options) -> None:
    """Draw the hidden part of images, given the rest: each image, what is left of it, and completions side by side."""
    from genlit.verbs.complete import complete

    complete(run, **options)


@verbs.command()
@click.argument("run")
@click.option("--images", metavar="DIR|NPZ|SPLIT", help="Cut these to patches instead of the split's.")
@click.option("-n", "--count", default=8, show_default=True, help="How many images.")
@click.option("--seed", default=0, show_default=True, help="Seed of the patches and the draws.")
@click.option("--out", default=None, help="Folder for the pictures; by default `puzzle` in the run's.")
@SPLIT
@DEVICE
@TRUST
def puzzle(run: str, **options) -> None:
    """Cut images to patches and make images of these, not told where they were: patches, guessed places, result, image.

    genlit puzzle puzzlegan   |   genlit puzzle puzzlegan --images photos
    """
    from genlit.verbs.puzzle import puzzle

    puzzle(run, **options)


@verbs.command()
@click.argument("run")
@click.option("--images", metavar="DIR|NPZ|SPLIT", required=True, help="The images to score.")
@click.option("--against", metavar="DIR|NPZ|SPLIT", help="Images that belong: how well the others are told from them.")
@click.option("--complexity", is_flag=True, help="Correct for simple images, which likelihood favours.")
@click.option("--k", default=50, show_default=True, help="Draws of a bound, where there is no exact likelihood.")
@click.option(
    "--quantile", default=0.01, show_default=True, help="Share of the run's own held-out images to call outliers."
)
@click.option("--seed", default=0, show_default=True, help="Seed of the draws.")
@click.option("--out", metavar="FILE", help="Where the CSV table goes; by default `scores.csv` in the run's folder.")
@DEVICE
@TRUST
def score(run: str, **options) -> None:
    """Print how probable images are to a model, and which are unlike what it learned.

    genlit score pixelcnn --images photos   |   genlit score pixelcnn --images emoji --against test --complexity
    """
    from genlit.verbs.score import score

    score(run, **options)


@verbs.command()
@click.argument("run")
@click.option("--images", metavar="DIR|NPZ", help="Encode these instead of the split's.")
@click.option("--seed", default=0, show_default=True, help="Seed of the binarisation.")
@click.option("--out", metavar="FILE", help="Where the .npz file goes; by default `features.npz` in the run's folder.")
@SPLIT
@DEVICE
@TRUST
def features(run: str, **options) -> None:
    """Write a model's codes of images as .npz, and print how well a linear classifier reads labels from them."""
    from genlit.verbs.features import features

    features(run, **options)


@verbs.command()
@click.argument("experiment")
@click.option(
    "--config", "file", metavar="FILE", help="The sweep, or its name in configs/sweep; by default EXPERIMENT's."
)
@click.option("--local", "on_this_machine", is_flag=True, help="Search here, although W&B's server could.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Trials at the same time.")
@click.option("--count", type=click.IntRange(min=1), help="Trials at most, in all; run_cap of the file, too.")
@click.option(
    "--dir", "folder", metavar="DIR", help="Where the trials go; by default experiments/runs/sweep-EXPERIMENT."
)
@click.option("--args", default="", help='What every trial has: "--with trainer/gpu --trainer.max_steps=200".')
def sweep(experiment: str, **options) -> None:
    """Search an experiment's best parameters, by a file in W&B's sweep schema; the same command goes on with it.

    genlit sweep dcgan --workers 2 --count 20   |   genlit sweep dcgan --config mine.yaml --local

    W&B's server and its agents do it where a key is found, else this machine. Several of this command may share one
    DIR.
    """
    from genlit.verbs.sweep import sweep

    sweep(experiment, **options)


@verbs.command()
@click.argument("runs", metavar="RUN... | SWEEP", nargs=-1, required=True)
@click.option("--out", metavar="FILE", help="Where the page goes; by default `report.html` in the folder of the runs.")
def report(runs: tuple[str, ...], out: str | None) -> None:
    """Write one HTML page of a run, or of several side by side: films, curves, metrics, configuration.

    genlit report dcgan   |   genlit report dcgan wgan-gp --out page.html   |   genlit report experiments/runs/dcgan
    """
    from genlit.verbs.report import report

    report(runs, out)


@verbs.command()
@click.argument("run")
@click.option("--out", metavar="DIR", help="The folder; by default `export` in the run's.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["safetensors", "torch", "onnx"]),
    help="Graphs of what the model can do beside its weights, which are written in any case; may be repeated.",
)
@click.option("--batch", type=click.IntRange(min=1), help="Rows that graphs take; any number by default.")
@click.option("--push", metavar="OWNER/NAME", help="Upload it to the Hugging Face hub, too.")
@TRUST
def export(run: str, **options) -> None:
    """Write a trained model as a folder for others: weights, configuration, card; and graphs, compared with the model.

    genlit export dcgan   |   genlit export dcgan@best --format torch --format onnx
    genlit export dcgan --push me/dcgan
    """
    from genlit.verbs.export import export

    export(run, **options)


@verbs.command()
@click.argument("run")
@click.option("--port", type=click.IntRange(1, 65535), help="Of the page; by default the first free one from 7860 on.")
@DEVICE
@TRUST
def demo(run: str, **options) -> None:
    """Serve a page, to this machine alone, on which to play with a trained model.

    What is on it follows from what the model can do: a seed and a count, a class or a caption, a slider for each code
    that it varies, an image in and its translation or completion out.
    """
    from genlit.verbs.demo import demo

    demo(run, **options)


@verbs.command()
@click.argument("names", metavar="[RUN]...", nargs=-1)
@click.option("--name", metavar="NAME", help="What the records are called; by default the experiment's name.")
def ledger(names: tuple[str, ...], name: str | None) -> None:
    """Write down what measured runs reached, in experiments/records, and build the table in experiments/README.md.

    genlit eval dcgan && genlit ledger dcgan   |   genlit ledger
    """
    from genlit.verbs.ledger import ledger

    ledger(names, name=name)


@verbs.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.argument("experiment")
@click.option("--seed", "seeds", type=int, multiple=True, default=[0], help="Of a training; may be repeated.")
@TRUST
@click.pass_context
def reproduce(context: click.Context, experiment: str, **options) -> None:
    """Train an experiment and check its claim: genlit reproduce dcgan --seed 0 --seed 1 --seed 2."""
    from genlit.verbs.reproduce import reproduce

    reproduce(experiment, context.args, **options)


@verbs.command()
@click.argument("experiment")
@click.option("--nodes", type=click.IntRange(min=1), default=1, show_default=True, help="How many machines.")
@click.option("--gpus", type=click.IntRange(min=0), default=1, show_default=True, help="Of each; 0 is the CPU.")
@click.option("--workers", type=click.IntRange(min=1), help="Run so many workers of a sweep instead, as an array.")
@click.option("--dir", "folder", metavar="DIR", help="Folder that the workers share: their journal and trials.")
@click.option("--time", metavar="TIME", help="Time of a job, 24:00:00; a longer training takes several.")
@click.option("--partition", metavar="NAME", help="Kind of machines, by the cluster's name for it.")
@click.option("--print", "show", is_flag=True, help="Print the script and submit nothing.")
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def launch(experiment: str, flags: tuple[str, ...], show: bool, **options) -> None:
    """Submit a training to a SLURM cluster; it goes on by itself where a job's time was too short.

    genlit launch dcgan-cifar10 --nodes 4 --gpus 8 --time 4:00:00 -- --with trainer/ddp --trainer.max_steps=100000
    genlit launch dcgan --workers 8 --dir experiments/runs/sweep -- --config configs/sweep/dcgan.yaml
    """
    from genlit.verbs.launch import Job, launch

    launch(experiment, flags, Job(**options), show=show)


@verbs.command()
@click.option("--project", default="genlit", show_default=True, help="Weights & Biases' project, as in run.project.")
@click.option("--entity", metavar="NAME", help="The user or team that it belongs to; by default you.")
def dashboard(project: str, entity: str | None) -> None:
    """Give a project at Weights & Biases the panels that matter: pictures, fidelity, losses by player, throughput."""
    from genlit.verbs.dashboard import dashboard

    dashboard(project, entity)


@verbs.command("list")
@click.option("--root", default=str(ROOT), show_default=True, help="Where the runs lie.")
def show(root: str) -> None:
    """List experiments, overlays and runs."""
    from genlit.verbs.listing import show

    show(root)


@verbs.command()
def doctor() -> None:
    """Check this machine: packages, devices, data, folders, dashboard."""
    from genlit.verbs.doctor import doctor

    doctor()


@verbs.command()
@click.argument("names", metavar="NAME...|all", nargs=-1)
@click.option("--trials", type=click.IntRange(min=1), help="How often kill9 kills [100].")
@click.option("--experiment", metavar="EXP", help="What resume interrupts, in several ways; by default all, in one.")
@click.option("--minutes", type=click.IntRange(min=1), help="How long soak strikes, at least [30].")
def faults(names: tuple[str, ...], **options) -> None:
    """Make faults happen in real trainings, and tell what came of each: genlit faults all   |   genlit faults kill9.

    What genlit promises of each is in docs/promises.md; the exit code is 1 where a promise is not kept.
    """
    from genlit.verbs.faults import faults

    faults(names, **options)


def main() -> None:
    """Runs a verb; bad input ends in one sentence and exit code 2."""
    # Read when torch is loaded. Threads that spin long while they wait make training 5 to 50 times slower where they
    # share their cores with another program; this short spin costs a tenth where they do not (measured with DCGAN).
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        verbs(prog_name="genlit")
    except GenlitError as error:
        click.secho(f"genlit: {error}", fg="red", err=True)
        sys.exit(2)
