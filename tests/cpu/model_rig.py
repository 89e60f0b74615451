"""A processor whose debug state is set as a whole, and the outcome of one instruction."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from typing import NamedTuple

from guestdbg.cpu.processor import EXIT_EL2, EXIT_LIMIT, PhysicalMemory, Processor

from .extensions import give
from .model_debug import State
from .processor_features import LSE
from .system_support import enc

RAM = 0x4000_0000
SIZE = 1 << 20
CODE = RAM + 0x1000
VECTORS = RAM + 0x8000
TABLES = RAM + 0x10000
DATA = RAM + 0x40000

NOP = 0xD503201F
ISB = 0xD5033FDF
ERET = 0xD69F03E0
B_SELF = 0x14000000

IL = 1 << 25
DEBUG = 0x22  # IFSC, DFSC: debug exception
EC_BREAKPOINT, EC_STEP, EC_WATCHPOINT, EC_BRK = 0x30, 0x32, 0x34, 0x3C

VBAR_EL1 = enc("VBAR_EL1")
ESR_EL1 = enc("ESR_EL1")
FAR_EL1 = enc("FAR_EL1")
ELR_EL1 = enc("ELR_EL1")
SPSR_EL1 = enc("SPSR_EL1")
CONTEXTIDR_EL1 = enc("CONTEXTIDR_EL1")
TCR_EL1 = enc("TCR_EL1")
VTTBR_EL2 = enc("VTTBR_EL2")
OSLAR_EL1 = enc("OSLAR_EL1")
OSDLR_EL1 = enc("OSDLR_EL1")
DBGPRCR_EL1 = enc("DBGPRCR_EL1")
SCTLR_EL1 = enc("SCTLR_EL1")
CPACR_EL1 = enc("CPACR_EL1")
MDSCR_EL1 = enc("MDSCR_EL1")


class Outcome(NamedTuple):
    """Where execution went: 0 nowhere (the instruction was executed), 1 or 2 an exception to that
    Exception level, with its syndrome, fault address, return address and saved state."""

    to: int
    esr: int = 0
    far: int = 0
    pc: int = 0
    spsr: int = 0

    @property
    def ec(self) -> int:
        return self.esr >> 26

    def __str__(self) -> str:
        if not self.to:
            return "executed"
        return (
            f"exception to EL{self.to}: ESR {self.esr:#x}, FAR {self.far:#x}, "
            f"return {self.pc:#x}, SPSR {self.spsr:#x}"
        )


class Rig:
    """A processor with 1 MiB at RAM, code at CODE, exception vectors that are endless loops."""

    def __init__(
        self,
        *,
        breakpoints: int = 6,
        watchpoints: int = 4,
        context_aware: int = 2,
        lse: bool = False,
        tables: bool = False,
    ) -> None:
        self.ram = mmap.mmap(-1, SIZE)
        self.memory = PhysicalMemory()
        self.memory.map(0, RAM, self.ram)
        self.p = Processor(
            self.memory,
            breakpoints=breakpoints,
            watchpoints=watchpoints,
            context_aware=context_aware,
            identification=LSE if lse else None,
        )
        if lse:
            give(self.p, "LOR", "LRCPC", "QARMA5")
        self.breakpoints, self.watchpoints = breakpoints, watchpoints
        self.context_aware = context_aware
        for vector in range(0, 0x800, 0x80):
            self.put(VECTORS + vector, [B_SELF])
        self.p.set_sysreg(VBAR_EL1, VECTORS)
        self.p.set_sysreg(CPACR_EL1, 3 << 20)
        self.p.cptr_el2 = 0
        self.hcr = 1 << 12  # DC: data accesses are to Normal memory
        if tables:
            self.hcr = 0
            self.next_table = TABLES + 0x1000
        self.written: dict[int, int] = {}

    # ---- memory ---------------------------------------------------------------------------------

    def put(self, address: int, words: Sequence[int]) -> None:
        struct.pack_into(f"<{len(words)}I", self.ram, address - RAM, *words)

    def code(self, address: int, words: Sequence[int]) -> None:
        self.put(address, words)
        self.memory.code_changed(address, 4 * len(words))

    def map(self, va: int, pa: int, attributes: int) -> None:
        """A page of 4 KiB in 39-bit tables at TABLES."""
        table = TABLES
        for shift in (30, 21):
            at = table + (va >> shift & 511) * 8 - RAM
            found = int(struct.unpack_from("<Q", self.ram, at)[0])
            if not found:
                found = self.next_table | 3
                self.next_table += 0x1000
                struct.pack_into("<Q", self.ram, at, found)
            table = found & ~0xFFF
        struct.pack_into("<Q", self.ram, table + (va >> 12 & 511) * 8 - RAM, pa | attributes | 3)

    # ---- state ----------------------------------------------------------------------------------

    def state(self, **changes: object) -> State:
        state = State(
            context_aware=self.context_aware,
            bcr=[0] * self.breakpoints,
            bvr=[0] * self.breakpoints,
            wcr=[0] * self.watchpoints,
            wvr=[0] * self.watchpoints,
        )
        for name, value in changes.items():
            setattr(state, name, value)
        return state

    def set(self, s: State, *, tcr: int = 0, others: int = 0x1C0) -> None:
        """The processor in the model's state; others: further PSTATE bits (A, I, F, NZCV, IL)."""
        p = self.p
        p.mdcr_el2 = s.tde << 8
        p.hcr_el2 = self.hcr
        p.mdscr_el1 = s.mdscr
        p.pstate = others | s.pstate_ss << 21 | s.d << 9 | (5 if s.el else 0)
        p.load_debug(s.bcr, s.bvr, s.wcr, s.wvr)
        for register, value in (
            (OSLAR_EL1, int(s.os_lock)),
            (OSDLR_EL1, int(s.double_lock)),
            (DBGPRCR_EL1, int(s.no_powerdown)),
            (CONTEXTIDR_EL1, s.contextidr),
            (VTTBR_EL2, s.vmid << 48),
            (TCR_EL1, tcr | s.tbi[0] << 37 | s.tbi[1] << 38),
        ):
            # Only registers that change, because a write may drop what the processor has cached.
            if self.written.get(register) != value:
                p.set_sysreg(register, value)
                self.written[register] = value

    def run(self, count: int = 1, *, executed: int | None = None) -> Outcome:
        """Run count instructions from the PC. executed: where the PC then is without exceptions
        (default: four times count further)."""
        p = self.p
        start = p.pc
        reason = p.run(p.instructions + count)
        if reason == EXIT_EL2:
            return Outcome(2, p.esr_el2, p.far_el2, p.pc, p.pstate)
        assert reason == EXIT_LIMIT, f"run() returned {reason}"
        pc = p.pc
        if VECTORS <= pc < VECTORS + 0x800:
            read = p.get_sysreg
            return Outcome(1, read(ESR_EL1), read(FAR_EL1), read(ELR_EL1), read(SPSR_EL1))
        expected = start + 4 * count if executed is None else executed
        assert pc == expected, f"went from {start:#x} to {pc:#x} instead of {expected:#x}"
        return Outcome(0)


def syndrome(ec: int, state: State, iss: int = DEBUG) -> int:
    """ESR of a debug exception from here: the class says whether it came from a lower level."""
    return (ec + (state.target() == state.el)) << 26 | IL | iss
