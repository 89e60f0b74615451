"""Random translation tables and accesses through them, for the processor and for its model."""

from __future__ import annotations

import mmap
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from guestdbg.cpu.processor import EXIT_EL2, EXIT_LIMIT, PhysicalMemory, Processor

from .model_translation import (
    PAR_KNOWN,
    Access,
    Choices,
    Done,
    Fault,
    Found,
    How,
    Kind,
    Machine,
    Part,
    Regime,
    Stopped,
    hpfar,
    par,
    syndrome,
    walk,
)
from .processor_features import LSE
from .system_support import B_SELF, EL0T, EL1H, enc, sys

RAM = 0x4000_0000
SIZE = 4 << 20
CODE = RAM  # the instructions of FORMS, then TLBI, DSB, ISB; vectors in the same 4 KiB page
VECTORS = RAM + 0x800
TABLES = RAM + 0x10000
DATA = RAM + 0x200000
ROM = 0x4800_0000  # a slot that may not be written
HIGH = (0x8_0000_0000, 0x90_0000_0000, 0x3FF_0000_0000, 0xFFF_FFFF_0000)  # 36, 40, 42, 44 bits
SLOT = 0x10000

MASK64 = (1 << 64) - 1


def _iss(size: int, *, signed: bool = False, wide: bool = False, ordered: bool = False) -> int:
    """ISV, SAS, SSE, SRT (x2), SF and AR."""
    sas = size.bit_length() - 1
    return 1 << 24 | sas << 22 | signed << 21 | 2 << 16 | wide << 15 | ordered << 14


@dataclass(frozen=True)
class Form:
    """An instruction that accesses [x1]; its registers are x2 to x5 and v2 to v5."""

    name: str
    word: int
    access: Access
    registers: str = "x"  # what it loads or stores: w, x or v; "" nothing that is looked at
    signed: int = 0  # loads are sign-extended from so many bits
    writeback: int = 0
    el1_only: bool = False


def _plain(size: int) -> tuple[Part, ...]:
    return (Part(0, size),)


def _forms() -> Iterator[Form]:
    log = {1: 0, 2: 1, 4: 2, 8: 3}
    for size, k in log.items():
        z = k << 30
        wide = size == 8
        for how, opc, verb in ((How.READ, 1, "ldr"), (How.WRITE, 0, "str")):
            reg = "x" if wide else "w"
            acc = Access(how, _plain(size), syndrome=_iss(size, wide=wide))
            yield Form(f"{verb}{size}", 0x39000022 | z | opc << 22, acc, reg)
            unpriv = replace(acc, unprivileged=True)
            yield Form(f"{verb[:2]}t{size}", 0x38000822 | z | opc << 22, unpriv, reg)
            ordered = Access(
                how, _plain(size), always_aligned=size, syndrome=_iss(size, wide=wide, ordered=True)
            )
            yield Form(f"{verb}-ordered{size}", 0x089FFC22 | z | opc << 22, ordered, reg)
            post = Access(how, _plain(size))
            yield Form(
                f"{verb}-post{size}", 0x38000422 | z | opc << 22 | size << 12, post, reg, 0, size
            )
            vector = Access(how, _plain(size))
            yield Form(f"{verb}-v{size}", 0x3D000022 | z | opc << 22, vector, "v")
        exclusive = Access(How.READ, _plain(size), always_aligned=size)
        yield Form(f"ldxr{size}", 0x085F7C22 | z, exclusive, "x" if wide else "w")
        atomic = Access(How.ATOMIC, _plain(size), always_aligned=size)
        reg = "x" if wide else "w"
        yield Form(f"swp{size}", 0x38238022 | z, atomic, reg)
        yield Form(f"ldadd{size}", 0x38230022 | z, atomic, reg)
        yield Form(f"cas{size}", 0x08A27C23 | z, atomic, reg)
    for size in (1, 2, 4):
        acc = Access(How.READ, _plain(size), syndrome=_iss(size, signed=True, wide=True))
        yield Form(f"ldrs{size}", 0x39800022 | log[size] << 30, acc, "x", 8 * size)
    for how, bit, verb in ((How.READ, 1 << 22, "ldp"), (How.WRITE, 0, "stp")):
        for size, base, reg in ((4, 0x29000C22, "w"), (8, 0xA9000C22, "x"), (16, 0xAD000C22, "v")):
            whole = 8 if size == 16 else 0
            parts = (Part(0, size, whole), Part(size, size, whole))
            yield Form(f"{verb}{size}", base | bit, Access(how, parts), reg)
        yield Form(f"{verb}-v16", 0x3D800022 | bit, Access(how, (Part(0, 16, 8),)), "v")
        elements = tuple(Part(8 * n, 8) for n in range(4))
        yield Form(f"{verb}-1-2d", 0x4C00AC22 | bit, Access(how, elements), "v")
        elements = tuple(Part(n, 1) for n in range(64))
        yield Form(f"{verb}-1-16b", 0x4C002022 | bit, Access(how, elements), "v")
    yield Form("ldxp8", 0xC87F0C22, Access(How.READ, (Part(0, 16),), always_aligned=16), "x")
    yield Form("ldxp4", 0x887F0C22, Access(How.READ, (Part(0, 8),), always_aligned=8), "w")
    pair = Access(How.ATOMIC, (Part(0, 16),), always_aligned=16)
    yield Form("casp8", 0x48227C24, pair, "x")
    zero = Access(How.WRITE, (Part(0, 64),), zero=True, tagged_far=True)
    yield Form("dc-zva", sys(3, 7, 4, 1, 1), zero, "")
    for name, crm in (("cvac", 10), ("cvau", 11), ("civac", 14), ("ic-ivau", 5)):
        clean = Access(How.MAINTAIN, (Part(0, 1),), tagged_far=True)
        yield Form(f"dc-{name}", sys(3, 7, crm, 1, 1), clean, "")
    drop = Access(How.MAINTAIN_WRITE, (Part(0, 1),), tagged_far=True)
    yield Form("dc-ivac", sys(0, 7, 6, 1, 1), drop, "", el1_only=True)


