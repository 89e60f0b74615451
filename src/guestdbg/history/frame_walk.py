"""Walking back through what one vCPU executed, over calls and the handlers of exceptions.

Parts of the run are repeated instruction by instruction, from a while before the place where the
walk is, and read backwards. A return is followed to its call, and the return from a handler to
where its exception was taken: in that part, or else by a search in the history.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from guestdbg.arm64.branches import BranchKind, branch
from guestdbg.arm64.instructions import is_call
from guestdbg.arm64.pstate import exception_level, uses_sp_elx
from guestdbg.kvm.regs import PC, PSTATE
from guestdbg.machine import ReplayError

if TYPE_CHECKING:
    from guestdbg.arm64.branches import Branch
    from guestdbg.debugger import Guest, Hit
    from guestdbg.debugger.vcpu.context import VcpuContext
    from guestdbg.history.search import Search
    from guestdbg.history.travel import Travel
    from guestdbg.machine import Position

__all__ = ["FrameWalk", "Instruction", "Way"]

#: Instructions that are repeated one by one: so many first, then more each time, up to the last.
_FEWEST, _MORE, _MOST = 64, 4, 16384
#: A PC is compared without its tag or authentication code.
_ADDRESS = (1 << 48) - 1
#: The vectors of one group: synchronous, IRQ, FIQ, SError (DDI 0487, D1.3, "Exception vectors").
_VECTORS = (0, 0x80, 0x100, 0x180)
_SAME_EL_SP0, _SAME_EL_SPX, _LOWER_EL = 0, 0x200, 0x400


class Way(Enum):
    """How a walk has come to an instruction from the one that follows it in the walk."""

    #: Within the function, or by a jump.
    STEP = auto()
    #: Out of a function to its call, or out of a handler to where its exception was taken.
    OUT = auto()
    #: Into a function, at its return.
    IN = auto()


@dataclass(slots=True, eq=False)
class Instruction:
    """One that the vCPU was about to execute.

    Attributes:
        position: when.
        pc: its address.
        sp: the stack pointer in use.
        el: the Exception level.
        sp_elx: whether the stack pointer is that of the Exception level, not SP_EL0.
        raw: the instruction word; None: it cannot be read.
        after_call: whether the instruction before it in memory is a call.
        vectors: VBAR of the Exception level, for an exception return; otherwise 0.
        interrupted: an exception was taken, and it was not executed then.
    """

    position: Position
    pc: int
    sp: int
    el: int
    sp_elx: bool
    raw: int | None
    after_call: bool
    vectors: int = 0
    interrupted: bool = False


class FrameWalk:
    """A walk back from where the guest is, along what its vCPU at ``place`` has executed.

    Attributes:
        at: the instruction where the walk is.
    """

    def __init__(
        self, guest: Guest, travel: Travel, search: Search, place: int, position: Position
    ) -> None:
        """``position``: of the last instruction that this vCPU had executed."""
        self._guest = guest
        self._travel = travel
        self._search = search
        self._context: VcpuContext = guest.execution.vcpus[place]
        self._place = place
        self._raw: dict[int, int | None] = {}
        self._count = _FEWEST
        #: In the order of time; the walk is at the last one.
        self._known = [self._instruction(position)]

    @property
    def at(self) -> Instruction:
        return self._known[-1]

    # ---- going back --------------------------------------------------------------------------

    def back(self, into: Callable[[int], bool]) -> Way | None:
        """Go to the instruction before, and say how; None: the history begins here.

        A call that is over is passed as a whole, unless ``into`` says of the address of its last
        instruction that it is gone into, or it began before the history. The handler of an
        exception is passed as a whole too.
        """
        while True:
            here = self.at
            if len(self._known) == 1 and not self._load():
                return None
            before = self._known[-2]
            found = None if before.raw is None else branch(before.raw)
            kind = None if found is None else found.kind
            if before.interrupted:
                self._known.pop()
                return Way.OUT
            if kind is BranchKind.EXCEPTION_RETURN and self._to_exception(here, before):
                if self.at.pc == here.pc:
                    continue  # the same instruction, which was not executed then
                return Way.STEP
            if kind is BranchKind.RETURN and here.after_call:
                if not into(before.pc) and self._to_call(here):
                    return Way.STEP
                self._known.pop()
                return Way.IN
            self._known.pop()
            if kind is BranchKind.EXCEPTION_RETURN:
                return Way.IN
            return Way.OUT if kind is BranchKind.CALL and here.pc != before.pc + 4 else Way.STEP

    def to_call(self, return_address: int, sp: int | None) -> bool:
        """Go to the last execution of the call before ``return_address``, with this SP."""
        return self._to_last([return_address - 4], _SameFrame(self._context.vcpu.id, sp))

    def _to_call(self, here: Instruction) -> bool:
        call = here.pc - 4
        for n in range(len(self._known) - 2, -1, -1):
            each = self._known[n]
            same = (each.pc, each.sp, each.el) == (call, here.sp, here.el)
            if same and not each.interrupted:
                del self._known[n + 1 :]
                return True
        return self._to_last([call], _SameFrame(self._context.vcpu.id, here.sp))

    def _to_exception(self, here: Instruction, handler: Instruction) -> bool:
        """Go from where a handler has returned to, to where its exception was taken.

        Which it returns to, or the one after it: its handler has done what it should.
        """
        addresses = here.pc, here.pc - 4
        for n in range(len(self._known) - 2, -1, -1):
            each = self._known[n]
            same = (each.sp, each.el, each.sp_elx) == (here.sp, here.el, here.sp_elx)
            if each.interrupted and same and each.pc in addresses:
                del self._known[n + 1 :]
                return True
        if here.el == handler.el:
            group = _SAME_EL_SPX if here.sp_elx else _SAME_EL_SP0
        else:
            group = _LOWER_EL
        vectors = [handler.vectors + group + each for each in _VECTORS]
        known = self._known
        if self._to_last(vectors, _Taken(self._context.vcpu.id, handler.el, here)):
            if self._load() and self._known[-2].interrupted:
                self._known.pop()
                return True
            self._known = known
        return False

    def _to_last(self, addresses: Sequence[int], when: Callable[[Hit], bool]) -> bool:
        """Go to the last time before that one of these was executed, if there was one."""
        guest = self._guest
        with ExitStack() as points:
            made = []
            for address in addresses:
                point = guest.break_(address, when=when)
                points.callback(point.delete)
                made.append(point)
            if self._search.last(made, self.at.position) is None:
                return False
        self._known = [self._instruction(self._travel.now.position)]
        self._count = _FEWEST
        return True

    # ---- what was executed -------------------------------------------------------------------

    def _load(self) -> bool:
        """Repeat what was executed before; False: nothing was."""
        here, travel = self.at, self._travel
        turns = travel.recorder.turns
        first = travel.recorder.checkpoints[0].snapshot.instructions[self._place]
        count = min(self._count, here.position.instructions - first)
        self._count = min(self._count * _MORE, _MOST)
        start = turns.back(here.position, count) if count > 0 else None
        if start is None:
            return False
        travel.goto(start)
        loaded: list[Instruction] = []
        successors: tuple[int, ...] = ()
        for left in range(count, -1, -1):
            position = here.position if not left else turns.back(here.position, left)
            assert position is not None
            stop = travel.run_to(position)
            if self._guest.board.position != position:
                raise ReplayError(f"the guest has stopped on the way to {position}: {stop}")
            now = self._instruction(position)
            if loaded and now.pc & _ADDRESS not in successors:
                loaded[-1].interrupted = self._is_handler_of(loaded[-1], now)
            loaded.append(now)
            successors = self._successors(now)
        if loaded[-1].pc == here.pc:
            loaded[-1] = here
        else:  # an exception was taken there
            loaded[-1].interrupted = True
            loaded.append(here)
        self._known = loaded
        return True

    def _instruction(self, position: Position) -> Instruction:
        context = self._context
        pc, pstate = context.get(PC), context.get(PSTATE)
        el, raw = exception_level(pstate), self._word(pc)
        previous = self._word(pc - 4)
        found = None if raw is None else branch(raw)
        returns = el > 0 and found is not None and found.kind is BranchKind.EXCEPTION_RETURN
        return Instruction(
            position,
            pc,
            context.sp(),
            el,
            uses_sp_elx(pstate),
            raw,
            previous is not None and is_call(previous),
            context.cpu.reg(f"VBAR_EL{el}") if returns else 0,
        )

    def _word(self, pc: int) -> int | None:
        if pc not in self._raw:
            self._raw[pc] = self._context.instruction(pc)
        return self._raw[pc]

    def _successors(self, now: Instruction) -> tuple[int, ...]:
        """Where the vCPU may be after an instruction, if it takes no exception."""
        following = now.pc + 4 & _ADDRESS
        found: Branch | None = None if now.raw is None else branch(now.raw)
        if found is None:
            return (following,)
        if found.kind is BranchKind.EXCEPTION_RETURN:
            return (self._context.cpu.reg(f"ELR_EL{now.el}") & _ADDRESS,) if now.el else ()
        target = found.target(now.pc, self._context.cpu.reg)
        assert target is not None
        target &= _ADDRESS
        return (target, following) if found.conditional else (target,)

    def _is_handler_of(self, last: Instruction, now: Instruction) -> bool:
        """Whether an exception at ``last`` has led to ``now``."""
        if not now.el:
            return False
        return self._context.cpu.reg(f"ELR_EL{now.el}") in (last.pc, last.pc + 4)


@dataclass(frozen=True, slots=True)
class _SameFrame:
    """A hit of this vCPU with this stack pointer; None: with any."""

    vcpu: int
    sp: int | None

    def __call__(self, hit: Hit) -> bool:
        return hit.vcpu.id == self.vcpu and (self.sp is None or hit.vcpu.sp == self.sp)


@dataclass(frozen=True, slots=True)
class _Taken:
    """A hit at an exception vector whose exception was taken at an instruction."""

    vcpu: int
    el: int
    at: Instruction

    def __call__(self, hit: Hit) -> bool:
        vcpu, at = hit.vcpu, self.at
        if vcpu.id != self.vcpu or vcpu.reg(f"ELR_EL{self.el}") not in (at.pc, at.pc - 4):
            return False
        name = f"sp_el{at.el}" if at.el and at.sp_elx else "sp_el0"
        return vcpu.reg(name) == at.sp
