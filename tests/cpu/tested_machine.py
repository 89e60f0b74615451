"""One instruction on guestdbg's processor."""

from __future__ import annotations

import mmap
import struct

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.cpu.processor import EXIT_LIMIT, PhysicalMemory, Processor
from tests.cpu.cases import (
    BATCH,
    BRANCH_TO_SELF,
    CODE,
    CODE_SIZE,
    DATA,
    DATA_SIZE,
    PSTATE,
    SUPPORT,
    SUPPORT_SIZE,
    TABLE,
    VECTORS,
    Case,
    Outcome,
    State,
)
from tests.cpu.processor_features import LSE


def _sysreg(name: str) -> int:
    return SYSREGS[name].encoding


class ProcessorUnderTest:
    """The processor under test: EL1, MMU on, all memory Normal and mapped to itself."""

    def __init__(self, *, lse: bool = False) -> None:
        self.code = mmap.mmap(-1, CODE_SIZE)
        self.data = mmap.mmap(-1, DATA_SIZE * BATCH)
        support = mmap.mmap(-1, SUPPORT_SIZE)
        # 1 GiB blocks: AF, inner shareable, attribute 0; the second one open to EL0.
        table = struct.pack("<QQ", 0x701 | 1 << 54, (1 << 30) | 0x741 | 1 << 54)
        support[TABLE - SUPPORT : TABLE - SUPPORT + len(table)] = table
        vectors = struct.pack("<I", BRANCH_TO_SELF) * (0x800 // 4)
        support[VECTORS - SUPPORT : VECTORS - SUPPORT + len(vectors)] = vectors
        self.memory = PhysicalMemory()
        self.memory.map(0, CODE, self.code)
        self.memory.map(1, SUPPORT, support)
        self.memory.map(2, DATA, self.data)
        self.cpu = Processor(self.memory, identification=LSE if lse else None)
        for name, value in (
            ("MAIR_EL1", 0xFF),
            ("TCR_EL1", 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23),  # 39 bits, EPD1
            ("TTBR0_EL1", TABLE),
            ("VBAR_EL1", VECTORS),
            ("CPACR_EL1", 3 << 20),
            # M, C, I and the reserved ones; neither SA nor A: Unicorn checks no alignment
            ("SCTLR_EL1", 0x30D0_0980 | 1 | 1 << 2 | 1 << 12),
        ):
            self.cpu.set_sysreg(_sysreg(name), value)
        self.esr = _sysreg("ESR_EL1")

    def run(self, case: Case, pc: int) -> Outcome:
        cpu, state = self.cpu, case.state
        for n, value in enumerate(state.x):
            cpu.set_x(n, value)
        for n, value in enumerate(state.v):
            cpu.set_v(n, value)
        cpu.pstate = PSTATE | state.nzcv << 28
        cpu.sp_el1 = state.sp
        cpu.fpcr = state.fpcr
        cpu.fpsr = state.fpsr
        cpu.pc = pc
        if case.data:
            at = case.data_at - DATA
            self.data[at : at + DATA_SIZE] = case.data
        code = cpu.run(cpu.instructions + 1)
        where = cpu.pc
        after = State(
            x=tuple([cpu.get_x(n) for n in range(31)]),
            sp=cpu.sp_el1,
            nzcv=cpu.pstate >> 28 & 15,
            v=tuple([cpu.get_v(n) for n in range(32)]),
            fpcr=cpu.fpcr,
            fpsr=cpu.fpsr,
        )
        kind = "ok"
        if code != EXIT_LIMIT:
            kind = f"exit {code} with ESR_EL2 {cpu.esr_el2:#x}"
            if cpu.esr_el2 >> 26 == 0x24:
                kind = "abort"
        elif VECTORS <= where < VECTORS + 0x800:
            esr = cpu.get_sysreg(self.esr)
            kind = f"exception with ESR_EL1 {esr:#x}"
            if esr >> 26 == 0:
                kind = "undefined"
            elif esr >> 26 == 0x25:
                kind = "abort"
        data = b""
        if case.data:
            at = case.data_at - DATA
            data = self.data[at : at + DATA_SIZE]
        return Outcome(kind, where, after, data)

    def place(self, pc: int, words: bytes) -> None:
        self.code[pc - CODE : pc - CODE + len(words)] = words

    def forget_code(self) -> None:
        self.memory.code_changed(CODE, CODE_SIZE)
