"""Cache and TLB maintenance: permission and traps, faults by address, watchpoints, effects."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.cpu.processor import Processor

from .system_support import (
    AF,
    CODE,
    DATA,
    DEVICE,
    DONE,
    EL1H,
    IL,
    NG,
    NOP,
    RO,
    UNDEFINED,
    USER,
    VECTORS,
    One,
    Outcome,
    Paged,
    enc,
    msr,
    syndrome,
    sys,
    sysl,
)

RW = 1 << 31
CM = 1 << 8
WNR = 1 << 6
VA = 0x5000_0000
UCI, DZE = 26, 14
TSW, TPC, TPU, TTLB, TDZ, TIDCP = 22, 23, 24, 25, 28, 20


class Maintenance(NamedTuple):
    op1: int
    crn: int
    crm: int
    op2: int
    el0: int | None  # the bit of SCTLR_EL1 that lets EL0 in; None: UNDEFINED there
    el2: int  # the bit of HCR_EL2 that traps it

    def word(self, rt: int) -> int:
        return sys(self.op1, self.crn, self.crm, self.op2, rt)


IC = {
    "IC IALLUIS": Maintenance(0, 7, 1, 0, None, TPU),
    "IC IALLU": Maintenance(0, 7, 5, 0, None, TPU),
    "IC IVAU": Maintenance(3, 7, 5, 1, UCI, TPU),
}
CLEAN = {
    "DC CVAC": Maintenance(3, 7, 10, 1, UCI, TPC),
    "DC CVAU": Maintenance(3, 7, 11, 1, UCI, TPU),
    "DC CIVAC": Maintenance(3, 7, 14, 1, UCI, TPC),
}
SET_WAY = {
    "DC ISW": Maintenance(0, 7, 6, 2, None, TSW),
    "DC CSW": Maintenance(0, 7, 10, 2, None, TSW),
    "DC CISW": Maintenance(0, 7, 14, 2, None, TSW),
}
IVAC = Maintenance(0, 7, 6, 1, None, TPC)
ZVA = Maintenance(3, 7, 4, 1, DZE, TDZ)
TLBI = {
    f"TLBI {name}{shared}": Maintenance(0, 8, crm, op2, None, TTLB)
    for shared, crm in (("IS", 3), ("", 7))
    for name, op2 in {
        "VMALLE1": 0, "VAE1": 1, "ASIDE1": 2, "VAAE1": 3, "VALE1": 5, "VAALE1": 7,
    }.items()
}  # fmt: skip
EVERY = IC | CLEAN | SET_WAY | TLBI | {"DC IVAC": IVAC, "DC ZVA": ZVA}


@settings(deadline=None, max_examples=500)
@given(
    st.sampled_from(sorted(EVERY)),
    st.booleans(),
    st.sets(st.sampled_from([TSW, TPC, TPU, TTLB, TDZ, TIDCP])),
    st.sets(st.sampled_from([UCI, DZE, 15, 9])),
    st.integers(0, 30),
)
def test_who_may(name: str, el0: bool, hcr: set[int], sctlr: set[int], rt: int) -> None:
    """EL1's control at EL0 first, then EL2's trap, with the exact syndrome."""
    one = flat
    one.p.reset()
    one.set("VBAR_EL1", VECTORS)
    one.set("SCTLR_EL1", sum(1 << b for b in sctlr))
    one.p.hcr_el2 = RW | sum(1 << b for b in hcr) | 1 << 12  # DC: normal memory, for DC ZVA
    one.p.set_x(rt, DATA)
    what = EVERY[name]
    word = what.word(rt)
    got = one.execute(word, el=0 if el0 else 1)
    if el0 and what.el0 is None:
        assert got == UNDEFINED
    elif el0 and what.el0 not in sctlr:
        assert got == Outcome("el1", syndrome(word))
    elif what.el2 in hcr:
        assert got == Outcome("el2", syndrome(word))
    else:
        assert got == DONE


flat = One()


@settings(deadline=None, max_examples=400)
@given(st.integers(0, 7), st.integers(0, 15), st.integers(0, 15), st.integers(0, 7), st.booleans())
def test_what_is_not_allocated_is_undefined(
    op1: int, crn: int, crm: int, op2: int, read: bool
) -> None:
    """SYS and SYSL, all encodings: only Armv8.0's; TIDCP traps the IMPLEMENTATION DEFINED ones."""
    known = {(m.op1, m.crn, m.crm, m.op2) for m in EVERY.values()}
    known |= {(0, 7, 8, n) for n in range(4)}  # AT
    if (op1, crn, crm, op2) in known and not read:
        return
    one = flat
    one.p.reset()
    one.set("VBAR_EL1", VECTORS)
    word = (sysl if read else sys)(op1, crn, crm, op2, 3)
    makers = crn in (11, 15)
    one.p.undefined()
    one.p.hcr_el2 = RW
    assert one.execute(word, el=1) == UNDEFINED
    assert (word in one.p.undefined()) == (not makers)
    one.p.hcr_el2 = RW | 1 << TIDCP
    assert one.execute(word, el=1) == (Outcome("el2", syndrome(word)) if makers else UNDEFINED)
    assert one.execute(word, el=0) == UNDEFINED


