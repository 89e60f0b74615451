"""Overwritten code is executed as it is now, whichever processor, slot or instruction wrote it."""

from __future__ import annotations

import mmap
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

from guestdbg.cpu.processor import EXIT_EL2, EXIT_LIMIT, PhysicalMemory, Processor

from .processor_features import LSE
from .support import B_SELF, CODE, RAM, RET, Bench, branch, movz

SEED = 20261122
ALIAS = 0x8000_0000
STORES = RAM + 0x8000  # the instruction that stores
BLOCKS = RAM + 0x3F40  # what is overwritten: over the end of a page
COUNT = 150


@dataclass(frozen=True)
class Store:
    """How to change memory: x1 the address, the bytes in x0 and x2 or in V0 and V1."""

    words: tuple[int, ...]
    size: int
    align: int = 1  # the address goes down to a multiple of it
    back: int = 0  # and then by so much


WRITES = {
    "strb": Store((0x39000020,), 1, back=-1),
    "strh": Store((0x79000020,), 2),
    "str w": Store((0xB9000020,), 4),
    "str x": Store((0xF9000020,), 8, 8),
    "stur x": Store((0xF8000020,), 8, back=3),
    "str x post": Store((0xF8008420,), 8, 8),
    "stp w": Store((0x29000820,), 8, back=4),
    "stp x": Store((0xA9000820,), 16, 8, 8),
    "stp x unaligned": Store((0xA9000820,), 16, back=10),
    "str s": Store((0xBD000020,), 4),
    "str q": Store((0x3D800020,), 16, 16),
    "str q unaligned": Store((0x3D800020,), 16, back=13),
    "stp q": Store((0xAD000420,), 32, 16, 16),
    "st1": Store((0x4C007020,), 16, back=12),
    "stlr": Store((0x889FFC20,), 4),
    "stxr": Store((0x885F7C23, 0x88047C20), 4),
    "stxp": Store((0xC87F1823, 0xC8240820), 16, 16),
    "swp": Store((0xB8208023,), 4),
    "cas": Store((0xB9400023, 0x88A37C20), 4),
}


def add_x5(number: int) -> int:
    return 0x910000A5 | number << 10


def number_of(word: int) -> int:
    return word >> 10 & 0xFFF if word & 0xFFC003FF == 0x910000A5 else 0


class Machine:
    """Two processors, one memory; code whose sum says which instructions were executed."""

    def __init__(self, alias: Callable[[mmap.mmap], memoryview | mmap.mmap | None]) -> None:
        self.bench = Bench(lse=True)
        self.ram = self.bench.ram
        other = alias(self.ram)
        if other is not None:
            self.bench.memory.map(1, ALIAS, other)
        self.cpus = [self.bench.p, Processor(self.bench.memory, identification=LSE)]
        for cpu in self.cpus:
            cpu.set_sysreg(0xC082, 3 << 20)  # CPACR_EL1: FP allowed
            cpu.hcr_el2 = 1 << 12  # DC: unaligned accesses are allowed with the MMU off
        self.rng = rng = random.Random(SEED)
        code = [branch(1) if rng.random() < 0.05 else add_x5(1) for _ in range(COUNT - 1)]
        self.bench.put(BLOCKS, [*code, B_SELF])

    def words(self) -> tuple[int, ...]:
        return struct.unpack_from(f"<{COUNT}I", self.ram, BLOCKS - RAM)

    def check(self, cpu: Processor, why: object) -> None:
        cpu.pc = BLOCKS
        cpu.set_x(5, 0)
        end = cpu.instructions + COUNT
        while cpu.instructions < end:
            piece = COUNT if self.rng.random() < 0.9 else self.rng.randrange(1, 5)
            assert cpu.run(min(end, cpu.instructions + piece)) == EXIT_LIMIT
        assert cpu.get_x(5) == sum(map(number_of, self.words())), why

    def write(self, cpu: Processor, how: Store, at: int, number: int, distance: int) -> None:
        """Written by the guest; distance: from RAM to the address."""
        start = at // how.align * how.align - how.back
        new = bytearray(self.ram[start : start + 32])
        struct.pack_into("<I", whole := bytearray(self.ram[at : at + 4]), 0, add_x5(number))
        for n, byte in enumerate(whole):
            if 0 <= at + n - start < how.size:
                new[at + n - start] = byte
        low, second = int.from_bytes(new[:8], "little"), new[8:16]
        if how.size == 8 and len(how.words) == 1 and how.words[0] >> 24 == 0x29:
            second = new[4:8]
        cpu.set_x(0, low)
        cpu.set_x(2, int.from_bytes(second, "little"))
        cpu.set_v(0, int.from_bytes(new[:16], "little"))
        cpu.set_v(1, int.from_bytes(new[16:], "little"))
        cpu.set_x(1, RAM + start + distance)
        self.bench.put(STORES, [*how.words, B_SELF])
        self.bench.memory.code_changed(STORES, 16)
        cpu.pc = STORES
        assert cpu.run(cpu.instructions + len(how.words)) == EXIT_LIMIT, hex(how.words[0])
        assert self.ram[at : at + 4] == whole, f"{how.words[-1]:#x} wrote something else"


