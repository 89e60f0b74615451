"""A vCPU of the soft provider: its calls, and the run loop (arm.c: kvm_arch_vcpu_ioctl_run)."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from guestdbg.arm64.exception_class import EC_MASK, EC_SHIFT
from guestdbg.cpu.processor import (
    EXIT_EL2,
    EXIT_HIT,
    EXIT_HLT,
    EXIT_KICK,
    EXIT_LIMIT,
    EXIT_MAINTENANCE,
    EXIT_STUCK,
    EXIT_TIMER,
    EXIT_TRACE,
)
from guestdbg.kvm.constants import (
    KVM_ARM_VCPU_POWER_OFF,
    KVM_MP_STATE_RUNNABLE,
    KVM_MP_STATE_STOPPED,
)
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.exits import ExitDebug
from guestdbg.kvm.hit_programs import ExitHit
from guestdbg.kvm.hlt_exit import ExitHlt
from guestdbg.kvm.soft.debug.guest_debug import set_guest_debug
from guestdbg.kvm.soft.debug.switch import read_hardware
from guestdbg.kvm.soft.exits import hit_programs, mmio
from guestdbg.kvm.soft.exits.handle_exit import EXIT_HANDLERS, unexpected
from guestdbg.kvm.soft.exits.inject_fault import adjust_pc, inject_dabt
from guestdbg.kvm.soft.processor_features import has_ras
from guestdbg.kvm.soft.register_fields import ESR_ISS, HCR_VSE, ISS_ISV, PSTATE_SS
from guestdbg.kvm.soft.registers import guest, timer
from guestdbg.kvm.soft.registers.reset import check_init, initial_hcr, reset_vcpu
from guestdbg.kvm.soft.registers.sys_regs import VSESR
from guestdbg.kvm.soft.run import livelock, requests
from guestdbg.kvm.soft.run.waiting import INTR, continue_waiting
from guestdbg.kvm.soft.state import (
    INCREMENT_PC,
    VcpuState,
)
from guestdbg.kvm.structures import VcpuEvents
from guestdbg.kvm.table_filters import MAX_TABLES

if TYPE_CHECKING:
    from guestdbg.kvm.coverage import CoverageData, CoverageForm
    from guestdbg.kvm.debug_state import DebugState
    from guestdbg.kvm.exits import Exit
    from guestdbg.kvm.guest_faults import FirstException
    from guestdbg.kvm.hit_programs import HitProgram, InstalledPrograms
    from guestdbg.kvm.structures import GuestDebug, VcpuInit

_GETTERS: Final = guest.GETTERS

#: The forms of coverage as the processor numbers them.
_COVERAGE_FORMS: Final[dict[str, int]] = {"first": 1, "counts": 2, "edges": 3}

#: Instructions that a vCPU runs before the vCPUs that wait in other threads may run.
TIME_SLICE: Final = 100_000
#: Instructions after which the processor returns to Python, which then looks for signals (Ctrl-C).
SIGNAL_CHECK_INTERVAL: Final = 20_000_000


class SoftVcpu(VcpuState):
    """A vCPU of the soft provider: the calls of the KVM API on the state in ``VcpuState``."""

    # No slots: all of the state is in VcpuState, which a snapshot keeps.
    __slots__ = ()

    # -- inspection -------------------------------------------------------------------------------

    def __repr__(self) -> str:
        state = "stopped" if self.stopped else "runnable"
        return f"<SoftVcpu {self.id} {state} pc={self.cpu.pc:#x}>"

    @property
    def debug_state(self) -> DebugState:
        """Who owns the debug registers and what they hold. Between runs only (EBUSY)."""
        self._check("debug_state")
        from guestdbg.kvm.debug_state import DebugState

        return DebugState(
            owner=self.vm.linux.debug_owner(self),
            debug_ptr=self.vm.linux.debug_ptr(self),
            dirty=self.dirty,
            guest_debug=self.guest_debug,
            mdcr_el2=self.mdcr_el2,
            mdscr_el1=self.mdscr_el1,
            hardware_mdscr_el1=self.hardware_mdscr_el1,
            pstate_ss=bool(self.cpu.pstate & PSTATE_SS),
            active_pending=self.active_pending,
            os_lock=self.os_lock,
            guest=self.vcpu_debug_state,
            external=self.external_debug_state,
            hardware=read_hardware(self),
        )

    @property
    def instructions(self) -> int:
        """Instructions retired since the vCPU was created, including those that EL2 emulated."""
        return self.cpu.instructions

    @property
    def counter_frequency(self) -> int:
        """The extension SupportsCounterFrequency: ticks in a second."""
        return timer.COUNTER_HZ

    @property
    def first_exception(self) -> FirstException | None:
        """The first synchronous exception since the last exception return. Between runs only."""
        self._check("first_exception")
        found = self.cpu.first_exception()
        if found is None:
            return None
        elr, spsr, esr, far, vector, count = found
        from guestdbg.kvm.guest_faults import FirstException

        return FirstException(esr, far, elr, spsr, vector, count)

    @property
    def max_instructions(self) -> int | None:
        """``run()`` returns ``ExitIntr`` once this many have retired in total."""
        return self._max_instructions

    @max_instructions.setter
    def max_instructions(self, value: int | None) -> None:
        self._check("max_instructions")
        if value is not None and value < 0:
            raise KvmError(errno.EINVAL, "max_instructions", f"{value} is negative")
        self._max_instructions = value

    @property
    def max_tables(self) -> int:
        """The extension SupportsTableFilters."""
        return MAX_TABLES

    # -- calls ------------------------------------------------------------------------------------

    def _check(self, call: str, *, initialised: bool = False) -> None:
        if self.running:
            raise KvmError(
                errno.EBUSY,
                call,
                f"vCPU {self.id} is running in another thread; only kick() may be called then",
            )
        if self.closed:
            raise KvmError(errno.EBADF, call, f"vCPU {self.id} is closed")
        if initialised and self.initialised_with is None:
            raise KvmError(errno.ENOEXEC, call, f"vCPU {self.id} needs init() (KVM_ARM_VCPU_INIT)")

    def init(self, init: VcpuInit) -> None:
        self._check("KVM_ARM_VCPU_INIT")
        check_init(self, init)
        self.vm.will_change("KVM_ARM_VCPU_INIT")
        self.initialised_with = init
        self.reset_state = None
        self.cpu.hcr_el2 = initial_hcr(self)
        reset_vcpu(self)
        self.stopped = init.has(KVM_ARM_VCPU_POWER_OFF)
        # Also to learn of the machine's first run.
        self.request_pending = True
        self.refuses_calls = False

    def get_one_reg(self, reg_id: int) -> int:
        if self.refuses_calls:
            self._check("KVM_GET_ONE_REG", initialised=True)
        get = _GETTERS.get(reg_id)
        return get(self) if get is not None else guest.get_reg(self, reg_id)

    def set_one_reg(self, reg_id: int, value: int) -> None:
        if self.refuses_calls:
            self._check("KVM_SET_ONE_REG", initialised=True)
        if self.vm.before_change is not None:
            self.vm.before_change("KVM_SET_ONE_REG")
        guest.set_reg(self, reg_id, value)

    def get_reg_list(self) -> list[int]:
        self._check("KVM_GET_REG_LIST", initialised=True)
        return guest.reg_list(self)

    def get_vcpu_events(self) -> VcpuEvents:
        self._check("KVM_GET_VCPU_EVENTS")
        pending = bool(self.cpu.hcr_el2 & HCR_VSE)
        if not has_ras(self.cpu):
            return VcpuEvents(serror_pending=pending)
        esr = self.cpu.get_sysreg(VSESR) if pending else 0
        return VcpuEvents(serror_pending=pending, serror_has_esr=True, serror_esr=esr)

    def set_vcpu_events(self, events: VcpuEvents) -> None:
        self._check("KVM_SET_VCPU_EVENTS")
        self.vm.will_change("KVM_SET_VCPU_EVENTS")
        ras = has_ras(self.cpu)
        if events.serror_has_esr and not ras:
            raise KvmError(
                errno.EINVAL,
                "KVM_SET_VCPU_EVENTS",
                "serror_has_esr: this processor has no RAS extension to report a syndrome with",
            )
        if events.serror_pending:  # a pending SError is not taken back
            if ras:
                self._set_serror_syndrome(events)
            self.cpu.hcr_el2 |= HCR_VSE
        if events.ext_dabt_pending:
            # Userspace could not complete an access: the guest takes an external abort for it.
            self.mmio = None
            inject_dabt(self, self.cpu.far_el2)

    def _set_serror_syndrome(self, events: VcpuEvents) -> None:
        """What the SError reports; without userspace's syndrome, an IMPLEMENTATION DEFINED one."""
        esr = events.serror_esr if events.serror_has_esr else ISS_ISV
        if esr & ~ESR_ISS:
            raise KvmError(
                errno.EINVAL, "KVM_SET_VCPU_EVENTS", f"serror_esr {esr:#x}: it has 25 bits"
            )
        self.cpu.set_sysreg(VSESR, esr)

    def get_mp_state(self) -> int:
        self._check("KVM_GET_MP_STATE")
        return KVM_MP_STATE_STOPPED if self.stopped else KVM_MP_STATE_RUNNABLE

    def set_mp_state(self, state: int) -> None:
        self._check("KVM_SET_MP_STATE")
        self.vm.will_change("KVM_SET_MP_STATE")
        if state == KVM_MP_STATE_STOPPED:
            requests.power_off(self)
        elif state == KVM_MP_STATE_RUNNABLE:
            self.stopped = False
            self.wake.set()
        else:
            raise KvmError(
                errno.EINVAL,
                "KVM_SET_MP_STATE",
                f"state {state}: arm64 has RUNNABLE ({KVM_MP_STATE_RUNNABLE}) and "
                f"STOPPED ({KVM_MP_STATE_STOPPED})",
            )

    def set_guest_debug(self, debug: GuestDebug) -> None:
        if self.refuses_calls:
            self._check("KVM_SET_GUEST_DEBUG")
        set_guest_debug(self, debug)

    def set_hit_programs(
        self,
        programs: Sequence[HitProgram],
        excluded: Sequence[tuple[int, int]] = (),
        hidden: Sequence[int] = (),
        *,
        plain: Sequence[tuple[int, int]] | None = None,
    ) -> InstalledPrograms:
        """The extension SupportsHitPrograms. ``plain`` is the former name of ``excluded``."""
        self._check("set_hit_programs")
        if plain is not None:
            warnings.warn(
                "set_hit_programs(plain=...) is now called excluded; the next version will not "
                "have the old name",
                DeprecationWarning,
                stacklevel=2,
            )
            excluded = plain
        return hit_programs.install(self, programs, excluded, hidden)

    def set_hlt_exit(self, immediate: int | None) -> None:
        """The extension SupportsHltExit."""
        self._check("set_hlt_exit")
        if immediate is not None and not 0 <= immediate <= 0xFFFF:
            raise KvmError(errno.EINVAL, "set_hlt_exit", f"immediate {immediate}: it has 16 bits")
        self.hlt_exit = immediate
        self.cpu.set_hlt_exit(immediate)

    def start_coverage(self, form: CoverageForm) -> None:
        """The extension SupportsCoverage."""
        self._check("start_coverage")
        number = _COVERAGE_FORMS.get(form)
        if number is None:
            raise KvmError(
                errno.EINVAL, "start_coverage", f"{form!r} is not one of {[*_COVERAGE_FORMS]}"
            )
        try:
            self.cpu.start_coverage(number)
        except MemoryError as error:
            raise KvmError(errno.ENOMEM, "start_coverage", "no memory for its tables") from error

    def start_coverage_map(self, counters: object) -> None:
        """The extension SupportsCoverageMap."""
        self._check("start_coverage_map")
        try:
            self.cpu.start_coverage_map(counters)
        except (ValueError, TypeError, BufferError) as error:
            raise KvmError(errno.EINVAL, "start_coverage_map", str(error)) from error
        except MemoryError as error:
            raise KvmError(errno.ENOMEM, "start_coverage_map", "no memory for blocks") from error

    def stop_coverage(self) -> None:
        """Note nothing any more, and forget what was noted."""
        self._check("stop_coverage")
        self.cpu.stop_coverage()

    def coverage(self) -> CoverageData:
        """What was executed since ``start_coverage``."""
        from guestdbg.kvm.coverage import CoverageData

        self._check("coverage")
        try:
            return CoverageData(*self.cpu.coverage())
        except ValueError as error:
            raise KvmError(errno.EINVAL, "coverage", str(error)) from error

    @property
    def coverage_paused(self) -> bool:
        """Whether nothing is noted for now."""
        return not self.cpu.covering

    @coverage_paused.setter
    def coverage_paused(self, value: bool) -> None:
        self._check("coverage_paused")
        try:
            self.cpu.covering = not value
        except ValueError as error:
            raise KvmError(errno.EINVAL, "coverage_paused", str(error)) from error

    def complete_mmio(self, data: bytes) -> None:
        self._check("complete_mmio")
        self.vm.will_change("complete_mmio")
        mmio.complete_mmio(self, data)

    def kick(self) -> None:
        self.kicked = True
        self.wake.set()
        self.cpu.kick()

    @property
    def immediate_exit(self) -> bool:
        return self._immediate_exit

    @immediate_exit.setter
    def immediate_exit(self, value: bool) -> None:
        self._immediate_exit = bool(value)

    def set_device_attr(self, group: int, attr: int, value: bytes) -> None:
        self._check("KVM_SET_DEVICE_ATTR")
        self.vm.will_change("KVM_SET_DEVICE_ATTR")
        timer.set_attr(self, group, attr, value)

    def get_device_attr(self, group: int, attr: int, size: int) -> bytes:
        self._check("KVM_GET_DEVICE_ATTR")
        return timer.get_attr(self, group, attr, size)

    def has_device_attr(self, group: int, attr: int) -> bool:
        return timer.has_attr(group, attr)

    def close(self) -> None:
        if self.running:
            self._check("close")
        if not self.closed:
            self._report_undefined()
        self.closed = True
        self.refuses_calls = True

    # -- running ----------------------------------------------------------------------------------

    # 17 branches in one function: this is the path of every stop, where a call more is measurable.
    # What happens rarely (requests, injected exceptions, several vCPUs) is in other functions.
    def run(self) -> Exit:  # noqa: C901
        if self.refuses_calls:
            self._check("KVM_RUN", initialised=True)
        vm = self.vm
        if vm.before_change is not None:
            vm.before_change("KVM_RUN")
        run_lock = vm.run_lock
        if run_lock.waiters or not run_lock.try_acquire(False):
            run_lock.acquire()
        self.running = self.refuses_calls = True
        loaded = False
        try:
            if self.mmio is not None:
                mmio.handle_mmio_return(self)
            linux = vm.linux
            if linux.load is not None:
                linux.load(self)
            loaded = True
            if self._immediate_exit:
                return INTR
            cpu = self.cpu
            if self.waiting:
                waits = continue_waiting(self)
                if waits is not None:
                    return waits
            while True:
                if self.request_pending or (
                    self.pc_adjustment is not None and self.pc_adjustment is not INCREMENT_PC
                ):
                    exit_ = self._before_entry()
                    if exit_ is not None:
                        return exit_
                # In the order of kvm_arch_vcpu_ioctl_run: the debug set-up first, so that PSTATE.SS
                # is in place when the PC moves past an emulated instruction, which completes a
                # software step.
                linux.enter(self)
                if self.pc_adjustment is not None:
                    adjust_pc(self)
                if vm.single_vcpu:
                    limit = cpu.instructions + SIGNAL_CHECK_INTERVAL
                    most = self._max_instructions
                    reason = cpu.run(limit if most is None or most > limit else most)
                else:
                    reason = self._run_time_slice()
                # Before the exit is handled: a trapped access must see the guest's own values.
                linux.leave(self)
                if reason == EXIT_EL2:
                    esr = cpu.esr_el2
                    exit_ = EXIT_HANDLERS[esr >> EC_SHIFT & EC_MASK](self, esr)
                else:
                    exit_ = self._handle_return(reason)
                if exit_.__class__ is ExitDebug or exit_.__class__ is ExitHit:
                    if cpu.has_undefined:
                        self._report_undefined()
                    return exit_
                if exit_ is not None:
                    self._report_undefined()
                    return exit_
        finally:
            # Userspace sees the registers as after the emulated instruction, or in the handler of
            # the injected exception.
            if self.pc_adjustment is not None:
                adjust_pc(self)
            if loaded and vm.linux.put is not None:
                vm.linux.put(self)
            self.running = self.refuses_calls = False
            run_lock.release_only()
            if run_lock.waiters:
                run_lock.grant_next()

    def _before_entry(self) -> Exit | None:
        """Look for a livelock when an exception is about to be injected; then handle requests."""
        if self.pc_adjustment is not None and self.pc_adjustment is not INCREMENT_PC:
            exit_ = livelock.injected_again(self)
            if exit_ is not None:
                self._report_undefined()
                return exit_
        return requests.handle(self) if self.request_pending else None

    def _run_time_slice(self) -> int:
        """Run the processor for one time slice, as one of several in the machine.

        Their counters are one clock: what one vCPU has run is in the past of the vCPU that runs
        next.
        """
        cpu = self.cpu
        vm = self.vm
        late = vm.virtual_time - cpu.counter
        if late > 0:
            cpu.advance_counter(late)
        limit = cpu.instructions + TIME_SLICE
        if self._max_instructions is not None:
            limit = min(limit, self._max_instructions)
        reason = cpu.run(limit)
        vm.virtual_time = cpu.counter
        return reason

    def _handle_return(self, reason: int) -> Exit | None:
        """The processor returned without an exception to EL2."""
        if reason == EXIT_LIMIT:
            self._report_undefined()
            limit = self._max_instructions
            if limit is not None and self.instructions >= limit:
                return INTR
            self.vm.run_lock.yield_to_waiters()
        elif reason == EXIT_KICK:
            if self.kicked:
                self.kicked = False
                self.wake.clear()
                return INTR
            # Another thread changes the machine, or an interrupt line has changed.
            self.vm.run_lock.yield_to_waiters()
        elif reason == EXIT_STUCK:
            return livelock.livelock_exit(self)
        elif reason == EXIT_HIT:
            return hit_programs.hit_exit(self)
        elif reason == EXIT_TRACE:
            self._drain_trace()
        elif reason == EXIT_HLT:
            assert self.hlt_exit is not None
            return ExitHlt(self.hlt_exit)
        elif reason in (EXIT_TIMER, EXIT_MAINTENANCE):
            # A timer's output has changed, or the list registers need a look. Without an interrupt
            # controller in the kernel the guest reads CNTV_CTL_EL0.ISTATUS.
            if self.vgic_cpu is not None:
                self.request_pending = True
        else:
            raise unexpected(reason)
        return None

    def _drain_trace(self) -> None:
        """The buffer of a trace is full: give it to the sink, which may look at the machine."""
        self.running = self.refuses_calls = False
        try:
            for buffer in (self.vm.flow_buffer, self.vm.instruction_buffer):
                if buffer is not None:
                    buffer.flush()
        finally:
            self.running = self.refuses_calls = True

    def _report_undefined(self) -> None:
        """Report, once each, the encodings that the processor does not implement."""
        for encoding, pc in self.cpu.undefined().items():
            # UDF is UNDEFINED by definition.
            if encoding >> 16:
                self.vm.undefined(self, encoding, pc, f"instruction {encoding:#010x}")
