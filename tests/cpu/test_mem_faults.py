"""Translation faults and stage 2 aborts: what is reported, and that an instruction without its
access has changed nothing. Every row of the decode table."""

from __future__ import annotations

import random

import pytest

from guestdbg.arm64.instructions import accesses, is_prefetch
from tests.cpu.mem_guest import (
    EC_DABT,
    EC_DABT_LOWER,
    HOLE,
    KERNEL,
    NOBODY,
    READ_ONLY,
    SCTLR,
    SCTLR_A,
    SCTLR_SA,
    UNKNOWN_PA,
    USER,
    USER_SIZE,
    Guest,
)
from tests.cpu.mem_prepare import (
    atomic_rows,
    authenticated_rows,
    integer_rows,
)
from tests.cpu.mem_random import (
    ACCESSING,
    MUST_ALIGN,
    PREFETCH,
    new_guest,
    random_case,
    read_reg,
    store_exclusive,
)
from tests.cpu.oracle import (
    SEED,
    Row,
    disassemble,
)


@pytest.fixture(scope="module")
def shared(tier: str) -> Guest:
    """For tests that leave it as it was."""
    return new_guest()


# ---- translation faults, and that nothing has changed -------------------------------------------


@pytest.mark.parametrize("row", ACCESSING, ids=lambda row: row.name)
def test_fault_across_a_page_changes_nothing(shared: Guest, row: Row) -> None:
    """Accesses that begin in a mapped page and end in one that is not, or begin there."""
    guest, rng = shared, random.Random(f"{SEED} {row.name}")
    faults = 0
    for _ in range(40):
        at = rng.randrange(HOLE - 40, HOLE + 16)
        if row in MUST_ALIGN:
            at = HOLE  # what is aligned does not cross
        raw = random_case(rng, guest, row, at)
        before, memory = guest.registers(), guest.read(USER, USER_SIZE)
        taken = guest.run(raw)
        where = f"{raw:#010x} {disassemble(raw)} at {at:#x}"
        if store_exclusive(row):
            assert taken is None, where  # the monitor is closed
            continue
        if taken is None:
            assert at < HOLE, where
            guest.write(USER, memory)
            continue
        faults += 1
        assert (taken.el, taken.ec, taken.fsc) == (1, EC_DABT, 0x07), where
        assert taken.far == max(at, HOLE), where
        wants = accesses(raw, read_reg(guest))
        if row not in atomic_rows() or "LOR" in row.name:
            assert taken.wnr == wants[0].is_write, where
        assert guest.registers() == before, where
        assert guest.read(USER, USER_SIZE) == memory, where
    assert faults > 5 or store_exclusive(row)


@pytest.mark.parametrize("row", ACCESSING, ids=lambda row: row.name)
def test_read_only_page(shared: Guest, row: Row) -> None:
    """A permission fault for what writes, and only for that. Atomics are writes."""
    guest, rng = shared, random.Random(f"{SEED} {row.name}")
    if store_exclusive(row):
        return  # test_mem_exclusive.py
    for _ in range(5):
        raw = random_case(rng, guest, row, READ_ONLY + 0x100)
        before = guest.registers()
        writes = any(a.is_write for a in accesses(raw, read_reg(guest)))
        taken = guest.run(raw)
        if not writes:
            assert taken is None
            continue
        assert taken is not None
        assert (taken.el, taken.ec, taken.fsc) == (1, EC_DABT, 0x0F)
        assert taken.wnr
        assert taken.far == READ_ONLY + 0x100
        assert guest.registers() == before


@pytest.mark.parametrize("row", PREFETCH, ids=lambda row: row.name)
def test_prefetch_checks_nothing(shared: Guest, row: Row) -> None:
    guest, rng = shared, random.Random(f"{SEED} {row.name}")
    guest.set("SCTLR_EL1", SCTLR | SCTLR_A | SCTLR_SA)
    for at in (HOLE, KERNEL, NOBODY + 1, 0x8000_0000_0000_0001, USER + 3):
        raw = random_case(rng, guest, row, at, rn=rng.choice((None, 31)))
        before = guest.registers()
        assert is_prefetch(raw)
        assert guest.run(raw) is None
        assert guest.registers() == before
    guest.set("SCTLR_EL1", SCTLR)


# ---- stage 2 aborts -----------------------------------------------------------------------------


@pytest.mark.parametrize("row", ACCESSING, ids=lambda row: row.name)
def test_nobodys_memory(shared: Guest, row: Row) -> None:
    """To EL2, with a syndrome to emulate it by where Arm gives one: a single general-purpose
    register, no write-back, no exclusive, no atomic."""
    guest, rng = shared, random.Random(f"{SEED} {row.name}")
    if store_exclusive(row):
        return
    ordered = row.name.startswith(("LDAR", "STLR", "LDLAR", "STLLR", "LDAPR"))
    simple = row in integer_rows() + authenticated_rows() or ordered
    simple = simple and not row.name.endswith(("_pre", "_post", "_wb"))
    simple = simple and (ordered or "P" not in row.name.split("_")[0])
    for _ in range(5):
        raw = random_case(rng, guest, row, NOBODY + 0x140)
        before = guest.registers()
        taken = guest.run(raw)
        assert taken is not None
        assert (taken.el, taken.ec, taken.far) == (2, EC_DABT_LOWER, NOBODY + 0x140)
        assert guest.cpu.hpfar_el2 == UNKNOWN_PA >> 12 << 4
        assert taken.isv == simple
        if simple:
            assert taken.esr >> 16 & 31 == raw & 31
            assert 1 << (taken.esr >> 22 & 3) == accesses(raw, read_reg(guest))[0].size
            assert bool(taken.esr >> 14 & 1) == ordered
        assert guest.registers() == before


# ---- unprivileged accesses ----------------------------------------------------------------------

UNPRIVILEGED = [row for row in integer_rows() if row.name.startswith(("LDTR", "STTR"))]


def test_there_are_all_kinds() -> None:
    assert len(UNPRIVILEGED) == 13


@pytest.mark.parametrize("row", UNPRIVILEGED, ids=lambda row: row.name)
def test_unprivileged(row: Row) -> None:
    """From EL1 as from EL0, whatever the TLBs hold."""
    guest, rng = new_guest(), random.Random(f"{SEED} {row.name}")
    ldr = 0xF940_0000 | 9 << 5 | 10  # LDR X10, [X9]: EL1 may
    for _ in range(3):
        raw = random_case(rng, guest, row, KERNEL + 0x100, rn=8)
        guest.cpu.set_x(9, KERNEL + 0x100)
        taken = guest.run(ldr, raw)
        assert taken is not None
        assert (taken.el, taken.ec, taken.fsc, taken.far) == (1, EC_DABT, 0x0F, KERNEL + 0x100)
        for at in (USER + 0x100, USER + 0xFFF, HOLE - 8):
            assert guest.run(random_case(rng, guest, row, at, rn=8)) is None
        taken = guest.run(random_case(rng, guest, row, HOLE, rn=8))
        assert taken is not None
        assert taken.fsc == 0x07
        raw = random_case(rng, guest, row, READ_ONLY + 0x100, rn=8)
        taken = guest.run(raw)
        assert (taken is not None) == row.name.startswith("STTR")
