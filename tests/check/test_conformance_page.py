"""docs/conformance.md lists the cases of the suite and their verdicts, and the kernels."""

import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from guestdbg.check import CASES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import conformance
from lab_verdicts import read, wrong

PAGE = conformance.PAGE.read_text()


def test_the_tables_are_of_this_suite() -> None:
    records = list(read().values())
    written = conformance.page(PAGE, records)
    assert written == PAGE, "python tools/conformance.py writes them again"
    assert "fail" not in conformance.cases_table(records)


def test_every_case_is_in_a_file_of_the_table() -> None:
    assert {case.module for case in CASES.values()} == set(conformance.files())


def test_records_of_verdicts() -> None:
    """Every record explains all of its verdicts."""
    records = read()
    assert {(r.software, r.mode) for r in records.values()} == {
        (version, mode) for version in ("6.1", "6.14") for mode in ("nvhe", "vhe", "pkvm")
    }
    for record in records.values():
        assert not wrong(record), record.key
        if not record.not_run and sum(record.totals.values()) == len(CASES):
            assert Counter(record.verdicts().values()) == record.totals, record.key


def test_cases_that_the_page_names_are_there() -> None:
    topics = {case.topic for case in CASES.values()}
    for name in re.findall(r"`((?:[a-z0-9*-]+\.)+[a-z0-9*-]+)`", PAGE):
        pattern = re.compile(re.escape(name).replace(r"\*", ".*"))
        if name.partition(".")[0] in topics | {"*"}:
            assert any(pattern.fullmatch(case) for case in CASES), name
