"""The tables of coverage."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

import guestdbg
from guestdbg.trace import CoverageError, CoverageResult
from tests.machine.guests import EXAMPLES


@pytest.fixture(scope="module")
def result() -> CoverageResult:
    with guestdbg.load(EXAMPLES / "mmu.elf", console=None, provider="soft") as guest:
        with guest.coverage(edges=True) as coverage:
            guest.run()
        return coverage.result()


def test_instructions_and_edges(result: CoverageResult) -> None:
    table = result.table("instructions")
    rows = list(table)
    assert [column.name for column in table.columns] == ["vcpu", "el", "address", "count"]
    for el in (0, 1):
        counts = {address: count for _, level, address, count in rows if level == el}
        assert counts == result.instructions(el=el).counts()
    edges = list(result.table("edges"))
    assert {(branch, target): count for _, el, branch, target, count in edges if el} == (
        result.edges(el=1)
    )
    assert {row[1] for row in edges} == {0, 1}


def test_pandas(result: CoverageResult) -> None:
    pytest.importorskip("pandas")
    lines = result.table("lines").to_pandas()
    ran = lines[lines["count"] > 0].groupby("file")["line"].count().to_dict()
    assert sum(ran.values()) == sum(line.count > 0 for line in result.lines())
    functions = result.table("functions").to_pandas().set_index("name")
    assert functions.loc["main", "count"] == 1
    assert functions.loc["memset", "executed"] == 0


def test_a_file(result: CoverageResult, tmp_path: Path) -> None:
    result.table("lines").write(tmp_path / "lines.csv")
    text = (tmp_path / "lines.csv").read_text().splitlines()
    assert text[0] == "file,line,count"
    assert len(text) == 1 + len(result.lines())


def test_a_table_that_there_is_not(result: CoverageResult) -> None:
    with pytest.raises(CoverageError, match="there are those of instructions, lines, functions"):
        result.table("blocks")  # type: ignore[arg-type]
