"""The example notebook: Jupyter's own reader opens it, and its own client executes it."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.machine.guests import EXAMPLES

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")
pytest.importorskip("pandas", reason="pandas is not installed")
pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

NOTEBOOK = EXAMPLES / "queue.ipynb"


class Rows(HTMLParser):
    """The rows of the tables of an output."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._cell = tag in ("td", "th")
        if tag == "tr":
            self.rows.append([])
        if self._cell:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._cell = False

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1][-1] += data


def test_it_is_kept_without_outputs_and_is_valid() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_it_finds_who_overwrites_the_tail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "examples"
    folder.mkdir()
    shutil.copy(EXAMPLES / "queue.elf", folder)
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(notebook, timeout=120, resources=resources)
    client.execute()
    nbformat.validate(notebook)

    def shown(source: str) -> list[list[str]]:
        """The rows of the output of the cell that has this."""
        (cell,) = (c for c in notebook.cells if c.cell_type == "code" and source in c.source)
        (output,) = cell.outputs
        return Rows(output["data"]["text/html"]).rows

    def column(rows: list[list[Any]], place: int) -> list[str]:
        return [row[place] for row in rows if len(row) > place]

    assert ["files", "queue.elf"] in shown("guestdbg.load(")
    writes = shown("guest.record(")
    assert ["… 9980 more rows …"] in [[cell.replace(",", "") for cell in row] for row in writes]
    assert shown("wrong = ")[1][1:] == ["2578227", "note_worst", "23", "979"]
    assert shown("groupby")[-2:] == [["note_worst", "1"], ["queue_push", "9999"]]
    callers = ["note_worst", "stats_record", "job_finish", "worker", "main", "_start"]
    assert [each.partition("+")[0] for each in column(shown("backtrace()"), 2)[1:]] == callers
    before = dict(row for row in shown("last_write(") if len(row) == 2)
    assert (before["old"], before["new"]) == ("0x16", "0x17")
    assert before["where"].startswith("queue_push")
    lines = {row[2]: row[3] for row in shown("coverage.result()")[1:]}
    assert lines["15"] == "20", "the maximum was written twenty times"
    assert int(lines["14"]) > 10_000
    report = (folder / "queue-report.html").read_text()
    assert "note_worst" in report