# ---- faults by address ----------------------------------------------------------------------


def abort(el: int, fsc: int) -> Outcome:
    return Outcome("el1", (0x25 if el else 0x24) << 26 | IL | CM | WNR | fsc)


BY_ADDRESS = CLEAN | {"IC IVAU": IC["IC IVAU"], "DC IVAC": IVAC}


@pytest.mark.parametrize(
    ("name", "el"),
    [(name, el) for name in sorted(BY_ADDRESS) for el in (0, 1) if (name, el) != ("DC IVAC", 0)],
)
def test_faults(name: str, el: int) -> None:
    """A maintenance fault says CM and WnR, and its FAR is the address as it was given."""
    one = Paged()
    one.set("SCTLR_EL1", one.get("SCTLR_EL1") | 1 << UCI)
    word = BY_ADDRESS[name].word(9)
    writes = name == "DC IVAC"

    def go(address: int) -> Outcome:
        one.p.set_x(9, address)
        return one.execute(word, el=el)

    address = VA + 0x2A7
    assert go(0x90_0000_0000) == abort(el, 4 + 0)  # beyond 39 bits
    assert go(0x30_0000_0000) == abort(el, 4 + 1)
    assert go(address) == abort(el, 4 + 2)
    assert one.get("FAR_EL1") == address
    one.map(VA, DATA, USER)
    assert go(address) == abort(el, 8 + 3)  # access flag
    one.map(VA, DATA, AF)  # EL1 only
    one.run([sys(0, 8, 7, 0), NOP], limit=1)
    assert go(address) == (DONE if el else abort(0, 0xC + 3))
    one.map(VA, DATA, AF | RO)
    one.run([sys(0, 8, 7, 0), NOP], limit=1)
    if el == 1:
        assert go(address) == (abort(1, 0xC + 3) if writes else DONE)
    one.map(VA, DATA, AF | USER)
    one.run([sys(0, 8, 7, 0), NOP], limit=1)
    before = bytes(one.ram[0x20000:0x21000])
    assert go(address) == DONE
    assert bytes(one.ram[0x20000:0x21000]) == before


@pytest.mark.parametrize("name", sorted(BY_ADDRESS))
def test_where_no_memory_is(name: str) -> None:
    """A stage 2 fault without a valid instruction syndrome, but with CM: a hypervisor skips it."""
    one = Paged()
    one.map(VA, 0x0900_0000, AF | DEVICE)
    one.p.set_x(9, VA + 0x123)
    got = one.execute(BY_ADDRESS[name].word(9), el=1)
    assert got.where == "el2"
    assert got.esr & ~0x3F == 0x24 << 26 | IL | CM | WNR
    assert got.esr & 0x3C == 4
    assert (one.p.far_el2, one.p.hpfar_el2) == (VA + 0x123, 0x0900_0000 >> 8)


