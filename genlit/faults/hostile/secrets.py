"""Keys and tokens: planted around a real training, and looked for in everything that it leaves."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile, is_zipfile

from genlit.faults.base import hold
from genlit.faults.hostile.command import importable, refused
from genlit.faults.training import TINY, Command, Training

TOKENISED = """
from genlit.data import Digits

class Tokenised(Digits):
    def __init__(self, token: str | None = None, **kwargs):
        super().__init__(**kwargs)
"""
RUN = ["--trainer.max_steps=2", "--run.pictures_every=1", "--run.wandb=offline"]


def secret(folder: Path) -> str:
    """One in each place, and a word that is none, by which the search is seen to find what is there."""
    planted = {name: secrets.token_hex(20) for name in ("WANDB_API_KEY", "HF_TOKEN", "MY_PASSWORD", "value", "flag")}
    visible = f"visible-{secrets.token_hex(8)}"
    environment = {name: value for name, value in planted.items() if name.isupper()}
    (folder / "tokenised.py").write_text(TOKENISED)
    with importable(folder):
        for words in _refused(folder, planted):
            refused(folder, "train", *words, environment=environment)
    training = Training(folder, "dcgan", *TINY, *RUN, f"--run.tags=[{visible}]", environment=environment)
    run = training.start().ends(0).run
    for words in (["report"], ["export", "--format", "torch"], ["sample", "-n", "4"]):
        Command(folder, *words, str(run), environment=environment).start().ends(0)
    (folder / "mine.yaml").unlink()  # what the user wrote
    searched = {place: content for path in folder.rglob("*") if path.is_file() for place, content in _opened(path)}
    kinds = {place.suffix for place in searched}
    hold({".wandb", ".ckpt", ".pt2", ".html", ".txt", ".yaml", ".md"} <= kinds, f"only {sorted(kinds)} were searched")
    for name, value in planted.items():
        found = [place.as_posix() for place, content in searched.items() if value.encode() in content]
        hold(not found, f"the secret of {name} is in {', '.join(found)}")
    seen = {place.suffix for place, content in searched.items() if visible.encode() in content}
    hold(
        {".wandb", ".yaml", ".html"} <= seen,
        f"a tag was found in {sorted(seen)} alone: the search does not look within",
    )
    return (
        f"none of {len(planted)} secrets is in the {len(searched)} files and parts that were left, nor on the terminal"
    )


def _refused(folder: Path, planted: dict[str, str]) -> Iterator[list[str | Path]]:
    """Configurations that hold a secret, by an interpolation, as a value, and as a flag."""
    own, file = ["--trust=tokenised", "--data.name=Tokenised"], folder / "mine.yaml"
    root = f"--trainer.default_root_dir={folder / 'runs'}"
    for line in ("run: {project: '${oc.env:WANDB_API_KEY}'}", f"data: {{token: {planted['value']}}}"):
        file.write_text(f"based_on: [dcgan]\n{line}\n")
        yield [file, *own, root]
    flag = planted["flag"]
    for word in (f"--data.token={flag}", f"--data.api_key={flag}", f"--run.tags=[hf_token={flag}]"):
        yield ["dcgan", *own, word, root]
    yield ["dcgan", "--data.name=Folder", f"--data.path=https://me:{flag}@localhost/photos", root]


def _opened(path: Path) -> Iterator[tuple[Path, bytes]]:
    """A file's bytes, and those of the files in it."""
    yield path, path.read_bytes()
    if is_zipfile(path):
        with ZipFile(path) as archive:
            yield from ((path / name, archive.read(name)) for name in archive.namelist())
