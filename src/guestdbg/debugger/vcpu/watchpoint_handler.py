"""Watchpoint exits: the old value, the step over the access, the new value, the handlers.

The hardware stops before the access. A hit is handled in one of two ways, which give the same
result: ``_handle_any`` knows every case; ``handle_hit`` has a shorter way for what nearly every
hit is, a plain load or store that hit before, to memory, of watches that are reported after the
access.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.arm64.debug import canonical
from guestdbg.debugger.breakpoints.hit import Hit
from guestdbg.debugger.breakpoints.point import Watch
from guestdbg.debugger.vcpu.access_decoder import READ, WRITE, Touched, access_plan
from guestdbg.debugger.vcpu.dispatch import dispatch
from guestdbg.debugger.vcpu.exception_vectors import SYNCHRONOUS
from guestdbg.debugger.vcpu.exclusive_stepper import FAILED_STORE
from guestdbg.debugger.vcpu.mmio_watchpoints import ONLY_READS
from guestdbg.debugger.vcpu.single_step import EC_EITHER_EL, STEPPED
from guestdbg.kvm import ExitDebug
from guestdbg.kvm.regs import PC, sys_reg

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.armed_state import ArmedState
    from guestdbg.debugger.memory.address_space import View
    from guestdbg.debugger.vcpu.access_decoder import AccessPlan
    from guestdbg.debugger.vcpu.context import VcpuContext
    from guestdbg.debugger.vcpu.exclusive_stepper import ExclusiveStepper
    from guestdbg.debugger.vcpu.mmio_watchpoints import MmioWatchpoints
    from guestdbg.debugger.vcpu.single_step import SingleStepper
    from guestdbg.debugger.vcpu.stop import Outcome, Stop
    from guestdbg.kvm import Exit

__all__ = ["WatchpointHandler"]

_ESR_EL1 = sys_reg("ESR_EL1")
_SCTLR_EL1 = sys_reg("SCTLR_EL1")
_SCTLR_M = 1
_ISS_WNR = 1 << 6
#: An instruction whose accesses are not known is taken to access this much around FAR.
_UNKNOWN_ACCESS_BYTES = 64
_MAX_KNOWN = 4096
_TAG_SHIFT = 56

_NOT_YET = "the handler is called before the access"


class _KnownAccess:
    """An instruction that hit a watch before, and what was derived from it.

    It is valid for one armed state, one state of the MMU and the same code at the same place.
    ``watches`` has those that the instruction can hit: (address, end, watch, where its value is in
    host memory, or None if that has to be found at each hit).
    """

    __slots__ = (
        "armed",
        "base",
        "bits",
        "code",
        "mmu_on",
        "offset",
        "plan",
        "size",
        "view",
        "watches",
    )

    def __init__(
        self, armed: ArmedState, plan: AccessPlan, view: View, code: bytes, mmu_on: int
    ) -> None:
        assert plan.base is not None
        self.armed = armed
        self.plan = plan
        self.base = plan.base
        self.offset, self.size, self.bits = plan.offset, plan.size, plan.bits
        self.view = view
        self.code = code
        self.mmu_on = mmu_on
        self.watches: list[tuple[int, int, Watch, View | None]] = []


class WatchpointHandler:
    """The watchpoint hits of one vCPU.

    ``inject`` gives the guest a debug exception that is its own.
    """

    def __init__(
        self,
        context: VcpuContext,
        stepper: SingleStepper,
        exclusives: ExclusiveStepper,
        mmio: MmioWatchpoints,
        inject: Callable[[ExitDebug], Outcome],
    ) -> None:
        self._context = context
        self._target = context.target
        self._stepper = stepper
        self._exclusives = exclusives
        self._mmio = mmio
        self._inject = inject
        # Bound once: these are called at every stop.
        self._get = context.vcpu.get_one_reg
        self._run = context.vcpu.run
        self._set_guest_debug = context.vcpu.set_guest_debug
        self._view = context.space.view
        self._known: dict[int, _KnownAccess] = {}

    def handle_hit(self, exit_: ExitDebug) -> Outcome:
        """A watchpoint exit: step over the access, and report it to the watches that it hits."""
        context, get = self._context, self._get
        armed = self._target.armed
        pc = get(PC)
        known = self._known.get(pc)
        if (
            known is None
            or known.armed is not armed
            or get(_SCTLR_EL1) & _SCTLR_M != known.mmu_on
            or (known.mmu_on and self._view(pc, 4) != known.view)
        ):
            return self._handle_any(exit_, pc)
        memory, start, stop = known.view
        if memory[start:stop] != known.code:
            return self._handle_any(exit_, pc)
        address = get(known.base) + known.offset
        end = address + known.size
        count = 0
        for first, watch_end, candidate, value_view in known.watches:
            if address < watch_end and first < end:
                count += 1
                watch, view = candidate, value_view
        if count != 1 or (view is None and (view := self._value(watch, address, end)) is None):
            return self._handle_any(exit_, pc)
        memory, start, stop = view
        hit = Hit(context, watch, pc, (address, known.size, known.bits), exit_, memory[start:stop])
        # What SingleStepper.step does, without its calls.
        context.guest_debug = None
        self._set_guest_debug(armed.step_unarmed)
        context.guest_debug = armed.step_unarmed
        context.resume_count += 1
        stepped = self._run()
        if (
            type(stepped) is not ExitDebug
            or stepped.hsr & EC_EITHER_EL != STEPPED
            or get(PC) != pc + 4
        ):
            return self._report(self._stepper.run_to_step_exit(stepped), known.plan, pc, [hit])
        if known.bits & WRITE:
            hit.new_bytes = memory[start:stop]
        else:
            hit.new_reason = ONLY_READS
        return dispatch(context, (hit,))

    def _value(self, watch: Watch, address: int, end: int) -> View | None:
        """Where in host memory the value is that a hit by this access reports."""
        if watch.scalar:
            return self._view(watch.address, watch.length)
        low = max(address, watch.address)
        return self._view(low, min(end, watch.end) - low)

    def _handle_any(self, exit_: ExitDebug, pc: int) -> Outcome:
        context = self._context
        armed = self._target.armed
        if not armed.uses_hardware:
            return self._inject(exit_)
        raw = context.instruction(pc) or 0
        plan = access_plan(raw)
        touched = plan.touched(self._get, context.sp)
        if touched is None:
            # Not an instruction whose accesses are known. FAR lies between the lowest address
            # accessed and the highest watched one (DDI 0487, D2.10): near the watched byte.
            bits = WRITE if exit_.hsr & _ISS_WNR else READ
            low = (exit_.far or 0) & ~(_UNKNOWN_ACCESS_BYTES - 1)
            touched = Touched(low, _UNKNOWN_ACCESS_BYTES, bits)
        elif plan.base is not None and not plan.exclusive and not touched.address >> _TAG_SHIFT:
            self._remember(pc, raw, plan)
        if touched.address >> _TAG_SHIFT:
            touched = touched._replace(address=canonical(touched.address))  # it may carry a tag
        hits: list[Hit] = []
        before: list[Hit] = []
        for watch in armed.watches:
            hit = self._match(watch, touched, pc, exit_, plan.unprivileged)
            if hit is not None:
                (before if watch.before else hits).append(hit)
        if plan.exclusive:
            before = self._exclusives.hits_before(pc, exit_) or before
        if before:
            outcome = self._report_before(pc, before)
            if outcome is not None:
                return outcome
            if self._get(PC) != pc:
                # A handler has set the PC: the access will not be made.
                context.resume_state.reported_before_access = None
                return None
        if plan.exclusive and self._exclusives.begin(pc, exit_=exit_):
            return None
        return self._report(self._stepper.step(pc, armed.step_unarmed), plan, pc, hits)

    def _remember(self, pc: int, raw: int, plan: AccessPlan) -> None:
        armed = self._target.armed
        view = self._view(pc, 4)
        code = raw.to_bytes(4, "little")
        if not armed.only_plain_watches or view is None or view[0][view[1] : view[2]] != code:
            return  # of the last: a BRK of the debugger's is there
        mmu_on = self._get(_SCTLR_EL1) & _SCTLR_M
        known = _KnownAccess(armed, plan, view, code, mmu_on)
        for watch in armed.watches:
            if watch.bits & plan.bits:
                fixed = watch.scalar and not mmu_on
                value = self._view(watch.address, watch.length) if fixed else None
                known.watches.append((watch.address, watch.end, watch, value))
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[pc] = known

    def _report(self, stepped: Exit, plan: AccessPlan, pc: int, hits: list[Hit]) -> Outcome:
        """The step over the watchpoint has ended with ``stepped``: report the access."""
        context = self._context
        if type(stepped) is not ExitDebug:
            return context.stop_for_exit(stepped)
        reason: str | None = None
        if self._get(PC) != pc + 4:
            vector = context.vectors.taken_at(pc)
            if vector == SYNCHRONOUS:
                reason = f"the access faulted (ESR_EL1 {self._get(_ESR_EL1):#x})"
            elif vector is not None:
                # An interrupt was taken instead. The access is made after it, and hits again.
                return None
        context.resume_state.reported_before_access = None
        if plan.store_exclusive and reason is None and context.x(plan.status) & 1:
            reason = FAILED_STORE
        for hit in hits:
            if not hit._touched[2] & WRITE:
                hit.new_reason = ONLY_READS
            elif reason is not None:
                hit.new_reason = reason
            elif hit.old_bytes is not None:
                assert isinstance(hit.point, Watch)
                start = hit.point.address if hit.point.scalar else hit.address
                hit.new_bytes = context.try_read(start, len(hit.old_bytes))
        stop = dispatch(context, hits) if hits else None
        return self._mmio.report() or stop

    def report_before_sequence(self, pc: int) -> Stop | None:
        """A step, or a breakpoint, is about to begin an exclusive sequence at ``pc``.

        The handlers that are called before an access are called here: no watch is armed in it.
        """
        hits = self._exclusives.hits_before(pc)
        stop = self._report_before(pc, hits) if hits else None
        if hits and self._get(PC) != pc:
            self._context.resume_state.reported_before_access = None  # a handler has set the PC
        return stop

    def _report_before(self, pc: int, hits: list[Hit]) -> Stop | None:
        """Call the handlers that are called before the access; once for each access."""
        context = self._context
        place = (pc, context.sp())
        if context.resume_state.reported_before_access == place:
            return None
        context.resume_state.reported_before_access = place
        for hit in hits:
            hit.new_reason = _NOT_YET
        stop = dispatch(context, hits)
        if stop is not None:
            # The access is made next. It need not hit again: a store-exclusive fails without one. A
            # breakpoint at the instruction comes before its access, and was reported.
            context.resume_state.needs_step_over = pc
        return stop

    def _match(
        self, watch: Watch, touched: Touched, pc: int, exit_: ExitDebug, unprivileged: bool
    ) -> Hit | None:
        """The hit of a watch by an access, with the old value; None if it is not hit."""
        address, size, bits = touched
        end = address + size
        if not bits & watch.bits or address >= watch.end or end <= watch.address:
            return None
        context = self._context
        if watch.restricted and not context.matches(watch, unprivileged):
            return None
        if watch.scalar:
            old = context.try_read(watch.address, watch.length)
        else:
            low = max(address, watch.address)
            old = context.try_read(low, min(end, watch.end) - low)
        return Hit(context, watch, pc, touched, exit_, old)