# ---- watchpoints ----------------------------------------------------------------------------


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(sorted(BY_ADDRESS)),
    st.integers(0, 0x1FF),
    st.integers(0, 0x1FF),
    st.integers(1, 3),
)
@example("DC IVAC", 0x7F, 0x40, 2)
@example("DC IVAC", 0x40, 0x7F, 2)
@example("DC IVAC", 0x3F, 0x40, 2)
@example("DC IVAC", 0x80, 0x40, 2)
def test_watchpoints_see_dc_ivac_as_a_store_of_the_line(
    name: str, watched: int, address: int, lsc: int
) -> None:
    one = watching
    one.p.mdcr_el2 = 1 << 8
    control = 0x1 | 3 << 1 | lsc << 3 | (1 << (watched & 7)) << 5 | 1 << 13
    one.p.load_debug([0] * 16, [0] * 16, [control] + [0] * 15, [VA + (watched & ~7)] + [0] * 15)
    one.p.mdscr_el1 = 1 << 15
    one.p.set_x(9, VA + address)
    got = one.execute(BY_ADDRESS[name].word(9), el=1)
    if name == "DC IVAC" and lsc & 2 and watched >> 6 == address >> 6:
        assert got == Outcome("el2", 0x34 << 26 | IL | CM | WNR | 0x22)
        # within the line, and not above the watched byte unless the access itself is
        line = VA + (address & ~63)
        assert line <= one.p.far_el2 <= line + 63
        assert one.p.pc == CODE
    else:
        assert got == DONE


watching = Paged()
watching.map(VA, DATA, AF)


# ---- effects --------------------------------------------------------------------------------


@pytest.mark.parametrize("el", [0, 1])
def test_dc_zva_zeroes_its_block(el: int) -> None:
    one = Paged()
    one.set("SCTLR_EL1", one.get("SCTLR_EL1") | 1 << DZE)
    one.map(VA, DATA, AF | USER)
    one.ram[0x20000:0x20100] = b"\xff" * 0x100
    one.p.set_x(9, VA + 0x75)
    assert one.execute(ZVA.word(9), el=el) == DONE
    assert one.ram[0x20000:0x20100] == b"\xff" * 64 + bytes(64) + b"\xff" * 128


@pytest.mark.parametrize("name", sorted(TLBI))
@pytest.mark.parametrize("size", ["page", "block"])
def test_tlbi_makes_a_change_of_the_tables_seen(name: str, size: str) -> None:
    """Read through an entry, change it, invalidate: the next read goes the new way."""
    one = Paged()
    va = 0x8000_0000 if size == "block" else VA
    read_at = va + (0x3000 if size == "block" else 0)
    one.ram[0x20000:0x21000] = b"\x11" * 0x1000
    one.ram[0x21000:0x22000] = b"\x22" * 0x1000
    one.set("TTBR0_EL1", one.get("TTBR0_EL1") | 5 << 48)
    if size == "page":
        entry = one.entry(va)
        one.store64(entry, DATA | AF | NG | 3)
        changed = (DATA + 0x1000) | AF | NG | 3
    else:
        # 2 MiB at RAM, then nothing: the read is of another page than the one invalidated
        one.entry(va)
        l1 = int.from_bytes(one.ram[0x10000 + 16 : 0x10000 + 24], "little") & ~0xFFF
        entry = l1
        one.store64(entry, 0x4000_0000 | AF | NG | 1)
        changed = 0
    ldr = 0xF9400122  # ldr x2, [x9]
    one.p.set_x(9, read_at)
    assert one.execute(ldr, el=1) == DONE
    assert one.p.get_x(2) == (0 if size == "block" else 0x1111_1111_1111_1111)
    one.store64(entry, changed)
    one.p.set_x(3, 5 << 48 | va >> 12)
    assert one.execute(TLBI[name].word(3), el=1) == DONE
    got = one.execute(ldr, el=1)
    if size == "page":
        assert got == DONE
        assert one.p.get_x(2) == 0x2222_2222_2222_2222
    else:
        assert got == Outcome("el1", 0x25 << 26 | IL | 6)


