"""Keys and tokens: planted around a real training, and looked for in everything that it leaves."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile, is_zipfile

from genlit.faults.harness.base import hold
from genlit.faults.harness.training import TINY, Command, Training
from genlit.faults.hostile.command import importable, refused

TOKENISED = """
from genlit.data import Digits

class Tokenised(Digits):
    def __init__(self, token: str | None = None, **kwargs):
        super().__init__(**kwargs)
"""
RUN = ["--trainer.max_steps=2", "--run.pictures_every=1", "--run.wandb=offline"]


def planted(folder: Path) -> str:
    """A secret in each place, and a word that is none, by which the search is seen to find what is there."""
    canaries = {name: secrets.token_hex(20) for name in ("WANDB_API_KEY", "HF_TOKEN", "MY_PASSWORD", "value", "flag")}
    environment = {name: value for name, value in canaries.items() if name.isupper()}
    visible = f"visible-{secrets.token_hex(8)}"
    (folder / "tokenised.py").write_text(TOKENISED)
    with importable(folder):
        for words, said in _refused(folder, canaries):
            refused(folder, "train", *words, says=said, environment=environment)
    (folder / "mine.yaml").unlink()  # what the user wrote
    training = Training(folder, "dcgan", *TINY, *RUN, f"--run.tags=[{visible}]", environment=environment)
    run = training.start().ends(0).run
    for words in (["report"], ["export", "--format", "torch"], ["sample", "-n", "4"]):
        Command(folder, *words, str(run), environment=environment).start().ends(0)
    left = {place: content for path in folder.rglob("*") if path.is_file() for place, content in _opened(path)}
    for name, value in canaries.items():
        found = [place.as_posix() for place in _holding(value, left)]
        hold(not found, f"the secret of {name} is in {', '.join(found)}")
    _refuse_blind(left, _holding(visible, left))
    return f"none of {len(canaries)} secrets is in the {len(left)} files and parts that were left, nor on the terminal"


def _holding(word: str, left: dict[Path, bytes]) -> list[Path]:
    return [place for place, content in left.items() if word.encode() in content]


def _refuse_blind(left: dict[Path, bytes], seen: list[Path]) -> None:
    """A search that looks past some files, or not into them, would show nothing."""
    there, within = ({place.suffix for place in places} for places in (left, seen))
    hold({".wandb", ".ckpt", ".pt2", ".html", ".txt", ".yaml", ".md"} <= there, f"only {sorted(there)} were searched")
    hold({".wandb", ".yaml", ".html"} <= within, f"a tag was found in {sorted(within)} alone")


def _refused(folder: Path, canaries: dict[str, str]) -> Iterator[tuple[list[str | Path], str]]:
    """Configurations that hold a secret, by an interpolation, as a value, and as a flag; and what is said of each."""
    own, file = ["--trust=tokenised", "--data.name=Tokenised"], folder / "mine.yaml"
    root = f"--trainer.default_root_dir={folder / 'runs'}"
    lines = {
        "run: {project: '${oc.env:WANDB_API_KEY}'}": "Unsupported interpolation type oc.env",
        f"data: {{token: {canaries['value']}}}": "data.token looks like a secret",
    }
    for line, said in lines.items():
        file.write_text(f"based_on: [dcgan]\n{line}\n")
        yield [file, *own, root], said
    flag = canaries["flag"]
    words = {
        f"--data.token={flag}": "data.token looks like a secret",
        f"--data.api_key={flag}": "unrecognized",
        f"--run.tags=[hf_token={flag}]": "run.tags looks like a secret",
    }
    for word, said in words.items():
        yield ["dcgan", *own, word, root], said
    address = f"--data.path=https://me:{flag}@localhost/photos"
    yield ["dcgan", "--data.name=Folder", address, root], "data.path looks like a secret"


def _opened(path: Path) -> Iterator[tuple[Path, bytes]]:
    """A file's bytes, and those of the files in it."""
    yield path, path.read_bytes()
    if is_zipfile(path):
        with ZipFile(path) as archive:
            yield from ((path / name, archive.read(name)) for name in archive.namelist())
