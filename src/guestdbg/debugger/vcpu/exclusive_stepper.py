"""Running over exclusive sequences: disarmed, from where they were broken to where they end."""

from __future__ import annotations

import logging
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from guestdbg.arm64 import exclusive_sequence
from guestdbg.debugger.breakpoints.armed_state import exits_only
from guestdbg.debugger.breakpoints.hit import Hit
from guestdbg.debugger.breakpoints.point import Watch
from guestdbg.debugger.vcpu.access_decoder import READ, WRITE, Touched
from guestdbg.debugger.vcpu.dispatch import dispatch
from guestdbg.debugger.vcpu.mmio_watchpoints import ONLY_READS
from guestdbg.debugger.vcpu.stop import Stop
from guestdbg.kvm import ExitDebug, GuestDebug

if TYPE_CHECKING:
    from guestdbg.debugger.vcpu.context import VcpuContext

__all__ = ["FAILED_STORE", "ExclusiveStepper", "SequenceState"]

log = logging.getLogger(__name__)

_KNOWN = 4096
_U64 = (1 << 64) - 1

FAILED_STORE = "the store-exclusive failed"


@dataclass(slots=True)
class _Over:
    """A sequence that is being run over.

    ``watched`` holds the watches that it may concern: (watch, hit by the read, old value).
    ``breakpoint_at`` is the PC and SP of the reported breakpoint that it was begun from.
    """

    sequence: exclusive_sequence.Sequence
    exit_: ExitDebug | None = None
    touched: Touched | None = None
    watched: list[tuple[Watch, bool, bytes | None]] = field(default_factory=list)
    lifted: list[int] = field(default_factory=list)
    breakpoint_at: tuple[int, int] | None = None


#: What a snapshot keeps of a vCPU's sequences.
SequenceState = tuple[_Over, GuestDebug | None] | None


def _copy(over: _Over) -> _Over:
    return replace(over, watched=list(over.watched), lifted=list(over.lifted))


