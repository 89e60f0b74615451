"""Loads and stores of SIMD and FP registers against Unicorn: every row of the decode table."""

from __future__ import annotations

import pytest

from tests.cpu.mem_prepare import literals, loads_and_stores, vector_rows
from tests.cpu.oracle import Oracle, Row, exercise

COUNT = 300
ROWS = vector_rows()


@pytest.fixture(scope="module")
def oracle(tier: str) -> Oracle:
    return Oracle()


def test_the_table_has_them_all() -> None:
    """5 sizes loaded and stored in 5 forms, 3 literals, 3 pairs loaded and stored in 4 modes."""
    assert len(ROWS) == 5 * 2 * 5 + 3 + 3 * 2 * 4


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_vector(oracle: Oracle, row: Row) -> None:
    prepare = literals(oracle) if "literal" in row.name else loads_and_stores()
    assert exercise(oracle, row, count=COUNT, prepare=prepare).executed >= COUNT
