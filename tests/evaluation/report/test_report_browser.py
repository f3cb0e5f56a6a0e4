import base64
import itertools
import json
import time

import pytest
from reported_run import HOSTILE, make_run

from ragkit.cli.report import report as write_again
from ragkit.evaluation.compare import compare_runs
from ragkit.evaluation.report import write_comparison


@pytest.fixture(scope="module")
def run(tmp_path_factory, chromium):
    return make_run(tmp_path_factory.mktemp("browsed"), count=300)


class Reader:
    """Somebody who reads a page in a browser."""

    def __init__(self, browser, path):
        self.browser = browser
        browser.get("about:blank")
        for log in ("browser", "performance"):
            browser.get_log(log)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
        browser.get(path.as_uri())
        self.wait("return document.documentElement.dataset.ready === 'true'")

    def script(self, text, *arguments):
        return self.browser.execute_script(text, *arguments)

    def wait(self, text, *arguments):
        end = time.monotonic() + 20
        while not self.script(text, *arguments):
            assert time.monotonic() < end, f"never: {text}, but {self.script(NOW)}"
            time.sleep(0.02)

    def find(self, selector):
        return self.browser.find_element("css selector", selector)

    def all(self, selector):
        return self.browser.find_elements("css selector", selector)

    def click(self, selector):
        self.script("document.querySelector(arguments[0]).click()", selector)

    def press(self, keys):
        self.browser.switch_to.active_element.send_keys(keys)

    def shown(self, text):
        self.wait("return document.getElementById('shown').textContent === arguments[0]", text)

    def opened(self, question):
        self.wait("return document.querySelector('#story-title')?.textContent === arguments[0]", question)

    def messages(self):
        """Return what the page complained about and what it asked the network for."""
        asked = []
        for entry in self.browser.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                asked.append(message["params"]["request"]["url"].partition(":")[0])
        return self.browser.get_log("browser"), set(asked) - {"file", "data", "blob", "about"}


@pytest.fixture
def reader(chromium, run):
    made = Reader(chromium, run / "report.html")
    yield made
    assert made.messages() == ([], set())


NOW = "return document.getElementById('shown')?.textContent"
WHEAT = "At what moisture is wheat safe?"


def test_shows_the_run(reader):
    assert reader.find("h1").text == "grain"
    assert [link.text for link in reader.all("#sections a")] == [
        "Figures", "Where evidence was lost", "Where time went", "Quality and cost", "Settings", "Questions",
    ]  # fmt: skip
    assert "305" in reader.find(".tiles li").text
    assert len(reader.all(".funnel li")) == 8
    reader.shown("305 questions")


def test_draws_only_the_rows_in_sight(reader):
    assert len(reader.all(".row")) < 40
    reader.script("document.getElementById('list').scrollTop = 1e9")
    reader.wait("return [...document.querySelectorAll('.row .id')].some((id) => id.textContent === 'more-299')")
    assert len(reader.all(".row")) < 40


def test_searches_filters_and_sorts(reader):
    reader.find("#search").send_keys("BARLEY germinates")
    reader.shown("1 of 305 questions")
    reader.find("#search").clear()
    reader.find("#search").send_keys("number 1")
    reader.wait("return /^1\\d\\d of|^\\d+ of/.test(document.getElementById('shown').textContent)")
    reader.click("button[type=reset]")
    reader.shown("305 questions")
    reader.click(".chip.failed")
    reader.shown("1 of 305 questions")
    reader.click(".chip.abstained")
    reader.shown("2 of 305 questions")
    reader.click(".chip.all")
    reader.click(".more summary")
    reader.wait("return document.querySelectorAll('.fields select').length >= 4")
    choose(reader, "type", "=reason")
    reader.shown("2 of 305 questions")
    choose(reader, "type", "")
    choose(reader, "metric", "f1")
    reader.find(".between input[aria-label^=least]").send_keys("0.5")
    reader.wait("return document.getElementById('shown').textContent === arguments[0]", "152 of 305 questions")
    choose(reader, "order", "-tokens")
    first = reader.script("return document.querySelector('.row .id').textContent")
    choose(reader, "order", "+tokens")
    reader.wait("return document.querySelector('.row .id').textContent !== arguments[0]", first)


def choose(reader, label, value):
    reader.script(
        "const fields = [...document.querySelectorAll('.fields .field')];"
        "const select = fields.find((field) => field.firstChild.textContent === arguments[0]).querySelector('select');"
        "select.value = arguments[1]; select.dispatchEvent(new Event('change'));",
        label, value,
    )  # fmt: skip


def test_a_loss_of_the_funnel_leads_to_its_questions(reader):
    reader.click(".funnel .lost button")
    reader.shown("1 of 305 questions")
    assert reader.script("return document.querySelector('.row .id').textContent") == "malt"


def test_a_question_opens_to_its_story(reader):
    reader.click(".row")
    reader.opened(WHEAT)
    story = reader.find(".story").text
    for expected in ("14 percent", "grain.pdf#p1", "Thought", "I should look for moisture wheat.", "Observation"):
        assert expected in story
    reader.script("document.querySelectorAll('.steps details').forEach((step) => { step.open = true; })")
    reader.wait("return document.querySelectorAll('.dropped li').length === 3")
    assert "the model chose: no (90%)" in reader.find(".dropped").text
    assert reader.find(".hit.memory").text.startswith("memory.recall #1")
    reader.script("document.querySelectorAll('.part > details').forEach((part) => { part.open = true; })")
    reader.wait("return document.querySelector('.passage-in-prompt') !== null")
    assert reader.find(".passage-in-prompt").text.startswith("Winter wheat is kept safe")
    assert "ScriptedModel choose" in reader.find(".story table").text


