"""The instructions that a vCPU executed before a time: which of them wrote a register last.

What happened just before is repeated one instruction at a time, in windows that become longer. Of
each instruction the PC and the register are looked at, and what it writes is known from its
encoding: so an instruction that writes the value that was there already is found too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

from guestdbg.arm64.branches import BranchKind, branch
from guestdbg.arm64.data_flow import written_by
from guestdbg.kvm.regs import PC
from guestdbg.machine import ReplayError

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.debugger.vcpu.context import VcpuContext
    from guestdbg.history.travel import Travel
    from guestdbg.machine import Position

__all__ = ["Instructions", "Writer", "WriterKind"]

#: So many instructions of the first window, and how much longer the next ones are.
_FIRST_WINDOW = 64
_GROWTH = 8
_LONGEST_WINDOW = 1 << 15
#: So many instructions of the vCPU are looked at.
MOST_INSTRUCTIONS = 1 << 18

_INSTRUCTION = 4
_LR = 30
_U64 = (1 << 64) - 1
#: An exception vector has one of 16 entries, so far apart.
_VECTORS, _VECTOR_BYTES = 16, 0x80
#: So many instructions in a row that retire nothing, because they are emulated, are understood.
_MOST_EMULATED = 8


class WriterKind(Enum):
    """What has given a register its value.

    INSTRUCTION; CHANGED: it changed, and no instruction has done it; AT_END: it changed where it
    was asked for, after the last instruction that has retired; BEGINNING: nothing since the history
    began; TOO_FAR: nothing in as many instructions as are looked at.
    """

    INSTRUCTION = "instruction"
    CHANGED = "changed"
    AT_END = "at end"
    BEGINNING = "beginning"
    TOO_FAR = "too far"


@dataclass(frozen=True, slots=True)
class Writer:
    """The last instruction that wrote a register.

    Attributes:
        kind: what is known of it.
        position: before the instruction.
        pc: its address.
        looked_at: how many instructions were looked at, at least.
    """

    kind: WriterKind
    position: Position
    pc: int = 0
    looked_at: int = 0


def _writes(register: str, pc: int, raw: int | None) -> bool:
    """Whether the instruction may write a register: so it is if it is not known."""
    written = None if raw is None else written_by(raw)
    return written is None or register in written


class Instructions:
    """What the vCPUs of a guest executed, found by repeating it instruction by instruction."""

    def __init__(self, guest: Guest, travel: Travel) -> None:
        self._guest = guest
        self._travel = travel
        self._words: dict[int, int | None] = {}

    def last_writer(
        self, vcpu: int, register: str, before: Position, read: Callable[[], int], value: int
    ) -> Writer:
        """What wrote a register of a vCPU last, up to the position ``before``.

        ``read`` gives the part of it that matters, which has the ``value`` then: an instruction
        that retires nothing, such as a hypervisor call, may still have changed it there. The guest
        is somewhere in its past afterwards.
        """
        return self._last(vcpu, before, partial(_writes, register), read, value)

    def last_execution(self, vcpu: int, pc: int, before: Position) -> Writer:
        """When a vCPU executed the instruction at ``pc`` last, up to the position ``before``."""
        return self._last(vcpu, before, lambda here, raw: here == pc, lambda: 0, 0)

    def _last(
        self,
        vcpu: int,
        before: Position,
        matches: Callable[[int, int | None], bool],
        read: Callable[[], int],
        value: int,
    ) -> Writer:
        turns = self._travel.recorder.turns
        end, first = turns.last(vcpu, before), turns.first(vcpu)
        if end is None or first is None:
            return Writer(WriterKind.BEGINNING, turns.start)
        own, looked_at, window = end, 0, _FIRST_WINDOW
        while looked_at < MOST_INSTRUCTIONS:
            start = turns.back(own, looked_at + window) or first
            found = self._last_between(start, end, matches, read)
            if not looked_at and read() != value:
                return Writer(WriterKind.AT_END, end, self._guest.vcpus[vcpu].pc)
            if found is not None:
                return found
            if start == first:
                return Writer(WriterKind.BEGINNING, first, looked_at=looked_at)
            looked_at += window
            end, window = start, min(window * _GROWTH, _LONGEST_WINDOW)
        return Writer(WriterKind.TOO_FAR, end, looked_at=looked_at)

    def _last_between(
        self,
        start: Position,
        end: Position,
        matches: Callable[[int, int | None], bool],
        read: Callable[[], int],
    ) -> Writer | None:
        travel, board = self._travel, self._guest.board
        travel.put_at_checkpoint(travel.checkpoint_before(start))
        travel.run_to(start)
        self._words.clear()
        context = self._guest.execution.vcpus[start.vcpu]
        get = context.get
        found: Writer | None = None
        position, pc, value = start, get(PC), read()
        self._word(context, pc)

        def visit() -> None:
            nonlocal found, position, pc, value
            after, new = get(PC), read()
            wrote = False
            for here in self._executed(context, pc, after):
                if matches(here, self._word(context, here)):
                    found, wrote = Writer(WriterKind.INSTRUCTION, position, here), True
            if new != value and not wrote:
                found = Writer(WriterKind.CHANGED, position, pc)
            position, pc, value = board.position, after, new
            self._word(context, after)  # as it is before it is executed

        def changed() -> None:
            nonlocal found, pc, value
            pc, new = get(PC), read()
            if new != value:
                found = Writer(WriterKind.CHANGED, board.position, pc)
            value = new

        stop = travel.run_to_each(end, start.vcpu, visit, changed)
        if stop is not None and board.position != end:
            raise ReplayError(f"the guest has stopped on the way to {end}: {stop}")
        return found

    def _word(self, context: VcpuContext, pc: int) -> int | None:
        """The instruction at an address; None: it cannot be read."""
        if pc not in self._words:
            self._words[pc] = context.instruction(pc)
        return self._words[pc]

    def _executed(self, context: VcpuContext, pc: int, after: int) -> list[int]:
        """The addresses of the instructions between two positions: one has retired.

        Others retire nothing: those that the hypervisor emulates, and those that fault.
        """
        if self._follows(context, pc, after):
            return [pc]
        vectors = context.cpu.reg("VBAR_EL1")
        starts = [vectors + n * _VECTOR_BYTES for n in range(_VECTORS)]
        if after in starts:
            return [pc]  # and then an exception was taken
        for start in starts:
            if self._follows(context, start, after, plainly=True):
                return [start]
        emulated = [pc]
        while len(emulated) < _MOST_EMULATED:
            here = emulated[-1] + _INSTRUCTION
            emulated.append(here)
            if self._follows(context, here, after, plainly=True):
                return emulated
        return [pc]

    def _follows(self, context: VcpuContext, pc: int, after: int, *, plainly: bool = False) -> bool:
        """Whether ``after`` follows the instruction at ``pc``, which has just been executed.

        ``plainly``: not where a register says so.
        """
        raw = self._word(context, pc)
        taken = None if raw is None else branch(raw)
        if taken is None:
            return after == pc + _INSTRUCTION
        if taken.conditional and after == pc + _INSTRUCTION:
            return True
        if taken.offset is not None:
            return after == pc + taken.offset & _U64
        if plainly:
            return False
        if taken.kind is BranchKind.EXCEPTION_RETURN:
            return after == context.cpu.reg("ELR_EL1")
        if taken.kind is BranchKind.CALL and taken.register == _LR:
            return True  # it has been overwritten
        return after == taken.target(pc, context.cpu.reg)
