"""What comes before translation: the FP and SIMD trap, the alignment of SP, of the access."""

from __future__ import annotations

import random

import pytest

from guestdbg.arm64.instructions import accesses
from tests.cpu.mem_guest import (
    ALIGNMENT,
    DEVICE,
    EC_DABT,
    EC_DABT_LOWER,
    EC_SP,
    EL0,
    EL1,
    HOLE,
    SCTLR,
    SCTLR_A,
    SCTLR_SA,
    SCTLR_SA0,
    USER,
    Guest,
)
from tests.cpu.mem_prepare import (
    integer_rows,
    natural,
)
from tests.cpu.mem_random import (
    ACCESSING,
    MUST_ALIGN,
    VECTOR,
    new_guest,
    random_case,
    read_reg,
)
from tests.cpu.oracle import (
    SEED,
    Row,
    disassemble,
)

BOTH = pytest.mark.parametrize("el", [EL1, EL0], ids=["el1", "el0"])


@pytest.fixture(scope="module")
def shared(tier: str) -> Guest:
    """For tests that leave it as it was."""
    return new_guest()


# ---- alignment ----------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("row", ACCESSING, ids=lambda row: row.name)
def test_misaligned_sp(shared: Guest, row: Row, el: int) -> None:
    """Before everything else but the FP trap: the address does not even exist."""
    guest, rng = shared, random.Random(f"{SEED} {row.name}")
    guest.cpu.pstate = el
    for bit, at in ((True, HOLE + 0x108), (False, USER + 0x108), (True, USER + 0x110)):
        on = SCTLR_SA if el == EL1 else SCTLR_SA0
        other = SCTLR_SA0 if el == EL1 else SCTLR_SA
        guest.set("SCTLR_EL1", SCTLR | (on if bit else other))
        raw = random_case(rng, guest, row, at, rn=31)
        guest.cpu.sp_el0 = guest.cpu.sp_el1 = at
        before = guest.registers()
        taken = guest.run(raw)
        if bit and at & 15:
            assert taken is not None
            assert (taken.el, taken.esr) == (1, EC_SP << 26 | 1 << 25)
            assert guest.registers() == before
        else:
            assert taken is None or taken.ec != EC_SP
    guest.set("SCTLR_EL1", SCTLR)
    guest.cpu.pstate = EL1


@pytest.mark.parametrize("row", ACCESSING, ids=lambda row: row.name)
def test_misaligned_sp_is_no_matter_for_another_base(shared: Guest, row: Row) -> None:
    guest, rng = shared, random.Random(f"{SEED} {row.name}")
    guest.set("SCTLR_EL1", SCTLR | SCTLR_SA)
    raw = random_case(rng, guest, row, USER + 0x100, rn=9)
    guest.cpu.sp_el1 = USER + 0x108
    assert guest.run(raw) is None
    guest.set("SCTLR_EL1", SCTLR)


@pytest.mark.parametrize("row", ACCESSING, ids=lambda row: row.name)
def test_unaligned(shared: Guest, row: Row) -> None:
    """With SCTLR_EL1.A and on Device memory everything has to be aligned, to its element; else only
    exclusive, ordered and atomic accesses."""
    guest, rng = shared, random.Random(f"{SEED} {row.name}")
    for sctlr, page in ((SCTLR, USER), (SCTLR | SCTLR_A, USER), (SCTLR, DEVICE)):
        guest.set("SCTLR_EL1", sctlr)
        must = sctlr != SCTLR or page == DEVICE or row in MUST_ALIGN
        for offset in (0, 1, 2, 4, 8, 12, 16):
            raw = random_case(rng, guest, row, page + 0x100 + offset)
            unit = accesses(raw, read_reg(guest))[0]
            align = natural(raw) if row in MUST_ALIGN else unit.element or unit.size
            before, memory = guest.registers(), guest.read(page, 0x1000)
            taken = guest.run(raw)
            if must and offset % align:
                assert taken is not None, f"{raw:#x} {disassemble(raw)} +{offset}"
                assert (taken.el, taken.ec, taken.fsc) == (1, EC_DABT, ALIGNMENT)
                assert taken.far == page + 0x100 + offset
                assert guest.registers() == before
                assert guest.read(page, 0x1000) == memory
            else:
                assert taken is None, f"{raw:#x} {disassemble(raw)} +{offset}: {taken}"
    guest.set("SCTLR_EL1", SCTLR)


# ---- FP and SIMD access -------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("row", VECTOR, ids=lambda row: row.name)
def test_fp_access_trap(shared: Guest, row: Row, el: int) -> None:
    guest, rng = shared, random.Random(f"{SEED} {row.name}")
    guest.cpu.pstate = el
    for fpen in range(4):
        for tfp in (0, 1 << 10):
            guest.set("CPACR_EL1", fpen << 20)
            guest.cpu.cptr_el2 = tfp
            raw = random_case(rng, guest, row, HOLE)
            before = guest.registers()
            taken = guest.run(raw)
            if taken is None:  # a literal may be there, and come when nothing traps
                assert (fpen & 1, tfp) == (1, 0)
                continue
            assert guest.registers() == before
            if not (fpen == 3 or (fpen == 1 and el == EL1)):
                assert (taken.el, taken.esr) == (1, 0x1FE0_0000)
            elif tfp:
                assert (taken.el, taken.esr) == (2, 0x1FE0_0000)
            else:
                assert taken is None or taken.ec in (EC_DABT, EC_DABT_LOWER)
    guest.set("CPACR_EL1", 3 << 20)
    guest.cpu.cptr_el2 = 0
    guest.cpu.pstate = EL1


@pytest.mark.parametrize("row", integer_rows() + MUST_ALIGN, ids=lambda row: row.name)
def test_no_trap_for_general_registers(shared: Guest, row: Row) -> None:
    guest, rng = shared, random.Random(f"{SEED} {row.name}")
    guest.set("CPACR_EL1", 0)
    guest.cpu.cptr_el2 = 1 << 10
    if "literal" not in row.name:
        assert guest.run(random_case(rng, guest, row, USER + 0x100)) is None
    guest.set("CPACR_EL1", 3 << 20)
    guest.cpu.cptr_el2 = 0
