"""The report in a browser: Debian's chromium, driven by playwright."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_pages import BALL, HEIGHT, RAYS, READS, RTN, WIDTH, small_prediction
from test_report_health import ENTRY
from test_report_page import many

from ohana.report.page.build import write_report
from ohana.results.catalogue import read_catalogue
from ohana.results.verdicts import read_verdicts

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no browser: install chromium to test the report"
)
#: No sandbox, as in containers; nothing that would ask a network.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser():
    # As long as this module only: playwright holds the thread's event loop.
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def prediction(tmp_path_factory):
    return small_prediction(tmp_path_factory.mktemp("report") / "x")


@pytest.fixture(scope="module")
def report(prediction, tmp_path_factory):
    return write_report(prediction, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture
def open_page(browser):
    """Give a function that opens a file, with a list of all that a page should not do."""
    contexts = []

    def open_page(path: Path, hash: str = "", **settings):
        context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"} | settings
        )
        contexts.append(context)
        page = context.new_page()
        page.trouble = []
        page.on("console", lambda m: m.type in ("error", "warning") and page.trouble.append(m.text))
        page.on("pageerror", lambda error: page.trouble.append(str(error)))
        page.on("request", lambda r: page.trouble.append(r.url) if not _own(r.url, path) else None)
        page.goto(path.as_uri() + hash)
        page.wait_for_selector("html[data-ready]", state="attached", timeout=20_000)
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            assert page.trouble == []
        context.close()


def _own(url, path):
    return url.split("#")[0] == path.as_uri() or url.startswith(("data:", "blob:"))


def model(page, name, code):
    """Evaluate an expression of the bokeh model ``m`` of a name."""
    return page.evaluate(
        "([name, code]) => { const m = Bokeh.documents.map(d => d.get_model_by_name(name))"
        ".find(Boolean); return new Function('m', `return ${code}`)(m); }",
        [name, code],
    )


def click_frame(page, row, col):
    """Click the frame where a pixel is drawn."""
    box = page.evaluate(
        "() => { const plot = Bokeh.documents.map(d => d.get_model_by_name('frame')).find(Boolean);"
        "const view = Bokeh.index.find_one_by_id(plot.id);"
        "const at = view.el.getBoundingClientRect(), f = view.frame.bbox;"
        "return [at.left + f.left, at.top + f.top, f.width, f.height, plot.x_range.start,"
        "plot.x_range.end, plot.y_range.start, plot.y_range.end]; }"
    )
    left, top, width, height, x0, x1, y0, y1 = box
    page.mouse.click(left + width * (col - x0) / (x1 - x0), top + height * (y1 - row) / (y1 - y0))
    page.wait_for_timeout(350)  # bokeh waits whether a second click follows


def shown_ramp(page):
    x, y = model(page, "reads", "[Array.from(m.data.x), Array.from(m.data.y)]")
    return np.array(x), np.array(y, float)


def listed(page):
    return page.evaluate("ohana.state.listed.map(e => e.index)")


def saved(page, button):
    """Return the text of the file that a button saves, and its name."""
    with page.expect_download() as download:
        page.click(button)
    return Path(download.value.path()).read_text("utf-8"), download.value.suggested_filename


def expect_ramp(page, prediction, row, col, tolerance=0.0005):
    x, y = shown_ramp(page)
    wanted = prediction.ramp(row, col)
    assert x.tolist() == list(range(READS))
    assert np.abs(y - wanted).max() <= tolerance * np.ptp(wanted) + 1e-9


def test_click_on_a_mark_shows_the_ramp_of_the_cube(open_page, report, prediction):
    page = open_page(report)
    row, col, read, step, *_ = RAYS[1]
    click_frame(page, row, col + 0.3)
    assert "cosmic ray" in page.inner_text("#title")
    assert f"read {read}" in page.inner_text("#title")
    expect_ramp(page, prediction, row, col)
    fitted = np.array(model(page, "model", "Array.from(m.data.y)"), float)
    assert fitted[read] - fitted[read - 1] == pytest.approx(step + 5, abs=6)
    assert page.url.endswith("#event=1")


def test_click_on_a_row_and_a_pixel_of_the_cut_out(open_page, report, prediction):
    page = open_page(report)
    page.click("#rows tr[data-index='3']")
    expect_ramp(page, prediction, *RTN)
    box = page.locator("#after").bounding_box()
    # The surroundings reach six pixels to every side: this is the one above the middle.
    side = box["width"] / 13
    page.mouse.click(box["x"] + 6.5 * side, box["y"] + 5.5 * side)
    assert f"pixel {RTN[0] + 1}, {RTN[1]}" in page.inner_text("#ramp-of")
    expect_ramp(page, prediction, RTN[0] + 1, RTN[1], 0.02)


def test_click_on_a_pixel_of_an_event_and_on_an_empty_one(open_page, report, prediction):
    page = open_page(report)
    click_frame(page, BALL[0] + 4, BALL[1])  # far from the mark of the snowball
    assert "snowball" in page.inner_text("#title")
    before = page.url
    click_frame(page, 60, 5)
    assert "row 60, column 5" in page.inner_text("#pixel")
    assert "its ramp is not in this file" in page.inner_text("#pixel")
    assert "no event" in page.inner_text("#pixel")
    rate = prediction.maps["rate"][60, 5]
    assert f"{rate:.2f} DN/frame" in page.inner_text("#pixel")
    assert page.url == before


def test_filters_count_right(open_page, report):
    page = open_page(report)
    assert page.inner_text("#count") == "5 of 5 events"
    page.fill("#confidence-low", "0.92")
    assert sorted(listed(page)) == [0, 3, 4]
    page.fill("#confidence-low", "")
    page.fill("#amplitude-high", "100")
    assert sorted(listed(page)) == [2, 3]
    page.fill("#amplitude-high", "")
    page.fill("#read-low", "12")
    assert sorted(listed(page)) == [1, 2, 4]  # telegraph noise has no first read
    page.click("#reset")
    playwright.expect(page.locator("#count")).to_have_text("5 of 5 events")
    page.uncheck("#classes input[value=cosmic_ray]", force=True)
    assert sorted(listed(page)) == [3, 4]
    assert page.inner_text("#count") == "2 of 5 events"
    assert len(model(page, "marks-cosmic_ray", "Array.from(m.data.x)")) == 0
    page.check("#classes input[value=cosmic_ray]", force=True)
    page.uncheck("#sources input[value=rules]", force=True)
    assert sorted(listed(page)) == [1, 2]


def test_click_on_a_time_lists_its_events(open_page, report):
    page = open_page(report)
    box = page.locator("#times").bounding_box()
    bar = (box["width"] - 30) / READS
    page.mouse.click(box["x"] + 30 + 12.5 * bar, box["y"] + box["height"] / 2)
    assert listed(page) == [4]
    page.mouse.click(box["x"] + 30 + 12.5 * bar, box["y"] + box["height"] / 2)
    assert len(listed(page)) == 5


def test_order_follows_the_heads(open_page, report):
    page = open_page(report)
    assert listed(page) == [4, 0, 1, 3, 2]  # by significance
    page.click("#heads button[data-key=read]")
    assert listed(page) == [2, 1, 4, 0, 3]  # unknown ones last
    page.click("#heads button[data-key=read]")
    assert listed(page) == [0, 4, 1, 2, 3]
    assert page.get_attribute("#heads th:nth-child(4)", "aria-sort") == "ascending"


def test_link_to_an_event(open_page, report, prediction):
    page = open_page(report, "#event=2")
    assert page.inner_text("#title").startswith("#2")
    expect_ramp(page, prediction, *RAYS[2][:2])
    page.evaluate("location.hash = '#event=0'")
    playwright.expect(page.locator("#title")).to_contain_text("#0")
    page.evaluate("location.hash = '#event=77'")
    page.wait_for_selector("#notice:not([hidden])")
    assert page.inner_text("#notice") == "There is no event 77: the catalogue has 5."


def test_keys_walk_through_the_list(open_page, report):
    page = open_page(report)
    chosen = "ohana.state.chosen.index"
    assert page.evaluate(chosen) == 4
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(chosen) == 1
    page.keyboard.press("k")
    assert page.evaluate(chosen) == 0
    page.focus("#confidence-low")
    page.keyboard.press("j")  # is typed, not obeyed
    assert page.evaluate(chosen) == 0
    page.keyboard.press("Tab")
    page.locator("#scroll").focus()
    page.keyboard.press("?")
    assert page.is_visible("#help")
    page.keyboard.press("j")
    assert page.evaluate(chosen) == 0
    page.keyboard.press("Escape")
    page.keyboard.press("z")
    assert model(page, "frame", "m.x_range.end - m.x_range.start") < WIDTH / 2
    page.keyboard.press("f")
    assert model(page, "frame", "m.y_range.end - m.y_range.start") == HEIGHT


def test_slider_shows_each_read(open_page, report):
    page = open_page(report, "#event=4")
    assert page.inner_text("#at-read + figcaption b") == "read 12"
    page.keyboard.press(",")
    assert page.inner_text("#at-read + figcaption b") == "read 11"
    page.locator("#read").fill("20")
    assert page.inner_text("#at-read + figcaption b") == "read 20"
    dark, bright = (
        page.evaluate(
            "id => { const c = document.getElementById(id);"
            "const at = [c.width * 0.4, c.height * 0.4, 1, 1];"
            "return c.getContext('2d').getImageData(...at).data[0]; }",
            name,
        )
        for name in ("before", "at-read")
    )
    assert dark < 100 < 200 < bright


def test_ramp_flattened_and_differences(open_page, report, prediction):
    page = open_page(report, "#event=0")
    page.keyboard.press("d")
    x, y = shown_ramp(page)
    before, after = y[: RAYS[0][2]], y[RAYS[0][2] :]
    assert abs(np.polyfit(np.arange(len(after)), after, 1)[0]) < 1
    assert np.median(after) - np.median(before) == pytest.approx(400, abs=8)
    page.keyboard.press("d")
    x, y = shown_ramp(page)
    wanted = np.diff(prediction.ramp(*RAYS[0][:2]))
    assert x.tolist() == list(range(1, READS))
    assert np.abs(y - wanted).max() < 0.5


def test_verdicts_are_kept_and_saved(open_page, report, prediction, tmp_path):
    page = open_page(report)
    assert page.is_disabled("#export-verdicts")
    for key in "w1r2":  # events 4, 0, 1, 3
        page.keyboard.press(key)
    assert page.evaluate("ohana.state.chosen.index") == 2
    page.keyboard.press("3")
    page.keyboard.press("u")
    assert page.inner_text("#progress") == "4 judged: 3 right, 1 wrong, 0 of another class"
    page.keyboard.press("3")
    text, name = saved(page, "#export-verdicts")
    file = json.loads(text)
    assert name == "x_verdicts.json"
    (tmp_path / name).write_text(text, "utf-8")
    verdicts, _ = read_verdicts(tmp_path / name, prediction.folder)
    assert [verdict.event for verdict in verdicts] == [0, 1, 2, 3, 4]
    assert [(v["event"], v["verdict"]) for v in file["verdicts"]] == [
        (0, "right"),
        (1, "right"),
        (2, "snowball"),
        (3, "right"),
        (4, "wrong"),
    ]
    for verdict in file["verdicts"]:
        event = prediction.events[verdict["event"]]
        for field in ("type", "position", "first_frame", "integration"):
            assert verdict[field] == event[field]
    page.reload()
    page.wait_for_selector("html[data-ready]", state="attached")
    assert page.inner_text("#progress") == "5 judged: 3 right, 1 wrong, 1 of another class"
    page.select_option("#judged", "wrong")
    assert sorted(listed(page)) == [2, 4]
    assert page.inner_text("tr[data-index='4'] td.verdict") == "✗"


def test_list_is_saved_as_it_is_filtered(open_page, report, prediction, tmp_path):
    page = open_page(report)
    page.fill("#amplitude-high", "100")
    text, name = saved(page, "#export-json")
    (tmp_path / name).write_text(text, "utf-8")
    assert name == "x_events.json"
    assert read_catalogue(tmp_path / name) == [prediction.events[i] for i in (3, 2)]
    text, name = saved(page, "#export-csv")
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["index"] for row in rows] == ["3", "2"]
    assert rows[1]["position_row"] == str(RAYS[2][0])
    assert rows[0]["first_frame"] == ""
    assert float(rows[1]["max_intensity"]) == RAYS[2][3]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(open_page, report, scheme):
    page = open_page(report, color_scheme=scheme)
    back = "getComputedStyle(document.body).backgroundColor"
    plot = model(page, "ramp", "m.background_fill_color")
    colours = {"light": ("rgb(243, 244, 246)", "#ffffff"), "dark": ("rgb(18, 21, 27)", "#1a1e26")}
    assert (page.evaluate(back), plot) == colours[scheme]
    page.click("#theme")
    other = "dark" if scheme == "light" else "light"
    plot = model(page, "ramp", "m.background_fill_color")
    assert (page.evaluate(back), plot) == colours[other]
    page.reload()
    page.wait_for_selector("html[data-ready]", state="attached")
    assert page.evaluate(back) == colours[other][0]


def test_stretch_changes_the_picture(open_page, report):
    page = open_page(report)
    pixels = "Array.from(m.data.image[0]).reduce((sum, p) => sum + (p & 255), 0)"
    first = model(page, "picture", pixels)
    page.select_option("#stretch", "linear")
    assert model(page, "picture", pixels) != first
    page.fill("#white-value", "1000")
    page.keyboard.press("Enter")
    assert model(page, "picture", pixels) < first / 4
    page.select_option("#stretch", "asinh")
    page.click("#auto")
    assert model(page, "picture", pixels) == first
    page.check("#footprints")
    assert model(page, "picture", pixels) != first
    page.select_option("#picture", "best_step")
    playwright.expect(page.locator("#white-value")).to_have_attribute("title", "DN")


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080)])
def test_nothing_overflows(open_page, report, size):
    page = open_page(report, viewport={"width": size[0], "height": size[1]})
    over = page.evaluate(
        "() => [...document.querySelectorAll('section, .row, nav, header, .limits')]"
        ".filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 1)"
        ".map(e => e.id || e.className || e.tagName)"
    )
    assert over == []
    assert page.evaluate("document.documentElement.scrollHeight") <= size[1]


def test_nothing_found(open_page, tmp_path):
    page = open_page(write_report(small_prediction(tmp_path / "x", True), tmp_path / "r.html"))
    assert page.inner_text("#empty") == "Nothing was found in this exposure."
    assert "nothing was found" in page.inner_text("#none")
    for key in "jkwuzd,":
        page.keyboard.press(key)
    assert saved(page, "#export-json")[0] == "[]\n"
    page.click("#show-run")
    assert "24 reads of 64 x 80" in page.inner_text("#run")


def test_health_is_shown(open_page, tmp_path):
    told = replace(small_prediction(tmp_path / "x"), run={"health": [ENTRY]})
    page = open_page(write_report(told, tmp_path / "r.html"))
    assert page.inner_text("#notice") == f"Warning: {ENTRY['warnings'][0]}"
    page.click("#show-run")
    assert "read 4 not searched" in page.inner_text("#sections")
    assert page.evaluate("document.getElementById('health').naturalWidth") > 500
    more = replace(told, run={"health": [ENTRY | {"warnings": ["first", "second", "third"]}]})
    page = open_page(write_report(more, tmp_path / "more.html"))
    assert page.inner_text("#notice") == "Warning: first (and 2 more)"


def test_page_of_too_many_events_says_so(open_page, tmp_path):
    page = open_page(write_report(many(1500), tmp_path / "r.html", max_bytes=1_500_000))
    shown = page.evaluate("ohana.state.events.length")
    assert page.inner_text("#notice") == f"{1500 - shown} of 1500 events are not in this page"
    page.click("#show-run")
    assert "most significant are kept" in page.inner_text("#left-out")
    rows = page.locator("#rows tr").count()
    assert rows < 60  # only those in view are there
    page.keyboard.press("Escape")
    page.evaluate("document.getElementById('scroll').scrollTop = 1e6")
    last = listed(page)[-1]
    page.wait_for_selector(f"tr[data-index='{last}']")
