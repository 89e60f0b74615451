"""The translation table walk, on tables that the test builds.

The builder knows where each index lies from a table written out by hand (below), not from the
formulas of the walk.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from guestdbg.arm64.faults import FaultKind
from guestdbg.arm64.translate import Permissions, Translation, TranslationFault, untagged, walk

#: granule -> (TG0, TG1, {level: (highest, lowest) bit of the index}, levels that hold blocks)
GRANULES = {
    4096: (0, 2, {0: (47, 39), 1: (38, 30), 2: (29, 21), 3: (20, 12)}, {1, 2}),
    16384: (2, 1, {0: (47, 47), 1: (46, 36), 2: (35, 25), 3: (24, 14)}, {2}),
    65536: (1, 3, {1: (47, 42), 2: (41, 29), 3: (28, 16)}, {2}),
}
IPS_48 = 5 << 32
AF = 1 << 10
SCTLR_M = 1


@dataclass
class Tables:
    """Builds tables for one half of the address space, and reads them back for the walk."""

    granule: int
    size: int  # TxSZ
    upper: bool = False
    memory: dict[int, int] = field(default_factory=dict)
    next_table: int = 0x4000_0000
    root: int = 0

    def __post_init__(self) -> None:
        self.root = self.new_table()

    @property
    def indices(self) -> dict[int, tuple[int, int]]:
        """The levels this input size has, with the first index cut to it."""
        top = 63 - self.size
        levels = GRANULES[self.granule][2]
        return {n: (min(h, top), low) for n, (h, low) in levels.items() if low <= top}

    def new_table(self) -> int:
        table = self.next_table
        self.next_table += 0x10000
        return table

    def set(self, address: int, descriptor: int) -> None:
        self.memory[address] = descriptor

    def read(self, address: int) -> int:
        assert address % 8 == 0
        return self.memory.get(address, 0)

    def slot(self, table: int, level: int, va: int) -> int:
        high, low = self.indices[level]
        return table + 8 * ((va & ((1 << (high + 1)) - 1)) >> low)

    def map(
        self, va: int, pa: int, level: int, leaf: int, tables: dict[int, int] | None = None
    ) -> int:
        """Map the page or block at `level` that holds `va`; `tables`: bits for table entries."""
        table = self.root
        for n in sorted(self.indices):
            slot = self.slot(table, n, va)
            if n == level:
                self.set(slot, pa | leaf | (3 if n == 3 else 1))
                return slot
            if slot not in self.memory:
                self.set(slot, self.new_table() | 3 | (tables or {}).get(n, 0))
            table = self.memory[slot] & 0x0000_FFFF_FFFF_F000 & ~(self.granule - 1)
        raise AssertionError("level not reached")

    @property
    def tcr(self) -> int:
        tg0, tg1 = GRANULES[self.granule][:2]
        # The other half is off (EPD), so that nothing is found there by chance.
        if self.upper:
            return IPS_48 | self.size << 16 | tg1 << 30 | 1 << 7 | 25
        return IPS_48 | self.size | tg0 << 14 | 1 << 23 | 25 << 16 | 2 << 30

    def walk(self, va: int, *, tcr: int = 0, sctlr: int = 0, **options: object) -> Translation:
        bad = 0xDEAD_0000_0000
        return walk(
            self.read,
            va,
            tcr=self.tcr | tcr,
            ttbr0=bad if self.upper else self.root,
            ttbr1=self.root if self.upper else bad,
            sctlr=SCTLR_M | sctlr,
            **options,  # type: ignore[arg-type]
        )

    def address(self, offset: int) -> int:
        """An address `offset` into this half."""
        bits = 64 - self.size
        offset &= (1 << bits) - 1
        return ((1 << 64) - (1 << bits)) | offset if self.upper else offset


@st.composite
def tables(draw: st.DrawFn) -> Tables:
    return Tables(
        draw(st.sampled_from(sorted(GRANULES))), draw(st.integers(16, 39)), draw(st.booleans())
    )


@st.composite
def mapped(draw: st.DrawFn) -> tuple[Tables, int, int, int, int]:
    """(tables, address, physical block, level, its size) of one page or block, mapped later."""
    made = draw(tables())
    levels = [n for n in made.indices if n == 3 or n in GRANULES[made.granule][3]]
    level = draw(st.sampled_from(levels))
    size = 1 << made.indices[level][1]
    va = made.address(draw(st.integers(0, (1 << 48) - 1)))
    pa = draw(st.integers(0, (1 << 48) - 1)) & ~(size - 1)
    return made, va, pa, level, size


def fault_of(made: Tables, va: int, **options: object) -> TranslationFault:
    with pytest.raises(TranslationFault) as caught:
        made.walk(va, **options)  # type: ignore[arg-type]
    assert caught.value.va == va
    return caught.value


@given(mapped())
def test_pages_and_blocks_of_every_granule(case: tuple[Tables, int, int, int, int]) -> None:
    made, va, pa, level, size = case
    slot = made.map(va, pa, level, AF)
    found = made.walk(va)
    assert found.pa == pa | va & (size - 1)
    assert (found.level, found.block_size, found.upper) == (level, size, made.upper)
    assert found.descriptor_address == slot
    assert found.page_va == va & ~(size - 1)
    # First and last byte of the page too, and its neighbours not.
    assert made.walk(va & ~(size - 1)).pa == pa
    assert made.walk(va | (size - 1)).pa == pa | (size - 1)


@given(mapped(), st.integers(0, 3))
def test_invalid_entries_fault_at_their_level(
    case: tuple[Tables, int, int, int, int], missing: int
) -> None:
    made, va, pa, level, _ = case
    assume(missing in made.indices and missing <= level)
    made.map(va, pa, level, AF)
    table = made.root
    for n in sorted(made.indices):
        slot = made.slot(table, n, va)
        if n == missing:
            made.set(slot, made.memory[slot] & ~1)
            break
        table = made.memory[slot] & 0x0000_FFFF_FFFF_F000 & ~(made.granule - 1)
    fault = fault_of(made, va)
    assert (fault.kind, fault.level, fault.fsc) == (FaultKind.TRANSLATION, missing, 4 | missing)


@pytest.mark.parametrize("granule", GRANULES)
def test_blocks_at_levels_that_have_none(granule: int) -> None:
    """They are faults, as is level 3 with bit 1 clear."""
    for level in GRANULES[granule][2]:
        made = Tables(granule, 16)
        va = made.address(0x1234_5678_9ABC)
        slot = made.map(va, 0, level, AF)
        made.set(slot, AF | 1)
        if level in GRANULES[granule][3]:
            assert made.walk(va).level == level
        else:
            assert fault_of(made, va).fsc == 4 | level


@given(tables(), st.integers(0, (1 << 64) - 1))
def test_addresses_outside_the_half_fault_at_level_0(made: Tables, va: int) -> None:
    inside = (va >> (64 - made.size)) == ((1 << made.size) - 1 if made.upper else 0)
    assume(not inside)
    fault = fault_of(made, va)
    assert (fault.kind, fault.level) == (FaultKind.TRANSLATION, 0)


@given(mapped(), st.integers(0, 0xFF))
def test_tags_are_ignored_with_tbi_only(case: tuple[Tables, int, int, int, int], tag: int) -> None:
    made, va, pa, level, size = case
    made.map(va, pa, level, AF)
    tagged = va & ~(0xFF << 56) | tag << 56
    tbi = 1 << (38 if made.upper else 37)
    found = made.walk(tagged, tcr=tbi)
    assert found.pa == pa | va & (size - 1)
    assert found.va == va == untagged(tagged, tbi)
    if tagged != va:
        assert fault_of(made, tagged).level == 0
        # The other half's TBI does not apply to this half.
        assert fault_of(made, tagged, tcr=1 << (37 if made.upper else 38)).level == 0
        # TBID: for instruction fetches the tag counts.
        tbid = 1 << (52 if made.upper else 51)
        assert fault_of(made, tagged, tcr=tbi | tbid, access="execute").level == 0
        assert made.walk(tagged, tcr=tbi | tbid, access="read").pa == found.pa


@given(mapped())
def test_epd_and_e0pd(case: tuple[Tables, int, int, int, int]) -> None:
    made, va, pa, level, _ = case
    made.map(va, pa, level, AF | 1 << 6)
    epd = 1 << (23 if made.upper else 7)
    assert fault_of(made, va, tcr=epd).fsc == 4
    e0pd = 1 << (56 if made.upper else 55)
    assert fault_of(made, va, tcr=e0pd, el=0, access="read").fsc == 4
    assert made.walk(va, tcr=e0pd, el=1, access="read").level == level


@given(mapped())
def test_the_access_flag(case: tuple[Tables, int, int, int, int]) -> None:
    made, va, pa, level, _ = case
    made.map(va, pa, level, 0)
    fault = fault_of(made, va)
    assert (fault.kind, fault.fsc) == (FaultKind.ACCESS_FLAG, 8 | level)
    found = made.walk(va, check_access_flag=False)
    assert not found.access_flag


# AP[2:1] -> (EL0, EL1) as DDI 0487 D8.4 tabulates data accesses.
AP = {0: ("--", "rw"), 1: ("rw", "rw"), 2: ("--", "r-"), 3: ("r-", "r-")}


@pytest.mark.parametrize("ap", AP)
@pytest.mark.parametrize("uxn", [0, 1])
@pytest.mark.parametrize("pxn", [0, 1])
@pytest.mark.parametrize("wxn", [0, 1])
def test_permissions(ap: int, uxn: int, pxn: int, wxn: int) -> None:
    made = Tables(4096, 25)
    va = 0x1234_5000
    made.map(va, 0x8000_0000, 3, AF | ap << 6 | uxn << 54 | pxn << 53)
    found = made.walk(va, sctlr=wxn << 19)
    data0, data1 = AP[ap]
    execute0 = not uxn and not (wxn and "w" in data0)
    execute1 = not pxn and "w" not in data0 and not (wxn and "w" in data1)
    assert str(found.el0) == data0 + ("x" if execute0 else "-")
    assert str(found.el1) == data1 + ("x" if execute1 else "-")
    for el, allowed in ((0, found.el0), (1, found.el1)):
        for access in ("read", "write", "execute"):
            if getattr(allowed, access):
                assert made.walk(va, sctlr=wxn << 19, el=el, access=access).pa == 0x8000_0000
            else:
                fault = fault_of(made, va, sctlr=wxn << 19, el=el, access=access)
                assert (fault.kind, fault.fsc) == (FaultKind.PERMISSION, 0xF)


@given(st.integers(0, 2), st.integers(0, 15), st.booleans())
def test_hierarchical_permissions_only_take_away(level: int, bits: int, disabled: bool) -> None:
    """APTable[1], APTable[0], UXNTable, PXNTable at each level of table."""
    made = Tables(4096, 16)
    va = 0x7000_1234_5000
    made.map(va, 0x8000_0000, 3, AF | 1 << 6, {level: bits << 59})
    open_page = made.walk(va, tcr=1 << 41)
    found = made.walk(va, tcr=disabled << 41)
    assert open_page.el0 == Permissions(True, True, True)
    if disabled:
        assert found == open_page
        return
    pxn, uxn, no_el0, read_only = (bool(bits >> i & 1) for i in range(4))
    writable0 = not no_el0 and not read_only
    assert found.el0 == Permissions(not no_el0, writable0, not uxn)
    assert found.el1 == Permissions(True, not read_only, not pxn and not writable0)


def test_pan_denies_el1_what_el0_may_read() -> None:
    made = Tables(4096, 25)
    made.map(0x1000, 0x8000_0000, 3, AF | 3 << 6)
    made.map(0x2000, 0x8000_1000, 3, AF)
    assert fault_of(made, 0x1000, access="read", pan=True).kind is FaultKind.PERMISSION
    assert made.walk(0x1000, access="execute", pan=True).el1.execute
    assert made.walk(0x2000, access="write", pan=True).pa == 0x8000_1000
    assert made.walk(0x1000, access="read", pan=True, el=0).pa == 0x8000_0000


@pytest.mark.parametrize(
    ("granule", "level", "entries"),
    [(4096, 3, 16), (4096, 2, 16), (16384, 3, 128), (16384, 2, 32), (65536, 3, 32), (65536, 2, 32)],
)
def test_the_contiguous_hint(granule: int, level: int, entries: int) -> None:
    made = Tables(granule, 16)
    size = 1 << GRANULES[granule][2][level][1]
    made.map(0, 0, level, AF | 1 << 52)
    found = made.walk(size - 1)
    assert found.contiguous
    assert found.contiguous_size == entries * size
    assert not made.walk(size - 1).non_global


@given(st.integers(0, 7), st.binary(min_size=8, max_size=8), st.integers(0, 3), st.booleans())
def test_attributes(index: int, mair: bytes, sh: int, ng: bool) -> None:
    made = Tables(4096, 25)
    made.map(0x1000, 0x8000_0000, 3, AF | index << 2 | sh << 8 | ng << 11)
    found = made.walk(0x1000, mair=int.from_bytes(mair, "little"))
    assert found.attributes == mair[index]
    assert found.non_global == ng
    assert (
        found.shareability
        == (
            "non-shareable",
            "reserved",
            "outer shareable",
            "inner shareable",
        )[sh]
    )


@pytest.mark.parametrize(("ips", "bits"), [(0, 32), (1, 36), (2, 40), (3, 42), (4, 44)])
def test_addresses_beyond_the_output_size(ips: int, bits: int) -> None:
    made = Tables(4096, 25)
    made.map(0x1000, 1 << bits, 3, AF)
    made.map(0x2000, (1 << bits) - 4096, 3, AF)

    def at(va: int, root: int) -> Translation:
        tcr = made.tcr & ~(7 << 32) | ips << 32
        return walk(made.read, va, tcr=tcr, ttbr0=root, ttbr1=0, sctlr=1)

    assert at(0x2000, made.root).pa == (1 << bits) - 4096
    with pytest.raises(TranslationFault) as leaf:
        at(0x1000, made.root)
    assert leaf.value.fsc == 0x03
    with pytest.raises(TranslationFault) as root:
        at(0x2000, made.root | 1 << bits)
    assert root.value.fsc == 0x00
    slot = made.slot(made.root, 1, 0x2000)
    made.set(slot, made.memory[slot] | 1 << bits)
    with pytest.raises(TranslationFault) as table:
        at(0x2000, made.root)
    assert table.value.fsc == 0x01


def test_tables_without_memory() -> None:
    made = Tables(4096, 25)
    slot = made.map(0x1000, 0x8000_0000, 3, AF)

    def read(address: int) -> int:
        if address == slot:
            raise LookupError(address)
        return made.read(address)

    with pytest.raises(TranslationFault) as caught:
        walk(read, 0x1000, tcr=made.tcr, ttbr0=made.root, ttbr1=0, sctlr=1)
    assert (caught.value.kind, caught.value.fsc) == (FaultKind.EXTERNAL_ABORT, 0x17)


def test_big_endian_tables() -> None:
    made = Tables(4096, 25)
    made.map(0x1000, 0x8000_0000, 3, AF)
    swapped = {a: int.from_bytes(v.to_bytes(8, "big"), "little") for a, v in made.memory.items()}
    found = walk(
        lambda a: swapped.get(a, 0),
        0x1234,
        tcr=made.tcr,
        ttbr0=made.root,
        ttbr1=0,
        sctlr=1 | 1 << 25,
    )
    assert found.pa == 0x8000_0234


@given(st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1))
def test_with_the_mmu_off_addresses_are_flat(va: int, tcr: int) -> None:
    def none(address: int) -> int:
        raise AssertionError("no table may be read")

    tbi = tcr >> (38 if va >> 55 & 1 else 37) & 1
    beyond = (va & ((1 << 56) - 1) if tbi else va) >> 48
    if beyond:
        with pytest.raises(TranslationFault) as caught:
            walk(none, va, tcr=tcr, ttbr0=0, ttbr1=0, sctlr=0)
        assert (caught.value.kind, caught.value.fsc) == (FaultKind.ADDRESS_SIZE, 0)
    else:
        found = walk(none, va, tcr=tcr, ttbr0=0, ttbr1=0, sctlr=0)
        assert (found.pa, found.level) == (va & ((1 << 48) - 1), None)


def test_the_asid_and_cnp_are_not_part_of_the_base() -> None:
    made = Tables(4096, 25)
    made.map(0x1000, 0x8000_0000, 3, AF)
    ttbr = made.root | 0xABCD << 48 | 1
    assert walk(made.read, 0x1000, tcr=made.tcr, ttbr0=ttbr, ttbr1=0, sctlr=1).pa == 0x8000_0000


def test_52_bit_addresses_with_64k() -> None:
    """FEAT_LVA and FEAT_LPA: an input of 52 bits, and address bits 51 to 48 at [15:12]."""
    leaf_pa = 0xF_1234_5678_0000
    root, table2, table3 = 0xA_0000_4000_0000, 0x5_0000_4001_0000, 0x3_0000_4002_0000
    va = 0x000F_EDCB_A987_6543

    def packed(address: int) -> int:
        return address & 0xFFFF_FFFF_0000 | address >> 48 << 12

    memory = {
        root + 8 * (va >> 42 & 0x3FF): packed(table2) | 3,
        table2 + 8 * (va >> 29 & 0x1FFF): packed(table3) | 3,
        table3 + 8 * (va >> 16 & 0x1FFF): packed(leaf_pa) | AF | 3,
    }
    ttbr0 = root & 0xFFFF_FFFF_FFC0 | root >> 48 << 2
    tcr = 6 << 32 | 12 | 1 << 14 | 1 << 23
    found = walk(lambda a: memory.get(a, 0), va, tcr=tcr, ttbr0=ttbr0, ttbr1=0, sctlr=1, pa_bits=52)
    assert found.pa == leaf_pa | va & 0xFFFF
    with pytest.raises(TranslationFault):
        walk(lambda a: memory.get(a, 0), va, tcr=tcr, ttbr0=ttbr0, ttbr1=0, sctlr=1)


def test_52_bit_addresses_with_4k() -> None:
    """FEAT_LPA2: five levels from -1, and address bits 51 to 50 at [9:8]."""
    leaf_pa = 0xD_1234_5678_9000
    tables_at = [0x4000_0000 + 0x1000 * i for i in range(5)]
    va = 0x000F_EDCB_A987_6543

    def packed(address: int) -> int:
        return address & ((1 << 50) - 1) | address >> 50 << 8

    shifts = (48, 39, 30, 21, 12)
    memory = {}
    for i, shift in enumerate(shifts):
        index = va >> shift & (15 if shift == 48 else 511)
        target = packed(leaf_pa) | AF if shift == 12 else packed(tables_at[i + 1])
        memory[tables_at[i] + 8 * index] = target | 3
    tcr = 6 << 32 | 12 | 1 << 59 | 1 << 23 | 3 << 12
    found = walk(
        lambda a: memory.get(a, 0), va, tcr=tcr, ttbr0=tables_at[0], ttbr1=0, sctlr=1, pa_bits=52
    )
    assert found.pa == leaf_pa | va & 0xFFF
    assert found.shareability == "inner shareable"
    with pytest.raises(TranslationFault) as caught:
        walk(lambda a: 0, va, tcr=tcr, ttbr0=tables_at[0], ttbr1=0, sctlr=1, pa_bits=52)
    assert (caught.value.level, caught.value.fsc) == (-1, 0x2B)


def test_wrong_arguments() -> None:
    made = Tables(4096, 25)
    with pytest.raises(ValueError, match="not a 64-bit address"):
        made.walk(1 << 64)
    with pytest.raises(ValueError, match="EL2 is not in the EL1&0"):
        made.walk(0, el=2)
