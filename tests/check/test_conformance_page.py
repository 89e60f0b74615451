"""docs/conformance.md lists the cases of the suite and their verdicts."""

import re
from pathlib import Path

import pytest

from guestdbg.check import CASES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

from tools import conformance

PAGE = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text()


def test_the_table_is_of_this_suite() -> None:
    table = conformance.table(PAGE, [])
    assert table in PAGE, "python tools/conformance.py writes it again"
    assert "fail" not in table
    assert conformance.UNKNOWN not in table, "a file of cases without verdicts of the real KVM"


def test_every_case_is_in_a_file_of_the_table() -> None:
    assert {case.module for case in CASES.values()} == set(conformance.files())


def test_a_lab_document_fills_its_columns() -> None:
    one = next(iter(CASES.values()))
    document = {"cases": [{"name": one.name, "verdict": "pass"}]}
    table = conformance.table(PAGE, [document, document])
    (row,) = [line for line in table.splitlines() if line.startswith(f"| `{one.module}` ")]
    assert row.endswith("| 1 pass | 1 pass |")


def test_cases_that_the_page_names_are_there() -> None:
    topics = {case.topic for case in CASES.values()}
    for name in re.findall(r"`((?:[a-z0-9*-]+\.)+[a-z0-9*-]+)`", PAGE):
        pattern = re.compile(re.escape(name).replace(r"\*", ".*"))
        if name.partition(".")[0] in topics | {"*"}:
            assert any(pattern.fullmatch(case) for case in CASES), name
