"""Loads and stores at scale: aligned, unaligned and across pages, at EL0 and EL1, with faults.

Registers, V registers and all of the memory are Unicorn's. A fault's ESR, FAR and ELR are those of
a model of the architecture (scale_memory.py); Unicorn confirms that there is one.
"""

from __future__ import annotations

import re

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)
pytest.importorskip("unicorn", reason="Unicorn, the oracle, is not installed")

from unicorn import arm64_const as uc_arm64

from guestdbg.arm64.sysregs import SYSREGS
from tests.cpu.extensions import give
from tests.cpu.mem_prepare import (
    atomic_rows,
    field,
    integer_rows,
    ordered_rows,
    structure_rows,
    vector_rows,
)
from tests.cpu.oracle import SCALE
from tests.cpu.scale_batch import MODES, Batch, Pair, Tally, run_batches
from tests.cpu.scale_machines import ProcessorUnderTest, Reference
from tests.cpu.scale_memory import (
    aim,
    expected_fault,
    is_pure_store,
    must_align,
    span,
)
from tests.cpu.scale_program import CODE, DATA, NOP, SOUND
from tests.cpu.scale_rows import Rows

PARTS = 6
ALL = integer_rows() + ordered_rows() + vector_rows() + structure_rows()
ACCESSING = Rows([row for row in ALL if "literal" not in row.name])
LITERAL = Rows([row for row in ALL if "literal" in row.name])
ATOMIC = Rows(atomic_rows())
NARROW_SIGNED = re.compile(r"LDSM(AX|IN)(B|H|_W)")
SOUND_ATOMIC = Rows([row for row in ATOMIC.rows if not NARROW_SIGNED.match(row.name)])
POSITIVE = DATA + 0xF000  # a page of SOUND in which no byte has its sign bit set
PAGES = 36  # of the data area that have an edge


def make_later() -> ProcessorUnderTest:
    """With the atomics of Armv8.1, its limited ordering regions, and LDAPR."""
    tested = ProcessorUnderTest(lse=True)
    give(tested.cpu, "LOR", "LRCPC")
    return tested


@pytest.fixture(scope="module")
def pair(tier: str) -> Pair:
    return Pair(ProcessorUnderTest(), Reference())


@pytest.fixture(scope="module")
def later(tier: str) -> Pair:
    return Pair(make_later(), Reference(uc_arm64.UC_CPU_ARM64_MAX))


def sound_address(batch: Batch, raw: int) -> int:
    """Where 64 bytes may be accessed; often aligned, often across a page boundary."""
    rng = batch.rng
    bits = rng.getrandbits(32)
    at = SOUND.start + 128 + bits % (len(SOUND) - 0x1000 - 256)
    if bits >> 28 < 5:
        at = SOUND.start + (bits % 14 + 1 << 12) - (bits >> 16 & 63)
    align = max(must_align(raw), 1 << (bits >> 24 & 7 if bits >> 27 & 1 else 0))
    return at & ~(min(align, 64) - 1)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_accesses(pair: Pair, part: int) -> None:
    def make(batch: Batch) -> None:
        batch.fill(2)
        row, raw = ACCESSING.draw(batch.rng)
        if aim(batch, raw, sound_address(batch, raw)):
            batch.add([row.name], [raw])

    tally = run_batches(pair, f"memory {part}", list(MODES), [4096] * 12 * SCALE, make)
    assert tally.executed.keys() == ACCESSING.names
    assert min(tally.executed.values()) > 30


