"""LD1 to LD4, ST1 to ST4, LD1R to LD4R against Unicorn: every row of the decode table."""

from __future__ import annotations

import pytest

from tests.cpu.mem_prepare import loads_and_stores, structure_rows
from tests.cpu.oracle import Oracle, Row, exercise

COUNT = 300
ROWS = structure_rows()


@pytest.fixture(scope="module")
def oracle(tier: str) -> Oracle:
    return Oracle()


def test_the_table_has_them_all() -> None:
    """7 shapes, loaded and stored, with post-index and without; single ones of 1 to 4 registers in
    3 sizes; the replicating loads of 1 to 4."""
    assert len(ROWS) == 7 * 2 * 2 + 4 * 3 * 2 * 2 + 4 * 2


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_structure(oracle: Oracle, row: Row) -> None:
    prepare = loads_and_stores()
    assert exercise(oracle, row, count=COUNT, prepare=prepare).executed >= COUNT
