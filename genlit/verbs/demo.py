"""`genlit demo`: a page of this machine to play with a trained model."""

import os

from genlit.errors import GenlitError
from genlit.verbs.trained import trained

HOST = "127.0.0.1"


def demo(run: str, *, port: int | None = None, device: str = "cpu", trust: tuple[str, ...] = ()) -> None:
    """Serves the page of a run to this machine alone, until Ctrl-C.

    Args:
        run: a run folder, an experiment's name or a checkpoint in its run folder.
        port: of the page; by default the first free one from 7860 on.
        device: where the model runs.
        trust: packages of the user's own.

    Raises:
        GenlitError: the package that makes the page is missing, the port is taken, or there is no such run.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when it is imported
    try:
        from genlit.verbs.demo_page import interface
    except ImportError as error:
        remedy = ".venv/bin/pip install -c constraints.txt -e '.[demo]'"
        raise GenlitError(f"the page needs gradio: {remedy} ({error})") from error
    found = trained(run, device, trust)
    page = interface(found.model, found.source, f"{found.folder.parent.name}/{found.folder.name}")
    try:
        options = {"share": False, "ssr_mode": False, "footer_links": [], "quiet": True}  # it would advise to share
        _, address, _ = page.launch(server_name=HOST, server_port=port, prevent_thread_lock=True, **options)
    except OSError as error:
        where = f"port {port}" if port else "any port from 7860 on"
        raise GenlitError(f"the page cannot be served at {where} ({error}): choose another --port") from error
    print(f"{found.folder}: {address}  (Ctrl-C ends it)", flush=True)
    page.block_thread()
