"""A folder that imitates a fresh clone after `make setup`, and a shell in it.

The Makefile, bash and the command line are real. `.venv/bin/python` and `.venv/bin/genlit` hand their words on to this
process, which has imported torch already, and give back what it printed and its exit code.
"""

import io
import json
import os
import shutil
import signal
import socketserver
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from genlit import cli
from genlit.logging.history import History

ROOT = Path(__file__).parents[2]
OF_MAKE = ("ARGS", "EXP", "RUN", "RUNS", "MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS")  # of the make that runs the tests
CLIENT = """#!{python} -S
import json, os, socket, sys
words = {words} + sys.argv[1:]
if words[:2] != ["-m", "genlit"] or {alone}:
    os.execve({python!r}, [{python!r}, *words], os.environ | {{"PYTHONPATH": os.getcwd()}})
with socket.socket(socket.AF_UNIX) as line:
    line.connect({address!r})
    line.sendall(json.dumps([words[2:], dict(os.environ)]).encode() + b"\\n")
    code, told = json.load(line.makefile())
print(told, end="")
sys.exit(code)
"""


class Clone(socketserver.UnixStreamServer):
    """The folder, and who answers its interpreter.

    Args:
        folder: where it is made.
        shortened: what becomes of the words of a `genlit` command.
        alone: whether the interpreter works by itself, on the folder's own copy of genlit.
    """

    timeout = 0.05

    def __init__(self, folder: Path, shortened: Callable[[list[str]], list[str]], alone: bool = False):
        self.folder, self.shortened = folder / "genlit", shortened
        address = folder / "line"
        super().__init__(str(address), _Answer)
        shutil.copytree(ROOT, self.folder, ignore=_left_out)
        (self.folder / "genlit/data/assets").symlink_to(ROOT / "genlit/data/assets")
        programs = self.folder / ".venv/bin"
        programs.mkdir(parents=True)
        for name, words in (("python", []), ("genlit", ["-m", "genlit"])):
            text = CLIENT.format(python=sys.executable, words=words, alone=alone, address=str(address))
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        for name in ("ruff", "wandb"):
            (programs / name).symlink_to(Path(sys.executable).parent / name)
        (self.folder / ".venv/.installed").touch()

    def type(self, block: str, *, interrupted: bool = False) -> tuple[int, str]:
        """Gives commands to bash, which ends with the first that fails: its exit code, and what was printed.

        Args:
            block: the commands.
            interrupted: press Ctrl-C as soon as a training has written something down.
        """
        log = self.folder.parent / "output"
        with log.open("w") as output, _pressed_after_a_record() if interrupted else chdir(self.folder):
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", block],
                cwd=self.folder,
                env={name: value for name, value in os.environ.items() if name not in OF_MAKE},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            while process.poll() is None:
                self.handle_request()
        return process.returncode, log.read_text()

    def run(self, words: list[str], environment: dict[str, str]) -> tuple[int, str]:
        """Runs `genlit` with these words as its main program does."""
        told = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, chdir(self.folder), redirect_stdout(told), redirect_stderr(told):
            patch.setattr(sys, "argv", ["genlit", *self.shortened(words)])
            for name, value in environment.items():
                patch.setenv(name, value)
            try:
                cli.main()
            except SystemExit as end:
                return end.code or 0, told.getvalue()
            except Exception:
                return 1, told.getvalue() + traceback.format_exc()


def _left_out(folder: str, names: list[str]) -> set[str]:
    """What a clone has not, what is large, and the ledger's records, which are of whole trainings."""
    here = {"experiments": ("runs", "records"), "data": ("assets",)}.get(Path(folder).name, ())
    return {name for name in names if name.startswith((".", "__pycache__")) or name.endswith(".egg-info")} | {*here}


class _Answer(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(json.dumps(self.server.run(*json.loads(self.rfile.readline()))).encode())


@contextmanager
def _pressed_after_a_record():
    """Ctrl-C, once, at the first record of a training."""
    log_metrics, pressed = History.log_metrics, []

    def press(history, *record, **more):
        log_metrics(history, *record, **more)
        if not pressed:
            pressed.append(True)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(History, "log_metrics", press)
        yield