@pytest.mark.parametrize("alias", ["none", "whole", "part", "skewed"])
def test_every_way_to_overwrite_code(alias: str) -> None:
    """By either processor, through either slot, as any store does it: both execute what is there.

    Slots may share memory of the host, page to page (as where a ROM is seen in two places) and,
    since buffers may begin anywhere, otherwise.
    """
    starts = {"whole": 0, "part": 0x3000, "skewed": 0x2010}

    def share(ram: mmap.mmap) -> memoryview | None:
        if alias == "none":
            return None
        return memoryview(ram)[starts[alias] : starts[alias] + 0x5000]

    machine = Machine(share)
    rng = random.Random(f"{SEED} {alias}")
    for turn in range(600):
        for cpu in machine.cpus:
            if rng.random() < 0.6:
                machine.check(cpu, (turn, "before"))
        name = rng.choice(list(WRITES))
        word = rng.choice([n for n, it in enumerate(machine.words()) if number_of(it)])
        through = 0
        if alias != "none" and rng.random() < 0.5:
            through = ALIAS - RAM - starts[alias]
        writer = rng.choice(machine.cpus)
        at = BLOCKS - RAM + 4 * word
        if WRITES[name].align > 1 and through:
            # What has to be aligned is the guest's address.
            shift = (at + through) % WRITES[name].align - at % WRITES[name].align
            if shift:
                continue
        machine.write(writer, WRITES[name], at, rng.randrange(1, 64), through)
        if through and rng.random() < 0.3:
            # Executed through that slot too.
            runner = rng.choice(machine.cpus)
            runner.pc = BLOCKS + through
            runner.set_x(5, 0)
            runner.run(runner.instructions + COUNT)
            assert runner.get_x(5) == sum(map(number_of, machine.words())), (turn, name)
        for cpu in machine.cpus:
            if rng.random() < 0.6:
                machine.check(cpu, (turn, name, word, hex(through)))


def test_dc_zva_over_code() -> None:
    """Every 64 bytes of it: zeroed code is UNDEFINED."""
    bench = Bench()
    bench.p.set_sysreg(0xC600, RAM + 0x9000)  # VBAR_EL1
    bench.p.hcr_el2 = 1 << 12
    bench.put(RAM + 0x9200, [B_SELF])
    bench.put(STORES, [0xD50B7421, B_SELF])  # dc zva, x1
    for line in range(4):
        bench.put(BLOCKS, [add_x5(1)] * 63 + [B_SELF])
        bench.memory.code_changed(BLOCKS, 256)
        for expected in (63, 16 * line):
            bench.p.pc = BLOCKS
            bench.p.set_x(5, 0)
            bench.run(64)
            assert bench.p.get_x(5) == expected
            bench.p.pc = STORES
            bench.p.set_x(1, BLOCKS + 64 * line + 7)
            bench.run(1)


def test_a_write_through_a_read_only_slot_names_that_slot() -> None:
    """Two slots of the same memory: HPFAR_EL2 has the address that the guest used."""
    bench = Bench([0xF9000020])  # str x0, [x1]
    bench.memory.map(1, ALIAS, bench.ram, True)
    bench.p.set_x(1, ALIAS + 0x5040)
    assert bench.run(1) == EXIT_EL2
    assert bench.p.esr_el2 & 0x3F == 0x0F
    assert bench.p.hpfar_el2 == (ALIAS + 0x5000) >> 12 << 4
    assert bench.p.far_el2 == ALIAS + 0x5040


def test_code_changed_reaches_as_far_as_it_says() -> None:
    bench = Bench([movz(0, 1), RET])
    bench.run(2)
    for start, length in ((CODE, (1 << 64) - 1), (0, (1 << 64) - 1), (CODE + 3, 1)):
        number = bench.p.get_x(0) + 1
        bench.put(CODE, [movz(0, number), RET])
        bench.memory.code_changed(start, length)
        bench.p.pc = CODE
        bench.run(2)
        assert bench.p.get_x(0) == number, (hex(start), hex(length))


@pytest.mark.parametrize(
    ("word", "broadcast", "elsewhere"),
    [
        (0xD508711F, False, True),  # ic ialluis
        (0xD508751F, False, False),  # ic iallu
        (0xD508751F, True, True),  # the same with HCR_EL2.FB
        (0xD50B7521, False, True),  # ic ivau, x1
    ],
)
def test_invalidation_reaches_the_other_processors(
    word: int, broadcast: bool, elsewhere: bool
) -> None:
    """Memory written from outside, as by a device: decoded code is dropped, Inner Shareable."""
    memory = PhysicalMemory()
    ram = mmap.mmap(-1, 0x10000)
    memory.map(0, RAM, ram)
    first, second = Processor(memory), Processor(memory)
    first.hcr_el2 = 1 << 9 if broadcast else 0
    struct.pack_into("<2I", ram, 0, movz(0, 1), B_SELF)
    struct.pack_into("<2I", ram, 0x1000, word, B_SELF)

    def value(cpu: Processor) -> int:
        cpu.pc = RAM
        cpu.run(cpu.instructions + 2)
        return cpu.get_x(0)

    assert (value(first), value(second)) == (1, 1)
    struct.pack_into("<I", ram, 0, movz(0, 2))
    first.pc = RAM + 0x1000
    first.set_x(1, RAM)
    first.run(first.instructions + 1)
    assert value(first) == 2
    assert value(second) == (2 if elsewhere else 1)
