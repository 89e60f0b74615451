"""A virtual processor of the soft provider: the state that EL2 keeps, and the run loop (arm.c)."""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

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
    KVM_GUESTDBG_USE_HW,
    KVM_MP_STATE_RUNNABLE,
    KVM_MP_STATE_STOPPED,
)
from guestdbg.kvm.debug_state import DebugState
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.exits import Exit, ExitDebug
from guestdbg.kvm.hit_programs import ExitHit, HitProgram, InstalledPrograms
from guestdbg.kvm.interface import Vcpu
from guestdbg.kvm.soft.bits import EC_MASK, EC_SHIFT, HCR_VSE, PSTATE_SS
from guestdbg.kvm.soft.debug import hit_programs
from guestdbg.kvm.soft.debug.guest_debug import (
    DEBUG_PTR_EXTERNAL,
    DEBUG_PTR_GUEST,
    clear_debug,
    set_guest_debug,
    setup_debug,
)
from guestdbg.kvm.soft.debug.switch import (
    HOST_REGISTERS,
    read_hardware,
    switch_to_guest,
    switch_to_host,
)
from guestdbg.kvm.soft.exits import mmio
from guestdbg.kvm.soft.exits.handle_exit import EXIT_HANDLERS, unexpected
from guestdbg.kvm.soft.exits.inject_fault import INCREMENT_PC, adjust_pc, inject_dabt
from guestdbg.kvm.soft.exits.psci import MPIDR_AFFINITY, PSCI_1_1
from guestdbg.kvm.soft.registers import guest
from guestdbg.kvm.soft.registers.reset import HCR_GUEST, check_init, reset_vcpu
from guestdbg.kvm.soft.run import livelock, requests, timer
from guestdbg.kvm.soft.run.waiting import INTR
from guestdbg.kvm.structures import DebugRegisters, GuestDebug, VcpuEvents, VcpuInit

if TYPE_CHECKING:
    from guestdbg.kvm.soft.vm import SoftVm

_GETTERS: Final = guest.GETTERS

#: Instructions that a vCPU runs before others, each with a thread of its own, get their turn.
QUANTUM: Final = 100_000
#: Instructions after which Python looks for signals (Ctrl-C), where nothing else comes between.
STRETCH: Final = 20_000_000


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
        "_max_instructions",
        "_not_callable",
        "_running",
        "_vm",
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
        "kicked",
        "last_injected",
        "mdccint_el1",
        "mdcr_el2",
        "mdscr_el1",
        "mmio",
        "mmio_data",
        "os_lock",
        "pending",
        "preserved_ss",
        "psci_version",
        "requested",
        "reset_to",
        "spsr_aarch32",
        "stopped",
        "unused_regs",
        "waiting",
        "wake",
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
        self.kicked = False
        self.wake = threading.Event()
        # Something is to be done before the next entry: power, a reset, interrupt lines.
        self.requested = False
        self.reset_to: tuple[int, int] | None = None
        self.last_injected: tuple[object, ...] | None = None
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
        self._check("KVM_ARM_VCPU_INIT")
        check_init(init, self._vm.preferred_target(), self._init)
        self._init = init
        self.reset_to = None
        self.cpu.hcr_el2 = HCR_GUEST
        reset_vcpu(self)
        self.stopped = init.has(KVM_ARM_VCPU_POWER_OFF)
        self.requested = self.stopped
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
            requests.power_off(self)
        elif state == KVM_MP_STATE_RUNNABLE:
            self.stopped = False
            self.wake.set()
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
        return hit_programs.install(self, wanted, plain, hidden)

    def complete_mmio(self, data: bytes) -> None:
        self._check("complete_mmio")
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
                return INTR
            if self.pending is not None and self.pending is not INCREMENT_PC:
                exit_ = livelock.repeats(self)  # an external abort, by KVM_SET_VCPU_EVENTS
                if exit_ is not None:
                    return exit_
            cpu = self.cpu
            self.waiting = False
            while True:
                if self.requested:
                    exit_ = requests.handle(self)
                    if exit_ is not None:
                        return exit_
                setup_debug(self)
                if self.pending is not None:
                    adjust_pc(self)
                if self.dirty or self.hardware_regs is not HOST_REGISTERS:
                    switch_to_guest(self)
                if vm.alone:
                    limit = cpu.instructions + STRETCH
                    asked = self._max_instructions
                    why = cpu.run(limit if asked is None or asked > limit else asked)
                else:
                    why = self._run_in_turn()
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
                    exit_ = livelock.repeats(self)
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
                return INTR
            self._vm.turns.pass_on()
        elif why == EXIT_KICK:
            if self.kicked:
                self.kicked = False
                self.wake.clear()
                return INTR
            # Somebody wants the machine for a moment, or an interrupt line has changed.
            self._vm.turns.pass_on()
        elif why == EXIT_STUCK:
            return livelock.stuck(self)
        elif why == EXIT_HIT:
            return hit_programs.hit_exit(self)
        elif why != EXIT_TIMER:
            raise unexpected(why)
        # A timer's output has changed. There is no interrupt controller to tell: the guest polls.
        return None

    def _name_undefined(self) -> None:
        """Log, once each, the encodings that the processor did not know."""
        for encoding, pc in self.cpu.undefined().items():
            # UDF is there to be UNDEFINED.
            if encoding >> 16:
                self._vm.warn_once(
                    ("instruction", encoding),
                    f"instruction {encoding:#010x} at pc {pc:#x} is not implemented; UNDEFINED to "
                    "the guest",
                )
