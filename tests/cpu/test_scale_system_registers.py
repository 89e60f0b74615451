"""Every system register encoding there is (op0 2 and 3), read and written at EL1 and EL0.

LLVM decides which registers exist: it writes an MRS or MSR of Armv8.0-A by name where the
register may be read or written at all, by numbers otherwise. Each outcome must be that of the
manual's tables: the access, UNDEFINED, or at EL0 a trap to EL1 (all of EL1's controls deny here).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.cpu.processor import EXIT_LIMIT, PhysicalMemory, Processor
from tests.cpu import scan
from tests.cpu.scan_explained import is_absent, register_name

needs_llvm = pytest.mark.skipif(scan.llvm_library() is None, reason="llvm-mc is not installed")

CODE = 0x4000_0000
ENCODINGS = 1 << 15  # op0 2 and 3
VECTORS = 0x4004_0000
SIZE = 0x5_0000
EL1, EL0 = 0x3C5, 0x3C0
UNDEFINED = 0x0200_0000  # ESR: EC 0, IL
RT = 5

READ, WRITE = 1, 0


def absent(name: str) -> bool:
    """Also the performance monitors: ID_AA64DFR0_EL1.PMUVer is 0. (The decoder has them: EL2 may
    trap them.)"""
    return is_absent(name) or name.startswith("PM")


AT_EL0 = {"NZCV", "DAIF", "FPCR", "FPSR"}  # besides those whose names end in _EL0
NOT_AT_EL0 = {"SP_EL0"}
ALLOWED_AT_EL0 = {
    READ: {
        "NZCV", "FPCR", "FPSR", "TPIDR_EL0", "TPIDRRO_EL0", "DCZID_EL0",
        "MDCCSR_EL0", "DBGDTR_EL0", "DBGDTRRX_EL0",
    },
    WRITE: {"NZCV", "FPCR", "FPSR", "TPIDR_EL0", "DBGDTR_EL0", "DBGDTRTX_EL0"},
}  # fmt: skip
HIGHEST_EL_ONLY = {(WRITE, "CNTFRQ_EL0")}
# Their writes are UNDEFINED at EL0 rather than trapped: they are read-only there.
READ_ONLY_AT_EL0 = {"TPIDRRO_EL0", "CNTFRQ_EL0"}


def instruction(direction: int, encoding: int) -> int:
    """MRS or MSR of X5; encoding: op0, op1, CRn, CRm, op2 without the upper bit of op0."""
    return 0xD510_0000 | direction << 21 | encoding << 5 | RT


def reserved_identification(encoding: int) -> bool:
    """op0 3, op1 0, CRn 0, CRm 1 to 7: those without a register read as zero."""
    return encoding >> 7 == 0b1_000_0000 and encoding >> 3 & 15 in range(1, 8)


class Accesses:
    """One processor on which every encoding has its own address."""

    def __init__(self) -> None:
        self.ram = mmap.mmap(-1, SIZE)
        memory = PhysicalMemory()
        memory.map(0, CODE, self.ram)
        self.cpu = Processor(memory, breakpoints=16, watchpoints=16)
        self.cpu.set_sysreg(SYSREGS["VBAR_EL1"].encoding, VECTORS)
        self.cpu.set_sysreg(SYSREGS["CPACR_EL1"].encoding, 3 << 20)
        self.cpu.cnthctl_el2 = 3  # the physical counter and timer are EL1's
        self.esr = SYSREGS["ESR_EL1"].encoding
        code = [instruction(n >> 15, n & ENCODINGS - 1) for n in range(2 * ENCODINGS)]
        self.ram[: 4 * len(code)] = struct.pack(f"<{len(code)}I", *code)
        vectors = struct.pack("<I", 0x1400_0000) * 512
        self.ram[VECTORS - CODE : VECTORS - CODE + len(vectors)] = vectors

    def access(self, direction: int, encoding: int, pstate: int) -> int | None:
        """ESR_EL1 of the exception that it raised, if it did. Writes what was there before."""
        cpu = self.cpu
        value = 0
        if direction == WRITE:
            try:
                value = cpu.get_sysreg(1 << 15 | encoding)
            except KeyError:
                value = 0
        cpu.set_x(RT, value)
        cpu.pstate = pstate
        cpu.pc = CODE + 4 * (direction << 15 | encoding)
        here = cpu.pc
        code = cpu.run(cpu.instructions + 1)
        assert code == EXIT_LIMIT, f"exit {code} of {instruction(direction, encoding):#010x}"
        if cpu.pc == here + 4:
            return None
        assert cpu.pc & ~0x7FF == VECTORS
        return cpu.get_sysreg(self.esr)


@pytest.fixture(scope="module")
def names(tier: str) -> dict[tuple[int, int], str]:
    """LLVM's, by direction and encoding; empty for those without one."""
    llvm = scan.Llvm()
    return {
        (direction, encoding): register_name(llvm.text(instruction(direction, encoding)))
        for direction in (READ, WRITE)
        for encoding in range(ENCODINGS)
    }


def every(names: dict[tuple[int, int], str]) -> Iterator[tuple[int, int, str, str]]:
    for (direction, encoding), name in names.items():
        op0, op1 = 2 | encoding >> 14, encoding >> 11 & 7
        crn, crm, op2 = encoding >> 7 & 15, encoding >> 3 & 15, encoding & 7
        way = "MRS" if direction == READ else "MSR"
        yield direction, encoding, name, f"{way} {name or '?'} S{op0}_{op1}_C{crn}_C{crm}_{op2}"


@needs_llvm
def test_at_el1(names: dict[tuple[int, int], str]) -> None:
    it = Accesses()
    wrong = []
    there = 0
    for direction, encoding, name, text in every(names):
        expected: int | None = UNDEFINED
        if (direction, name) in HIGHEST_EL_ONLY:
            pass
        elif (name and not absent(name)) or (
            direction == READ and reserved_identification(encoding)
        ):
            expected = None
            there += 1
        found = it.access(direction, encoding, EL1)
        if found != expected:
            wrong.append(f"{text}: {'done' if found is None else f'ESR_EL1 {found:#x}'}")
    print(f"{2 * ENCODINGS} accesses, {there} of them allowed")
    assert not wrong, "\n".join([f"{len(wrong)} differ from what LLVM says", *wrong[:400]])
    assert there > 250


@needs_llvm
def test_at_el0(names: dict[tuple[int, int], str]) -> None:
    it = Accesses()
    wrong = []
    for direction, encoding, name, text in every(names):
        way = 1 if direction == READ else 0
        trap = (0x18 << 26) | (1 << 25) | (2 | encoding >> 14) << 20 | (encoding & 7) << 17
        trap |= (encoding >> 11 & 7) << 14 | (encoding >> 7 & 15) << 10 | RT << 5
        trap |= (encoding >> 3 & 15) << 1 | way
        expected: int | None = UNDEFINED
        if name and not absent(name) and name not in NOT_AT_EL0:
            if name in ALLOWED_AT_EL0[direction]:
                expected = None
            elif direction == WRITE and name in READ_ONLY_AT_EL0:
                expected = UNDEFINED
            elif name.endswith("_EL0") or name in AT_EL0:
                expected = trap
        found = it.access(direction, encoding, EL0)
        if found != expected:
            wrong.append(f"{text}: {'done' if found is None else f'ESR_EL1 {found:#x}'}")
    assert not wrong, "\n".join([f"{len(wrong)} differ from the manual", *wrong[:400]])
