"""What happened where two traces differ, for the rules that explain the difference."""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import TYPE_CHECKING

from guestdbg.arm64.esr import EC
from guestdbg.arm64.exception_class import exception_class
from guestdbg.arm64.loadstore import PC, memory_operand
from guestdbg.check import assembler as asm
from guestdbg.check.differential import layout
from guestdbg.check.differential.generate.source import SCRATCH
from guestdbg.check.differential.program import Debug, SetReg
from guestdbg.kvm.constants import (
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_USE_HW,
    KVM_GUESTDBG_VALID_MASK,
)

if TYPE_CHECKING:
    from guestdbg.arm64.loadstore import MemoryOperand
    from guestdbg.check.differential.compare import Difference
    from guestdbg.check.differential.program import Program
    from guestdbg.check.differential.trace import Seen, Trace

_ZVA, _ZVA_MASK = 0xD50B7420, 0xFFFFFFE0
_ZVA_BLOCK = 64


class Access:
    """The memory that an instruction reads or writes.

    Attributes:
        first: the lowest address.
        total: the number of bytes.
        count: the number of accesses that it is made of.
        size: the size of each, in bytes.
    """

    def __init__(self, first: int, total: int, count: int, size: int) -> None:
        self.first = first
        self.total = total
        self.count = count
        self.size = size

    @property
    def last(self) -> int:
        """The highest address accessed."""
        return self.first + self.total - 1

    @property
    def aligned(self) -> bool:
        """Whether every access is aligned."""
        return self.first % self.size == 0


