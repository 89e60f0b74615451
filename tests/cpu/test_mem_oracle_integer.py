"""Loads and stores of general-purpose registers against Unicorn: every row of the decode table.

CONSTRAINED UNPREDICTABLE cases are not left out: we choose as QEMU does.
"""

from __future__ import annotations

import pytest

from tests.cpu.mem_prepare import integer_rows, literals, loads_and_stores
from tests.cpu.oracle import Oracle, Row, exercise

COUNT = 300
ROWS = integer_rows()


@pytest.fixture(scope="module")
def oracle(tier: str) -> Oracle:
    return Oracle()


def test_the_table_has_them_all() -> None:
    """13 kinds in 8 forms of address, 3 literals, 4 prefetches, 5 pairs in 3 modes, 4 without
    allocation."""
    assert len(ROWS) == 13 * 8 + 3 + 4 + 5 * 3 + 4


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_integer(oracle: Oracle, row: Row) -> None:
    prepare = literals(oracle) if "literal" in row.name else loads_and_stores()
    assert exercise(oracle, row, count=COUNT, prepare=prepare).executed >= COUNT
