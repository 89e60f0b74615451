"""The table of docs/exactness.md has every group of instructions, with its number of encodings."""

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import exactness


def test_the_table_is_of_today() -> None:
    text = exactness.PAGE.read_text(encoding="utf-8")
    _, start, rest = text.partition(exactness.TABLE[0])
    table, end, _ = rest.partition(exactness.TABLE[1])
    assert start
    assert end
    rows = re.findall(r"^\| `([\w.]+)` \| (.*) \| (\d+) \| ([\d,]+|-) \| (.*) \|$", table, re.M)
    assert {row[0]: int(row[2]) for row in rows} == exactness.groups(), "run tools/exactness.py"
    for module, subject, _, cases, judges in rows:
        assert subject == exactness.subject(module)
        assert judges == exactness.judges(module, int(cases.replace("-", "0").replace(",", "")))
        assert judges, f"nothing judges {module}"
