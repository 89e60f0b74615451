"""One vCPU under the debugger: running it, stepping it off what it hit, and what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from guestdbg.arm64.debug import canonical
from guestdbg.debugger import exclusive
from guestdbg.debugger.arming import OFF, Arming, Temporary, exits_only
from guestdbg.debugger.backtrace import Frame, Unwinder
from guestdbg.debugger.cpu import Cpu
from guestdbg.debugger.decode import READ, WRITE, Decoder, Touched
from guestdbg.debugger.errors import AddressError
from guestdbg.debugger.handback import hand_back
from guestdbg.debugger.hits import Hit
from guestdbg.debugger.memory import AddressSpace
from guestdbg.debugger.points import Watch
from guestdbg.debugger.stops import Stop
from guestdbg.kvm import (
    Exit,
    ExitDebug,
    ExitIntr,
    ExitMmio,
    ExitSystemEvent,
    GuestDebug,
    SupportsInstructionLimit,
    Vcpu,
)
from guestdbg.kvm.constants import KVM_SYSTEM_EVENT_SHUTDOWN
from guestdbg.kvm.regs import core_reg, sys_reg

if TYPE_CHECKING:
    from guestdbg.debugger.guest import Guest

__all__ = ["Core"]

log = logging.getLogger(__name__)

_PC = core_reg("pc")
_PSTATE = core_reg("pstate")
_SP_EL0 = core_reg("sp")
_SP_EL1 = core_reg("sp_el1")
_ELR_EL1 = core_reg("elr_el1")
_SPSR_EL1 = core_reg("spsr[0]")
_X = tuple(core_reg(f"x{n}") for n in range(31))
_VBAR_EL1 = sys_reg("VBAR_EL1")
_ESR_EL1 = sys_reg("ESR_EL1")
_CONTEXTIDR_EL1 = sys_reg("CONTEXTIDR_EL1")

_EC_SHIFT = 26
_EC_BREAKPOINT, _EC_STEP, _EC_WATCHPOINT, _EC_BRK = 0x30, 0x32, 0x34, 0x3C
_ISS_WNR = 1 << 6
_SYNCHRONOUS = 0
_U64 = (1 << 64) - 1

_ONLYREAD = "the instruction only reads"
_NOT_YET = "the handler is called before the access"
_FAILED_STORE = "the store-exclusive failed"


@dataclass(slots=True)
class _Over:
    """An exclusive sequence that is being run over, disarmed."""

    sequence: exclusive.Sequence
    debug: GuestDebug
    syndrome: int
    far: int | None
    touched: Touched | None = None
    watched: list[tuple[Watch, bool, bytes | None]] = field(default_factory=list)
    lifted: list[int] = field(default_factory=list)
    breakpoint_at: tuple[int, int] | None = None


class Core:
    """One vCPU: what is armed on it, and where in its stops it is.

    Attributes:
        reported: the address of the breakpoint that the vCPU stands at and that has been reported:
            it is stepped off before anything else.
        stop_number: counts the times the vCPU was let go; tells hits of the past from the present.
    """

    def __init__(self, guest: Guest, number: int, vcpu: Vcpu) -> None:
        self.guest = guest
        self.number = number
        self.vcpu = vcpu
        self.cpu = Cpu(vcpu, guest.locate)
        self.space = AddressSpace(vcpu, guest.memory)
        self.get = vcpu.get_one_reg
        self.reported: int | None = None
        self.stop_number = 0
        self.mmio_hits: list[Hit] = []
        self._current: GuestDebug = OFF
        self._interrupted: set[tuple[int, int]] = set()
        self._announced: tuple[int, int] | None = None
        self._over: _Over | None = None
        self._decoder: Decoder = guest.decoder
        self._run: Callable[[Vcpu], Exit] = guest.board.run

    # ---- running -----------------------------------------------------------------------------

    def advance(self) -> Stop | ExitIntr:
        """Run until something ends the run, or the provider gives the turn back (ExitIntr)."""
        guest = self.guest
        while not guest.attention:
            if self.reported is not None:
                outcome = self._leave_breakpoint()
                if outcome is not None:
                    return outcome
                continue
            over = self._over
            wanted = guest.arming.armed if over is None else over.debug
            if self._current is not wanted:
                self._set(wanted)
            self.stop_number += 1
            exit_ = self._run(self.vcpu)
            if type(exit_) is ExitDebug:
                outcome = self._debug(exit_)
            elif self.mmio_hits:
                outcome = self._report_mmio(exit_)
            elif type(exit_) is ExitIntr:
                return exit_
            else:
                outcome = self._ended(exit_)
            if outcome is not None:
                return outcome
        return ExitIntr()

    def step(self) -> Stop | ExitIntr:
        """One instruction, with watches armed; ``Stop("step")`` when it went by unremarked.

        An exclusive sequence counts as one instruction. An interrupt that is taken instead of the
        instruction is run to its end first.
        """
        guest = self.guest
        pc = self.get(_PC)
        self.reported = None
        if self._over is None:
            sequence = self.sequence_at(pc)
            if sequence is None or not self._begin_over(sequence, 0, None):
                return self._step_plain(pc)
        while self._over is not None:
            if guest.attention:
                return ExitIntr()
            self._set(self._over.debug)
            self.stop_number += 1
            exit_ = self._run(self.vcpu)
            if type(exit_) is ExitIntr:
                return exit_
            outcome = self._debug(exit_) if type(exit_) is ExitDebug else self._ended(exit_)
            if outcome is not None:
                return outcome
        return self._stop("step")

    def _step_plain(self, pc: int) -> Stop | ExitIntr:
        sp = self.sp()
        exit_ = self._single(pc, self.guest.arming.step_watching)
        if type(exit_) is not ExitDebug:
            if type(exit_) is ExitIntr:
                return exit_
            return self._ended(exit_) or self._stop("step")
        ec = exit_.hsr >> _EC_SHIFT
        if ec & ~1 == _EC_STEP:
            if self._taken_instead(pc):
                return self._interrupted_step(pc, sp)
            if self.mmio_hits:
                return self._report_mmio(None) or self._stop("step")
            return self._stop("step")
        outcome = self._debug(exit_)
        return outcome if outcome is not None else self._stop("step")

    def _interrupted_step(self, pc: int, sp: int) -> Stop | ExitIntr:
        """The interrupt came first: let its handler run, then step."""
        guest = self.guest
        with guest.points.temporaries([Temporary(pc, self.number, sp)]):
            outcome = guest.runloop.settle(self.advance)
            if outcome.reason != "until":
                return outcome
        self.reported = None
        return self._step_plain(pc)

    def _set(self, wanted: GuestDebug) -> None:
        if self._current is not wanted:
            self.vcpu.set_guest_debug(wanted)
            self._current = wanted

    def disarm(self) -> None:
        """Debug nothing any more."""
        self._set(OFF)

    def _single(self, pc: int, debug: GuestDebug) -> Exit:
        """Run the instruction at ``pc`` alone; whatever exit ended that.

        A kick in between is remembered by the guest, so the step is carried through.
        """
        guest = self.guest
        patched = pc in guest.arming.software
        physical = 0
        if patched:
            physical = self.space.translate(pc)
            guest.memory.lift(physical)
        self._set(debug)
        try:
            while True:
                self.stop_number += 1
                exit_ = self._run(self.vcpu)
                if type(exit_) is not ExitIntr:
                    return exit_
                if self.vcpu.immediate_exit:
                    self.vcpu.immediate_exit = False
                    continue
                if exit_.idle:
                    return exit_
                if guest.limited:
                    self._lift_limit()
        finally:
            if patched:
                guest.memory.drop(physical)
            if guest.limited:
                guest.runloop.apply_limits()

    def _lift_limit(self) -> None:
        if isinstance(self.vcpu, SupportsInstructionLimit):
            self.vcpu.max_instructions = None

    def sp(self) -> int:
        """The stack pointer in use."""
        pstate = self.get(_PSTATE)
        return self.get(_SP_EL1 if pstate >> 2 & 3 and pstate & 1 else _SP_EL0)

    def _stop(
        self, reason: str, detail: str = "", hit: Hit | None = None, hits: Sequence[Hit] = ()
    ) -> Stop:
        return Stop(
            reason,  # type: ignore[arg-type]
            self.cpu,
            self.guest.locate(self.get(_PC)),
            hit,
            tuple(hits),
            detail,
        )

    def _ended(self, exit_: Exit) -> Stop | None:
        if isinstance(exit_, ExitSystemEvent):
            kind = "powered off" if exit_.type == KVM_SYSTEM_EVENT_SHUTDOWN else str(exit_)
            return self._stop("exit", kind)
        return self._stop("error", str(exit_))

    # ---- debug exits -------------------------------------------------------------------------

    def _debug(self, exit_: ExitDebug) -> Stop | ExitIntr | None:
        ec = exit_.hsr >> _EC_SHIFT
        if ec & ~1 == _EC_WATCHPOINT:
            return self._watchpoint(exit_)
        if ec & ~1 == _EC_BREAKPOINT:
            return self._breakpoint(exit_)
        if ec == _EC_BRK and self._is_ours(pc := self.get(_PC)):
            return self._arrive(pc, exit_.hsr)
        self._hand_back(exit_)
        return None

    def _hand_back(self, exit_: ExitDebug) -> None:
        pc = self.get(_PC)
        vector = hand_back(self.vcpu, exit_.hsr, exit_.far)
        log.debug(
            "vCPU %d: a debug exception of the guest's own (ESR_EL2 %#x) at %#x: goes on at %#x",
            self.number,
            exit_.hsr,
            pc,
            vector,
        )

    def _is_ours(self, pc: int) -> bool:
        if pc not in self.guest.arming.software:
            return False
        try:
            return self.guest.memory.is_ours(self.space.translate(pc))
        except AddressError:
            return False

    # ---- breakpoints -------------------------------------------------------------------------

    def _breakpoint(self, exit_: ExitDebug) -> Stop | None:
        pc = self.get(_PC)
        if self._over is not None:
            return self._end_over(pc)
        arming = self.guest.arming
        if pc in arming.breakpoints or pc in arming.temporaries:
            return self._arrive(pc, exit_.hsr)
        if not arming.hardware:
            self._hand_back(exit_)
        return None

    def _arrive(self, pc: int, syndrome: int) -> Stop | None:
        arming = self.guest.arming
        done: Stop | None = None
        silent = False
        if self._interrupted or pc in arming.temporaries:
            sp = self.sp()
            silent = (pc, sp) in self._interrupted
            self._interrupted.discard((pc, sp))
            for temporary in arming.temporaries.get(pc, ()):
                if temporary.core == self.number and sp >= temporary.minimum_sp:
                    done = self._stop("until")
        points = () if silent else arming.breakpoints.get(pc, ())
        if done is None or points:
            self.reported = pc
        hits = [
            Hit(self, point, pc, 0, pc, 4, syndrome, None)
            for point in points
            if self._concerned(point.el, point.context, False)
        ]
        stop = self.guest.dispatch(self, hits) if hits else None
        return stop or done

    def _concerned(self, el: str, context: int | None, unprivileged: bool) -> bool:
        """Whether the present exception level and context are those that a point is for."""
        if el != "any":
            at_el0 = unprivileged or self.get(_PSTATE) >> 2 & 3 == 0
            if at_el0 != (el == "el0"):
                return False
        return context is None or self.get(_CONTEXTIDR_EL1) & 0xFFFF_FFFF == context

    def _leave_breakpoint(self) -> Stop | ExitIntr | None:
        """Execute the instruction under a breakpoint that has been reported."""
        pc = self.get(_PC)
        if pc != self.reported:
            self.reported = None
            return None
        arming = self.guest.arming
        if pc not in arming.breakpoints and pc not in arming.temporaries:
            self.reported = None
            return None
        sequence = self.sequence_at(pc)
        if sequence is not None and self._begin_over(sequence, 0, None):
            over = self._over
            assert over is not None
            over.breakpoint_at = (pc, self.sp())
            self.reported = None
            return None
        exit_ = self._single(pc, arming.step_watching)
        if type(exit_) is ExitIntr:
            return exit_
        self.reported = None
        if type(exit_) is not ExitDebug:
            return self._ended(exit_)
        if exit_.hsr >> _EC_SHIFT & ~1 == _EC_STEP:
            if self._taken_instead(pc):
                self._interrupted.add((pc, self._sp_before()))
            return self._report_mmio(None) if self.mmio_hits else None
        return self._debug(exit_)

    def _taken_instead(self, pc: int) -> bool:
        """Whether an interrupt was taken instead of the instruction at ``pc``."""
        now = self.get(_PC)
        if now == pc + 4:
            return False
        return self._vector(now, pc) not in (None, _SYNCHRONOUS)

    def _vector(self, now: int, pc: int) -> int | None:
        """If the vCPU stands at an exception vector, come from ``pc``: 0 synchronous, 1 IRQ, …"""
        offset = now - self.get(_VBAR_EL1)
        if not 0 <= offset < 0x800 or offset & 0x7F or self.get(_ELR_EL1) != pc:
            return None
        return offset >> 7 & 3

    def _sp_before(self) -> int:
        """The stack pointer in use before the exception that the vCPU has just taken."""
        spsr = self.get(_SPSR_EL1)
        return self.get(_SP_EL1 if spsr >> 2 & 3 and spsr & 1 else _SP_EL0)

    # ---- watchpoints -------------------------------------------------------------------------

    def _watchpoint(self, exit_: ExitDebug) -> Stop | ExitIntr | None:
        guest = self.guest
        arming = guest.arming
        if not arming.hardware:
            self._hand_back(exit_)
            return None
        pc = self.get(_PC)
        plan = self._decoder.plan(self.word(pc) or 0)
        touched = plan.touched(self.get, self.sp)
        far = exit_.far
        if touched is None:
            # Not an instruction whose accesses we know; FAR lies near the watched byte, or below.
            touched = Touched((far or 0) & ~63, 64, WRITE if exit_.hsr & _ISS_WNR else READ)
        if touched.address >> 56:
            touched = touched._replace(address=canonical(touched.address))  # it may carry a tag
        hits: list[Hit] = []
        early: list[Hit] = []
        for watch in arming.watches:
            hit = self._match(watch, touched, pc, exit_, plan.unprivileged)
            if hit is not None:
                (early if watch.before else hits).append(hit)
        if early:
            outcome = self._announce(pc, early)
            if outcome is not None:
                return outcome
            if self.get(_PC) != pc:
                self._announced = None
                return None  # the handler put the vCPU elsewhere
        if plan.exclusive:
            sequence = self.sequence_at(pc)
            if sequence is not None and self._begin_over(sequence, exit_.hsr, far):
                assert self._over is not None
                self._over.touched = touched
                self._over.watched = self._watched_by(touched, arming, hits)
                return None
        stepped = self._single(pc, arming.step_bare)
        if type(stepped) is not ExitDebug:
            return stepped if type(stepped) is ExitIntr else self._ended(stepped)
        reason: str | None = None
        now = self.get(_PC)
        if now != pc + 4:
            vector = self._vector(now, pc)
            if vector == _SYNCHRONOUS:
                reason = f"the access faulted (ESR_EL1 {self.get(_ESR_EL1):#x})"
            elif vector is not None:
                return None  # an interrupt came first: the access will be made again, and hit
        self._announced = None
        if plan.store_exclusive and reason is None and self._x(plan.status) & 1:
            reason = _FAILED_STORE
        for hit in hits:
            if not hit._bits & WRITE:
                hit.new_reason = _ONLYREAD
            elif reason is not None:
                hit.new_reason = reason
            elif hit.old_bytes is not None:
                hit.new_bytes = self._peek(hit.value_address, len(hit.old_bytes))
        if self.mmio_hits:
            hits += self.mmio_hits
            self.mmio_hits = []
        return guest.dispatch(self, hits) if hits else None

    def _announce(self, pc: int, early: list[Hit]) -> Stop | None:
        """Call the handlers that want to be called before the access; once an access."""
        place = (pc, self.sp())
        if self._announced == place:
            return None
        self._announced = place
        for hit in early:
            hit.new_reason = _NOT_YET
        return self.guest.dispatch(self, early)

    def _match(
        self, watch: Watch, touched: Touched, pc: int, exit_: ExitDebug, unprivileged: bool
    ) -> Hit | None:
        """The hit of a watch by an access, with the old value; None if it is not concerned."""
        address, size, bits = touched
        end = address + size
        if not bits & watch.bits or address >= watch.end or end <= watch.address:
            return None
        if watch.restricted and not self._concerned(watch.el, watch.context, unprivileged):
            return None
        low = address if address > watch.address else watch.address
        length = (end if end < watch.end else watch.end) - low
        hit = Hit(self, watch, pc, bits, low, length, exit_.hsr, exit_.far)
        hit.access_address = address
        hit.access_size = size
        if watch.scalar:
            hit.value_address = low = watch.address
            length = watch.length
        hit.old_bytes = self._peek(low, length)
        return hit

    def _peek(self, address: int, length: int) -> bytes | None:
        try:
            return self.space.read(address, length)
        except AddressError:
            return None

    def _x(self, number: int | None) -> int:
        """X0 to X30, or 0 for the zero register."""
        return 0 if number is None or number == 31 else self.get(_X[number])

    def word(self, pc: int) -> int | None:
        """The instruction at ``pc``, None where nothing can be read."""
        try:
            return int.from_bytes(self.space.read(pc, 4), "little")
        except AddressError:
            return None

    # ---- exclusive sequences -----------------------------------------------------------------

    def sequence_at(self, pc: int) -> exclusive.Sequence | None:
        """The exclusive sequence that an exit at ``pc`` would break, or None."""
        sequence = exclusive.find(pc, self.word)
        if sequence is None or not sequence.load <= pc <= sequence.store:
            return None
        return sequence

    def _begin_over(self, sequence: exclusive.Sequence, syndrome: int, far: int | None) -> bool:
        """Arrange for the sequence to run undisturbed; False where registers are too few."""
        guest = self.guest
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
        pstate, vbar = self.get(_PSTATE), self.get(_VBAR_EL1)
        base = vbar + (0x400 if pstate >> 2 & 3 == 0 else 0x200 if pstate & 1 else 0)
        ways = [*sequence.exits]
        for offset in (0x80, 0, 0x100, 0x180):
            if len(ways) < available and base + offset & 3 == 0:
                ways.append(base + offset & _U64)
        over = _Over(sequence, exits_only(guest.arming, ways), syndrome, far)
        for address in guest.arming.software:
            if address in sequence:
                physical = self.space.translate(address)
                guest.memory.lift(physical)
                over.lifted.append(physical)
        self._over = over
        return True

    def _watched_by(
        self, touched: Touched, arming: Arming, hits: Sequence[Hit]
    ) -> list[tuple[Watch, bool, bytes | None]]:
        """The watches that the sequence may concern: (watch, hit by the read, old value)."""
        read = {hit.point for hit in hits} if touched.bits & READ else set()
        found = []
        for watch in arming.watches:
            if watch.before or (
                watch.restricted and not self._concerned(watch.el, watch.context, False)
            ):
                continue
            low, size = self._value_range(watch, touched)
            if size:
                found.append((watch, watch in read, self._peek(low, size)))
        return found

    @staticmethod
    def _value_range(watch: Watch, touched: Touched) -> tuple[int, int]:
        low = max(watch.address, touched.address)
        high = min(watch.end, touched.address + touched.size)
        if low >= high:
            return low, 0
        return (watch.address, watch.length) if watch.scalar else (low, high - low)

    def _end_over(self, pc: int) -> Stop | None:
        """The sequence has been left at ``pc``: report what became of the value."""
        over = self._over
        assert over is not None
        self._over = None
        for physical in over.lifted:
            self.guest.memory.drop(physical)
        sequence = over.sequence
        left_at = pc
        if pc not in sequence.exits:
            left_at = self.get(_ELR_EL1)  # by an exception
        beyond = left_at == sequence.last + 4 or sequence.store < left_at <= sequence.last
        stored = beyond and self._x(sequence.status) == 0
        if pc not in sequence.exits and not stored:
            if over.breakpoint_at is not None:
                self._interrupted.add(over.breakpoint_at)
            return None  # it begins anew, and hits anew, when the exception is over
        self._announced = None
        if over.touched is None:
            return None
        hits = [
            hit
            for watch, by_read, old in over.watched
            if (hit := self._over_hit(over, watch, by_read, old, stored)) is not None
        ]
        return self.guest.dispatch(self, hits) if hits else None

    def _over_hit(
        self, over: _Over, watch: Watch, by_read: bool, old: bytes | None, stored: bool
    ) -> Hit | None:
        assert over.touched is not None
        address, size, kind = over.touched
        bits = READ if by_read else 0
        attempted = kind & WRITE and watch.bits & WRITE
        if watch.bits & WRITE and (stored or attempted):
            bits |= WRITE
        if not bits:
            return None
        pc = over.sequence.store if bits & WRITE else over.sequence.load
        low, high = max(watch.address, address), min(watch.end, address + size)
        hit = Hit(self, watch, pc, bits, low, high - low, over.syndrome, over.far)
        hit.access_address, hit.access_size = address, size
        hit.value_address, length = self._value_range(watch, over.touched)
        hit.old_bytes = old
        if not bits & WRITE:
            hit.new_reason = _ONLYREAD
        elif stored:
            hit.new_bytes = self._peek(hit.value_address, length)
        else:
            hit.new_reason = _FAILED_STORE
        return hit

    # ---- MMIO --------------------------------------------------------------------------------

    def mmio(self, exit_: ExitMmio, data: bytes) -> None:
        """A device was accessed: a watch of it is hit here, as no watchpoint ever fires.

        The stage-2 abort that makes an MMIO exit is taken before the watchpoint would be.
        """
        bits = WRITE if exit_.is_write else READ
        pc = self.get(_PC)
        for watch in self.guest.arming.watches:
            if not bits & watch.bits:
                continue
            # Page offsets survive translation: most watches are ruled out without one.
            ahead = exit_.phys_addr - watch.address & 0xFFF
            if ahead >= watch.length and watch.address - exit_.phys_addr & 0xFFF >= exit_.len:
                continue
            try:
                physical = self.space.translate(watch.address)
            except AddressError:
                continue
            low = max(physical, exit_.phys_addr)
            high = min(physical + watch.length, exit_.phys_addr + exit_.len)
            if low >= high or not self._concerned(watch.el, watch.context, False):
                continue
            address = watch.address + low - physical
            hit = Hit(self, watch, pc, bits, address, high - low, 0, None)
            start = low - exit_.phys_addr
            value = data[start : start + high - low]
            if exit_.is_write:
                hit.new_bytes = value
            else:
                hit.old_bytes = value
                hit.new_reason = _ONLYREAD
            self.mmio_hits.append(hit)
        if self.mmio_hits:
            # The access is completed, then the provider comes back before the next instruction.
            self.vcpu.immediate_exit = True

    def _report_mmio(self, exit_: Exit | None) -> Stop | None:
        hits, self.mmio_hits = self.mmio_hits, []
        self.vcpu.immediate_exit = False
        stop = self.guest.dispatch(self, hits)
        if exit_ is not None and type(exit_) is not ExitIntr:
            return self._ended(exit_)
        return stop

    # ---- looking -----------------------------------------------------------------------------

    def backtrace(self, pc: int, limit: int) -> list[Frame]:
        """The frames from here outwards; frame 0 is shown at ``pc``."""
        registers = [self.get(reg) for reg in _X]
        registers.append(self.sp())
        guest = self.guest
        now = self.get(_PC)
        # After a watched access the registers are those behind the instruction; if it faulted,
        # or began a sequence, the frame is still that of the instruction itself.
        here = now if abs(now - pc) <= 128 else pc
        unwinder = Unwinder(guest.images, guest.locate, self.space.read)
        frames = unwinder.frames(registers, here, limit)
        frames[0] = Frame(0, pc, frames[0].sp, guest.locate(pc))
        return frames
