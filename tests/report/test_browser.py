"""The page as a person meets it, in headless Chromium."""

import json
import shutil
from datetime import datetime

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from genlit.report import write_page

pytestmark = pytest.mark.xdist_group("browser")

QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium of this machine; without one, `make browser` gets it."""
    here = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=here, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium):
    """Opens a page; when the test ends, it must have asked for nothing and complained of nothing."""
    contexts, complaints, requests = [], [], []

    def open_(file, size=DESKTOP, scheme="light"):
        context = chromium.new_context(viewport=size, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(file.as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


@pytest.fixture
def several(make_run):
    """The page of three runs."""
    return write_page([make_run(f"sweep/{i}", offset=i, config={"seed": i}) for i in range(3)])


def moment(page):
    return page.locator("#moment").inner_text()


def test_the_slider_moves_every_film_and_the_line_in_every_chart(opened, evaluated):
    page = opened(write_page([evaluated]))
    film = page.locator("figure.film img").first
    after, where = film.get_attribute("src"), page.locator(".cursor").first.get_attribute("x1")
    assert moment(page) == "64,000 images"
    page.locator("#time").focus()
    page.keyboard.press("Home")
    assert moment(page) == "0 images"
    assert page.locator("#time").get_attribute("aria-valuetext") == "0 images"
    assert film.get_attribute("alt") == "samples of dcgan/001 after 0 images"
    assert film.get_attribute("src") != after
    assert page.locator(".cursor").first.get_attribute("x1") == "46"
    page.keyboard.press("ArrowRight")
    assert moment(page) == "16,000 images"
    assert page.locator(".now").first.inner_text().split() == ["0.9353", "0.9853", "held", "out"]
    page.keyboard.press("End")
    assert film.get_attribute("src") == after
    assert page.locator(".cursor").first.get_attribute("x1") == where == "312"


def test_the_film_plays_to_its_end_and_can_be_paused_by_keyboard(opened, evaluated):
    page = opened(write_page([evaluated]))
    page.clock.install(time=datetime(2026, 1, 1))
    page.reload()
    page.clock.pause_at(datetime(2026, 1, 2))  # from here time is the test's own: a busy machine changes nothing
    page.locator("#play").focus()
    page.keyboard.press("Enter")
    assert moment(page) == "0 images"
    page.clock.run_for(500)
    assert moment(page) == "16,000 images"
    page.keyboard.press("Space")
    assert page.locator("#play").inner_text() == "Play"
    page.clock.run_for(5000)
    assert moment(page) == "16,000 images"
    page.keyboard.press("Space")
    page.clock.run_for(1500)
    assert moment(page) == "64,000 images"
    assert page.locator("#play").inner_text() == "Play"


def test_a_run_is_hidden_and_shown_again_in_pictures_and_charts(opened, several):
    page = opened(several)
    box, curves = page.get_by_label("1", exact=True), page.locator("path[data-run='1']")
    box.first.uncheck()
    assert not box.last.is_checked()
    assert page.locator("figure[data-run='1']").is_hidden()
    assert all(path.evaluate("node => getComputedStyle(node).display") == "none" for path in curves.all())
    box.last.check()
    assert page.locator("figure[data-run='1']").is_visible()


@pytest.mark.parametrize(("runs", "scheme"), [("one", "light"), ("one", "dark"), ("several", "light")])
def test_axe_finds_nothing_amiss(opened, evaluated, several, runs, scheme):
    page = opened(write_page([evaluated]) if runs == "one" else several, scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    found = Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


def test_colours_follow_the_readers_preference(opened, evaluated):
    file = write_page([evaluated])
    shades = (
        opened(file, scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    )
    assert list(shades) == ["rgb(252, 252, 250)", "rgb(18, 21, 23)"]


def test_a_phone_scrolls_the_page_in_one_direction(opened, make_run, evaluated, several):
    long = {"data": {"name": "Folder", "path": "photos/" + "x" * 200}}
    for file in (
        write_page([evaluated]),
        several,
        write_page([make_run("a-rather-long-name-" * 4 + "/1", config=long)]),
    ):
        page = opened(file, size=PHONE)
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        assert page.locator("#play").bounding_box()["height"] >= 24


def test_the_focus_is_seen(opened, evaluated):
    page = opened(write_page([evaluated]))
    for _ in range(4):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"


def test_code_in_a_name_does_not_run(opened, make_run):
    evil = "<img src=x onerror=document.title='run'>"
    run = make_run("dcgan/" + evil, config={"run": {"tags": [evil, f"<script>{evil}</script>"]}})
    (run / "eval-test.json").write_text(
        json.dumps({"claim": None, "metrics": [{"name": evil, "value": 1.0, "n": 1, "seconds": 1.0}]})
    )
    page = opened(write_page([run]))
    assert page.title() == f"dcgan/{evil} · genlit"
    assert page.locator("h1").inner_text() == f"dcgan/{evil}"


def test_a_script_that_came_in_all_the_same_is_refused_by_the_policy(chromium, evaluated):
    file = write_page([evaluated])
    file.write_text(file.read_text().replace("<h1>", "<script>document.title = 'run'</script><h1>"))
    page = chromium.new_page()
    page.goto(file.as_uri())
    assert page.title() == "dcgan/001 · genlit"
    page.close()


def test_without_scripts_the_last_pictures_and_all_numbers_are_there(chromium, evaluated):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(write_page([evaluated]).as_uri())
    assert page.locator("figure.film img").first.is_visible()
    assert page.locator("#player").is_hidden()
    context.close()
