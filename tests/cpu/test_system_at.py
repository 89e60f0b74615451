"""AT S1E1R, S1E1W, S1E0R, S1E0W: PAR_EL1 against the page-table walk of guestdbg.arm64."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.arm64.translate import TranslationFault, start_level, walk
from guestdbg.cpu.processor import EXIT_EL2, EXIT_LIMIT

from .system_support import (
    AF,
    CODE,
    DONE,
    EL0T,
    EL1H,
    IL,
    RAM,
    RO,
    SIZE,
    UNDEFINED,
    VECTORS,
    One,
    sys,
)

ALL = (1 << 64) - 1
AT = [(f"AT S1E{el}{'RW'[w]}", el, "write" if w else "read", sys(0, 7, 8, (1 - el) * 2 + w, 9))
      for el in (1, 0) for w in (0, 1)]  # fmt: skip
PAR_RES1 = 1 << 11
KERNEL = RAM + 0x1000  # a table of one 1 GiB block that maps the code, in the other half
PA_BITS = 44


@dataclass(frozen=True)
class Walk:
    """One path of descriptors through one half of the address space."""

    upper: bool
    grain: int
    size: int  # TnSZ
    va: int
    depth: int  # how many tables are gone through before something else comes
    attributes: int  # of the last descriptor
    target: int
    table_attributes: list[int]
    kind: int  # the last descriptor's bits 1:0
    tcr: int
    mair: int
    wxn: bool
    stray: int | None  # the first table's address, where it is nowhere


def walks() -> st.SearchStrategy[Walk]:
    attributes = st.builds(
        lambda ap, af, index, sh, ng, xn, other: (
            ap << 6 | af << 10 | index << 2 | sh << 8 | ng << 11 | xn << 53 | other
        ),
        st.integers(0, 3),
        st.sampled_from([0, 1, 1, 1, 1, 1]),
        st.integers(0, 7),
        st.integers(0, 3),
        st.integers(0, 1),
        st.integers(0, 3),
        st.sampled_from([0, 1 << 52, 1 << 51, 15 << 55, 1 << 63]),
    )
    return st.builds(
        Walk,
        upper=st.booleans(),
        grain=st.sampled_from([12, 14, 16]),
        size=st.integers(16, 39),
        va=st.integers(0, ALL),
        depth=st.sampled_from([4, 4, 4, 4, 3, 2, 1, 0]),
        attributes=attributes,
        target=st.one_of(
            st.just(RAM), st.integers(0, (1 << 44) - 1), st.integers(0, (1 << 48) - 1)
        ),
        table_attributes=st.lists(
            st.sampled_from([0, 0, 0, 1 << 59, 1 << 60, 1 << 61, 1 << 62]), min_size=4, max_size=4
        ),
        kind=st.sampled_from([3, 3, 3, 3, 1, 2, 0]),
        # TBI of both, IPS, EPDn of the half under test rarely
        tcr=st.builds(
            lambda tbi, ips, epd: tbi << 37 | ips << 32 | epd,
            st.integers(0, 3),
            st.sampled_from([5, 5, 5, 0, 1, 2, 3, 4, 6, 7]),
            st.sampled_from([0] * 9 + [1]),
        ),
        mair=st.integers(0, ALL),
        wxn=st.booleans(),
        stray=st.sampled_from([None] * 6 + [0x0800_0000, 1 << 46]),
    )


one = One()


def prepare(w: Walk) -> int:
    """Tables and registers as w has them; returns the address to translate."""
    one.ram[0x1000:0x2000] = bytes(0x1000)
    one.ram[0x40000:0x90000] = bytes(0x50000)
    one.store64(KERNEL + 8, 0x4000_0000 | AF | RO | 1 << 54 | 1)
    input_bits = 64 - w.size
    # An address of that half, with anything in the ignored byte and rarely outside of it.
    va = w.va & ((1 << input_bits) - 1)
    top = (1 << 64) - (1 << input_bits)
    if w.upper:
        va |= top
    if w.va >> 60 == 15:
        va ^= (w.va >> 52 & 0xFF) << 56
    va = va | 1 << 55 if w.upper else va & ~(1 << 55)
    stride = w.grain - 3
    level = start_level(input_bits, w.grain)
    table = 0x4004_0000
    first = w.stray if w.stray is not None else table
    for n in range(4 - level):
        shift = w.grain + (3 - level - n) * stride
        width = min(stride, input_bits - shift)
        at = table + (va >> shift & ((1 << width) - 1)) * 8
        if n < w.depth and level + n < 3:
            table += 1 << 16
            one.store64(at, table | w.table_attributes[n] | 3)
        else:
            output = w.target & ~((1 << shift) - 1)
            # mostly what belongs at that level: a page, or a block
            kind = w.kind ^ 2 if level + n < 3 and w.kind & 1 else w.kind
            one.store64(at, (output | w.attributes) & ~3 | kind)
            break
    grain0 = {12: 0, 14: 2, 16: 1}[w.grain]
    grain1 = {12: 2, 14: 1, 16: 3}[w.grain]
    epd = w.tcr & 1
    tcr = w.tcr & ~1
    if w.upper:
        tcr |= w.size << 16 | grain1 << 30 | epd << 23 | 25
        one.set("TTBR1_EL1", first)
        one.set("TTBR0_EL1", KERNEL)
    else:
        tcr |= w.size | grain0 << 14 | epd << 7 | 25 << 16 | 2 << 30
        one.set("TTBR0_EL1", first)
        one.set("TTBR1_EL1", KERNEL)
    one.set("TCR_EL1", tcr)
    one.set("MAIR_EL1", w.mair)
    one.set("SCTLR_EL1", 1 | w.wxn << 19)
    return va


def read_u64(address: int) -> int:
    if not RAM <= address <= RAM + SIZE - 8:
        raise LookupError(address)
    return int(struct.unpack_from("<Q", one.ram, address - RAM)[0])


@settings(deadline=None, max_examples=600)
@given(walks(), st.sampled_from(AT))
def test_par_is_what_a_walk_of_the_tables_gives(
    w: Walk, instruction: tuple[str, int, str, int]
) -> None:
    _, el, access, word = instruction
    one.p.reset()
    one.p.hcr_el2 = 1 << 31
    # The code is in the other half, read-only (for WXN).
    alias = 0 if w.upper else 0xFFFF_FF80_0000_0000
    code = CODE | alias
    one.set("VBAR_EL1", VECTORS | alias)
    va = prepare(w)
    one.p.set_x(9, va)
    one.set("PAR_EL1", 0xDEAD)
    one.p.pstate = EL1H
    one.store32(CODE, [word, 0x14000000])
    one.memory.code_changed(CODE, 8)
    one.p.pc = code
    one.p.esr_el2 = 0
    reason = one.p.run(one.p.instructions + 1)
    try:
        found = walk(
            read_u64,
            va,
            tcr=one.get("TCR_EL1"),
            ttbr0=one.get("TTBR0_EL1"),
            ttbr1=one.get("TTBR1_EL1"),
            sctlr=one.get("SCTLR_EL1"),
            mair=w.mair,
            el=el,
            access="write" if access == "write" else "read",
            pa_bits=PA_BITS,
        )
    except TranslationFault as fault:
        nowhere = fault.fsc & ~3 == 0x14
        want = PAR_RES1 | fault.fsc << 1 | 1
    else:
        nowhere = False
        attr = found.attributes
        assert found.descriptor is not None
        sh = 2 if attr >> 4 == 0 or attr == 0x44 else found.descriptor >> 8 & 3
        want = attr << 56 | (found.pa & 0xFFFF_FFFF_F000) | PAR_RES1 | 1 << 9 | sh << 7
    if nowhere:
        # no memory where a table should be: that is EL2's to know, as for an access
        assert reason == EXIT_EL2
        assert one.p.esr_el2 & ~0x3F == 0x24 << 26 | IL | 1 << 8 | 1 << 7 | 1 << 6
        assert one.p.far_el2 == va
        assert one.p.pc == code
        assert one.get("PAR_EL1") == 0xDEAD
    else:
        assert reason == EXIT_LIMIT
        assert one.p.pc == code + 4
        assert one.get("PAR_EL1") == want


@pytest.mark.parametrize(("name", "el", "access", "word"), AT)
def test_with_translation_off(name: str, el: int, access: str, word: int) -> None:
    """Flat and Device; or Normal write-back where HCR_EL2.DC says so."""
    o = One()
    for dc, attributes, sh in ((0, 0x00, 2), (1, 0xFF, 0)):
        o.p.hcr_el2 = 1 << 31 | dc << 12
        for va in (0, 0x1234_5678_9ABC & (1 << PA_BITS) - 1, (1 << PA_BITS) - 1):
            o.p.set_x(9, va)
            assert o.execute(word, el=1) == DONE
            assert o.get("PAR_EL1") == (
                attributes << 56 | va & ~0xFFF | PAR_RES1 | 1 << 9 | sh << 7
            )
        o.p.set_x(9, 1 << PA_BITS)
        assert o.execute(word, el=1) == DONE
        assert o.get("PAR_EL1") == PAR_RES1 | 1  # address size fault, level 0


@pytest.mark.parametrize(("name", "el", "access", "word"), AT)
def test_at_el0_undefined(name: str, el: int, access: str, word: int) -> None:
    o = One()
    o.p.pstate = EL0T
    assert o.execute(word) == UNDEFINED


def test_watchpoints_do_not_see_it() -> None:
    o = One()
    o.p.mdcr_el2 = 1 << 8
    o.p.load_debug([0] * 16, [0] * 16, [0x1FFF] + [0] * 15, [RAM] + [0] * 15)
    o.p.mdscr_el1 = 1 << 15
    o.p.set_x(9, RAM)
    for _, _, _, word in AT:
        assert o.execute(word, el=1) == DONE
