"""All that translation tables map, against the walk of single addresses."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from guestdbg.arm64.mappings import Mappings, mappings
from guestdbg.arm64.translate import TranslationFault, walk

TABLES = 0x4000_0000
#: 39 bits of addresses in both halves, 4 KiB granules, 40 bits of output: walks begin at level 1.
TCR_4K = 25 | 25 << 16 | 2 << 30 | 2 << 32
#: 48 bits, 16 KiB and 64 KiB granules.
TCR_16K = 16 | 16 << 16 | 2 << 14 | 1 << 30 | 5 << 32
TCR_64K = 16 | 16 << 16 | 1 << 14 | 3 << 30 | 5 << 32
SCTLR = 1


class Memory:
    """Tables in a few pages of memory."""

    def __init__(self, size: int) -> None:
        self.data = bytearray(size)

    def read(self, address: int, length: int) -> bytes:
        at = address - TABLES
        if not 0 <= at <= len(self.data) - length:
            raise LookupError("no memory")
        return bytes(self.data[at : at + length])

    def read_u64(self, address: int) -> int:
        return int.from_bytes(self.read(address, 8), "little")

    def put(self, address: int, descriptor: int) -> None:
        at = address - TABLES
        self.data[at : at + 8] = descriptor.to_bytes(8, "little")


def scan(memory: Memory, upper: bool, tcr: int = TCR_4K, **more: int) -> Mappings:
    return mappings(memory.read, upper=upper, tcr=tcr, ttbr=TABLES, sctlr=SCTLR, **more)


def random_tables(rng: random.Random, granule: int, pages: int) -> Memory:
    memory = Memory(pages * granule)
    for page in range(pages):
        for _ in range(rng.choice((3, 20))):
            entry = rng.randrange(granule // 8)
            for at in range(entry, min(entry + rng.choice((1, 1, 4, 30)), granule // 8)):
                below = TABLES + rng.randrange(pages + 1) * granule
                kind = rng.choice((0, 1, 3, 3))
                restrictions = rng.choice((0, 0, rng.getrandbits(5) << 59))
                leaf = rng.choice((0, rng.getrandbits(2) << 53 | rng.getrandbits(2) << 6))
                memory.put(
                    TABLES + page * granule + 8 * at, below | kind | restrictions | leaf | 1 << 10
                )
    return memory


@pytest.mark.parametrize(("tcr", "granule"), [(TCR_4K, 4096), (TCR_16K, 16384), (TCR_64K, 65536)])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("upper", [False, True])
def test_the_walk_agrees(tcr: int, granule: int, seed: int, upper: bool) -> None:
    """At both ends of every range, and between two, the walk of one address says the same."""
    rng = random.Random(seed)
    memory = random_tables(rng, granule, 5)
    found = scan(memory, upper, tcr, max_tables=300)
    assert found.ranges == sorted(found.ranges, key=lambda one: one.start)
    end = (1 << 64) - (1 << 64 - (tcr & 63)) if upper else 0
    for one in found.ranges[:400]:
        assert end <= one.start < one.end
        for at in (one.start, one.end - granule, rng.randrange(one.start, one.end)):
            there = walk(memory.read_u64, at, tcr=tcr, ttbr0=TABLES, ttbr1=TABLES, sctlr=SCTLR)
            assert (there.el0, there.el1) == (one.el0, one.el1), hex(at)
        if one.start > end:
            assert faults(memory, one.start - granule, tcr)
        end = one.end


def faults(memory: Memory, address: int, tcr: int) -> bool:
    try:
        walk(memory.read_u64, address, tcr=tcr, ttbr0=TABLES, ttbr1=TABLES, sctlr=SCTLR)
    except TranslationFault:
        return True
    return False


def test_neighbours_are_one_range() -> None:
    memory = Memory(4096 * 3)
    memory.put(TABLES, (TABLES + 0x1000) | 3)
    memory.put(TABLES + 0x1000, (TABLES + 0x2000) | 3)
    memory.put(TABLES + 0x1008, 0x8000_0000 | 1 | 1 << 7)  # a block of 2 MiB, read-only
    for at in range(512):
        memory.put(TABLES + 0x2000 + 8 * at, 0x9000_0000 | 3 | (at < 256) << 7)
    found = scan(memory, upper=False)
    assert [(one.start, one.end, one.el1.write) for one in found.ranges] == [
        (0, 0x10_0000, False),
        (0x10_0000, 0x20_0000, True),
        (0x20_0000, 0x40_0000, False),
    ]
    assert found.complete
    assert found.tables == 3
    top = scan(memory, upper=True)
    assert [one.start for one in top.ranges][:1] == [(1 << 64) - (1 << 39)]


def itself(memory: Memory) -> None:
    """Every entry of the first table refers to the first table."""
    for at in range(512):
        memory.put(TABLES + 8 * at, TABLES | 3)


def alternating(memory: Memory) -> None:
    """Every page has other permissions than its neighbours; all tables are one."""
    for at in range(512):
        memory.put(TABLES + 8 * at, (TABLES + 0x1000) | 3)
        memory.put(TABLES + 0x1000 + 8 * at, (TABLES + 0x2000) | 3)
        memory.put(TABLES + 0x2000 + 8 * at, 0x9000_0000 | 3 | (at & 1) << 7)


@pytest.mark.parametrize("fill", [itself, alternating])
def test_hostile_tables_end(fill: Callable[[Memory], None]) -> None:
    memory = Memory(4096 * 3)
    fill(memory)
    found = scan(memory, upper=True, max_tables=1000, max_ranges=5000)
    assert not found.complete
    assert found.tables <= 1001
    assert len(found.ranges) <= 5000


def test_nothing_is_mapped() -> None:
    memory = Memory(4096)
    assert scan(memory, upper=False).ranges == []
    # Walks of this half are disabled; TxSZ out of range; the first table without memory.
    assert scan(memory, False, TCR_4K | 1 << 7).tables == 0
    assert scan(memory, False, TCR_4K & ~63 | 50).tables == 0
    far = mappings(memory.read, upper=False, tcr=TCR_4K, ttbr=0x9000_0000, sctlr=SCTLR)
    assert far.ranges == []
