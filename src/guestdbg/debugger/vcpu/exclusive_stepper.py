"""Running over exclusive sequences: disarmed, from where one was broken to where it ends.

A debug exception clears the exclusive monitor: a store-exclusive that is stepped, or watched, fails
for ever. A load-exclusive is therefore executed together with everything through its
store-exclusive, and the accesses are reported afterwards.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from guestdbg.arm64 import exclusive_sequence
from guestdbg.arm64.debug import canonical
from guestdbg.debugger.breakpoints.armed_state import only_at
from guestdbg.debugger.breakpoints.hit import Hit
from guestdbg.debugger.vcpu.access_decoder import READ, WRITE, access_plan
from guestdbg.debugger.vcpu.active_sequence import ActiveSequence
from guestdbg.debugger.vcpu.dispatch import dispatch
from guestdbg.debugger.vcpu.exception_vectors import SYNCHRONOUS
from guestdbg.debugger.vcpu.mmio_watchpoints import ONLY_READS

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.point import Watch
    from guestdbg.debugger.vcpu.access_decoder import Touched
    from guestdbg.debugger.vcpu.context import VcpuContext
    from guestdbg.debugger.vcpu.stop import Stop
    from guestdbg.kvm import ExitDebug

__all__ = ["FAILED_STORE", "ExclusiveStepper"]

log = logging.getLogger(__name__)

_MAX_KNOWN = 4096
_U64 = (1 << 64) - 1
_PAGE_BYTES = 0x1000  # the smallest granule: all of it is mapped, or nothing
_PAGE = _U64 & -_PAGE_BYTES

FAILED_STORE = "the store-exclusive failed"


class ExclusiveStepper:
    """The exclusive sequences of one vCPU; ``context.resume_state.sequence`` is the active one."""

    def __init__(self, context: VcpuContext) -> None:
        self._context = context
        self._target = context.target
        self._view = context.space.view
        self._known: dict[int, tuple[bytes, exclusive_sequence.ExclusiveSequence | None]] = {}

    def begin(
        self, pc: int, *, exit_: ExitDebug | None = None, from_breakpoint: bool = False
    ) -> bool:
        """If ``pc`` is within a sequence, arrange for the sequence to run as a whole.

        Its access is reported when it has ended. ``exit_``: the watchpoint exit that it is begun
        at; None: it is begun by a step, or (``from_breakpoint``) at a reported breakpoint.
        """
        sequence = self._at(pc)
        if sequence is None:
            return False
        context, target = self._context, self._target
        available = target.hardware.breakpoints
        if len(sequence.exits) > available:
            log.warning(
                "the exclusive sequence at %#x has %d exits, and there are %d breakpoint registers:"
                " it is stepped, and may never succeed",
                sequence.start,
                len(sequence.exits),
                available,
            )
            return False
        # The registers that are left get control back when an exception breaks into the sequence.
        vectors = [address for address in context.vectors.addresses() if not address & 3]
        ends = [*sequence.exits, *vectors][:available]
        active = ActiveSequence(sequence, only_at(target.armed, ends), exit_=exit_)
        if from_breakpoint:
            active.breakpoint_at = (pc, context.sp())
        self._note_watches(active, pc)
        for address in target.armed.brk_addresses:
            if address in sequence:
                physical = context.space.translate(address)
                target.memory.remove(physical)
                active.removed.append(physical)
        context.resume_state.sequence = active
        return True

    def covers(self, pc: int) -> bool:
        """Whether the instruction at ``pc`` is within a sequence, which is run as a whole."""
        return self._at(pc) is not None

    def _note_watches(self, active: ActiveSequence, pc: int) -> None:
        """Which watches the sequence may hit from ``pc`` on, and their values before that."""
        context = self._context
        touched = active.touched = self._touched(active.sequence, pc)
        if touched is None:
            return
        watches = [watch for watch in self._target.armed.watches if not watch.before]
        for watch, by_read, low, length in self._touching(watches, touched):
            active.watched.append((watch, by_read, context.try_read(low, length)))

    def _touching(
        self, watches: Iterable[Watch], touched: Touched
    ) -> Iterator[tuple[Watch, bool, int, int]]:
        """Those of the watches that an access may hit now: (watch, by its read, value's range)."""
        for watch in watches:
            if watch.restricted and not self._context.matches(watch, False):
                continue
            low, length = _value_range(watch, touched)
            if length:
                yield watch, bool(watch.bits & touched.bits & READ), low, length

    def _touched(self, sequence: exclusive_sequence.ExclusiveSequence, pc: int) -> Touched | None:
        """The access of the next exclusive from ``pc`` on, with the registers as they are."""
        context = self._context
        raw = context.instruction(sequence.load if pc == sequence.load else sequence.store)
        touched = None if raw is None else access_plan(raw).touched(context.get, context.sp)
        if touched is None:
            return None
        return touched._replace(address=canonical(touched.address))

    def hits_before(self, pc: int, exit_: ExitDebug | None = None) -> list[Hit]:
        """The hits of watches that are reported before the access, for a sequence from ``pc`` on.

        A store that will be made in it is among them: the sequence cannot be stopped there.
        """
        watches = [watch for watch in self._target.armed.watches if watch.before]
        sequence = self._at(pc) if watches else None
        touched = None if sequence is None else self._touched(sequence, pc)
        if sequence is None or touched is None or touched.address % touched.size:
            return []  # an exclusive that is not aligned faults
        context, hits = self._context, []
        for watch, reads, low, length in self._touching(watches, touched):
            if not reads and not watch.bits & WRITE:
                continue
            where, bits = (sequence.load, READ) if reads else (sequence.store, WRITE)
            old = context.try_read(low, length)
            if old is None and context.try_read(touched.address, touched.size) is None:
                continue  # the access faults
            # Of a watch that reaches into a page that is not mapped, the value is not known.
            hits.append(Hit(context, watch, where, touched._replace(bits=bits), exit_, old))
        return hits

    def _at(self, pc: int) -> exclusive_sequence.ExclusiveSequence | None:
        """The sequence that an exit at ``pc`` would break."""
        # Needed at every step: the result is kept with all the code that it was derived from.
        around = self._view(
            pc - exclusive_sequence.BYTES_BEFORE & _U64,
            exclusive_sequence.BYTES_BEFORE + exclusive_sequence.BYTES_AFTER,
        )
        code = None
        if around is not None:
            memory, start, end = around
            code = memory[start:end]
            known = self._known.get(pc)
            if known is not None and known[0] == code:
                return known[1]
        sequence = exclusive_sequence.find(pc, self._word_reader())
        if sequence is not None and not sequence.load <= pc <= sequence.store:
            sequence = None
        if code is not None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[pc] = (code, sequence)
        return sequence

    def _word_reader(self) -> exclusive_sequence.ReadWord:
        """Reads instructions as ``context.instruction`` does, but each page once only."""
        context = self._context
        pages: dict[int, bytes | None] = {}

        def word(address: int) -> int | None:
            page, offset = address & _PAGE, address & ~_PAGE
            if page not in pages:
                pages[page] = context.try_read(page, _PAGE_BYTES)
            data = pages[page]
            if data is None or offset & 3:
                return None
            return int.from_bytes(data[offset : offset + 4], "little")

        return word

    def note_resumed(self) -> None:
        """The vCPU is resumed within a sequence: others may have changed the value meanwhile."""
        context = self._context
        active = context.resume_state.sequence
        if active is None or active.touched is None or context.cpu.pc > active.sequence.store:
            return
        for n, (watch, by_read, _old) in enumerate(active.watched):
            value = context.try_read(*_value_range(watch, active.touched))
            active.watched[n] = (watch, by_read, value)

    def abandon(self) -> None:
        """Forget the active sequence: the vCPU will not go on in it."""
        state = self._context.resume_state
        if state.sequence is not None:
            self._reinsert(state.sequence)
            state.sequence = None

    def note_restored(self) -> None:
        """The vCPU was put back to a snapshot; the points are those of now."""
        active = self._context.resume_state.sequence
        if active is None:
            return
        memory = self._target.memory
        active.removed = [physical for physical in active.removed if physical in memory]
        for physical in active.removed:
            memory.remove(physical)

    def end(self, pc: int) -> Stop | None:
        """The active sequence was left to ``pc``: report what was accessed."""
        context = self._context
        state = context.resume_state
        active = state.sequence
        assert active is not None
        state.sequence = None
        self._reinsert(active)
        sequence = active.sequence
        by_exit = pc in sequence.exits
        left_at = pc if by_exit else context.vectors.returns_to()
        beyond = sequence.store < left_at <= sequence.last + 4
        stored = beyond and context.x(sequence.status) == 0
        touched = active.touched
        if not by_exit and not stored:
            if context.vectors.taken_at(left_at) != SYNCHRONOUS:
                # An interrupt broke into it: it begins again, and hits again, after the interrupt.
                if active.breakpoint_at is not None:
                    state.interrupted.add(active.breakpoint_at)
                return None
            if touched is None or touched.bits & WRITE or left_at == sequence.load:
                touched = None  # the access itself has faulted
        state.reported_before_access = None
        if touched is None:
            return None
        hits = []
        for watch, by_read, old in active.watched:
            hit = self._hit(active, touched, watch, by_read, old, stored)
            if hit is not None:
                hits.append(hit)
        return dispatch(context, hits) if hits else None

    def _reinsert(self, active: ActiveSequence) -> None:
        for physical in active.removed:
            self._target.memory.reinsert(physical)

    def _hit(
        self,
        active: ActiveSequence,
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
        context = self._context
        pc = active.sequence.store if bits & WRITE else active.sequence.load
        hit = Hit(context, watch, pc, touched._replace(bits=bits), active.exit_, old)
        if not bits & WRITE:
            hit.new_reason = ONLY_READS
        elif stored:
            hit.new_bytes = context.try_read(*_value_range(watch, touched))
        else:
            hit.new_reason = FAILED_STORE
        return hit


def _value_range(watch: Watch, touched: Touched) -> tuple[int, int]:
    """(address, length) of the value that a hit of the watch reports; length 0 if it is not hit."""
    low = max(watch.address, touched.address)
    high = min(watch.end, touched.address + touched.size)
    if low >= high:
        return low, 0
    return (watch.address, watch.length) if watch.scalar else (low, high - low)
