"""Pages of trained models, served on this machine and asked by gradio's client, as a browser would."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import genlit
from genlit.errors import GenlitError
from genlit.logging.media import in_rows, to_pil
from genlit.verbs.complete import hidden
from genlit.verbs.demo import HOST
from genlit.verbs.demo_page import interface
from genlit.verbs.trained import images_of, trained
from tests.verbs.conftest import command


def heeds_interrupts():
    """As in a terminal, also where the tests run in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="module", autouse=True)
def silent():
    """No page tells anybody of itself, and gradio's files go with the test's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        yield


def page_of(run):
    found = trained(str(run), "cpu", ())
    return interface(found.model, found.source, "a run")


@pytest.fixture
def served(trained_run, tmp_path):
    """Serves the page of one of EXPERIMENTS; gives its client."""
    pages = []

    def serve(name):
        pages.append(page_of(trained_run(name)))
        _, address, _ = pages[-1].launch(
            server_name=HOST, prevent_thread_lock=True, share=False, ssr_mode=False, quiet=True
        )
        return Client(address, download_files=tmp_path / "answers", verbose=False, analytics_enabled=False)

    yield serve
    for page in pages:
        page.close()


@pytest.mark.parametrize(
    ("name", "tabs"),
    [
        ("game", {"/sample"}),
        ("labels", {"/sample", "/vary-label", "/reconstruct"}),
        ("pixels", {"/sample", "/complete"}),
        ("unpaired", {"/translate"}),
        ("text", {"/sample"}),
        ("ring", {"/sample"}),
    ],
)
def test_a_page_has_what_the_model_can_do(trained_run, name, tabs):
    asked = page_of(trained_run(name)).get_api_info()["named_endpoints"]
    assert set(asked) == tabs
    given = [each["label"] for each in asked.get("/sample", {}).get("parameters", [])]
    more = {"labels": ["class"], "text": ["caption; empty for captions of the data"]}
    assert given == ([] if "/sample" not in tabs else ["seed", "images", *more.get(name, [])])


def test_a_model_that_makes_nothing_has_no_page(trained_run):
    found = trained(str(trained_run("puzzle")), "cpu", ())
    with pytest.raises(GenlitError, match="PuzzleGAN cannot sample images"):
        interface(found.model, found.source, "a run")


def test_samples_by_class_and_along_a_code_are_the_models_own(trained_run, served):
    client, model = served("labels"), genlit.load(str(trained_run("labels")))
    shown = client.predict(3, 5, "7", api_name="/sample")
    assert_same(shown, to_pil(model.sample(5, seed=3, label=7)))
    assert_same(client.predict(3, 5, "any", api_name="/sample"), to_pil(model.sample(5, seed=3)))
    varied = client.predict(1, 4, "2", api_name="/vary-label")
    assert_same(varied, to_pil(model.sample(4, seed=1, label=2)))


def test_a_slider_is_a_continuous_code(trained_run, served):
    client, model = served("categories"), genlit.load(str(trained_run("categories")))
    expected = model.traverse("continuous-0", 4, seed=2, values=[-0.5])[:, 0]
    assert_same(client.predict(2, 4, -0.5, api_name="/vary-continuous-0"), to_pil(expected))
    assert_same(client.predict(2, 4, 1, api_name="/vary-category"), to_pil(model.sample(4, seed=2, category=1)))


def test_an_image_in_is_translated_in_its_own_size(photos, served):
    client = served("unpaired")
    shown = client.predict(handle_file(photos / "a.png"), "b", api_name="/translate")
    assert Image.open(shown).size == Image.open(photos / "a.png").size
    with pytest.raises(AppError, match="there is no image yet"):
        client.predict(None, "b", api_name="/translate")


def test_an_image_in_is_completed_and_reconstructed_as_the_model_reads_it(trained_run, photos, tmp_path, served):
    (tmp_path / "one").mkdir()
    Image.open(photos / "a.png").save(tmp_path / "one" / "a.png")
    found = trained(str(trained_run("pixels")), "cpu", ())
    image = next(images_of(str(tmp_path / "one"), found.source).images(torch.device("cpu"), 0))
    observed = ~hidden("left", image.shape, 4)
    expected = in_rows(image, image.where(observed, 0), found.model.complete(image, observed, seed=4))
    shown = served("pixels").predict(handle_file(photos / "a.png"), 4, "left", api_name="/complete")
    assert_same(shown, expected)
    coder = trained(str(trained_run("codes")), "cpu", ()).model
    shown = served("codes").predict(handle_file(photos / "a.png"), api_name="/reconstruct")
    assert_same(shown, in_rows(image, coder.reconstruct(image)))


def test_the_verb_serves_this_machine_alone_until_it_is_interrupted(trained_run, tmp_path):
    port = free_port()
    words = [sys.executable, "-m", "genlit", "demo", str(trained_run("game")), f"--port={port}"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, preexec_fn=heeds_interrupts)  # noqa: PLW1509 (it takes no lock)
    try:
        while not answers(HOST, port):
            assert process.poll() is None
            time.sleep(0.2)
        assert not answers("127.0.0.2", port)
        client = Client(f"http://{HOST}:{port}", download_files=tmp_path, verbose=False, analytics_enabled=False)
        assert_same(client.predict(0, 3, api_name="/sample"), to_pil(genlit.load(str(trained_run("game"))).sample(3)))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def test_a_port_that_is_taken_is_told(trained_run):
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(GenlitError, match=f"cannot be served at port {port}"):
            command("demo", trained_run("game"), f"--port={port}")


def assert_same(file: str, picture: Image.Image):
    np.testing.assert_array_equal(np.array(Image.open(Path(file)).convert("RGB")), np.array(picture.convert("RGB")))


def free_port():
    with socket.create_server((HOST, 0)) as server:
        return server.getsockname()[1]


def answers(host, port):
    with socket.socket() as line:
        line.settimeout(1)
        return line.connect_ex((host, port)) == 0
