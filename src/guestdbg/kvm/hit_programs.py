"""Hit programs: a declared extension of the seam, for providers that can decide hits themselves.

Without them each hit of a watchpoint costs a debugger four transitions: an exit for the hit, an
entry to step the instruction, an exit after the step, and the entry that continues. If the provider
knows the debugger's condition, it can do the same inside one ``run()``: read the value, execute the
instruction with nothing armed, read the value again, and evaluate the condition or write a record.
What it cannot do exactly as the debugger would, it leaves to the debugger: ``run()`` then returns
``ExitDebug``. Programs decide what follows from hits of the registers of ``set_guest_debug``; they
arm nothing themselves.

Nothing may depend on them: a debugger without them has the same results, and the tests compare the
two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.hexadecimal_repr import hexadecimal
from guestdbg.kvm.constants import KVM_EXIT_DEBUG
from guestdbg.kvm.exits import Exit

if TYPE_CHECKING:
    from guestdbg.kvm.exits import ExitDebug

#: An operation of a condition: (op, index, value). Operations work on a stack of signed 128-bit
#: integers that wrap around; a float is its 64 bits. The condition holds if the value left at the
#: end is not 0.
Operation = tuple[int, int, int]

# Limits: values on a condition's stack, and operations of it; programs of a vCPU, excluded ranges
# and hidden words; registers in a record, and the words before them. The processor has the same
# numbers (cpu/conditions.pxd), and a test compares them. MAX_FIELDS: computed words of a record.
MAX_DEPTH = 32
MAX_OPERATIONS = 4096
MAX_PROGRAMS = 32
MAX_EXCLUDED = 64
MAX_HIDDEN = 64
MAX_REGISTERS = 16
MAX_FIELDS = 8
RECORD_WORDS = 7


#: The system registers that conditions can read: 16-bit encodings, as in one-reg ids, by name. Only
#: registers whose value depends neither on the reader nor on time.
SYSTEM_REGISTERS: dict[str, int] = {
    name: SYSREGS[name].encoding
    for name in (
        "CONTEXTIDR_EL1",
        "ELR_EL1",
        "ESR_EL1",
        "FAR_EL1",
        "FPCR",
        "FPSR",
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
    """What an operation does. The processor has the same codes (cpu/conditions.pxd)."""

    CONST = 0  # push value
    NEW = 1  # the watched value after the access
    OLD = 2  # the watched value before the access
    PC = 3  # address of the instruction
    ADDRESS = 4  # the first watched byte that was accessed; a breakpoint's own address
    SIZE = 5  # watched bytes that were accessed; 4 for a breakpoint
    COUNT = 6  # hits of this program so far, this one included
    SP = 7  # the stack pointer in use
    X = 8  # x[index]
    W = 9  # w[index]
    MEMORY = 10  # guest memory at virtual address value; index: 1, 2, 4, 8 bytes | 16 if signed
    PSTATE = 11  # PSTATE laid out as SPSR_EL1 has it, SS as 0
    PICK = 12  # a copy of the value that is index places below the top
    SYSTEM = 13  # a system register; value: its encoding, one of SYSTEM_REGISTERS
    VECTOR = 14  # 1, 2, 4 or 8 bytes of v[index], aligned; value: the first byte | bytes << 8
    PHYSICAL = 15  # guest-physical memory at the address that it pops; index as for MEMORY
    NEG = 16
    INVERT = 17
    NOT = 18
    LOAD = 19  # guest memory at the address that it pops; index as for MEMORY
    SEXT = 20  # the lowest index bits (1 to 64), sign-extended
    ZEXT = 21  # the same, zero-extended
    WIDEN = 22  # IEEE 754 half (index 2), single (4) or double precision (8) to a float
    TO_FLOAT = 23  # an integer to the nearest float
    DROP = 24  # pop the top value
    SWAP = 25  # exchange the two top values
    ROT = 26  # move the top value below the next two
    JUMP = 28  # continue at operation value, which must be a later one or the end
    JUMP_IF = 29  # the same if the value that it pops is not 0
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
    DIV = 42  # division that rounds towards 0
    REM = 43  # the remainder of DIV
    EQ = 48
    NE = 49
    LT = 50
    LE = 51
    GT = 52
    GE = 53
    BOTH = 56  # logical and
    EITHER = 57  # logical or
    # Of floats: the 64 bits of double-precision values. They do what Python does.
    FADD = 64
    FSUB = 65
    FMUL = 66
    FDIV = 67
    FFLOORDIV = 68
    FMOD = 69
    TRUEDIV = 70  # two integers to a float
    COMPARE_FLOAT = 71  # an integer with a float, exactly: -1, 0, 1, or 2 if that is not a number
    FEQ = 72
    FNE = 73
    FLT = 74
    FLE = 75
    FGT = 76
    FGE = 77


@hexadecimal("address")
@dataclass(frozen=True, slots=True)
class HitProgram:
    """What follows from the hits of one watched range or breakpoint.

    Attributes:
        kind: "watch" or "break".
        address: the first watched virtual address, or the breakpoint's.
        length: watched bytes; 0 for a breakpoint. A watch of 1, 2, 4 or 8 bytes has values.
        access: of a watch: 1 reads, 2 writes, 3 both.
        condition: operations; None: every hit counts.
        buffer: None: a hit whose condition holds ends the run (ExitHit). A writable buffer: the hit
            is recorded there instead, as RECORD_WORDS + len(registers) + len(fields) native 64-bit
            words: pc, address, old, new, instructions retired, size | access << 8 | written << 16 |
            vcpu << 32, hits so far, registers after the access, fields. The run ends when the
            buffer is full.
        registers: numbers of the registers x0 to x30 that a record has, at most 16.
        fields: operations, as those of a condition, for each further word of a record, at most
            MAX_FIELDS. They are evaluated after the access. A hit for which one of them cannot be
            evaluated is not recorded, but left to the caller (ExitHit).
        vcpu: the number that records have, of 16 bits.
    """

    kind: Literal["watch", "break"]
    address: int
    length: int = 0
    access: int = 0
    condition: tuple[Operation, ...] | None = None
    buffer: bytearray | memoryview | None = None
    registers: tuple[int, ...] = ()
    fields: tuple[tuple[Operation, ...], ...] = ()
    vcpu: int = 0


class ProgramHit(NamedTuple):
    """A hit that ended the run.

    Attributes:
        program: index of the program in ``set_hit_programs``.
        decided: False: the caller must evaluate the condition, because the provider could not
            (memory that cannot be read, a division by zero, the new value of a read), or make the
            record, because a field of it could not be evaluated.
        old, new: the watched bytes before and after the access; ``new`` is None if nothing was
            written.
    """

    program: int
    decided: bool
    old: bytes
    new: bytes | None


@dataclass(frozen=True, slots=True)
class ExitHit(Exit):
    """A hit program ended the run.

    At a watchpoint the instruction has been executed, and the PC is after it. At a breakpoint it
    has not been executed; the caller steps it.

    Attributes:
        debug: the exit that there would have been without programs.
        what: (pc, address, size, access, hits): the instruction's address; the first byte that it
            accessed and the number of bytes; 1 for a read, 2 for a write, 3 for both; the hits as
            tuples, with the last one of each program whose buffer is full.
    """

    reason: ClassVar[int] = KVM_EXIT_DEBUG
    debug: ExitDebug
    what: tuple[int, int, int, int, list[tuple[int, bool, bytes, bytes | None]]]

    @property
    def hits(self) -> list[ProgramHit]:
        """The hits that ended the run."""
        return [ProgramHit(*hit) for hit in self.what[4]]


class InstalledPrograms(Protocol):
    """The programs of a vCPU, by their index in ``set_hit_programs``."""

    def counts(self, n: int) -> tuple[int, int]:
        """(hits, hits whose condition held) of program ``n``. IndexError: no such program."""

    def set_counts(self, n: int, seen: int, passed: int) -> None:
        """Set both counts of program ``n``, from which counting continues."""

    def recorded(self, n: int) -> int:
        """The number of records in the buffer of program ``n``."""

    def clear(self, n: int, room: int = 0) -> None:
        """The buffer of program ``n`` has been read: write to its beginning again.

        ``room``: after so many records it counts as full; 0: when it has all that it can hold.
        """


@runtime_checkable
class SupportsHitPrograms(Protocol):
    """A vCPU that can decide hits itself."""

    def set_hit_programs(
        self,
        programs: Sequence[HitProgram],
        excluded: Sequence[tuple[int, int]] = (),
        hidden: Sequence[int] = (),
    ) -> InstalledPrograms:
        """Let ``programs`` decide hits, while ``set_guest_debug`` has USE_HW and no SINGLESTEP.

        Args:
            programs: at most MAX_PROGRAMS; none: no hit is decided.
            excluded: (address, end) of watched ranges, and (pc, pc) of breakpoints, whose hits exit
                as ``ExitDebug``; at most MAX_EXCLUDED.
            hidden: guest-physical addresses of 32-bit words that hold something else than the
                caller shows for them (its own BRK instructions); at most MAX_HIDDEN. A hit or
                condition that involves one is left to the caller.

        Raises:
            KvmError: EINVAL for a program that could not run.
        """