FORMS = list(_forms())
FETCH = Access(How.FETCH, (Part(0, 4),))
AT = {(write, user): sys(0, 7, 8, write | user << 1, 1) for write in (0, 1) for user in (0, 1)}
TLBI_ALL = [sys(0, 8, 7, 0), 0xD5033F9F, 0xD5033FDF]  # TLBI VMALLE1; DSB SY; ISB

AT_OFFSET = 4 * len(FORMS)
TLBI_OFFSET = AT_OFFSET + 16
assert TLBI_OFFSET + 12 < 0x800

# What SCTLR_EL1 needs so that EL0 may do cache maintenance: UCI, DZE
SCTLR = 0x30D0_0800 | 1 << 26 | 1 << 14


def movz_of(pa: int) -> int:
    """The instruction at every word of data: movz xN, #page: a fetch tells where it came from."""
    return 0xD2800000 | (pa >> 12 & 0xFFFF) << 5 | pa >> 2 & 15


class World:
    """One processor and its memory, used for many scenarios."""

    def __init__(self) -> None:
        self.memory = PhysicalMemory()
        self.slots: dict[int, mmap.mmap] = {}
        for number, (base, size) in enumerate(
            [(RAM, SIZE), (ROM, SLOT), *((high, SLOT) for high in HIGH)]
        ):
            buffer = mmap.mmap(-1, size)
            first = 0 if base != RAM else DATA - RAM
            words = ((base + at) for at in range(first, size, 4))
            buffer[first:size] = struct.pack(f"<{(size - first) // 4}I", *map(movz_of, words))
            self.slots[base] = buffer
            self.memory.map(number, base, buffer, base == ROM)
        words_of_code = [f.word for f in FORMS] + [AT[k] for k in sorted(AT)] + TLBI_ALL
        ram = self.slots[RAM]
        ram[: 4 * len(words_of_code)] = struct.pack(f"<{len(words_of_code)}I", *words_of_code)
        for vector in range(0x800, 0x1000, 0x80):
            ram[vector : vector + 4] = struct.pack("<I", B_SELF)
        self.p = self.new_processor()
        self.saved = {base: bytes(buffer) for base, buffer in self.slots.items()}
        self.tables: list[tuple[int, int]] = []  # where and how long: cleared for the next one
        self.next_table = TABLES

    def new_processor(self) -> Processor:
        """A further processor with this memory; `p` is the one that executes."""
        p = Processor(self.memory, identification=LSE)
        p.cptr_el2 = 0
        p.set_sysreg(enc("CPACR_EL1"), 3 << 20)
        return p

    def set(self, name: str, value: int) -> None:
        self.p.set_sysreg(enc(name), value)

    def get(self, name: str) -> int:
        return self.p.get_sysreg(enc(name))

    # ---- memory -------------------------------------------------------------------------------

    def slot(self, pa: int) -> tuple[int, mmap.mmap] | None:
        for base, buffer in self.slots.items():
            if 0 <= pa - base < len(buffer):
                return base, buffer
        return None

    def is_memory(self, pa: int) -> bool:
        return self.slot(pa) is not None

    def is_writable(self, pa: int) -> bool:
        return not 0 <= pa - ROM < SLOT

    def read_u64(self, pa: int) -> int | None:
        found = self.slot(pa)
        if found is None:
            return None
        base, buffer = found
        return int.from_bytes(buffer[pa - base : pa - base + 8], "little")

    def bytes_at(self, pa: int, length: int) -> bytes:
        found = self.slot(pa)
        assert found is not None
        base, buffer = found
        return buffer[pa - base : pa - base + length]

    def put(self, pa: int, data: bytes) -> None:
        found = self.slot(pa)
        assert found is not None
        base, buffer = found
        buffer[pa - base : pa - base + len(data)] = data

    def slot_address(self, rng: random.Random) -> int:
        base = rng.choice(list(self.slots))
        first = 0 if base != RAM else DATA - RAM
        return base + rng.randrange(first, len(self.slots[base]), 4)

    def new_table(self, size: int, align: int) -> int | None:
        at = -(-self.next_table // align) * align
        if at + size > DATA:
            return None
        self.next_table = at + size
        self.tables.append((at, size))
        return at

    def clear_tables(self) -> None:
        for at, size in self.tables:
            self.put(at, bytes(size))
        self.tables = []
        self.next_table = TABLES

    # ---- running ------------------------------------------------------------------------------

    def flush(self) -> None:
        """All translations forgotten: TLBI VMALLE1 with translation off."""
        self.set("SCTLR_EL1", SCTLR)
        self.p.hcr_el2 = 0
        self.p.pstate = EL1H
        self.p.pc = CODE + TLBI_OFFSET
        assert self.p.run(self.p.instructions + 3) == EXIT_LIMIT
        assert self.p.pc == CODE + TLBI_OFFSET + 12


class Wrong(AssertionError):
    """The processor and the model differ."""


# ---- tables -----------------------------------------------------------------------------------


class Builder:
    """Makes tables for one half of the address space, on demand for the addresses asked of it."""

    def __init__(
        self,
        world: World,
        rng: random.Random,
        *,
        upper: bool,
        granule: int,
        txsz: int,
        ips: int,
        contiguous: bool = True,
    ) -> None:
        self.w, self.rng, self.contiguous = world, rng, contiguous
        self.upper, self.granule, self.ips = upper, granule, ips
        self.bits = 64 - min(max(txsz, 16), 39)
        self.stride = granule - 3
        self.first = 4 - -(-(self.bits - granule) // self.stride)
        entries = self.bits - self.low(self.first)
        root = world.new_table(8 << entries, max(64, 8 << entries))
        assert root is not None
        self.root = root
        self.base = MASK64 >> self.bits << self.bits if upper else 0

    def low(self, level: int) -> int:
        return self.granule + (3 - level) * self.stride

    def address(self) -> int:
        """An address of this half whose indices come from few: so tables are shared."""
        rng = self.rng
        va = 0
        high = self.bits
        for level in range(self.first, 4):
            low = self.low(level)
            most = (1 << high - low) - 1
            va |= min(rng.choice([0, 0, 1, most, rng.randint(0, most)]), most) << low
            high = low
        return self.base | va

    def place(self, low: int) -> int:
        """A physical address for a block of 1 << low bytes."""
        rng = self.rng
        limit = {0: 32, 1: 36, 2: 40, 3: 42, 4: 44}.get(self.ips, 44)
        choice = rng.random()
        if choice < 0.6:
            pa = DATA + rng.randrange(0, SIZE - (DATA - RAM), 0x1000)
        elif choice < 0.7:
            pa = ROM + rng.randrange(0, SLOT, 0x1000)
        elif choice < 0.85:
            pa = rng.choice(HIGH) + rng.randrange(0, SLOT, 0x1000)
        elif choice < 0.95:
            pa = rng.getrandbits(limit)
        else:
            pa = rng.getrandbits(48)
        return pa >> low << low

    def attributes(self) -> int:
        rng = self.rng
        value = 1 << 10 if rng.random() < 0.9 else 0
        value |= rng.getrandbits(2) << 6 | rng.getrandbits(2) << 8 | rng.getrandbits(1) << 11
        value |= rng.choice([0, 0, 0, rng.getrandbits(3)]) << 2
        if rng.random() < 0.5:
            value |= rng.getrandbits(2) << 53
        if rng.random() < 0.2:
            value |= 1 << 5  # NS
        if rng.random() < 0.2:
            value |= rng.getrandbits(4) << 55 | rng.getrandbits(1) << 63  # for software
        return value

    def leaf(self, table: int, index: int, level: int) -> None:
        """A block or a page, or a whole contiguous set of them."""
        rng = self.rng
        low = self.low(level)
        descriptor = self.attributes() | (3 if level == 3 else 1)
        span = {(12, 3): 16, (12, 2): 16, (12, 1): 16}.get((self.granule, level))
        if self.granule == 14:
            span = {3: 128, 2: 32}.get(level)
        elif self.granule == 16:
            span = 32 if level > 1 else None
        entries = 1 << (self.bits - low if level == self.first else self.stride)
        start = index - index % span if span else 0
        if self.contiguous and span and start + span <= entries and rng.random() < 0.2:
            where = range(start, start + span)
            if not any(self.w.read_u64(table + 8 * n) for n in where):
                size = span << low
                pa = self.place(low) // size * size
                for k, n in enumerate(where):
                    value = descriptor | 1 << 52 | pa + (k << low)
                    self.w.put(table + 8 * n, struct.pack("<Q", value))
                return
        value = descriptor | self.place(low)
        if rng.random() < 0.05 and level < 3:
            value |= rng.getrandbits(low - 12) << 12 if low > 12 else 0  # bits that are RES0
        self.w.put(table + 8 * index, struct.pack("<Q", value))

    def grow(self, va: int) -> None:
        """Descriptors for va, as far as there are none yet."""
        rng = self.rng
        table = self.root
        high = self.bits
        for level in range(self.first, 4):
            low = self.low(level)
            index = va >> low & (1 << high - low) - 1
            high = low
            at = table + 8 * index
            descriptor = self.w.read_u64(at)
            assert descriptor is not None
            if not descriptor:
                choice = rng.random()
                if choice < 0.04:
                    junk = rng.getrandbits(64) & ~3 | rng.choice([0, 2])
                    self.w.put(at, struct.pack("<Q", junk))
                    return
                if level == 3 or choice < (0.25 if level > 0 else 0.06):
                    if level == 3 and choice > 0.97:  # bits 1:0 = 0b01, reserved there
                        self.w.put(at, struct.pack("<Q", self.place(low) | 1 << 10 | 1))
                        return
                    self.leaf(table, index, level)
                    return
                new = None
                if choice < 0.94:
                    new = self.w.new_table(1 << self.granule, 1 << self.granule)
                if new is None:
                    # anywhere: in data, in other tables, outside of memory, too far
                    wild = (self.root, self.place(self.granule), 0x2000_0000, rng.getrandbits(44))
                    new = rng.choice(wild) >> self.granule << self.granule
                descriptor = new | 3
                if rng.random() < 0.3:
                    descriptor |= rng.getrandbits(4) << 59
                if rng.random() < 0.2:
                    descriptor |= rng.getrandbits(7) << 52 | rng.getrandbits(10) << 2  # ignored
                self.w.put(at, struct.pack("<Q", descriptor))
            if descriptor & 3 != 3:
                return
            table = descriptor >> self.granule << self.granule & (1 << 48) - 1
            if not TABLES <= table < DATA:
                return

    def map_code(self, va: int) -> None:
        """va is the page of CODE, for both exception levels; nothing else of it is random."""
        table = self.root
        high = self.bits
        for level in range(self.first, 3):
            low = self.low(level)
            index = va >> low & (1 << high - low) - 1
            high = low
            new = self.w.new_table(1 << self.granule, 1 << self.granule)
            assert new is not None
            self.w.put(table + 8 * index, struct.pack("<Q", new | 3))
            table = new
        index = va >> self.granule & (1 << high - self.granule) - 1
        page = CODE | 3 << 8 | 1 << 10 | 3 << 6 | 3
        self.w.put(table + 8 * index, struct.pack("<Q", page))


GRANULES = {12: (0b00, 0b10), 14: (0b10, 0b01), 16: (0b01, 0b11)}


@dataclass
class Space:
    """The registers of a scenario, where its code is, and addresses to try."""

    regime: Regime
    code: int
    addresses: list[int]


def make_space(world: World, rng: random.Random, choices: Choices) -> Space:
    """Tables and registers at random; one page in one of the halves holds the code."""
    world.clear_tables()
    mair = rng.getrandbits(64) & ~0xFF | 0xFF
    for n in range(1, 8):
        if rng.random() < 0.5:
            mair = mair & ~(0xFF << 8 * n) | rng.choice([0x00, 0x04, 0x0C, 0x44, 0xFF]) << 8 * n
    sctlr = SCTLR | rng.choice([0, 0, 0, 1 << 1]) | rng.choice([0, 0, 1 << 19])
    if rng.random() < 0.04:  # translation off
        hcr = rng.choice([0, 1 << 12])
        sctlr |= rng.getrandbits(1) if hcr else 0
        tcr = rng.getrandbits(2) << 37
        regime = Regime(sctlr, tcr, 0, 0, mair, hcr, choices)
        flat = [world.slot_address(rng) for _ in range(8)]
        flat += [rng.getrandbits(rng.choice([32, 44, 45, 48, 64])) for _ in range(6)]
        flat += [world.slot_address(rng) | rng.getrandbits(8) << 56 for _ in range(6)]
        return Space(regime, CODE, flat)
    ips = rng.choice([0, 1, 2, 3, 4, 5, 6, 7])
    upper_code = rng.getrandbits(1)
    tcr = ips << 32 | rng.getrandbits(2) << 37 | rng.getrandbits(1) << 22 | rng.getrandbits(1) << 36
    tcr |= rng.getrandbits(6) << 8 | rng.getrandbits(6) << 24  # cacheability of walks
    ttbr = [0, 0]
    builders: list[Builder] = []
    code = 0
    addresses: list[int] = []
    for upper in (0, 1):
        granule = rng.choice([12, 14, 16])
        txsz = rng.randint(16, 39)
        if upper != upper_code and rng.random() < 0.08:
            txsz = rng.choice([*range(16), *range(40, 64)])
        builder = Builder(world, rng, upper=bool(upper), granule=granule, txsz=txsz, ips=ips)
        builders.append(builder)
        tg = GRANULES[granule][upper]
        if upper != upper_code and granule == 12 and rng.random() < 0.05:
            tg = (0b11, 0b00)[upper]
        if upper:
            tcr |= txsz << 16 | tg << 30
        else:
            tcr |= txsz | tg << 14
        ttbr[upper] = builder.root | rng.getrandbits(16) << 48
        if upper == upper_code:
            code = builder.address()
            builder.map_code(code)
        elif rng.random() < 0.05:
            tcr |= 1 << (23 if upper else 7)  # EPD
        elif rng.random() < 0.05:
            ttbr[upper] |= rng.getrandbits(48) >> 32 << 32
        for _ in range(rng.randint(4, 14)):
            va = builder.address()
            builder.grow(va)
            addresses.append(va)
            if rng.random() < 0.5:
                beside = va + (1 << rng.choice([12, granule]))
                if beside >> builder.bits == va >> builder.bits:
                    builder.grow(beside)
                    if rng.random() < 0.7:
                        addresses.append(beside - rng.randint(1, 15))  # for crossing pages
    regime = Regime(sctlr | 1, tcr, ttbr[0], ttbr[1], mair, 0, choices)
    return Space(regime, code, addresses)


# ---- one access, judged -----------------------------------------------------------------------


def sign_extended(value: int, bits: int) -> int:
    return (value - (1 << bits) if value >> bits - 1 else value) & MASK64


class Judge:
    """Does accesses on the processor and compares what comes of them with the model."""

    def __init__(self, world: World, space: Space, rng: random.Random) -> None:
        self.w, self.s, self.rng = world, space, rng
        self.p = world.p
        self.counts: dict[str, int] = {}

    def machine(self, el: int) -> Machine:
        w = self.w
        return Machine(self.s.regime, w.read_u64, w.is_memory, w.is_writable, el)

    def install(self) -> None:
        """Load the registers; no translation of before is left."""
        w, r = self.w, self.s.regime
        w.flush()
        w.set("MAIR_EL1", r.mair)
        w.set("TCR_EL1", r.tcr)
        w.set("TTBR0_EL1", r.ttbr0)
        w.set("TTBR1_EL1", r.ttbr1)
        w.set("VBAR_EL1", self.s.code + 0x800)
        w.p.hcr_el2 = r.hcr
        w.set("SCTLR_EL1", r.sctlr)

    def _prepare(self, el: int, pc: int) -> dict[str, list[int]]:
        p, rng = self.p, self.rng
        p.pstate = EL1H if el else EL0T
        p.pc = pc
        x = [rng.getrandbits(64) for _ in range(31)]
        v = [rng.getrandbits(128) for _ in range(6)]
        for n in range(2, 6):
            p.set_x(n, x[n])
            p.set_v(n, v[n])
        return {"x": x, "v": v}

    def _fault(self, stopped: Stopped, access: Access, el: int, pc: int, reason: int) -> str:
        """The exception that must have been taken; returns what kind it was."""
        p, w = self.p, self.w
        fault = stopped.fault
        want = syndrome(access, stopped, el)
        if fault.ipa is not None:
            self._same("exit", reason, EXIT_EL2)
            esr = p.esr_el2
            if stopped.crossing and access.syndrome is not None and not fault.s1ptw:
                esr, want = esr & ~0x1FFC000, want & ~0x1FFC000  # whether ISV is open
            self._same("ESR_EL2", esr, want)
            self._same("FAR_EL2", p.far_el2, stopped.far)
            self._same("HPFAR_EL2", p.hpfar_el2, hpfar(fault.ipa))
            self._same("PC", p.pc, pc)
            return "walk" if fault.s1ptw else "stage 2"
        self._same("exit", reason, EXIT_LIMIT)
        self._same("PC", p.pc, self.s.code + 0x800 + (0x200 if el else 0x400))
        self._same("ESR_EL1", w.get("ESR_EL1"), want)
        self._same("FAR_EL1", w.get("FAR_EL1"), stopped.far)
        self._same("ELR_EL1", w.get("ELR_EL1"), pc)
        return f"{fault.kind.name.lower()} {fault.level}"

    def _same(self, what: str, tested: object, model: object) -> None:
        if tested != model:
            o, m = (hex(v) if isinstance(v, int) else v for v in (tested, model))
            raise Wrong(f"{what} is {o}, by the model {m}")

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def data(self, number: int, va: int, el: int) -> None:
        """One load, store, atomic or cache operation."""
        form = FORMS[number]
        p = self.p
        access = form.access
        expected = self.machine(el).access(va, access)
        pc = self.s.code + 4 * number
        before = self._prepare(el, pc)
        p.set_x(1, va)
        if isinstance(expected, Done) and form.name.startswith("cas") and self.rng.random() < 0.5:
            pa, size = expected.pieces[0]
            old = self._saved(pa, size)
            for n in range(-(-size // 8)):
                before["x"][2 + n] = int.from_bytes(old[8 * n : 8 * n + 8], "little")
                p.set_x(2 + n, before["x"][2 + n])
        reason = p.run(p.instructions + 1)
        if isinstance(expected, Stopped):
            self._count(self._fault(expected, access, el, pc, reason))
            self._same("x1", p.get_x(1), va)
            for n in range(2, 6):
                self._same(f"x{n}", p.get_x(n), before["x"][n])
                if access.how is not How.READ:
                    self._same(f"v{n}", p.get_v(n), before["v"][n])
            self._restore(expected.before, access)
            return
        self._count(access.how.name.lower())
        self._same("exit", reason, EXIT_LIMIT)
        self._same("PC", p.pc, pc + 4)
        self._same("x1", p.get_x(1), va + form.writeback & MASK64)
        self._effect(form, expected, before)
        self._restore(expected.pieces, access)

    def _loaded(self, form: Form, data: bytes) -> None:
        p = self.p
        at = 0
        register = 2
        parts = form.access.parts
        if form.name.startswith("ldxp"):
            half = len(data) // 2
            parts = (Part(0, half), Part(half, half))
        elif form.registers == "v" and len(parts) > 2:
            parts = tuple(Part(16 * n, 16) for n in range(len(data) // 16))
        for part in parts:
            value = int.from_bytes(data[at : at + part.size], "little")
            at += part.size
            if form.signed:
                value = sign_extended(value, form.signed)
            got = p.get_v(register) if form.registers == "v" else p.get_x(register)
            self._same(f"{form.registers}{register}", got, value)
            register += 1

    def _effect(self, form: Form, done: Done, before: dict[str, list[int]]) -> None:
        w = self.w
        pieces = done.pieces
        old = b"".join(self._saved(pa, size) for pa, size in pieces)
        now = b"".join(w.bytes_at(pa, size) for pa, size in pieces)
        how = form.access.how
        if how in (How.MAINTAIN, How.MAINTAIN_WRITE):
            return
        if how is How.READ:
            self._loaded(form, old)
            self._same("memory", now, old)
            return
        if form.access.zero:
            base = pieces[0][0] & ~63
            self._same("memory", w.bytes_at(base, 64), bytes(64))
            return
        size = len(old)
        x, v = before["x"], before["v"]
        if how is How.WRITE:
            if form.registers == "v":
                count = max(1, size // 16) if len(form.access.parts) > 1 else 1
                each = size // count
                new = b"".join(
                    (v[2 + n] & (1 << 8 * each) - 1).to_bytes(each, "little") for n in range(count)
                )
            else:
                each = size // len(form.access.parts)
                new = b"".join(
                    (x[2 + n] & (1 << 8 * each) - 1).to_bytes(each, "little")
                    for n in range(len(form.access.parts))
                )
            self._same("memory", now, new)
            return
        mask = (1 << 8 * size) - 1
        value = int.from_bytes(old, "little")
        if form.name.startswith("casp"):
            self._same("x2", self.p.get_x(2), value & MASK64)
            self._same("x3", self.p.get_x(3), value >> 64)
            if x[2] | x[3] << 64 == value:
                value = x[4] | x[5] << 64
            self._same("memory", int.from_bytes(now, "little"), value)
            return
        new_value = value
        if form.name.startswith("swp"):
            new_value = x[3] & mask
        elif form.name.startswith("ldadd"):
            new_value = value + x[3] & mask
        elif x[2] & mask == value:  # cas x2, x3, [x1]
            new_value = x[3] & mask
        self._same("x2", self.p.get_x(2), value)
        self._same("memory", int.from_bytes(now, "little"), new_value)

    def _saved(self, pa: int, size: int) -> bytes:
        """What memory held: tables as they are now, everything else as it was filled."""
        w = self.w
        found = w.slot(pa)
        assert found is not None
        base, _ = found
        if base == RAM and pa < DATA:
            return w.bytes_at(pa, size)  # never written: see addresses()
        return w.saved[base][pa - base : pa - base + size]

    def _restore(self, pieces: tuple[tuple[int, int], ...], access: Access) -> None:
        if access.how not in (How.WRITE, How.ATOMIC):
            return
        for pa, size in pieces:
            if access.zero:
                pa, size = pa & ~63, 64
            self.w.put(pa, self._saved(pa, size))

    def may_write(self, va: int, number: int, el: int) -> bool:
        """Not into tables or code: the model reads those from memory."""
        access = FORMS[number].access
        if access.how not in (How.WRITE, How.ATOMIC):
            return True
        result = self.machine(el).access(va, access)
        pieces = result.pieces if isinstance(result, Done) else result.before
        return not any(RAM <= pa < DATA for pa, _ in pieces)

    def fetch(self, va: int, el: int) -> None:
        """Execute the word at va."""
        p, w = self.p, self.w
        va &= ~3
        pc = self.s.regime.branch_address(va)
        expected = self.machine(el).access(pc, FETCH)
        if isinstance(expected, Done):
            pa = expected.pieces[0][0]
            word = int.from_bytes(w.bytes_at(pa, 4), "little")
            if word != movz_of(pa):
                return  # in a table or in the code itself
            self._prepare(el, va)
            reason = p.run(p.instructions + 1)
            self._same("exit", reason, EXIT_LIMIT)
            self._same("PC", p.pc, pc + 4 & MASK64)
            self._same("x", p.get_x(pa >> 2 & 15), pa >> 12 & 0xFFFF)
            self._count("fetch")
            return
        self._prepare(el, va)
        reason = p.run(p.instructions + 1)
        self._count("fetch " + self._fault(expected, FETCH, el, pc, reason))

    def at(self, va: int, write: int, user: int) -> None:
        """An address translation instruction."""
        p, w = self.p, self.w
        expected = par(self.s.regime, va, w.read_u64, bool(write), bool(user))
        index = sorted(AT).index((write, user))
        pc = self.s.code + AT_OFFSET + 4 * index
        self._prepare(1, pc)
        p.set_x(1, va)
        reason = p.run(p.instructions + 1)
        if isinstance(expected, Fault):
            access = Access(How.MAINTAIN, (Part(0, 1),), tagged_far=True)
            stopped = Stopped(va, expected, True, (), False)
            self._count("at " + self._fault(stopped, access, 1, pc, reason))
            return
        self._same("exit", reason, EXIT_LIMIT)
        self._same("PC", p.pc, pc + 4)
        self._same("PAR_EL1", w.get("PAR_EL1") & PAR_KNOWN, expected & PAR_KNOWN)
        self._count("at fault" if expected & 1 else "at")


def tries(space: Space, rng: random.Random) -> Iterator[int]:
    """Addresses of the scenario: with offsets, with tags, a bit wrong at the top."""
    while True:
        va = rng.choice(space.addresses)
        choice = rng.random()
        if choice < 0.25:
            va += rng.randrange(0, 0x1000)
        elif choice < 0.75:
            va += rng.randrange(0, 0x1000, 16)
        if rng.random() < 0.25:  # elsewhere in a block, often where there is memory
            va ^= rng.getrandbits(rng.choice([14, 16, 21, 25, 29, 30])) & ~0xFFF
        if rng.random() < 0.15:
            va = va & (1 << 56) - 1 | rng.getrandbits(8) << 56
        if rng.random() < 0.05:
            va ^= 1 << rng.randint(25, 63)
        va &= MASK64
        # Over the end of a half, or of the tagged part, the manual leaves open what is there.
        if va & (1 << 55) - 1 > (1 << 55) - 0x100:
            continue
        yield va


def scenario(world: World, seed: int, choices: Choices, accesses: int = 40) -> dict[str, int]:
    """Everything about one seed: counts of what came of the accesses; raises Wrong."""
    rng = random.Random(seed)
    space = make_space(world, rng, choices)
    judge = Judge(world, space, rng)
    judge.install()
    addresses = tries(space, rng)
    for _ in range(accesses):
        va = next(addresses)
        el = rng.getrandbits(1)
        what = rng.random()
        doing = ""
        try:
            if what < 0.72:
                number = rng.randrange(len(FORMS))
                if FORMS[number].el1_only:
                    el = 1
                doing = f"{FORMS[number].name} at {va:#x}, EL{el}"
                if judge.may_write(va, number, el):
                    judge.data(number, va, el)
            elif what < 0.88:
                doing = f"fetch from {va:#x}, EL{el}"
                judge.fetch(va, el)
            else:
                write, user = rng.getrandbits(1), rng.getrandbits(1)
                doing = f"AT S1E{1 - user}{'RW'[write]} of {va:#x}"
                judge.at(va, write, user)
        except Wrong as wrong:
            r = space.regime
            raise Wrong(
                f"seed {seed}: {doing}: {wrong}\n"
                f"  SCTLR {r.sctlr:#x} TCR {r.tcr:#x} TTBR0 {r.ttbr0:#x} TTBR1 {r.ttbr1:#x} "
                f"MAIR {r.mair:#x} HCR {r.hcr:#x}\n  by the walk: {walk(r, va, world.read_u64)}"
            ) from None
    return judge.counts


__all__ = ["CODE", "Choices", "Found", "Judge", "Kind", "World", "Wrong", "scenario"]