def test_a_citation_opens_its_page(reader):
    reader.click(".row")
    reader.opened(WHEAT)
    reader.click(".citation")
    reader.wait("return document.getElementById('reader').open")
    assert reader.find("#reader-title").text == "grain.pdf, page 1"
    assert reader.find(".page-passage.opened mark").text == "14 percent"
    reader.press("\ue00c")  # Escape
    reader.wait("return !document.getElementById('reader').open")
    assert reader.find("#story-title").is_displayed()


def test_the_cited_page_as_a_picture(chromium, run):
    before = (run / "report.html").stat().st_size
    assert write_again(run, pages=True) == 0
    assert (run / "report.html").stat().st_size > before
    pictured = Reader(chromium, run / "report.html")
    pictured.click(".row")
    pictured.opened(WHEAT)
    thumbnails = pictured.all(".thumbnails li")
    assert len(thumbnails) >= 1
    assert len(pictured.all(".thumbnails .page-box")) == 1  # of the pages of the prompt one is cited
    box, whole = (
        pictured.find(f".thumbnails {part}").rect for part in (".page-box", "li:has(.page-box) .page-picture")
    )
    assert whole["width"] < 300 and whole["y"] < box["y"] < box["y"] + box["height"] < whole["y"] + whole["height"]
    pictured.click(".citation")
    pictured.wait("return document.querySelector('#reader .page-picture img')?.naturalWidth > 100")
    box = pictured.find("#reader .page-box").rect
    assert 0 < box["height"] < 0.8 * pictured.find("#reader .page-picture").rect["height"]
    assert pictured.messages() == ([], set())
    write_again(run, pages=False)


def test_the_keyboard_is_enough(reader):
    reader.find("body").send_keys("/")
    assert reader.script("return document.activeElement.id") == "search"
    reader.press("wheat")
    reader.wait("return document.getElementById('shown').textContent.includes(' of ')")
    reader.press("\ue007")  # Enter: the first question that was found
    reader.opened(WHEAT)
    reader.find("body").send_keys("jj")
    reader.opened("Number 1: at what moisture is wheat safe?")
    reader.find("body").send_keys("k")
    reader.opened("Number 0: at what moisture is wheat safe?")
    reader.find("body").send_keys("\ue00c")  # Escape
    reader.wait("return document.querySelector('.story') === null")
    assert reader.script("return document.activeElement.id") in {"list", "search"}
    reader.find("body").send_keys("?")
    reader.wait("return document.getElementById('help').open")
    reader.press("\ue00c")
    reader.wait("return !document.getElementById('help').open")
    reader.script("document.getElementById('list').focus()")
    reader.press("\ue010")  # End
    assert reader.script("return document.querySelector('[data-cursor] .id').textContent") == "more-299"
    assert reader.script("return document.getElementById('list').getAttribute('aria-activedescendant')")


def test_an_opened_question_has_an_address(reader):
    reader.click(".row")
    reader.opened(WHEAT)
    assert reader.script("return location.hash") == "#q=wheat"
    reader.browser.back()
    reader.wait("return document.querySelector('.story') === null")


def test_texts_never_become_html(reader):
    reader.find("#search").send_keys("hostile")
    reader.shown("1 of 305 questions")
    reader.click(".row")
    reader.opened("What does the hostile answer hold?")
    assert HOSTILE in reader.find(".given .said").get_attribute("textContent")
    assert reader.all("img") == []
    assert reader.script("return document.title") == "grain"


def test_light_and_dark(reader):
    def paper():
        return reader.script("return getComputedStyle(document.body).backgroundColor")

    light = paper()
    reader.browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    dark = paper()
    assert light != dark
    reader.click("#theme")
    assert reader.script("return document.documentElement.dataset.theme") == "light"
    assert paper() == light
    reader.click("#theme")
    assert paper() == dark
    reader.click("#theme")
    assert reader.script("return document.documentElement.dataset.theme") == "auto"


@pytest.mark.parametrize("width", [360, 768, 1920])
def test_fits_any_width(reader, width):
    try:
        reader.browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        assert reader.script("return document.documentElement.scrollWidth") <= width
        reader.click(".row")
        reader.opened(WHEAT)
        assert reader.script("return document.documentElement.scrollWidth") <= width
        story = reader.find(".story").rect
        assert 0 < story["width"] <= width
    finally:
        reader.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_prints(reader):
    printed = base64.b64decode(reader.browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    pymupdf = pytest.importorskip("pymupdf")
    with pymupdf.open(stream=printed) as pdf:
        text = "".join(page.get_text() for page in pdf)
        assert 4 <= pdf.page_count <= 40
    assert "Where evidence was lost" in text
    assert "Number 299" in text
    assert "Choose a question" not in text


def test_names_its_parts_for_those_who_hear_it(reader):
    nameless = reader.script(
        "return [...document.querySelectorAll('button, select, input, [role=listbox], [role=img], canvas')]"
        ".filter((node) => !(node.textContent.trim() || node.getAttribute('aria-label') || node.labels?.length))"
        ".map((node) => node.outerHTML.slice(0, 80))"
    )
    assert nameless == []
    levels = reader.script("return [...document.querySelectorAll('h1, h2, h3')].map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))


def test_runs_beside_one_another(chromium, run, tmp_path_factory):
    other = make_run(tmp_path_factory.mktemp("other"), count=20)
    path = other / "compare.html"
    write_comparison(path, json.loads(compare_runs([run, other]).to_json()))
    made = Reader(chromium, path)
    assert made.find("h1").text == "2 runs"
    assert "left out: 280" in made.find("#runs .note").text
    assert made.all("#difference-1 table tbody tr")
    assert made.all("#pareto canvas")
    assert made.messages() == ([], set())
