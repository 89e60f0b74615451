"""A virtual processor of the soft provider: the state that EL2 keeps, and the run loop (arm.c)."""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.cpu.processor import (
    EXIT_EL2,
    EXIT_HIT,
    EXIT_KICK,
    EXIT_LIMIT,
    EXIT_STUCK,
    EXIT_TIMER,
    HitPrograms,
    Processor,
)
from guestdbg.kvm.constants import (
    KVM_ARM_VCPU_POWER_OFF,
    KVM_ARM_VCPU_PSCI_0_2,
    KVM_GUESTDBG_USE_HW,
    KVM_INTERNAL_ERROR_DELIVERY_EV,
    KVM_MP_STATE_RUNNABLE,
    KVM_MP_STATE_STOPPED,
)
from guestdbg.kvm.debug_state import DebugState
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.exits import Exit, ExitDebug, ExitInternalError, ExitIntr
from guestdbg.kvm.interface import Vcpu
from guestdbg.kvm.programs import ExitHit, HitProgram, InstalledPrograms
from guestdbg.kvm.soft import guest, mmio, programs, timer
from guestdbg.kvm.soft.bits import EC_MASK, EC_SHIFT, HCR_VF, HCR_VI, HCR_VSE, PSTATE_SS
from guestdbg.kvm.soft.guest_debug import (
    DEBUG_PTR_EXTERNAL,
    DEBUG_PTR_GUEST,
    clear_debug,
    set_guest_debug,
    setup_debug,
)
from guestdbg.kvm.soft.handle_exit import EXIT_HANDLERS, unexpected
from guestdbg.kvm.soft.inject_fault import INCREMENT_PC, adjust_pc, inject_dabt
from guestdbg.kvm.soft.psci import MPIDR_AFFINITY, PSCI_1_1
from guestdbg.kvm.soft.reset import reset_vcpu
from guestdbg.kvm.soft.switch import (
    HOST_REGISTERS,
    read_hardware,
    switch_to_guest,
    switch_to_host,
)
from guestdbg.kvm.structures import DebugRegisters, GuestDebug, VcpuEvents, VcpuInit

if TYPE_CHECKING:
    from guestdbg.kvm.soft.vm import SoftVm

_INTR: Final = ExitIntr()
_IDLE: Final = ExitIntr(idle=True)
_GETTERS: Final = guest.GETTERS

_ESR_EL1: Final = SYSREGS["ESR_EL1"].encoding
_ELR_EL1: Final = SYSREGS["ELR_EL1"].encoding

#: Instructions that a vCPU runs before others, each with a thread of its own, get their turn.
QUANTUM: Final = 100_000
_KNOWN_FEATURES: Final = (1 << KVM_ARM_VCPU_POWER_OFF) | (1 << KVM_ARM_VCPU_PSCI_0_2)
_ALL_FEATURES: Final = (1 << 7) - 1


