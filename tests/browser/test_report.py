from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fvc_exp.report.render import write_report
from tests.report.folders import FEATURE, SCRIPT, hostile_dataset, make_config, make_run, make_sweep

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = pytest.mark.browser
SCHEMES = ("light", "dark")
WIDTHS = (390, 1280)
Open = Callable[..., "WebDriver"]


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The reports of a run with insight, of one that leaks, and of a sweep."""
    folder = tmp_path_factory.mktemp("reports")
    run = make_run(folder / "run", make_config(), hostile_dataset(), insight=True)
    leaking = make_run(folder / "leaking", make_config("cv=stratified"), hostile_dataset())
    sweep = make_sweep(folder / "sweep", run, make_config(), 40)
    return {each.name: write_report(each)[0] for each in (run, leaking, sweep)}


@pytest.fixture
def visit(browser: WebDriver, pages: dict[str, Path]) -> Open:
    """Open a report from its file, with everything unfolded."""

    def visit_one(name: str, *, width: int = 1280, scheme: str = "light", media: str = "") -> WebDriver:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        browser.get_log("browser")  # of the page before
        browser.get(pages[name].as_uri())
        browser.execute_script("document.querySelectorAll('details').forEach(each => each.open = true)")
        return browser

    return visit_one


WIDE_BOXES = """return [...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth)
                .map(box => box.textContent.slice(0, 80))"""


def column(browser: WebDriver, table: str, number: int) -> list[str]:
    rows = "return [...document.querySelectorAll(arguments[0] + ' tbody tr')].map(r => r.cells[arguments[1]].innerText)"
    return list(browser.execute_script(rows, table, number))


def header(browser: WebDriver, table: str, text: str) -> Any:
    script = """return [...document.querySelectorAll(arguments[0] + ' thead button')]
                .find(button => button.innerText === arguments[1])"""
    return browser.execute_script(script, table, text)


def sort_state(browser: WebDriver, table: str) -> dict[str, str]:
    script = """return Object.fromEntries([...document.querySelectorAll(arguments[0] + ' th[aria-sort]')]
                .map(h => [h.innerText, h.ariaSort]))"""
    return dict(browser.execute_script(script, table))


@pytest.mark.parametrize("name", ["run", "leaking", "sweep"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_opens_without_an_error(visit: Open, name: str, width: int, scheme: str) -> None:
    browser = visit(name, width=width, scheme=scheme)
    assert browser.title.split()[0] in ("Run", "Sweep")
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.styleSheets.length") == 1


@pytest.mark.parametrize("name", ["run", "leaking", "sweep"])
def test_a_phone_scrolls_tables_but_never_the_page(visit: Open, name: str) -> None:
    browser = visit(name, width=390)
    assert browser.execute_script("return document.documentElement.scrollWidth") == 390
    outside = browser.execute_script(
        """return [...document.querySelectorAll('main *')].filter(each => !each.closest('.scroll, pre, svg')
           && each.getBoundingClientRect().right > 390).map(each => each.outerHTML.slice(0, 80))"""
    )
    assert outside == []
    assert browser.execute_script(WIDE_BOXES)
    stuck = """const box = document.querySelector('.scroll'); box.scrollLeft = 200;
               return [...box.querySelectorAll('thead th:first-child, tbody th')].every(
                 each => Math.abs(each.getBoundingClientRect().left - box.getBoundingClientRect().left) < 2)"""
    assert browser.execute_script(stuck), "the first column stays"
    smallest = """return Math.min(...[...document.querySelectorAll('main p, main td, main li')]
                  .map(each => parseFloat(getComputedStyle(each).fontSize)))"""
    assert browser.execute_script(smallest) >= 13


@pytest.mark.parametrize("name", ["run", "leaking", "sweep"])
def test_a_desktop_shows_every_column_with_a_caption_and_buttons_to_hit(visit: Open, name: str) -> None:
    browser = visit(name)
    assert browser.execute_script(WIDE_BOXES) == []
    unnamed = "return document.querySelectorAll('table:not(:has(caption)), figure:not(:has(figcaption))').length"
    assert browser.execute_script(unnamed) == 0
    sizes = """return [...document.querySelectorAll('th button')].map(each => each.getBoundingClientRect())
               .map(box => Math.min(box.width, box.height))"""
    assert min(browser.execute_script(sizes)) >= 24


@pytest.mark.parametrize("name", ["run", "sweep"])
def test_contents_name_each_section_and_runs_are_linked(visit: Open, pages: dict[str, Path], name: str) -> None:
    browser = visit(name)
    links = browser.execute_script(
        "return [...document.links].map(each => [each.getAttribute('href'), each.innerText])"
    )
    headings = "return [...document.querySelectorAll('h2')].map(each => ['#' + each.id, each.innerText])"
    assert [link for link in links if link[0].startswith("#")] == browser.execute_script(headings)
    folders = [href for href, _ in links if not href.startswith("#")]
    assert len(folders) == {"run": 1, "sweep": 41}[name]
    assert all((pages[name].parent / href / "results.json").is_file() for href in folders)


@pytest.mark.parametrize("name", ["run", "sweep"])
@pytest.mark.parametrize("width", WIDTHS)
def test_no_picture_cuts_a_word(visit: Open, name: str, width: int) -> None:
    cut = """return [...document.querySelectorAll('svg text')].filter(text => {
               const [word, picture] = [text, text.closest('svg')].map(each => each.getBoundingClientRect());
               return word.left < picture.left || word.right > picture.right + 1 || word.bottom > picture.bottom + 1;
             }).map(text => text.textContent)"""
    smallest = """return Math.min(...[...document.querySelectorAll('svg text')].filter(text => text.textContent.trim())
                  .map(text => text.getBoundingClientRect().height))"""
    browser = visit(name, width=width)
    assert browser.execute_script(cut) == []
    assert browser.execute_script(smallest) >= 9


def test_a_script_that_got_in_would_not_run(visit: Open) -> None:
    browser = visit("run")
    browser.execute_script(
        """const script = document.createElement('script');
        script.textContent = arguments[0]; document.body.append(script);""",
        re.sub(r"</?script>", "", SCRIPT),
    )
    assert "owned" not in browser.title
    complaints = [entry["message"] for entry in browser.get_log("browser")]
    assert any("Content Security Policy" in message for message in complaints)


def test_headers_sort_the_leaderboard_the_best_first(visit: Open) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = visit("sweep")
    ranks = [str(rank) for rank in range(1, 41)]
    for direction, order in (("descending", ranks), ("ascending", ranks[::-1])):
        header(browser, "#ranking", "AUC ± sd").click()
        assert sort_state(browser, "#ranking") == {"AUC ± sd": direction}
        assert column(browser, "#ranking", 0) == order
    header(browser, "#ranking", "C").send_keys(Keys.ENTER)
    assert sort_state(browser, "#ranking") == {"C": "ascending"}
    values = [float(text) for text in column(browser, "#ranking", 2)]
    assert values == sorted(values)


def test_names_sort_as_text_and_what_is_missing_stays_last(visit: Open) -> None:
    browser = visit("run")
    table = "#weights"
    header(browser, table, "feature").click()
    names = column(browser, table, 0)
    assert sorted(names) == sorted([FEATURE, "(intercept)", *(f"stage2_f{number}" for number in range(1, 5))])
    assert [name for name in names if name.startswith("stage2")] == [f"stage2_f{number}" for number in range(1, 5)]
    for _ in range(2):  # the intercept has no importance
        header(browser, table, "importance (fall of AUC)").click()
        assert column(browser, table, 0)[-1] == "(intercept)"


def colours(browser: WebDriver) -> tuple[str, ...]:
    script = """const of = (name, part) => getComputedStyle(document.querySelector(name))[part];
        return [of('body', 'backgroundColor'), of('body', 'color'), of('svg [stroke="var(--one)"]', 'stroke'),
                of('svg text', 'fill')]"""
    return tuple(browser.execute_script(script))


def test_dark_and_light_differ_and_can_be_read(visit: Open) -> None:
    light, dark = (colours(visit("run", scheme=scheme)) for scheme in SCHEMES)
    assert all(one != other for one, other in zip(light, dark, strict=True))
    for paper, *inks in (light, dark):
        assert all(contrast(paper, ink) >= 4.5 for ink in inks)


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two rgb() colours (WCAG 2.1)."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_print_is_black_on_white_opens_all_and_cuts_no_table(visit: Open) -> None:
    browser = visit("sweep", scheme="dark", media="print")
    assert colours(browser)[:2] == ("rgb(255, 255, 255)", "rgb(0, 0, 0)")
    size = {"width": 718, "height": 1000, "deviceScaleFactor": 1, "mobile": False}  # A4 less its margins
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    assert browser.execute_script(style, ".scroll", "overflowX") == "visible"
    assert browser.execute_script(style, "tfoot", "display") == "table-row-group", "floors once, not on every page"
    browser.execute_script("document.querySelectorAll('details').forEach(each => each.open = false)")
    hidden = "return [...document.querySelectorAll('details > *')].filter(each => !each.checkVisibility()).length"
    assert browser.execute_script(hidden) == 0
    visit("sweep", scheme="dark")
    assert browser.execute_script(style, ".scroll", "overflowX") == "auto"
