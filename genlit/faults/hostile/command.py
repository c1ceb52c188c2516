"""What hostile input is brought in by: commands that must refuse it, modules at hand, a server."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from genlit.faults.harness.base import hold
from genlit.faults.harness.training import Command


def refused(folder: Path, *words: str | Path, says: str = "", environment: dict[str, str] | None = None) -> str:
    """What a command says that ends with 2 and a sentence, and without a traceback.

    Raises:
        Broken: it ends otherwise, or does not say what it must.
    """
    command = Command(folder, *map(str, words), environment=environment).start().ends(2).says(says)
    hold("Traceback" not in command.said, f"a traceback instead of a sentence: {command.tail}")
    hold(command.said.splitlines()[-1].startswith("genlit: "), f"no sentence at its end: {command.tail}")
    return command.sentence


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Lets commands import the modules that lie in a folder."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serves a folder's files on this machine alone; gives the address, and a list that takes what was asked for."""
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, asked, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


class _Files(SimpleHTTPRequestHandler):
    def __init__(self, asked: list[str], *args, **kwargs):
        self.asked = asked
        super().__init__(*args, **kwargs)

    def log_message(self, format: str, *args: object) -> None:
        self.asked.append(self.path)
