"""A processor with a few 4 KiB pages of each kind, to try single loads and stores on."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.cpu.processor import EXIT_EL2, EXIT_LIMIT, PhysicalMemory, Processor
from tests.cpu.extensions import give
from tests.cpu.processor_features import LSE

CODE = 0x4000_0000
TABLES = 0x4001_0000
VECTORS = 0x4002_0000
USER = 0x4010_0000  # two pages that EL0 and EL1 may read and write, then a hole
USER_SIZE = 0x2000
HOLE = USER + USER_SIZE
KERNEL = 0x4010_4000  # EL1 may read and write, EL0 nothing
READ_ONLY = 0x4010_6000  # read-only at both
DEVICE = 0x4010_8000  # RAM, mapped as Device-nGnRnE
NOBODY = 0x4010_A000  # mapped, but without memory
UNKNOWN_PA = 0x9000_0000
MEMORY = 0x4000_0000
MEMORY_SIZE = 0x20_0000
PAGES = (USER, USER + 0x1000, KERNEL, READ_ONLY, DEVICE)

BRANCH_TO_SELF = 0x1400_0000
EL1 = 0x3C5
EL0 = 0x3C0
SCTLR = 0x30D0_0980 | 1 | 1 << 2 | 1 << 12  # M, C, I and the reserved ones
SCTLR_A, SCTLR_SA, SCTLR_SA0 = 1 << 1, 1 << 3, 1 << 4

EC_DABT, EC_DABT_LOWER, EC_SP, EC_WATCHPT_LOWER = 0x25, 0x24, 0x26, 0x34
ALIGNMENT = 0x21


@dataclass(frozen=True)
class Taken:
    """An exception: to which EL, ESR and FAR there."""

    el: int
    esr: int
    far: int

    @property
    def ec(self) -> int:
        return self.esr >> 26

    @property
    def fsc(self) -> int:
        return self.esr & 0x3F

    @property
    def wnr(self) -> bool:
        return bool(self.esr >> 6 & 1)

    @property
    def isv(self) -> bool:
        return bool(self.esr >> 24 & 1)


class Guest:
    """SCTLR_EL1 enables no alignment checks at first; FP and SIMD are enabled."""

    def __init__(self, *, lse: bool = False) -> None:
        self.memory = mmap.mmap(-1, MEMORY_SIZE)
        physical = PhysicalMemory()
        physical.map(0, MEMORY, self.memory)
        self.physical = physical
        self.cpu = Processor(physical, identification=LSE if lse else None)
        if lse:
            give(self.cpu, "LRCPC", "QARMA5")
        level1, level2, level3, code3 = (TABLES + 0x1000 * n for n in range(4))
        self._entry(level1, MEMORY >> 30, level2 | 3)
        self._entry(level2, 0, code3 | 3)
        for page in range(CODE, CODE + 0x4_0000, 0x1000):
            self._entry(code3, page >> 12 & 511, page | 0x7C3)  # both ELs may execute it
        self.write(VECTORS, struct.pack("<I", BRANCH_TO_SELF) * (0x800 // 4))
        for page in PAGES:
            ap = {KERNEL: 0x700, READ_ONLY: 0x7C0}.get(page, 0x740)
            attribute = 1 << 2 if page == DEVICE else 0
            self._entry(code3, page >> 12 & 511, page | ap | attribute | 3)
        self._entry(code3, NOBODY >> 12 & 511, UNKNOWN_PA | 0x743)
        assert level3 == TABLES + 0x2000  # spare
        for name, value in (
            ("MAIR_EL1", 0x00FF),
            ("TCR_EL1", 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23),  # 39 bits, EPD1
            ("TTBR0_EL1", TABLES),
            ("VBAR_EL1", VECTORS),
            ("CPACR_EL1", 3 << 20),
            ("SCTLR_EL1", SCTLR),
        ):
            self.set(name, value)
        self.cpu.pstate = EL1

    def _entry(self, table: int, index: int, value: int) -> None:
        struct.pack_into("<Q", self.memory, table - MEMORY + 8 * index, value)

    def set(self, name: str, value: int) -> None:
        self.cpu.set_sysreg(SYSREGS[name].encoding, value)

    def get(self, name: str) -> int:
        return self.cpu.get_sysreg(SYSREGS[name].encoding)

    def write(self, address: int, data: bytes) -> None:
        self.memory[address - MEMORY : address - MEMORY + len(data)] = data

    def read(self, address: int, length: int) -> bytes:
        return bytes(self.memory[address - MEMORY : address - MEMORY + length])

    def watch(self, address: int, lsc: int) -> None:
        """A watchpoint on 8 bytes (LSC: 1 loads, 2 stores, 3 both) that goes to EL2."""
        self.set("MDSCR_EL1", 1 << 15)
        self.cpu.mdcr_el2 = 1 << 8
        none = [0] * 16
        self.cpu.load_debug(none, none, [0x1FE7 | lsc << 3, *none[1:]], [address, *none[1:]])

    def registers(self) -> tuple[int, ...]:
        """X0 to X30, both SPs, V0 to V31, PSTATE without what an exception changes."""
        cpu = self.cpu
        return (
            *(cpu.get_x(n) for n in range(31)),
            cpu.sp_el0,
            cpu.sp_el1,
            *(cpu.get_v(n) for n in range(32)),
            cpu.pstate >> 28,
        )

    def run(self, *words: int) -> Taken | None:
        """Executes the instructions. Returns the exception that stopped them, or None.

        Its effects on PSTATE and PC are undone: PC stays at the instruction that raised it.
        """
        cpu = self.cpu
        self.write(CODE, struct.pack(f"<{len(words)}I", *words))
        self.physical.code_changed(CODE, 4 * len(words))
        cpu.pc = CODE
        pstate = cpu.pstate
        code = cpu.run(cpu.instructions + len(words))
        if code == EXIT_EL2:
            return Taken(2, cpu.esr_el2, cpu.far_el2)
        assert code == EXIT_LIMIT or VECTORS <= cpu.pc < VECTORS + 0x800
        if VECTORS <= cpu.pc < VECTORS + 0x800:
            taken = Taken(1, self.get("ESR_EL1"), self.get("FAR_EL1"))
            cpu.pstate = pstate
            cpu.pc = self.get("ELR_EL1")
            return taken
        assert cpu.pc == CODE + 4 * len(words)
        return None
