"""Watch hits: who accessed what, the value before, the step off, the value after, the handlers.

The hardware stops before the access. There are two ways through here that do the same: the plain
one, which knows every case, and a quick one for what nearly every hit is, a plain load or store
seen before, in memory, with handlers that are called after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.debug import canonical
from guestdbg.debugger.breakpoints.hit import Hit
from guestdbg.debugger.breakpoints.point import Watch
from guestdbg.debugger.vcpu.access_decoder import READ, WRITE, Plan, Touched
from guestdbg.debugger.vcpu.dispatch import dispatch
from guestdbg.debugger.vcpu.exception_vectors import SYNCHRONOUS
from guestdbg.debugger.vcpu.exclusive_stepper import FAILED_STORE
from guestdbg.debugger.vcpu.mmio_watchpoints import ONLY_READS
from guestdbg.debugger.vcpu.single_step import EC_EITHER_EL, STEPPED
from guestdbg.debugger.vcpu.stop import Stop
from guestdbg.kvm import ExitDebug, ExitIntr
from guestdbg.kvm.regs import core_reg, sys_reg

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.armed_state import ArmedState
    from guestdbg.debugger.memory.address_space import View
    from guestdbg.debugger.vcpu.context import VcpuContext

__all__ = ["WatchpointHandler"]

_PC = core_reg("pc")
_ESR_EL1 = sys_reg("ESR_EL1")
_SCTLR = sys_reg("SCTLR_EL1")
_ISS_WNR = 1 << 6
_SITES = 4096

_NOT_YET = "the handler is called before the access"


class _Site:
    """An instruction that hit a watch before: all that is known of it for the next time.

    Good for one arming and one state of the MMU. ``watches`` holds those that it can hit by what it
    does: (first address, end, watch, where its value is in host memory; None if that varies).
    """

    __slots__ = (
        "arming",
        "base",
        "bits",
        "code",
        "mapped",
        "offset",
        "plan",
        "size",
        "view",
        "watches",
    )

    def __init__(
        self, arming: ArmedState, plan: Plan, view: View, code: bytes, mapped: int
    ) -> None:
        assert plan.base is not None
        self.arming = arming
        self.plan = plan
        self.base = plan.base
        self.offset, self.size, self.bits = plan.offset, plan.size, plan.bits
        self.view = view
        self.code = code
        self.mapped = mapped
        self.watches: list[tuple[int, int, Watch, View | None]] = []


class WatchpointHandler:
    """The watch hits of one vCPU.

    ``reported_before_access``: PC and SP of the access that was reported before it was made.
    """

    def __init__(self, core: VcpuContext) -> None:
        self._core = core
        self._guest = core.guest
        self._vcpu = core.vcpu
        self._get = core.vcpu.get_one_reg
        self._run = core.vcpu.run
        self._set_guest_debug = core.vcpu.set_guest_debug
        self._view = core.space.view
        self._decoder = core.guest.decoder
        self._sites: dict[int, _Site] = {}
        self.reported_before_access: tuple[int, int] | None = None

    def hit(self, exit_: ExitDebug) -> Stop | ExitIntr | None:
        """A watchpoint exit: the access is made, and told to whom it concerns."""
        guest, core, get = self._guest, self._core, self._get
        arming = guest.arming
        pc = get(_PC)
        site = self._sites.get(pc)
        # Only what is sure to be as it was the last time goes the quick way.
        if site is None or site.arming is not arming or get(_SCTLR) & 1 != site.mapped:
            return self._plainly(exit_, pc)
        if site.mapped and self._view(pc, 4) != site.view:
            return self._plainly(exit_, pc)
        memory, start, stop = site.view
        if memory[start:stop] != site.code:
            return self._plainly(exit_, pc)
        size = site.size
        address = get(site.base) + site.offset
        end = address + size
        watch: Watch | None = None
        view: View | None = None
        for first, behind, candidate, known in site.watches:
            if address < behind and first < end:
                if watch is not None:
                    return self._plainly(exit_, pc)
                watch, view = candidate, known
        if watch is None:
            return self._plainly(exit_, pc)
        if view is None:
            view = self._value(watch, address, end)
            if view is None:
                return self._plainly(exit_, pc)
        memory, start, stop = view
        hit = Hit(core, watch, pc, (address, size, site.bits), exit_, memory[start:stop])
        core.current = None
        self._set_guest_debug(arming.step_bare)
        core.current = arming.step_bare
        core.stop_number += 1
        stepped = self._run()
        if (
            type(stepped) is not ExitDebug
            or stepped.hsr & EC_EITHER_EL != STEPPED
            or get(_PC) != pc + 4
        ):
            return self._stepped(core.stepping.finish(stepped), site.plan, pc, [hit])
        if site.bits & WRITE:
            hit.new_bytes = memory[start:stop]
        else:
            hit.new_reason = ONLY_READS
        return dispatch(core, (hit,))

    def _value(self, watch: Watch, address: int, end: int) -> View | None:
        """Where in host memory the value is that a hit by this access tells."""
        if watch.scalar:
            return self._view(watch.address, watch.length)
        low = max(address, watch.address)
        return self._view(low, min(end, watch.end) - low)

    def _plainly(self, exit_: ExitDebug, pc: int) -> Stop | ExitIntr | None:
        core = self._core
        arming = self._guest.arming
        if not arming.hardware:
            return core.hand_back(exit_)
        raw = core.word(pc) or 0
        plan = self._decoder.plan(raw)
        touched = plan.touched(self._get, core.sp)
        if touched is None:
            # Not an instruction whose accesses we know; FAR lies near the watched byte, or below.
            bits = WRITE if exit_.hsr & _ISS_WNR else READ
            touched = Touched((exit_.far or 0) & ~63, 64, bits)
        elif plan.base is not None and not plan.exclusive and not touched.address >> 56:
            self._remember(pc, raw, plan)
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
            if self._get(_PC) != pc:
                self.reported_before_access = None
                return None  # the handler put the vCPU elsewhere
        if plan.exclusive and core.sequences.begin_at_watch(pc, exit_, touched, hits):
            return None
        return self._stepped(core.stepping.single(pc, arming.step_bare), plan, pc, hits)

    def _remember(self, pc: int, raw: int, plan: Plan) -> None:
        arming = self._guest.arming
        view = self._view(pc, 4)
        code = raw.to_bytes(4, "little")
        if not arming.quick or view is None or view[0][view[1] : view[2]] != code:
            return  # the last: a BRK of ours is there
        mapped = self._get(_SCTLR) & 1
        site = _Site(arming, plan, view, code, mapped)
        for watch in arming.watches:
            if watch.bits & plan.bits:
                fixed = watch.scalar and not mapped
                value = self._view(watch.address, watch.length) if fixed else None
                site.watches.append((watch.address, watch.end, watch, value))
        if len(self._sites) >= _SITES:
            self._sites.clear()
        self._sites[pc] = site

    def _stepped(
        self, stepped: object, plan: Plan, pc: int, hits: list[Hit]
    ) -> Stop | ExitIntr | None:
        """The step off the watchpoint has ended: tell what came of the access."""
        core = self._core
        if type(stepped) is not ExitDebug:
            assert not isinstance(stepped, ExitDebug)
            return core.ended(stepped)  # type: ignore[arg-type]
        reason: str | None = None
        if self._get(_PC) != pc + 4:
            vector = core.vectors.taken_at(pc)
            if vector == SYNCHRONOUS:
                reason = f"the access faulted (ESR_EL1 {self._get(_ESR_EL1):#x})"
            elif vector is not None:
                return None  # an interrupt came first: the access will be made again, and hit
        self.reported_before_access = None
        if plan.store_exclusive and reason is None and core.x(plan.status) & 1:
            reason = FAILED_STORE
        for hit in hits:
            if not hit._touched[2] & WRITE:
                hit.new_reason = ONLY_READS
            elif reason is not None:
                hit.new_reason = reason
            elif hit.old_bytes is not None:
                assert isinstance(hit.point, Watch)
                start = hit.point.address if hit.point.scalar else hit.address
                hit.new_bytes = core.peek(start, len(hit.old_bytes))
        stop = dispatch(core, hits) if hits else None
        return core.devices.report() or stop

    def _announce(self, pc: int, early: list[Hit]) -> Stop | None:
        """Call the handlers that want to be called before the access; once an access."""
        place = (pc, self._core.sp())
        if self.reported_before_access == place:
            return None
        self.reported_before_access = place
        for hit in early:
            hit.new_reason = _NOT_YET
        return dispatch(self._core, early)

    def _match(
        self, watch: Watch, touched: Touched, pc: int, exit_: ExitDebug, unprivileged: bool
    ) -> Hit | None:
        """The hit of a watch by an access, with the old value; None if it is not concerned."""
        address, size, bits = touched
        end = address + size
        if not bits & watch.bits or address >= watch.end or end <= watch.address:
            return None
        core = self._core
        if watch.restricted and not core.concerned(watch.el, watch.context, unprivileged):
            return None
        if watch.scalar:
            old = core.peek(watch.address, watch.length)
        else:
            low = max(address, watch.address)
            old = core.peek(low, min(end, watch.end) - low)
        return Hit(core, watch, pc, touched, exit_, old)