class SoftVcpu(Vcpu):
    """A vCPU over one of our processors.

    Attributes that begin without an underscore and are not part of ``Vcpu`` are EL2's state; the
    modules beside this one work on them.
    """

    # Slots: a run reads many attributes, and these come quickly however many there are.
    __slots__ = (
        "_closed",
        "_id",
        "_immediate_exit",
        "_init",
        "_kicked",
        "_last_injected",
        "_max_instructions",
        "_not_callable",
        "_requests",
        "_reset_to",
        "_running",
        "_vm",
        "_wake",
        "active_pending",
        "affinity",
        "cpu",
        "debug_ptr",
        "dirty",
        "external_regs",
        "guest_debug",
        "guest_regs",
        "hardware_mdscr_el1",
        "hardware_regs",
        "hit_programs",
        "irq_lines",
        "mdccint_el1",
        "mdcr_el2",
        "mdscr_el1",
        "mmio",
        "mmio_data",
        "os_lock",
        "pending",
        "preserved_ss",
        "psci_version",
        "spsr_aarch32",
        "stopped",
        "unused_regs",
        "waiting",
    )

    cpu: Processor

    def __init__(self, vm: SoftVm, vcpu_id: int, cpu: Processor, mpidr: int) -> None:
        self._id = vcpu_id
        self._vm = vm
        self.cpu = cpu
        self.affinity = mpidr & MPIDR_AFFINITY
        self._init: VcpuInit | None = None
        self._closed = False
        self._running = False
        #: Closed, running, or not initialised yet: what most calls must ask first.
        self._not_callable = True
        self._immediate_exit = False
        self._max_instructions: int | None = None
        self._kicked = False
        self._wake = threading.Event()
        # Something is to be done before the next entry: power, a reset, interrupt lines.
        self._requests = False
        self._reset_to: tuple[int, int] | None = None
        self._last_injected: tuple[object, ...] | None = None
        self.stopped = False
        # In a WFI that only time, or somebody else, can end.
        self.waiting = False
        self.irq_lines = 0
        self.psci_version = PSCI_1_1
        self.spsr_aarch32 = [0] * 5
        self.unused_regs: dict[int, int] = {}
        self.pending: tuple[int, int | None] | None = None
        self.mmio: mmio.PendingMmio | None = None
        self.mmio_data: bytes | None = None
        self.hit_programs: HitPrograms | None = None
        # Guest debug; told in guest_debug.py.
        self.guest_debug = 0
        self.guest_regs = DebugRegisters()
        self.external_regs = DebugRegisters()
        self.hardware_regs = HOST_REGISTERS
        self.debug_ptr: str = DEBUG_PTR_GUEST
        self.dirty = False
        self.active_pending = False
        self.preserved_ss = 0
        self.os_lock = False
        self.mdscr_el1 = 0
        self.mdccint_el1 = 0
        self.mdcr_el2 = 0
        self.hardware_mdscr_el1 = 0

    # -- what it is -------------------------------------------------------------------------------

    @property
    def id(self) -> int:
        return self._id

    @property
    def vm(self) -> SoftVm:
        return self._vm

    def __repr__(self) -> str:
        state = "stopped" if self.stopped else "runnable"
        return f"<SoftVcpu {self._id} {state} pc={self.cpu.pc:#x}>"

    @property
    def debug_state(self) -> DebugState:
        """Who owns the debug registers and what they hold, as it is between runs."""
        self._check("debug_state")
        return DebugState(
            owner="host" if self.guest_debug & KVM_GUESTDBG_USE_HW else "guest",
            debug_ptr="external" if self.debug_ptr == DEBUG_PTR_EXTERNAL else "guest",
            dirty=self.dirty,
            guest_debug=self.guest_debug,
            mdcr_el2=self.mdcr_el2,
            mdscr_el1=self.mdscr_el1,
            hardware_mdscr_el1=self.hardware_mdscr_el1,
            pstate_ss=bool(self.cpu.pstate & PSTATE_SS),
            active_pending=self.active_pending,
            os_lock=self.os_lock,
            guest=self.guest_regs,
            external=self.external_regs,
            hardware=read_hardware(self),
        )

    @property
    def instructions(self) -> int:
        """Instructions retired since the vCPU was created, those that EL2 emulated included."""
        return self.cpu.instructions

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
    def running(self) -> bool:
        """Whether a thread is inside ``run()``."""
        return self._running

    # -- calls ------------------------------------------------------------------------------------

    def _check(self, call: str, *, initialised: bool = False) -> None:
        if self._running:
            raise KvmError(
                errno.EBUSY,
                call,
                f"vCPU {self._id} is running in another thread; only kick() may be called then",
            )
        if self._closed:
            raise KvmError(errno.EBADF, call, f"vCPU {self._id} is closed")
        if initialised and self._init is None:
            raise KvmError(errno.ENOEXEC, call, f"vCPU {self._id} needs init() (KVM_ARM_VCPU_INIT)")

    def init(self, init: VcpuInit) -> None:
        call = "KVM_ARM_VCPU_INIT"
        self._check(call)
        preferred = self._vm.preferred_target()
        if init.target != preferred.target:
            raise KvmError(
                errno.EINVAL,
                call,
                f"target {init.target} is not this processor's, {preferred.target} "
                "(KVM_ARM_PREFERRED_TARGET)",
            )
        if len(init.features) != 7:
            raise KvmError(
                errno.EINVAL, call, f"features has {len(init.features)} words instead of 7"
            )
        features = init.features[0]
        if features & ~_ALL_FEATURES or any(init.features[1:]):
            raise KvmError(errno.ENOENT, call, f"features {init.features} has unknown bits")
        if features & ~_KNOWN_FEATURES:
            raise KvmError(
                errno.EINVAL,
                call,
                f"features {features:#x}: of these only POWER_OFF (1) and PSCI_0_2 (4) are offered",
            )
        if self._init is not None and self._init.features != init.features:
            raise KvmError(
                errno.EINVAL, call, "a vCPU is initialised again with the features it had before"
            )
        self._init = init
        self._reset_to = None
        reset_vcpu(self)
        self.stopped = init.has(KVM_ARM_VCPU_POWER_OFF)
        self._requests = self.stopped
        self._not_callable = False

    def get_one_reg(self, reg_id: int) -> int:
        if self._not_callable:
            self._check("KVM_GET_ONE_REG", initialised=True)
        get = _GETTERS.get(reg_id)
        return get(self) if get is not None else guest.get_reg(self, reg_id)

    def set_one_reg(self, reg_id: int, value: int) -> None:
        if self._not_callable:
            self._check("KVM_SET_ONE_REG", initialised=True)
        guest.set_reg(self, reg_id, value)

    def get_reg_list(self) -> list[int]:
        self._check("KVM_GET_REG_LIST", initialised=True)
        return guest.reg_list()

    def get_vcpu_events(self) -> VcpuEvents:
        self._check("KVM_GET_VCPU_EVENTS")
        return VcpuEvents(serror_pending=bool(self.cpu.hcr_el2 & HCR_VSE))

    def set_vcpu_events(self, events: VcpuEvents) -> None:
        self._check("KVM_SET_VCPU_EVENTS")
        if events.serror_has_esr:
            raise KvmError(
                errno.EINVAL,
                "KVM_SET_VCPU_EVENTS",
                "serror_has_esr: this processor has no RAS extension to report a syndrome with",
            )
        hcr = self.cpu.hcr_el2
        if events.serror_pending:  # one that waits already is not taken back
            self.cpu.hcr_el2 = hcr | HCR_VSE
        if events.ext_dabt_pending:
            # Userspace could not answer an access: it is an external abort to the guest.
            self.mmio = None
            inject_dabt(self, self.cpu.far_el2)

    def get_mp_state(self) -> int:
        self._check("KVM_GET_MP_STATE")
        return KVM_MP_STATE_STOPPED if self.stopped else KVM_MP_STATE_RUNNABLE

    def set_mp_state(self, state: int) -> None:
        self._check("KVM_SET_MP_STATE")
        if state == KVM_MP_STATE_STOPPED:
            self.power_off()
        elif state == KVM_MP_STATE_RUNNABLE:
            self.stopped = False
            self._wake.set()
        else:
            raise KvmError(
                errno.EINVAL,
                "KVM_SET_MP_STATE",
                f"state {state}: arm64 knows RUNNABLE ({KVM_MP_STATE_RUNNABLE}) and "
                f"STOPPED ({KVM_MP_STATE_STOPPED})",
            )

    def set_guest_debug(self, debug: GuestDebug) -> None:
        if self._not_callable:
            self._check("KVM_SET_GUEST_DEBUG")
        set_guest_debug(self, debug)

    def set_hit_programs(
        self,
        wanted: Sequence[HitProgram],
        plain: Sequence[tuple[int, int]] = (),
        hidden: Sequence[int] = (),
    ) -> InstalledPrograms:
        """The extension SupportsHitPrograms."""
        self._check("set_hit_programs")
        return programs.install(self, wanted, plain, hidden)

    def complete_mmio(self, data: bytes) -> None:
        self._check("complete_mmio")
        mmio.complete_mmio(self, data)

    def kick(self) -> None:
        self._kicked = True
        self._wake.set()
        self.cpu.kick()

    @property
    def immediate_exit(self) -> bool:
        return self._immediate_exit

    @immediate_exit.setter
    def immediate_exit(self, value: bool) -> None:
        self._immediate_exit = bool(value)

    def set_device_attr(self, group: int, attr: int, value: bytes) -> None:
        self._check("KVM_SET_DEVICE_ATTR")
        timer.set_attr(group, attr, value)

    def get_device_attr(self, group: int, attr: int, size: int) -> bytes:
        self._check("KVM_GET_DEVICE_ATTR")
        return timer.get_attr(group, attr, size)

    def has_device_attr(self, group: int, attr: int) -> bool:
        return timer.has_attr(group, attr)

    def close(self) -> None:
        if self._running:
            self._check("close")
        if not self._closed:
            self._name_undefined()
        self._closed = True
        self._not_callable = True

    # -- running ----------------------------------------------------------------------------------

    def run(self) -> Exit:
        if self._not_callable:
            self._check("KVM_RUN", initialised=True)
        vm = self._vm
        turns = vm.turns
        if turns.waiters or not turns.try_acquire(False):
            turns.acquire()
        self._running = self._not_callable = True
        try:
            if self.mmio is not None:
                mmio.handle_mmio_return(self)
            if self._immediate_exit:
                return _INTR
            if self.pending is not None and self.pending is not INCREMENT_PC:
                exit_ = self._repeats()  # an external abort, by KVM_SET_VCPU_EVENTS
                if exit_ is not None:
                    return exit_
            cpu = self.cpu
            self.waiting = False
            while True:
                if self._requests:
                    exit_ = self._handle_requests()
                    if exit_ is not None:
                        return exit_
                setup_debug(self)
                if self.pending is not None:
                    adjust_pc(self)
                if self.dirty or self.hardware_regs is not HOST_REGISTERS:
                    switch_to_guest(self)
                why = cpu.run(self._max_instructions) if vm.alone else self._run_in_turn()
                if self.dirty:
                    switch_to_host(self)
                clear_debug(self)
                if why == EXIT_EL2:
                    esr = cpu.esr_el2
                    exit_ = EXIT_HANDLERS[esr >> EC_SHIFT & EC_MASK](self, esr)
                else:
                    exit_ = self._handle_return(why)
                if exit_.__class__ is ExitDebug or exit_.__class__ is ExitHit:
                    return exit_
                if exit_ is None and self.pending is not None and self.pending is not INCREMENT_PC:
                    exit_ = self._repeats()
                if exit_ is not None:
                    self._name_undefined()
                    return exit_
        finally:
            # Userspace sees the registers as after the emulated instruction, or in the handler of
            # the injected exception.
            if self.pending is not None:
                adjust_pc(self)
            self._running = self._not_callable = False
            turns.free()
            if turns.waiters:
                turns.wake()

    def _run_in_turn(self) -> int:
        """Run the processor for no longer than one turn, one of several in the machine.

        Their counters are one clock: what one has run is in the past of who comes after it.
        """
        cpu = self.cpu
        vm = self._vm
        behind = vm.now - cpu.counter
        if behind > 0:
            cpu.advance_counter(behind)
        limit = cpu.instructions + QUANTUM
        if self._max_instructions is not None:
            limit = min(limit, self._max_instructions)
        why = cpu.run(limit)
        vm.now = cpu.counter
        return why

    def _handle_return(self, why: int) -> Exit | None:
        """The processor came back without an exception to EL2."""
        if why == EXIT_LIMIT:
            limit = self._max_instructions
            if limit is not None and self.instructions >= limit:
                return _INTR
            self._vm.turns.pass_on()
        elif why == EXIT_KICK:
            if self._kicked:
                self._kicked = False
                self._wake.clear()
                return _INTR
            # Somebody wants the machine for a moment, or an interrupt line has changed.
            self._vm.turns.pass_on()
        elif why == EXIT_STUCK:
            return self._stuck()
        elif why == EXIT_HIT:
            return programs.hit_exit(self)
        elif why != EXIT_TIMER:
            raise unexpected(why)
        # A timer's output has changed. There is no interrupt controller to tell: the guest polls.
        return None

    def _name_undefined(self) -> None:
        """Log, once each, the encodings that the processor did not know."""
        for encoding, pc in self.cpu.undefined().items():
            self._vm.warn_once(
                ("instruction", encoding),
                f"instruction {encoding:#010x} at pc {pc:#x} is not implemented; UNDEFINED to the "
                "guest",
            )

    def _handle_requests(self) -> Exit | None:
        """What others asked of this vCPU since its last entry."""
        while self.stopped:
            exit_ = self._sleep(None)
            if exit_ is not None:
                return exit_
        self._requests = False
        if self._reset_to is not None:
            entry, context = self._reset_to
            self._reset_to = None
            reset_vcpu(self)
            self.cpu.pc = entry
            self.cpu.set_x(0, context)
        self.update_lines()
        return None

    def _repeats(self) -> Exit | None:
        """An exception is about to be injected: is it the last one again, nothing done between?"""
        here = (self.cpu.pc, self.pending, self.cpu.instructions)
        if here == self._last_injected:
            return self._stuck()
        self._last_injected = here
        return None

    def _stuck(self) -> Exit:
        """The exit for a guest whose exception vector raises the same exception, for ever.

        The kernel lets it go round; here it would never come to the end of a limit.
        """
        pc = self.cpu.pc
        return ExitInternalError(
            KVM_INTERNAL_ERROR_DELIVERY_EV,
            (pc, self.cpu.get_sysreg(_ESR_EL1), self.cpu.get_sysreg(_ELR_EL1)),
            f"the guest cannot go on: its exception vector at {pc:#x} raises an exception itself, "
            "and so for ever (is VBAR_EL1 set, and is there code at it?)",
        )

    # -- waiting, power, interrupt lines ----------------------------------------------------------

    def wait_for_interrupt(self) -> Exit | None:
        """WFI: until an interrupt is pending or a timer is met. None: the guest goes on.

        In virtual time nobody sleeps. When all who could run are waiting, time jumps to the next
        timer of any of them. Where there is none, or others can still run, the caller is told
        (``idle``). With the host's clock the thread sleeps.
        """
        cpu = self.cpu
        if self.irq_lines or cpu.hcr_el2 & HCR_VSE or cpu.vtimer_output or cpu.ptimer_output:
            return None
        ticks = cpu.next_timer()
        if self._vm.clock == "host":
            return self._sleep(None if ticks is None else ticks / timer.COUNTER_HZ)
        if self._vm.alone:
            if ticks is None:
                return _IDLE
            cpu.advance_counter(ticks)
            return None
        return self._wait_with_others(ticks)

    def _wait_with_others(self, ticks: int | None) -> Exit | None:
        """WFI in virtual time, one of several; ``ticks`` to the own timer, None: it is not set."""
        vm = self._vm
        self.waiting = True
        others = [v for v in vm.soft_vcpus if v is not self and not v.stopped]
        if not all(v.waiting for v in others):
            return _IDLE
        now = self.cpu.counter
        times = [] if ticks is None else [now + ticks]
        for other in others:
            theirs = other.cpu.next_timer()
            if theirs is not None:
                times.append(other.cpu.counter + theirs)
        if not times:
            return _IDLE
        if min(times) > now:
            self.cpu.advance_counter(min(times) - now)
        vm.now = self.cpu.counter
        # Ours, or somebody else's: then it is for the caller to run that one.
        mine = self.cpu.vtimer_output or self.cpu.ptimer_output
        return None if mine else _INTR

    def _sleep(self, seconds: float | None) -> Exit | None:
        """Let others run until woken (None) or kicked (the exit); virtual time does not wait."""
        if self._vm.clock == "virtual":
            if self._kicked:
                self._kicked = False
                return _INTR
            return _IDLE
        turns = self._vm.turns
        turns.release()
        self._wake.wait(seconds)
        turns.acquire()
        self._wake.clear()
        if self._kicked:
            self._kicked = False
            return _INTR
        return None

    def power_off(self) -> None:
        """PSCI CPU_OFF, or the machine is going down: nothing is run until it is powered on."""
        self.stopped = True
        self._reset_to = None
        self._requests = True

    def power_on(self, entry: int, context: int) -> None:
        """PSCI CPU_ON: at its next entry this vCPU starts at ``entry`` with ``context`` in X0."""
        self._reset_to = (entry, context)
        self._requests = True
        self.stopped = False
        self._wake.set()

    def set_line(self, line: int, level: bool) -> None:
        """Raise or lower the IRQ (0) or FIQ (1) line; from any thread."""
        bit = HCR_VF if line else HCR_VI
        lines = self.irq_lines | bit if level else self.irq_lines & ~bit
        if lines != self.irq_lines:
            self.irq_lines = lines
            self.request()

    def update_lines(self) -> None:
        """Bring the lines to the processor, as virtual interrupts."""
        hcr = self.cpu.hcr_el2
        wanted = hcr & ~(HCR_VI | HCR_VF) | self.irq_lines
        if wanted != hcr:
            self.cpu.hcr_el2 = wanted

    def request(self) -> None:
        """Make the vCPU look at what was asked of it, out of the guest if it is there."""
        self._requests = True
        self._wake.set()
        self.cpu.kick()
