"""How objects show themselves in notebooks: whole HTML, bounded, escaped, and always something."""

from __future__ import annotations

import re
import threading
import time
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import guestdbg
from guestdbg.debugger import Backtrace, Frame, Location
from guestdbg.html_table import EDGE_ROWS, details, fields_html, table_html
from guestdbg.tables import Column, Table, Values
from guestdbg.trace import Profile
from tests.machine.guests import EXAMPLES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

QUEUE = EXAMPLES / "queue.elf"
OPTIONS = {"provider": "soft", "memory": "8M", "console": None}
_TAGS = {"table", "caption", "b", "thead", "tbody", "tr", "th", "td", "p", "details", "summary"}
_ATTRIBUTES = {"class", "style", "title", "colspan"}
_STYLES = {"text-align:left", "text-align:right"}
#: Far above what any of them has: one cell has at most 1,600 characters.
_MOST = 200_000


class Reader(HTMLParser):
    """The rows of all tables; any other element, and one that is not closed, is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        assert len(text) < _MOST
        text.encode()
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _TAGS
        found = dict(attrs)
        assert set(found) <= _ATTRIBUTES
        assert found.get("style", "text-align:left") in _STYLES, "no colours"
        if tag in ("table", "p", "details"):
            assert "mathjax_ignore" in (found["class"] or ""), "a $ makes no formula"
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        assert data.isprintable()
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def shown(thing: Any) -> Reader:
    return Reader(thing._repr_html_())


def fields(reader: Reader) -> dict[str, str]:
    return {row[0]: row[1] for row in reader.rows if len(row) == 2}


# ---- the tables ----------------------------------------------------------------------------------

_HOSTILE = st.text(max_size=12) | st.sampled_from(
    [
        *("<script>", "</td></table>", "&lt;", '" onclick="x', "$x$", "\\(x\\)"),
        *("\ud800", "\u202e", "\n", "\0"),
    ]
)


@given(st.lists(st.tuples(_HOSTILE, _HOSTILE), max_size=3 * EDGE_ROWS), _HOSTILE, _HOSTILE)
def test_text_of_a_guest_stays_text(rows, title, note) -> None:
    reader = Reader(table_html(title, ("<a>", title), rows, note=note, hints=(title, note)))
    cells = reader.rows[1:]
    whole = [[as_shown(cell) for cell in row] for row in rows]
    if len(rows) > 2 * EDGE_ROWS:
        assert cells[:EDGE_ROWS] == whole[:EDGE_ROWS]
        assert cells[EDGE_ROWS] == [f"… {len(rows) - 2 * EDGE_ROWS} more rows …"]
        assert cells[EDGE_ROWS + 1 :] == whole[-EDGE_ROWS:]
    else:
        assert cells == whole
    Reader(details(title, fields_html(note, rows, note=title)))
    Reader(Profile(title, 100)._repr_html_())
    frames = [Frame(0, 1, None, Location(1, title, 0, note, 1)), Frame(1, 2, 3, Location(2, note))]
    Reader(Backtrace(frames, cut=note)._repr_html_())
    texts = Values(Column("t", "text", note), [row[0] for row in rows])
    Reader(Table([texts])._repr_html_())


def as_shown(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def test_what_is_long_is_cut() -> None:
    reader = Reader(table_html("t" * 10**6, ["n" * 10**6] * 1000, [["c" * 10**6] * 1000] * 10**4))
    assert len(reader.rows) == 1 + 2 * EDGE_ROWS + 1
    assert {len(row) for row in reader.rows} == {40, 1}
    assert "960 more columns" in reader.text
    assert "9,980 more rows" in reader.text
    assert Reader(fields_html("", [("b", bytes(10**6))])).rows[0][1].endswith("00…")
    numbers = Values(Column("n", "u64", "a number", "address", optional=True), [*range(99), None])
    reader = shown(Table([numbers]))
    assert [row[0] for row in reader.rows[1:4]] == ["0x0", "0x1", "0x2"]
    assert reader.rows[-1] == [""]
    profile = Profile("t", 100)
    profile.stacks.update({("main", f"f{n}" * 1000): n + 1 for n in range(1000)})
    reader = shown(profile)
    assert reader.rows[1][0] == "1000"
    assert "985 more stacks" in reader.text


# ---- the objects of a guest ----------------------------------------------------------------------


def test_a_guest_shows_its_vcpus_and_points() -> None:
    with guestdbg.load(QUEUE, **OPTIONS) as guest:
        assert fields(shown(guest))["files"] == "queue.elf"
        guest.watch("queue.tail", when="new == 30")
        guest.record("queue.head", limit=5)
        seen = guest.break_("job_finish", when="0")
        at_handler = []
        guest.break_("queue_pop")(lambda hit: at_handler.append(shown(hit.guest)))
        guest.run()
        rows = shown(guest).rows
        cpu = guest.cpu
        assert ["0", "1", f"{cpu.pc:#x}", cpu.location.symbolic, cpu.location.source] in rows
        assert ["#2", "recording", "queue.head", "5", "5", "no"] in rows
        assert ["#3", "breakpoint", "job_finish", "0", str(seen.seen), "yes"] in rows
        assert "queue_pop" in at_handler[0].text
    assert fields(shown(guest))["state"] == "closed"


def test_while_another_thread_runs_the_guest() -> None:
    with guestdbg.load(EXAMPLES / "spin.elf", **OPTIONS) as guest:
        coverage = guest.coverage()
        thread = threading.Thread(target=guest.run)
        thread.start()
        while not guest.execution.running:
            time.sleep(0.001)
        reader, running = shown(guest), coverage._repr_html_()
        guest.interrupt()
        thread.join()
        assert fields(reader)["state"] == "it runs"
        assert len(reader.rows) == 3
        assert running is None, "its repr is shown"
        assert "spin" in shown(guest).text
        assert shown(coverage).rows


def test_a_stop_and_its_hit_show_what_they_have() -> None:
    with guestdbg.load(QUEUE, **OPTIONS) as guest:
        guest.watch("queue.tail", when="new == 3")
        stop = guest.run()
        hit = stop.hit
        for each in (shown(stop), shown(hit)):
            found = fields(each)
            assert (found["old"], found["new"], found["access"]) == ("2", "3", "write")
            assert found["address"] == f"{hit.address:#x}, 4 bytes"
            assert "start.S" in each.text
            assert f"{guest.cpu.x[30]:#x}" in each.text, "the registers"
        assert "queue_push" in shown(hit.backtrace()).text
        x30 = f"{guest.cpu.x[30]:#x}"
        guest.run(until="queue_pop")
        for each in (shown(stop), shown(hit)):
            assert fields(each)["new"] == "3"
            assert "the guest has run since" in each.text
            assert x30 not in [cell for row in each.rows for cell in row[3:]]


def test_a_hit_of_a_closed_guest() -> None:
    with guestdbg.load(QUEUE, **OPTIONS) as guest:
        guest.watch("queue.tail")
        stop = guest.run()
    assert stop.hit is not None
    for each in (shown(stop), shown(stop.hit)):
        assert fields(each)["access"] == "write"


def test_recordings_and_answers_show_their_first_and_last_rows() -> None:
    with guestdbg.load(QUEUE, history=True, **OPTIONS) as guest:
        recording = guest.record("queue.tail", registers=(0,))
        assert len(shown(recording).rows) == 1
        guest.run(max_instructions=60_000)
        history = guest.history
        answers = [history.writes("queue.tail"), history.value("queue.tail")]
        answers.append(history.calls("queue_push"))
        for each in (recording, recording.table(), *answers):
            reader = shown(each)
            table = each if isinstance(each, Table) else each.table()
            assert reader.rows[0] == [column.name for column in table.columns]
            assert len(table) > 2 * EDGE_ROWS
            assert reader.rows[1 + EDGE_ROWS] == [f"… {len(table) - 2 * EDGE_ROWS} more rows …"]
            rows = list(table)
            for cells, row in zip(reader.rows[1:], rows[:EDGE_ROWS], strict=False):
                assert [as_number(cell) for cell in cells] == [as_cell(value) for value in row]
            for cells, row in zip(reader.rows[-EDGE_ROWS:], rows[-EDGE_ROWS:], strict=True):
                assert [as_number(cell) for cell in cells] == [as_cell(value) for value in row]


def as_number(cell: str) -> Any:
    return int(cell, 0) if re.fullmatch(r"0x[0-9a-f]+|\d+", cell) else cell


def as_cell(value: Any) -> Any:
    return "" if value is None else value


def test_coverage_and_profile() -> None:
    with guestdbg.load(QUEUE, **OPTIONS) as guest:
        coverage = guest.coverage(counts=True)
        sampler = guest.sample(1000)
        sampler.run(max_instructions=50_000)
        result = coverage.result()
        reader = shown(coverage)
        assert reader.rows == shown(result).rows
        for function in result.functions():
            if function.executed:
                source = f"{function.file}:{function.line}"
                row = [function.name, str(function.count), str(function.executed), source]
                assert row in reader.rows
        lines = [line for line in result.lines() if line.file == "queue/stats.c"]
        ran = [line for line in lines if line.count]
        share = f"{100 * len(ran) / len(lines):.0f} %"
        assert ["queue/stats.c", str(len(ran)), str(len(lines)), share] in reader.rows
        coverage.stop()
        rows = shown(sampler.profile).rows[1:]
        assert sum(int(row[0]) for row in rows) <= sampler.profile.samples == 50
        assert rows[0][3].startswith("_start;main")
    assert shown(result).rows == reader.rows