class ExclusiveStepper:
    """The exclusive sequences of one vCPU.

    ``debug`` is what the vCPU has to be armed with while it runs over one; None at other times.
    """

    def __init__(self, core: VcpuContext) -> None:
        self._core = core
        self._view = core.space.view
        self._known: dict[int, tuple[bytes, exclusive_sequence.Sequence | None]] = {}
        self._over: _Over | None = None
        self.debug: GuestDebug | None = None

    def begin(self, pc: int, *, from_breakpoint: bool = False) -> bool:
        """If ``pc`` is within a sequence, arrange for that to run undisturbed."""
        sequence = self._at(pc)
        if sequence is None:
            return False
        core = self._core
        guest = core.guest
        available = guest.hardware.breakpoints
        if len(sequence.exits) > available:
            log.warning(
                "the exclusive sequence at %#x has %d exits, and there are %d breakpoint registers:"
                " it is stepped, and may never get done",
                sequence.start,
                len(sequence.exits),
                available,
            )
            return False
        # As far as registers go, get control back when an exception breaks into the sequence.
        vectors = [a for a in core.vectors.addresses() if not a & 3]
        ways = [*sequence.exits, *vectors][:available]
        over = _Over(sequence)
        if from_breakpoint:
            over.breakpoint_at = (pc, core.sp())
        for address in guest.arming.software:
            if address in sequence:
                physical = core.space.translate(address)
                guest.memory.lift(physical)
                over.lifted.append(physical)
        self._over = over
        self.debug = exits_only(guest.arming, ways)
        return True

    def _at(self, pc: int) -> exclusive_sequence.Sequence | None:
        """The sequence that an exit at ``pc`` would break."""
        # Asked at every step: the answer is kept with all the code that it was derived from.
        around = self._view(
            pc - exclusive_sequence.BEFORE & _U64,
            exclusive_sequence.BEFORE + exclusive_sequence.BEHIND,
        )
        code = None
        if around is not None:
            memory, start, end = around
            code = memory[start:end]
            known = self._known.get(pc)
            if known is not None and known[0] == code:
                return known[1]
        sequence = exclusive_sequence.find(pc, self._core.word)
        if sequence is not None and not sequence.load <= pc <= sequence.store:
            sequence = None
        if code is not None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[pc] = (code, sequence)
        return sequence

    def begin_at_watch(self, pc: int, exit_: ExitDebug, touched: Touched, hits: Seq[Hit]) -> bool:
        """The same for a watch that was hit within one; ``hits`` are those of the access."""
        if not self.begin(pc):
            return False
        core, over = self._core, self._over
        assert over is not None
        over.exit_, over.touched = exit_, touched
        read = {hit.point for hit in hits} if touched.bits & READ else set()
        for watch in core.guest.arming.watches:
            if watch.before or (
                watch.restricted and not core.concerned(watch.el, watch.context, False)
            ):
                continue
            low, length = _value_range(watch, touched)
            if length:
                over.watched.append((watch, watch in read, core.peek(low, length)))
        return True

    def resume(self) -> None:
        """The vCPU is let go again within a sequence: others may have changed the value since."""
        core, over = self._core, self._over
        if over is None or over.touched is None or core.cpu.pc > over.sequence.store:
            return
        for n, (watch, by_read, _old) in enumerate(over.watched):
            value = core.peek(*_value_range(watch, over.touched))
            over.watched[n] = (watch, by_read, value)

    def abandon(self) -> None:
        """Forget the sequence that was being run over: the vCPU has been put elsewhere."""
        if self._over is not None:
            for physical in self._over.lifted:
                self._core.guest.memory.drop(physical)
        self._over = self.debug = None

    def snapshot(self) -> SequenceState:
        """The sequence that is being run over, if one is."""
        return None if self._over is None else (_copy(self._over), self.debug)

    def restored(self, state: SequenceState) -> None:
        """The vCPU was put back to where ``state`` was taken; the points are those of now."""
        self._over = self.debug = None
        if state is None:
            return
        over, self.debug = _copy(state[0]), state[1]
        memory = self._core.guest.memory
        over.lifted = [physical for physical in over.lifted if physical in memory]
        for physical in over.lifted:
            memory.lift(physical)
        self._over = over

    def end(self, pc: int) -> Stop | None:
        """The sequence has been left at ``pc``: report what became of the value."""
        core, over = self._core, self._over
        assert over is not None
        self._over = self.debug = None
        for physical in over.lifted:
            core.guest.memory.drop(physical)
        sequence = over.sequence
        by_exit = pc in sequence.exits
        left_at = pc if by_exit else core.vectors.returns_to()
        beyond = sequence.store < left_at <= sequence.last + 4
        stored = beyond and core.x(sequence.status) == 0
        if not by_exit and not stored:
            if over.breakpoint_at is not None:
                core.arrivals.interrupted.add(over.breakpoint_at)
            return None  # it begins anew, and is hit anew, when the exception is over
        core.watching.reported_before_access = None
        if over.touched is None:
            return None
        hits = []
        for watch, by_read, old in over.watched:
            hit = self._hit(over, over.touched, watch, by_read, old, stored)
            if hit is not None:
                hits.append(hit)
        return dispatch(core, hits) if hits else None

    def _hit(
        self,
        over: _Over,
        touched: Touched,
        watch: Watch,
        by_read: bool,
        old: bytes | None,
        stored: bool,
    ) -> Hit | None:
        bits = READ if by_read else 0
        if watch.bits & WRITE and (stored or touched.bits & WRITE):
            bits |= WRITE
        if not bits:
            return None
        core = self._core
        pc = over.sequence.store if bits & WRITE else over.sequence.load
        hit = Hit(core, watch, pc, touched._replace(bits=bits), over.exit_, old)
        if not bits & WRITE:
            hit.new_reason = ONLY_READS
        elif stored:
            hit.new_bytes = core.peek(*_value_range(watch, touched))
        else:
            hit.new_reason = FAILED_STORE
        return hit


def _value_range(watch: Watch, touched: Touched) -> tuple[int, int]:
    """(address, length) of the value that a hit of the watch tells; no length if it is none."""
    low = max(watch.address, touched.address)
    high = min(watch.end, touched.address + touched.size)
    if low >= high:
        return low, 0
    return (watch.address, watch.length) if watch.scalar else (low, high - low)