def test_literals(pair: Pair) -> None:
    """Of the code of the same batch, before and after the instruction."""

    def make(batch: Batch) -> None:
        batch.fill(0)
        row, raw = LITERAL.draw(batch.rng)
        here = batch.slot_at(1) + 12
        to = CODE + (batch.rng.getrandbits(20) & ~3)
        raw = raw & ~(0x7FFFF << 5) | ((to - here) // 4 & 0x7FFFF) << 5
        batch.add([row.name], [raw])

    tally = run_batches(pair, "literals", list(MODES), [2048] * 3 * SCALE, make)
    assert tally.executed.keys() == LITERAL.names


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
def test_atomics(later: Pair, part: int) -> None:
    """Unicorn 2.1.4 takes memory of less than 64 bits as unsigned for signed minimum and maximum:
    these have positive numbers only. (Negative ones are in test_mem_atomic.py.)"""

    def make(batch: Batch) -> None:
        if not batch.cases:
            at = POSITIVE - DATA
            page = bytes(byte & 0x7F for byte in batch.data[at : at + 0x1000])
            batch.data = batch.data[:at] + page + batch.data[at + 0x1000 :]
        batch.fill(4)
        row, raw = ATOMIC.draw(batch.rng)
        if row.name.startswith("CASP") and raw & 0x1_0001:
            return  # odd registers are UNDEFINED; see test_scale_encodings.py
        at = sound_address(batch, raw)
        if NARROW_SIGNED.match(row.name):
            rs = field(raw, 20, 16)
            if rs == field(raw, 9, 5):
                return
            if rs != 31:
                batch.set_x(rs, batch.x(rs) & 0x7F7F_7F7F)
            at = POSITIVE + (at & 0xFF8)
        if aim(batch, raw, at):
            batch.add([row.name], [raw])

    tally = run_batches(later, f"atomics {part}", list(MODES), [4096] * 4 * SCALE, make)
    assert tally.executed.keys() == ATOMIC.names
    assert min(tally.executed.values()) > 50


def edge_address(batch: Batch, raw: int, *, aligned: bool) -> int:
    """Around the boundaries of pages of all kinds."""
    bits = batch.rng.getrandbits(32)
    at = DATA + ((bits & 0x3F) % PAGES + 1 << 12)
    if bits >> 30:
        at += (bits >> 6 & 0x7F) - 64
    else:
        at += bits >> 6 & 0xFFF
    if aligned or bits >> 28 & 1:
        at &= ~(max(must_align(raw), 8) - 1)
    return at


def make_fault(
    batch: Batch, rows: Rows, stores: bool, *, aligned: bool = True, strict: bool = False
) -> None:
    batch.fill(2)
    row, raw = rows.draw(batch.rng)
    if is_pure_store(raw) != stores or (row.name.startswith("CASP") and raw & 0x1_0001):
        return
    if not aim(batch, raw, edge_address(batch, raw, aligned=aligned)):
        return
    fault = expected_fault(batch, raw, strict=strict)
    if fault is not None and stores:
        batch.unjudged.append(span(batch, raw))
    batch.add([row.name], [raw], fault=fault)


def both_happen(tally: Tally) -> bool:
    return min(tally.faulted.total(), tally.executed.total()) > tally.instructions // 8


@pytest.mark.slow
@pytest.mark.parametrize("stores", [False, True], ids=["loads", "stores"])
@pytest.mark.parametrize("part", range(2))
def test_faults(pair: Pair, part: int, stores: bool) -> None:
    """Loads and stores apart: what a store that faults half-way has written is UNKNOWN, and must
    not be loaded."""

    def make(batch: Batch) -> None:
        make_fault(batch, ACCESSING, stores)

    name = f"faults of {'stores' if stores else 'loads'} {part}"
    assert both_happen(run_batches(pair, name, list(MODES), [4096] * 6 * SCALE, make))


@pytest.mark.slow
def test_faults_of_atomics(later: Pair) -> None:
    """WnR is 0 where a read would have faulted too."""

    def make(batch: Batch) -> None:
        make_fault(batch, SOUND_ATOMIC, False)

    tally = run_batches(later, "faults of atomics", list(MODES), [4096] * 3 * SCALE, make)
    assert both_happen(tally)


@pytest.mark.slow
@pytest.mark.parametrize("strict", [False, True], ids=["A=0", "A=1"])
def test_alignment_faults(strict: bool) -> None:
    """Which Unicorn does not have: by the model alone. Exclusive, ordered and atomic accesses
    always, with SCTLR_EL1.A all of them."""
    tested = make_later()
    register = SYSREGS["SCTLR_EL1"].encoding
    tested.cpu.set_sysreg(register, tested.cpu.get_sysreg(register) | strict << 1)
    # What is not under test must be aligned, and is: slots are, the case's block is.
    rows = Rows([row for row in ALL + atomic_rows() if "literal" not in row.name])

    def make(batch: Batch) -> None:
        make_fault(batch, rows, len(batch.cases) % 2 == 1, aligned=False, strict=strict)

    tally = run_batches(Pair(tested, None), "alignment", list(MODES), [4096] * 6 * SCALE, make)
    assert both_happen(tally)


@pytest.mark.slow
def test_exclusives(pair: Pair) -> None:
    """A load-exclusive, something between, a store-exclusive: whether it stores, and what."""

    def make(batch: Batch) -> None:
        batch.fill(2)
        rng = batch.rng
        size, paired = rng.randrange(4), rng.randrange(2)
        if paired and size < 2:
            return
        base, status, data, data2, loaded, loaded2 = rng.sample(range(30), 6)
        acquire, release = rng.getrandbits(1) << 15, rng.getrandbits(1) << 15
        common = size << 30 | paired << 21 | base << 5
        load = 0x085F_7C00 | common | acquire | loaded
        store = 0x0800_7C00 | common | release | status << 16 | data
        if paired:
            load = load & ~(31 << 10) | loaded2 << 10
            store = store & ~(31 << 10) | data2 << 10
        between, name = [
            (NOP, "NOP"),
            (0xD503_3F5F, "CLREX"),
            (0x3900_0000 | base << 5 | data2, "STRB"),  # the same place
            (0x9100_0000 | 16 << 10 | base << 5 | base, "ADD"),  # elsewhere
        ][rng.randrange(4)]
        where = DATA + 16 * (rng.getrandbits(32) % 0xF00)
        if name != "ADD" and rng.randrange(4) == 0:  # where one may only read, perhaps only EL1
            # (With the monitor at another address it is IMPLEMENTATION DEFINED what comes first.)
            where = DATA + (rng.choice((18, 22, 25, 28, 29)) << 12) + 16 * rng.randrange(128)
        batch.set_x(base, where)
        names = [f"LDXR {size} {paired}", name, f"STXR {size} {paired}"]
        fault = expected_fault(batch, load)
        if fault is None and name == "STRB":
            fault = expected_fault(batch, between, at=1)
        if fault is None and name == "NOP":
            fault = expected_fault(batch, store, at=2, monitor_open=True)
        batch.add(names, [load, between, store], fault=fault)

    tally = run_batches(pair, "exclusives", list(MODES), [4096] * 3 * SCALE, make)
    assert tally.faulted.total() > 500
    assert len([name for name in tally.executed if name.startswith("STXR")]) == 6
