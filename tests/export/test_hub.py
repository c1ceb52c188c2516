"""Models on a hub: a server on this machine that speaks its language."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest
import torch

import genlit
from genlit.errors import GenlitError
from genlit.export import folder, hub

COMMIT = "1" * 40


class Hub(BaseHTTPRequestHandler):
    """Repositories in memory: what the client asks for when it makes one, commits files and fetches them."""

    def log_message(self, *args):
        """Says nothing."""

    def answer(self, content, status=200, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": len(body), "X-Repo-Commit": COMMIT} | headers).items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(("POST", self.path))
        if self.path == "/api/repos/create":
            self.answer({"url": f"{huggingface_hub.constants.ENDPOINT}/me/vae", "id": "me/vae"})
        elif "/preupload/" in self.path:
            files = [each | {"uploadMode": "regular", "shouldIgnore": False} for each in json.loads(body)["files"]]
            self.answer({"files": files})
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.answer(
                {"commitUrl": f"https://huggingface.co/me/vae/commit/{COMMIT}", "commitOid": COMMIT, "hookOutput": ""}
            )
        else:
            self.answer({"errors": [], "warnings": []})

    def do_GET(self):
        self.server.asked.append((self.command, self.path))
        if "/resolve/" in self.path:
            content = self.server.files[self.path.rpartition("/")[2]]
            self.answer(content, ETag=f'"{hashlib.sha1(content).hexdigest()}"')
        elif self.server.files and self.path.startswith("/api/models/me/vae"):
            files = [{"rfilename": name} for name in self.server.files]
            if "/tree/" in self.path:
                tree = [
                    {"type": "file", "path": k, "size": len(v), "oid": COMMIT} for k, v in self.server.files.items()
                ]
                self.answer(tree)
                return
            self.answer({"_id": "1", "id": "me/vae", "sha": COMMIT, "siblings": files})
        else:
            self.answer({"error": "Repository not found"}, 404, **{"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET  # noqa: N815 (the server's own names)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The server, to which the client speaks, with a cache of the test's own."""
    here = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    here.files, here.asked = {}, []
    threading.Thread(target=here.serve_forever, daemon=True).start()
    address, constants = f"http://127.0.0.1:{here.server_port}", huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_none")
    yield here
    here.shutdown()
    here.server_close()


def test_what_is_pushed_can_be_loaded_and_no_other_file_is_fetched(ready, tmp_path, server, monkeypatch):
    model = ready("VAE")
    with folder.begun(tmp_path / "export") as made:
        folder.save_to(made, model)
        for name in ("README.md", "decode.pt2", "evil.pkl"):
            (made / name).write_text("unread")
    assert hub.push(tmp_path / "export", "me/vae") == f"http://127.0.0.1:{server.server_port}/me/vae"
    assert sorted(server.files) == ["README.md", "config.json", "decode.pt2", "evil.pkl", "model.safetensors"]

    server.asked.clear()
    again = genlit.load("hf:me/vae")
    assert torch.equal(again.sample(3, seed=1), model.sample(3, seed=1))
    fetched = {path.rpartition("/")[2] for method, path in server.asked if "/resolve/" in path}
    assert fetched == {"config.json", "model.safetensors"}

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    server.files.clear()
    assert torch.equal(genlit.load("hf:me/vae").sample(3, seed=1), model.sample(3, seed=1))  # from the cache


def test_a_model_that_is_not_there_is_one_sentence(server):
    with pytest.raises(GenlitError, match="hf:me/nothing cannot be fetched"):
        genlit.load("hf:me/nothing")


def test_a_repository_of_something_else_is_refused(server):
    server.files |= {"config.json": b"{}", "pytorch_model.bin": b"pickle"}
    with pytest.raises(GenlitError, match=r"is no model of genlit: it has no config\.json beside model\.safetensors"):
        genlit.load("hf:me/vae")
    assert not any("pytorch_model" in path for _, path in server.asked)
