"""A page of faults has what the campaign has; text of the guest is never part of its HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from guestdbg.faults import FaultCampaign, RegisterFlip, Skip
from guestdbg.guest_campaign import CaseRun
from guestdbg.report import Sources, fault_page, fault_text
from tests.browser import chromium
from tests.debugger.compiled import needs_gcc
from tests.faults import guests

pytestmark = needs_gcc
pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")

HOSTILE = "</table><script>alert(1)</script>\x1b[2J"


class Page(HTMLParser):
    """Rows of tables, and which elements there are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.elements: set[str] = set()
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.elements.add(tag)
        if tag != "meta":
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self._open or "th" in self._open:
            self.rows[-1][-1] += data


def by_register(run: CaseRun) -> str | None:
    return HOSTILE if run.outcome == "success" and run.case.number > 4 else None


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> FaultCampaign:
    directory = tmp_path_factory.mktemp("page")
    path = guests.assembled(directory, guests.CHECK)
    return guests.campaign(
        path,
        directory / "c",
        [Skip(), RegisterFlip(bits=[0, 1])],
        function="check",
        success="open",
        detected="noticed",
        ends="closed",
        classify=by_register,
        failures=["success", HOSTILE],
        title=f"a <title> {HOSTILE}",
    )


def test_it_has_each_line_and_each_outcome(made: FaultCampaign) -> None:
    sources = Sources([made.directory.parent])
    page = Page(fault_page(made, sources))
    assert not page.elements & {"script", "img", "link", "iframe"}
    outcomes = made.outcomes()
    assert set(page.rows[0][: len(outcomes)]) == set(outcomes)
    numbers = [str(outcomes[name]) for name in page.rows[0][: len(outcomes)]]
    models = page.rows[1 : 1 + len(made.by_model())]
    sums = [sum(int(row[n]) for row in models) for n in range(len(outcomes))]
    assert list(map(str, sums)) == numbers
    text = made.directory.parent.joinpath("main.S").read_text().splitlines()
    for line in made.by_line():
        assert line.line is not None
        counts = [str(line.outcomes[name]) for name in outcomes]
        row = next(r for r in page.rows if r[: len(outcomes)] == counts and str(line.line) in r)
        assert row[-1] == text[line.line - 1]
    assert any("case " in "".join(row) for row in page.rows)


def test_without_sources_there_are_symbols(made: FaultCampaign) -> None:
    page = Page(fault_page(made))
    assert ["check+0x4"] in [row[-1:] for row in page.rows]
    text = fault_text(made, Sources(), 60)
    assert all(len(line) <= 60 for line in text.splitlines())
    assert re.search(r"^ .* check\+0x4$", text, re.MULTILINE)
    assert text.isascii()
    assert text.replace("\n", "").isprintable()


def test_a_browser_shows_it_without_a_complaint(made: FaultCampaign, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    made.report(path, sources=[made.directory.parent])
    with chromium(tmp_path / "profile") as browser:
        browser.get(path.as_uri())
        assert browser.title.startswith("a <title> </table><script>")
        assert not browser.get_log("browser")
        assert len(browser.find_elements("tag name", "details")) > 2
        for width in (1200, 400):
            browser.set_window_size(width, 800)
            body = browser.execute_script(
                "return document.documentElement.scrollWidth <= window.innerWidth"
            )
            assert body, width
