"""The page in a browser: what is clicked leads to the hit; light, dark, and at a phone's width."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import chromium
from tests.cli.guests import EXAMPLES, guestdbg

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import Select  # noqa: E402

RUN = ("run", "examples/queue.elf", "-w", "queue.tail", "-w", "queue.head:rw", "-b", "job_finish")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    log = folder / "run.jsonl"
    coverage = str(folder / "run.json")
    files = ("--log", str(log), "--coverage", coverage, "--coverage-form", "counts")
    guestdbg(*RUN, "--count", "400", "--backtrace", *files)
    guestdbg("report", str(log), "--coverage", coverage, "--source", str(EXAMPLES))
    return folder / "run.html"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def open_page(driver: Any, report: Path) -> Any:
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    driver.set_window_size(1200, 900)
    driver.get(report.as_uri())
    yield driver
    problems = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert not problems
    requested = [e["message"] for e in driver.get_log("performance") if "http" in e["message"]]
    assert not [m for m in requested if '"Network.requestWillBeSent"' in m and '"http' in m]


def text(driver: Any, selector: str) -> str:
    return str(driver.find_element(By.CSS_SELECTOR, selector).text)


def click(driver: Any, selector: str) -> None:
    element = driver.find_element(By.CSS_SELECTOR, selector)
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def test_what_it_shows(open_page: Any) -> None:
    assert text(open_page, "h1") == "run.jsonl"
    assert "400 hits" in text(open_page, "#end")
    lanes = [e.text for e in open_page.find_elements(By.CSS_SELECTOR, "#timeline .name")]
    assert {"queue_push", "queue_pop", "job_finish"} <= set(lanes)
    drawn = (
        "return arguments[0].getContext('2d').getImageData(0, 0, arguments[0].width, "
        "arguments[0].height).data.filter((v, i) => i % 4 == 3 && v).length"
    )
    for canvas in open_page.find_elements(By.CSS_SELECTOR, "canvas"):
        assert open_page.execute_script(drawn, canvas) > 20, "nothing is drawn"
    assert "0 to 31" in text(open_page, "#values figcaption")
    assert "q->tail = (q->tail + 1) % q->size;" in text(open_page, "#sources")
    assert len(open_page.find_elements(By.CSS_SELECTOR, "#list tbody tr")) == 50


def test_everything_leads_to_the_hit(open_page: Any) -> None:
    click(open_page, "#timeline canvas")
    first = text(open_page, "#detail-title")
    assert first.startswith("#")
    assert "main (main.c:" in text(open_page, "#detail-frames")
    click(open_page, "#after")
    assert text(open_page, "#detail-title") != first
    click(open_page, "#before")
    assert text(open_page, "#detail-title") == first
    click(open_page, "#close")
    click(open_page, "#values canvas")
    assert "queue." in text(open_page, "#detail-title")
    click(open_page, "#close")
    click(open_page, "#sources tr.hit")
    assert text(open_page, "#filter").startswith("queue.c:")
    click(open_page, "#places tbody tr")
    shown = text(open_page, "#filter")
    click(open_page, "#list tbody tr")
    function = shown.split(" in ")[1].split()[0]
    assert function in text(open_page, "#detail-fields")
    click(open_page, "#close")
    click(open_page, "#no-filter")
    click(open_page, "#next")
    assert text(open_page, "#shown") == "51 to 100 of 400"


def test_lanes_and_a_part_of_the_run(open_page: Any) -> None:
    chosen = Select(open_page.find_element(By.ID, "lanes"))
    chosen.select_by_visible_text("by vCPU")
    lanes = [e.text for e in open_page.find_elements(By.CSS_SELECTOR, "#timeline .name")]
    assert lanes == ["vCPU 0"]
    canvas = open_page.find_element(By.CSS_SELECTOR, "#timeline canvas")
    actions = webdriver.ActionChains(open_page)
    actions.move_to_element_with_offset(canvas, -100, 0).click_and_hold()
    actions.move_by_offset(150, 0).release().perform()
    inside = int(text(open_page, "#range").split()[0])
    assert 10 < inside < 300
    click(open_page, "#whole")
    assert text(open_page, "#range") == ""


def test_from_coverage_to_its_lines_and_their_hits(open_page: Any) -> None:
    assert "88 of 189 lines" in text(open_page, "#coverage-total")
    rows = open_page.find_elements(By.CSS_SELECTOR, "#coverage-functions tbody tr")
    (push,) = [row for row in rows if "queue_push" in row.text]
    open_page.execute_script("arguments[0].scrollIntoView({block: 'center'})", push)
    push.click()
    assert text(open_page, "#coverage-file") == "queue/queue.c"
    assert text(open_page, "#coverage-source tr.wanted").split()[1:] == ["11", "{"]
    assert "return false;" in text(open_page, "#coverage-source tr.missed")
    click(open_page, "#coverage-source tr.leads")
    assert text(open_page, "#filter") == "queue.c:7"
    assert text(open_page, "#shown").startswith("1 to ")
    which = Select(open_page.find_element(By.ID, "coverage-which"))
    which.select_by_visible_text("never executed")
    assert "memcpy" in text(open_page, "#coverage-functions")
    assert "queue_push" not in text(open_page, "#coverage-functions")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_it_can_be_read(open_page: Any, scheme: str, width: int) -> None:
    """No part is cut off at a phone's width, and text has contrast in both schemes."""
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    open_page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 2, "mobile": width < 500}
    open_page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    click(open_page, "#coverage-files tbody tr")
    click(open_page, "#timeline canvas")
    assert open_page.execute_script("return document.documentElement.scrollWidth") <= width
    heights = "return [...document.querySelectorAll('.wide tr')].map((row) => row.offsetHeight)"
    assert max(open_page.execute_script(heights)) < 60, "no cell is broken into letters"
    contrast = open_page.execute_script(_CONTRAST)
    assert contrast >= 4.5, "WCAG 2 AA for text"
    open_page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


_CONTRAST = """
const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
const luminance = (colour) => numbers(colour).slice(0, 3).map((c) => c / 255)
  .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const background = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if ((numbers(colour)[3] ?? 1) > 0.5) return colour;
  }
  return "rgb(255, 255, 255)";
};
let worst = 21;
for (const element of document.querySelectorAll("h1, h2, p, th, td, dt, dd, li, button, code")) {
  if (!element.textContent.trim() || !element.offsetParent || element.disabled) continue;
  const two = [luminance(getComputedStyle(element).color), luminance(background(element))].sort();
  worst = Math.min(worst, (Math.max(...two) + 0.05) / (Math.min(...two) + 0.05));
}
return worst;
"""
