"""Hit programs: a declared extension of the seam, for providers that can decide hits themselves.

A debugger that watches a busy variable for one value spends its time going in and out of the guest:
out for the hit, in for one step, out, in again. Where the provider is told what is wanted, it does
that by itself: it reads the value, lets the instruction pass with nothing armed, reads it again
and judges a condition, or makes a record. What it cannot do exactly as the debugger would, it
leaves to the debugger: then ``run()`` returns ``ExitDebug`` as ever. Programs say what hits of the
registers of ``set_guest_debug`` come to; they arm nothing by themselves.

Nothing may depend on them: the plain way gives the same, and is tested against this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.kvm.constants import KVM_EXIT_DEBUG
from guestdbg.kvm.exits import Exit, ExitDebug

#: Steps of a condition: (op, index, value). They work on a stack of 128-bit signed integers, which
#: wrap around; what is left at the end is true if it is not 0.
Operation = tuple[int, int, int]

#: Places on a condition's stack, and steps of it; programs of a vCPU, ranges without one, hidden
#: words; registers in a record; words before them.
MAX_DEPTH = 32
MAX_OPERATIONS = 4096
MAX_PROGRAMS = 32
MAX_EXCLUDED = 64
MAX_HIDDEN = 64
MAX_REGISTERS = 16
RECORD_WORDS = 7


#: The system registers that conditions can look at, by name: their 16-bit encodings in one-reg ids.
#: Those whose value does not depend on who asks and when.
SYSTEM_REGISTERS: dict[str, int] = {
    name: SYSREGS[name].encoding
    for name in (
        "CONTEXTIDR_EL1",
        "ELR_EL1",
        "ESR_EL1",
        "FAR_EL1",
        "MAIR_EL1",
        "MPIDR_EL1",
        "SCTLR_EL1",
        "SPSR_EL1",
        "SP_EL0",
        "TCR_EL1",
        "TPIDRRO_EL0",
        "TPIDR_EL0",
        "TPIDR_EL1",
        "TTBR0_EL1",
        "TTBR1_EL1",
        "VBAR_EL1",
    )
}


class Op(IntEnum):
    """What a step does."""

    CONST = 0  # push value
    NEW = 1  # the watched value after the access
    OLD = 2  # and before it
    PC = 3  # of the instruction
    ADDRESS = 4  # the first watched byte that was accessed; of a breakpoint its own
    SIZE = 5  # watched bytes that were accessed; 4 for a breakpoint
    COUNT = 6  # hits of this program so far, this one included
    SP = 7  # the stack pointer in use
    X = 8  # x[index]
    W = 9  # w[index]
    MEMORY = 10  # guest memory at the virtual address value; index: 1, 2, 4, 8 bytes | 16 if signed
    PSTATE = 11  # PSTATE laid out as SPSR_EL1 has it, SS as 0
    PICK = 12  # a copy of the place that is index below the top
    SYSTEM = 13  # a system register; value: its encoding, one of SYSTEM_REGISTERS
    NEG = 16
    INVERT = 17
    NOT = 18
    LOAD = 19  # guest memory at the address that it takes off the stack; index as for MEMORY
    SEXT = 20  # the lowest index bits (1 to 64), sign-extended
    ZEXT = 21  # the same, zero-extended
    DROP = 24  # what is on top
    SWAP = 25  # the two places on top
    ROT = 26  # the three places on top: what is on top goes below the other two
    JUMP = 28  # go on at step value, which must be further on; the number of steps is the end
    JUMP_IF = 29  # the same if what it takes off the stack is not 0
    ADD = 32
    SUB = 33
    MUL = 34
    FLOORDIV = 35
    MOD = 36
    AND = 37
    OR = 38
    XOR = 39
    LSHIFT = 40
    RSHIFT = 41
    DIV = 42  # division rounding towards 0, and its remainder
    REM = 43
    EQ = 48
    NE = 49
    LT = 50
    LE = 51
    GT = 52
    GE = 53
    BOTH = 56
    EITHER = 57


@dataclass(frozen=True, slots=True)
class HitProgram:
    """What is to come of the hits of one watched range or breakpoint.

    Attributes:
        kind: "watch" or "break".
        address: the first watched virtual address, or the breakpoint's.
        length: watched bytes; 0 for a breakpoint. A watch of 1, 2, 4 or 8 bytes has values.
        access: of a watch: 1 reads, 2 writes, 3 both.
        condition: steps, or None for "always".
        buffer: None: a hit whose condition holds ends the run (ExitHit). A writable buffer: the hit
            is recorded there instead, RECORD_WORDS + len(registers) native 64-bit words each: pc,
            address, old, new, instructions retired, size | access << 8 | written << 16, hits so
            far, registers as after the access. The run ends when it is full.
        registers: which of x0 to x30 a record has, at most 16.
    """

    kind: Literal["watch", "break"]
    address: int
    length: int = 0
    access: int = 0
    condition: tuple[Operation, ...] | None = None
    buffer: bytearray | memoryview | None = None
    registers: tuple[int, ...] = ()


class ProgramHit(NamedTuple):
    """A hit that ended the run. ``decided`` is False where the condition is for the caller to judge
    (memory that could not be read, a division by zero, the new value of a read)."""

    program: int
    decided: bool
    old: bytes
    new: bytes | None


@dataclass(frozen=True, slots=True)
class ExitHit(Exit):
    """A hit program ended the run. At a watch the access has been made, and the PC is behind it; at
    a breakpoint the instruction has not been executed, and is for the caller to step off.

    Attributes:
        debug: the exit as it would have been without programs.
        what: (pc, address, size, access, hits): the instruction; the first byte it accessed, how
            many, 1 for a read, 2 for a write, 3 for both; ProgramHit tuples, none if a buffer is
            full.
    """

    reason: ClassVar[int] = KVM_EXIT_DEBUG
    debug: ExitDebug
    what: tuple[int, int, int, int, list[tuple[int, bool, bytes, bytes | None]]]

    @property
    def hits(self) -> list[ProgramHit]:
        """The hits that ended the run."""
        return [ProgramHit(*hit) for hit in self.what[4]]


class InstalledPrograms(Protocol):
    """Programs that a vCPU has been given."""

    def counts(self, n: int) -> tuple[int, int]:
        """(hits, hits whose condition held) of program ``n`` so far. IndexError: there is none."""

    def set_counts(self, n: int, seen: int, passed: int) -> None:
        """Go on counting from here."""

    def recorded(self, n: int) -> int:
        """How many records there are in the buffer of program ``n``."""

    def clear(self, n: int) -> None:
        """The buffer of program ``n`` was read: start at its beginning again."""


@runtime_checkable
class SupportsHitPrograms(Protocol):
    """A vCPU that decides hits by itself where it is told how."""

    def set_hit_programs(
        self,
        programs: Sequence[HitProgram],
        excluded: Sequence[tuple[int, int]] = (),
        hidden: Sequence[int] = (),
    ) -> InstalledPrograms:
        """Have ``programs`` (at most 32) decide hits while ``set_guest_debug`` has USE_HW and does
        not step. ``plain``: (address, end) of at most 64 watched ranges, and (pc, pc) of
        breakpoints, whose hits are to exit as ever. ``hidden``: the guest-physical addresses of at
        most 64 words that are not what the caller shows for them (BRK instructions of its own):
        whatever has to do with them is left to it. No programs: none decide.

        Raises KvmError(EINVAL) for a program that could not run.
        """