class DifferenceContext:
    """A difference of a program; ``a`` is the software KVM's trace and ``b`` the real KVM's."""

    def __init__(self, program: Program, difference: Difference, a: Trace, b: Trace) -> None:
        self.program = program
        self.difference = difference
        self.a = a
        self.b = b

    @cached_property
    def exits(self) -> tuple[Seen, Seen]:
        """Both exits at the moment of the difference; if only the end differs, the last exits."""
        n = self.difference.moment
        return self._exit(self.a, n), self._exit(self.b, n)

    @staticmethod
    def _exit(trace: Trace, n: int) -> Seen:
        return trace.moments[min(n, len(trace.moments) - 1)].exit

    @cached_property
    def registers(self) -> tuple[dict[str, int], dict[str, int]]:
        """The registers of both at the moment of the difference."""
        n = self.difference.moment
        return self.a.registers(n), self.b.registers(n)

    def debug_class(self, side: int) -> int | None:
        """The exception class of a side's debug exit; None for other exits."""
        exit_ = self.exits[side]
        return exception_class(int(exit_[1])) if exit_[0] == "debug" else None

    def taken_class(self, side: int) -> int | None:
        """The exception class of ``taken`` of a side, or None."""
        entry = self.taken[side]
        return exception_class(entry[0]) if entry is not None else None

    @cached_property
    def taken(self) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
        """The first exception before the difference that the two guests took differently: ESR, ELR,
        SPSR, FAR and vector of each side; None for a side that took no more exceptions."""
        for x, y in itertools.zip_longest(*map(self._taken_until_now, (0, 1))):
            if x != y:
                return x, y
        return None, None

    def _taken_until_now(self, side: int) -> tuple[tuple[int, ...], ...]:
        """The exceptions in a side's log at the moment of the difference."""
        taken = (self.a, self.b)[side].taken
        place = self.registers[side].get("x26", 0) - layout.LOG
        if not 0 <= place < layout.PAGE:
            return taken
        return taken[: -(-place // layout.LOG_ENTRY)]

    @cached_property
    def stopped_at(self) -> set[int]:
        """The addresses of instructions that a watchpoint or data abort has stopped until now."""
        classes = EC.DABT_LOW, EC.DABT_CUR, EC.WATCHPT_LOW, EC.WATCHPT_CUR
        places = {entry[1] for entry in self.a.taken if exception_class(entry[0]) in classes}
        for n, moment in enumerate(self.a.moments[: self.difference.moment + 1]):
            if moment.exit[0] == "debug" and exception_class(int(moment.exit[1])) == EC.WATCHPT_LOW:
                places.add(self.a.registers(n)["pc"])
        return places

    def word_at(self, address: int) -> int | None:
        """The instruction at an address of the program or of its vectors, or None."""
        for start, words in (
            (layout.CODE, self.program.code),
            (layout.VECTORS, self.program.vectors),
        ):
            n, rest = divmod(address - start, 4)
            if not rest and 0 <= n < len(words):
                return words[n]
        return None

    def access_at(self, side: int, address: int) -> Access | None:
        """What the instruction at an address would access with the registers of a side, or None."""
        word = self.word_at(address)
        if word is None:
            return None
        registers = self.registers[side]
        scratch = self._scratch_before(address, registers)

        def x(n: int, zero: bool = False) -> int:
            if n == 31:
                return 0 if zero else registers["sp_el1" if self.el(side) else "sp"]
            if n == SCRATCH and scratch is not None:
                return scratch
            return registers[f"x{n}"]

        if word & _ZVA_MASK == _ZVA:
            return Access(x(word & 31, True) & -_ZVA_BLOCK, _ZVA_BLOCK, _ZVA_BLOCK // 8, 8)
        operand = memory_operand(word)
        if operand is None:
            return None
        return self._access(operand, address, x)

    def _scratch_before(self, address: int, registers: dict[str, int]) -> int | None:
        """The value that the instructions before an address put into the scratch register, or None.

        At the moment of the difference the register may have another value already.
        """
        add = self.word_at(address - 4) or 0
        if add & 0xFFC0001F == asm.add(SCRATCH, 0, 0):
            return registers.get(f"x{add >> 5 & 31}", 0) + (add >> 10 & 0xFFF)
        value = 0
        for back in (4, 8):
            word = self.word_at(address - back) or 0
            half = (word >> 5 & 0xFFFF) << 16 * (word >> 21 & 3)
            if word & 0xFF80001F == asm.movz(SCRATCH, 0):
                return value | half
            if word & 0xFF80001F != asm.movk(SCRATCH, 0):
                break
            value |= half
        return None

    @staticmethod
    def _access(operand: MemoryOperand, address: int, x: object) -> Access:
        assert callable(x)
        base = address if operand.base == PC else x(operand.base)
        first = base + operand.offset
        if operand.index is not None:
            first += _extended(x(operand.index, True), operand.extend) << operand.shift
        # A structure is one access for each element, a 16-byte vector is two accesses, and an
        # exclusive pair is one.
        size = operand.size if operand.exclusive else min(operand.element or operand.size, 8)
        return Access(first & (1 << 64) - 1, operand.total, operand.total // size, size)

    def el(self, side: int) -> int:
        """The Exception level of a side at the exit."""
        return self.registers[side].get("pstate", 0) >> 2 & 3

    @cached_property
    def debug(self) -> Debug | None:
        """The last accepted KVM_SET_GUEST_DEBUG before the difference, or None."""
        found = None
        for at, actions in self.program.script:
            if at > self.difference.moment:
                break
            for action in actions:
                if isinstance(action, Debug) and not action.control & ~KVM_GUESTDBG_VALID_MASK:
                    found = action
        return found

    @property
    def uses_hardware(self) -> bool:
        """Whether the host used the debug registers."""
        both = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW
        return self.debug is not None and self.debug.control & both == both

    def own_registers(self) -> tuple[dict[int, tuple[int, int]], dict[int, tuple[int, int]]]:
        """The guest's own breakpoints and watchpoints at the end: number -> (control, value)."""

        def of(kind: str, trace: Trace) -> dict[int, tuple[int, int]]:
            return {
                n: (trace.final[f"DBG{kind}CR{n}_EL1"], trace.final[f"DBG{kind}VR{n}_EL1"])
                for n in range(16)
                if f"DBG{kind}CR{n}_EL1" in trace.final
            }

        return of("B", self.a) | of("B", self.b), of("W", self.a) | of("W", self.b)

    def own_watchpoints(self) -> list[tuple[int, int]]:
        """Every (control, value) that one of the guest's own watchpoints may have had.

        These are all combinations of what the guest, or the host by one-reg access, writes to the
        two registers of each number.
        """
        written: dict[str, set[int]] = {}
        for n, word in enumerate(self.program.code):
            value = self._scratch_before(layout.CODE + 4 * n, {})
            if value is not None:
                written.setdefault(f"{word:#x}", set()).add(value)
        for _, actions in self.program.script:
            for action in actions:
                if isinstance(action, SetReg):
                    written.setdefault(action.name, set()).add(action.value)

        def of(name: str) -> set[int]:
            values = written.get(name, set()) | written.get(f"{asm.msr(name, SCRATCH):#x}", set())
            return values | {t.final[name] for t in (self.a, self.b) if name in t.final}

        return [
            pair
            for n in range(16)
            for pair in itertools.product(of(f"DBGWCR{n}_EL1"), of(f"DBGWVR{n}_EL1"))
        ]


def _extended(value: int, option: int) -> int:
    if option in (2, 6):
        value &= 0xFFFFFFFF
        if option == 6 and value >> 31:
            value -= 1 << 32
    return value