@pytest.mark.parametrize("name", sorted(TLBI))
@pytest.mark.parametrize("force", [False, True], ids=["", "FB"])
def test_shared_tlbi_reaches_the_other_processors(name: str, force: bool) -> None:
    one = Paged()
    other = Processor(one.memory)
    for register in ("SCTLR_EL1", "TCR_EL1", "TTBR0_EL1", "MAIR_EL1", "VBAR_EL1"):
        other.set_sysreg(enc(register), one.get(register))
    one.map(VA, DATA, AF | NG)  # TLBI ASIDE1 is for these only
    one.store64(DATA, 0x1111)
    one.store64(DATA + 0x1000, 0x2222)
    one.store32(CODE + 0x100, [0xF9400122])
    other.set_x(9, VA)

    def read() -> int:
        other.pc = CODE + 0x100
        other.run(other.instructions + 1)
        return other.get_x(2)

    assert read() == 0x1111
    one.map(VA, DATA + 0x1000, AF | NG)
    one.p.hcr_el2 = RW | (1 << 9 if force else 0)
    one.p.set_x(3, VA >> 12)
    assert one.execute(TLBI[name].word(3), el=1) == DONE
    if force or "IS" in name:
        assert read() == 0x2222


def test_a_new_asid_and_new_tables_are_seen_without_tlbi() -> None:
    """TTBR0 switched to other tables under another ASID, as kernels switch processes."""
    one = Paged()
    one.map(VA, DATA, AF | NG)
    one.store64(DATA, 0x1111)
    one.store64(DATA + 0x1000, 0x2222)
    second = Paged()
    one.p.set_x(9, VA)
    one.execute(0xF9400122, el=1)
    assert one.p.get_x(2) == 0x1111
    # the same tables once more, elsewhere, with one entry changed
    copy, length = 0x80000, second.tables + 0x4000 - 0x4001_0000
    moved = bytearray(one.ram[0x10000 : 0x10000 + length])
    for at in range(0, length, 8):
        entry = int.from_bytes(moved[at : at + 8], "little")
        if entry & 3 == 3 and 0x4001_0000 <= entry & ~0xFFF < 0x4001_0000 + length:
            moved[at : at + 8] = (entry + copy - 0x10000).to_bytes(8, "little")
    one.ram[copy : copy + length] = moved
    leaf = one.entry(VA) - CODE - 0x10000 + copy
    one.ram[leaf : leaf + 8] = ((DATA + 0x1000) | AF | NG | 3).to_bytes(8, "little")
    one.p.set_x(4, (CODE + copy) | 7 << 48)
    assert one.execute(msr("TTBR0_EL1", 4), el=1) == DONE
    assert one.execute(0xF9400122) == DONE
    assert one.p.get_x(2) == 0x2222


@pytest.mark.parametrize("name", ["IC IALLU", "IC IALLUIS", "IC IVAU"])
def test_ic_drops_code_that_was_written_past_the_processor(name: str) -> None:
    """A device or host wrote code without a word to anybody; the guest invalidates, as it must."""
    one = flat
    one.p.reset()
    one.p.hcr_el2 = RW
    at = CODE + 0x400
    one.store32(at, [0xD2800020, 0xD65F03C0])  # mov x0, #1; ret

    def call() -> int:
        one.p.pc = at
        one.p.set_x(30, CODE)
        one.p.run(one.p.instructions + 2)
        return one.p.get_x(0)

    one.memory.code_changed(at, 8)
    assert call() == 1
    one.store32(at, [0xD2800040])  # mov x0, #2
    one.p.set_x(9, at + 7)
    assert one.execute(IC[name].word(9), el=1) == DONE
    assert call() == 2


def test_code_that_invalidates_itself_goes_on() -> None:
    one = flat
    one.p.reset()
    one.p.hcr_el2 = RW
    words = [0x91000400, IC["IC IALLU"].word(31), 0x91000400, IC["IC IVAU"].word(9), 0x91000400]
    one.p.set_x(0, 0)
    one.p.set_x(9, CODE)
    one.run([*words, 0x17FFFFFB], limit=6 * 50)
    assert one.p.get_x(0) == 150


def test_set_way_does_nothing_to_memory() -> None:
    one = flat
    one.p.reset()
    one.p.hcr_el2 = RW
    for what in SET_WAY.values():
        before = bytes(one.ram[0x1000:])
        for value in (0, 1 << 63, (1 << 64) - 1, 0xF0000000):
            one.p.set_x(0, value)
            assert one.execute(what.word(0), el=1) == DONE
        assert bytes(one.ram[0x1000:]) == before
    assert one.p.pstate == EL1H
