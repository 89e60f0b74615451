"""Exclusives, load-acquire and store-release, LSE atomics against Unicorn.

A store-exclusive always fails here: the exception return by which the oracle starts an instruction
clears the monitor. Those that succeed are in test_mem_exclusive.py.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest
from unicorn import arm64_const as uc_arm64

from guestdbg.arm64.sysregs import SYSREGS
from tests.cpu.cases import Case
from tests.cpu.extensions import give
from tests.cpu.mem_prepare import (
    atomic_rows,
    authenticated_rows,
    field,
    loads_and_stores,
    ordered_rows,
    with_x,
)
from tests.cpu.oracle import Oracle, Prepare, Row, exercise

COUNT = 300
ORDERED = ordered_rows()
ATOMIC = atomic_rows()
AUTHENTICATED = authenticated_rows()
ALIGNED = loads_and_stores(aligned=True)  # Unicorn does not check it


@pytest.fixture(scope="module")
def oracle(tier: str) -> Oracle:
    return Oracle()


@pytest.fixture(scope="module")
def later_oracle(tier: str) -> Oracle:
    """LSE, limited ordering regions, FEAT_LRCPC, FEAT_PAuth: Unicorn's MAX has them."""
    oracle = Oracle(model=uc_arm64.UC_CPU_ARM64_MAX, lse=True)
    mmfr1 = SYSREGS["ID_AA64MMFR1_EL1"].encoding
    oracle.tested.cpu.set_sysreg(mmfr1, oracle.tested.cpu.get_sysreg(mmfr1) | 1 << 16)
    give(oracle.tested.cpu, "LRCPC", "QARMA5")
    return oracle


def test_the_table_has_them_all() -> None:
    """(4 sizes and 2 pairs) x 4 exclusives, 4 x 2 ordered; 10 atomics of 4 sizes, 2 CASP,
    8 LOR, 4 LDAPR."""
    assert len(ORDERED) == 6 * 4 + 4 * 2
    assert len(ATOMIC) == 10 * 4 + 2 + 8 + 4
    assert len(AUTHENTICATED) == 4


@pytest.mark.parametrize("row", ORDERED, ids=lambda row: row.name)
def test_ordered(oracle: Oracle, row: Row) -> None:
    assert exercise(oracle, row, count=COUNT, prepare=ALIGNED).executed >= COUNT


def positive(prepare: Prepare) -> Prepare:
    """Both operands of a signed minimum or maximum: Unicorn 2.1.4 takes memory of less than 64 bits
    as unsigned. (Negative ones are in test_mem_atomic.py.)"""

    def prepared(rng: random.Random, case: Case) -> Case:
        rs = field(case.raw, 20, 16)
        if rs != 31:
            case = replace(case, state=with_x(case.state, rs, case.state.x[rs] & 0x7F7F_7F7F))
        prepared_case = prepare(rng, case)
        assert prepared_case is not None
        case = prepared_case
        return replace(case, data=bytes(byte & 0x7F for byte in case.data))

    return prepared


@pytest.mark.parametrize("row", ATOMIC, ids=lambda row: row.name)
def test_atomic(later_oracle: Oracle, row: Row) -> None:
    prepare = ALIGNED
    belongs = lambda raw: True  # noqa: E731
    if re.match(r"LDSM(AX|IN)(B|H|_W)", row.name):
        prepare = positive(ALIGNED)
        belongs = lambda raw: field(raw, 20, 16) != field(raw, 9, 5)  # noqa: E731
    tally = exercise(later_oracle, row, count=COUNT, prepare=prepare, belongs=belongs)
    assert tally.executed >= COUNT


@pytest.mark.parametrize("row", AUTHENTICATED, ids=lambda row: row.name)
def test_load_of_an_authenticated_address(later_oracle: Oracle, row: Row) -> None:
    """With SCTLR_EL1.EnDA and EnDB clear: a load with an offset of its own kind."""
    assert exercise(later_oracle, row, count=COUNT, prepare=loads_and_stores()).executed >= COUNT


@pytest.mark.parametrize("row", ATOMIC + AUTHENTICATED, ids=lambda row: row.name)
def test_absent_feature_is_undefined(oracle: Oracle, row: Row) -> None:
    """On an Armv8.0 processor, whose ID registers do not have it."""
    tally = exercise(oracle, row, count=20, prepare=ALIGNED, tries=1)
    assert (tally.executed, tally.undefined) == (0, 20)
