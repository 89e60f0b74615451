"""One instruction at a time on a bare processor, and its outcome."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from typing import NamedTuple

from guestdbg.arm64.sysregs import SYSREGS, encode16
from guestdbg.cpu.processor import EXIT_EL2, EXIT_LIMIT, PhysicalMemory, Processor

RAM = 0x4000_0000
SIZE = 1 << 20
CODE = RAM
VECTORS = RAM + 0x8000
TABLES = RAM + 0x10000
DATA = RAM + 0x20000

EL0T = 0x3C0
EL1T = 0x3C4
EL1H = 0x3C5
B_SELF = 0x14000000
NOP = 0xD503201F
ERET = 0xD69F03E0
ISB = 0xD5033FDF

# Bits of ESR_ELx
IL = 1 << 25


def enc(name: str) -> int:
    """The 16-bit encoding of a system register."""
    r = SYSREGS[name]
    return encode16(r.op0, r.op1, r.crn, r.crm, r.op2)


def mrs(rt: int, register: str | int) -> int:
    e = enc(register) if isinstance(register, str) else register
    return 0xD5200000 | e << 5 | rt


def msr(register: str | int, rt: int) -> int:
    e = enc(register) if isinstance(register, str) else register
    return 0xD5000000 | e << 5 | rt


def sys(op1: int, crn: int, crm: int, op2: int, rt: int = 31) -> int:
    return 0xD5080000 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5 | rt


def sysl(op1: int, crn: int, crm: int, op2: int, rt: int = 31) -> int:
    return sys(op1, crn, crm, op2, rt) | 1 << 21


def msr_imm(op1: int, op2: int, imm: int) -> int:
    return 0xD500401F | op1 << 16 | imm << 8 | op2 << 5


def hint(n: int) -> int:
    return 0xD503201F | n << 5


def syndrome(word: int) -> int:
    """ESR_ELx of EC 0x18 for this MRS, MSR, SYS or SYSL, from the manual's figure of the ISS."""
    op0, op1, crn, crm, op2, rt = (
        word >> 19 & 3,
        word >> 16 & 7,
        word >> 12 & 15,
        word >> 8 & 15,
        word >> 5 & 7,
        word & 31,
    )
    iss = op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | rt << 5 | crm << 1 | (word >> 21 & 1)
    return 0x18 << 26 | IL | iss


class Outcome(NamedTuple):
    where: str  # "done", "el1" or "el2"
    esr: int = 0


DONE = Outcome("done")
UNDEFINED = Outcome("el1", IL)


class One:
    """A processor with 1 MiB at RAM whose exception vectors are endless loops."""

    def __init__(
        self, *, clock: str = "virtual", breakpoints: int = 6, watchpoints: int = 4
    ) -> None:
        self.ram = mmap.mmap(-1, SIZE)
        self.memory = PhysicalMemory()
        self.memory.map(0, RAM, self.ram)
        self.p = Processor(
            self.memory, clock=clock, breakpoints=breakpoints, watchpoints=watchpoints
        )
        for vector in range(0, 0x800, 0x80):
            self.store32(VECTORS + vector, [B_SELF])
        self.set("VBAR_EL1", VECTORS)
        self.p.cnthctl_el2 = 3
        self.p.cptr_el2 = 0

    def store32(self, address: int, words: Sequence[int]) -> None:
        at = address - RAM
        self.ram[at : at + 4 * len(words)] = struct.pack(f"<{len(words)}I", *words)

    def store64(self, address: int, value: int) -> None:
        struct.pack_into("<Q", self.ram, address - RAM, value)

    def get(self, name: str) -> int:
        return self.p.get_sysreg(enc(name))

    def set(self, name: str, value: int) -> None:
        self.p.set_sysreg(enc(name), value)

    def execute(self, word: int, *, el: int | None = None, at: int = CODE) -> Outcome:
        """Execute one instruction; el: change to it first (EL0t or EL1h)."""
        if el is not None:
            self.p.pstate = EL1H if el else EL0T
        self.store32(at, [word])
        self.memory.code_changed(at, 4)
        self.p.pc = at
        reason = self.p.run(self.p.instructions + 1)
        if reason == EXIT_EL2:
            return Outcome("el2", self.p.esr_el2)
        assert reason == EXIT_LIMIT, reason
        if VECTORS <= self.p.pc < VECTORS + 0x800:
            return Outcome("el1", self.get("ESR_EL1"))
        assert self.p.pc == at + 4
        return DONE

    def run(self, words: Sequence[int], *, el: int = 1, limit: int = 10_000) -> int:
        """Run a sequence that ends by HVC, BRK to EL2 or a limit."""
        self.p.pstate = EL1H if el else EL0T
        self.store32(CODE, words)
        self.memory.code_changed(CODE, 4 * len(words))
        self.p.pc = CODE
        return self.p.run(self.p.instructions + limit)


# Page descriptors for Paged.map
UXN = 1 << 54
PXN = 1 << 53
NG = 1 << 11
AF = 1 << 10
RO = 1 << 7  # AP[2]
USER = 1 << 6  # AP[1]
NORMAL, DEVICE = 0 << 2, 1 << 2


class Paged(One):
    """One with translation on: 39-bit addresses, 4 KiB pages; code and vectors mapped flat, and
    executable at EL0 and EL1."""

    def __init__(self, *, watchpoints: int = 4) -> None:
        super().__init__(watchpoints=watchpoints)
        self.tables = TABLES + 0x1000
        for page in (CODE, VECTORS):
            self.map(page, page, AF | RO | USER)
        self.set("MAIR_EL1", 0x44_04_FF)
        self.set("TCR_EL1", 25 | 25 << 16 | 2 << 30 | 2 << 32)
        self.set("TTBR0_EL1", TABLES)
        self.set("SCTLR_EL1", self.get("SCTLR_EL1") | 1)

    def entry(self, va: int) -> int:
        """The address of the page descriptor for va, creating tables as needed."""
        table = TABLES
        for shift in (30, 21):
            at = table + (va >> shift & 511) * 8
            found = int(struct.unpack_from("<Q", self.ram, at - RAM)[0])
            if not found:
                found = self.tables | 3
                self.tables += 0x1000
                self.store64(at, found)
            table = found & ~0xFFF
        return table + (va >> 12 & 511) * 8

    def map(self, va: int, pa: int, attributes: int) -> None:
        self.store64(self.entry(va), pa | attributes | 3)
