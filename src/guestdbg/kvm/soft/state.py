"""The state that EL2 keeps of a vCPU and of a machine (asm/kvm_host.h: kvm_vcpu_arch, kvm_arch).

The calls of the KVM API are in ``SoftVcpu`` and ``SoftVm``, which derive from these classes. Every
module between works on the state alone, so that it does not depend on the calls that use it.
"""

from __future__ import annotations

import errno
import logging
import threading
import weakref
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from guestdbg.cpu.processor import (
    PhysicalMemory,
)
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.interface import Vcpu, Vm
from guestdbg.kvm.soft.capabilities import MAX_VCPUS
from guestdbg.kvm.soft.register_fields import U64
from guestdbg.kvm.soft.run.fair_lock import FairLock
from guestdbg.kvm.structures import DebugRegisters

if TYPE_CHECKING:
    from guestdbg.cpu.processor import (
        DirtyPages,
        FlowBuffer,
        HitPrograms,
        InstructionBuffer,
        Processor,
    )
    from guestdbg.kvm.debug_state import DebugPtr, Owner
    from guestdbg.kvm.interface import Memory, Snapshot
    from guestdbg.kvm.soft.processor_model import Clock, ProcessorModel
    from guestdbg.kvm.soft.vgic.arm_vgic import VgicCpu, VgicDist
    from guestdbg.kvm.structures import VcpuInit

log = logging.getLogger("guestdbg.kvm")

#: ``VcpuState.debug_ptr`` (Linux 6.1): which set of debug registers the hardware gets.
DEBUG_PTR_GUEST: Final = "guest"
DEBUG_PTR_EXTERNAL: Final = "external"

#: ``VcpuState.debug_owner`` (Linux 6.14): who owns the debug registers of the hardware.
OWNER_FREE: Final = "free"
OWNER_GUEST: Final = "guest"
OWNER_HOST: Final = "host"

#: What the debug registers of the hardware hold when no guest uses them (host_debug_state).
HOST_DEBUG_STATE: Final = DebugRegisters()

#: ``VcpuState.pc_adjustment``: the PC is to move past the emulated instruction.
INCREMENT_PC: Final = (0, None)

#: Aff3 and Aff2 to Aff0 of MPIDR_EL1.
MPIDR_AFFINITY: Final = 0xFF00FFFFFF

#: The INTIDs of the virtual and the physical timer, if userspace sets no others.
DEFAULT_TIMER_PPIS: Final = (27, 30)

#: How many different things ``VmState.warn_once`` logs: a guest must not fill the log.
_WARNINGS_MAX: Final = 256


class LinuxVersion(NamedTuple):
    """What a kernel version does in its own way (linux_versions.py).

    The functions are called around a run, in this order: ``load``, then for each entry ``enter``
    and ``leave``, then ``put``.

    Attributes:
        name: the first release that behaves so, such as "6.14".
        load: KVM_RUN begins, or a reset within it is done; None: nothing happens.
        put: KVM_RUN ends, or a reset within it begins; None: nothing happens.
        enter: before an entry: debug set-up and world switch.
        leave: after an exit, before it is handled: the guest gets its own values back.
        step_taken: the exception of a software step that userspace requested was taken.
        debug_register_trapped: the guest accessed a breakpoint or watchpoint register, MDSCR_EL1 or
            MDCCINT_EL1, and the access was emulated. The second argument: it was a write.
        os_lock_trapped: the guest wrote OSLAR_EL1.
        debug_owner, debug_ptr: who owns the debug registers, and which set the hardware gets, as
            ``DebugState`` shows them.
        psci_versions: the versions of PSCI that KVM_REG_ARM_PSCI_VERSION may be set to, as it
            encodes them. The last one is the default.
        smc_calls: an SMC #0 is answered as an HVC is. Otherwise every SMC is NOT_SUPPORTED.
        generic_target: KVM_ARM_PREFERRED_TARGET returns the generic target, and KVM_ARM_VCPU_INIT
            accepts it beside that of the processor. Otherwise both only know the processor's.
        hidden_id_fields: encoding of an ID register -> bits that a guest sees as 0.
        debug_version: the newest ID_AA64DFR0_EL1.DebugVer that a guest sees.
        features_of_machine: all vCPUs of a machine have the same features, and POWER_OFF is not one
            of them. Otherwise each vCPU keeps those that it was first initialised with.
        writable_debug_features: before the first run, userspace may lower ID_AA64DFR0_EL1.
    """

    name: str
    load: Callable[[VcpuState], None] | None
    put: Callable[[VcpuState], None] | None
    enter: Callable[[VcpuState], None]
    leave: Callable[[VcpuState], None]
    step_taken: Callable[[VcpuState], None]
    debug_register_trapped: Callable[[VcpuState, bool], None]
    os_lock_trapped: Callable[[VcpuState], None]
    debug_owner: Callable[[VcpuState], Owner]
    debug_ptr: Callable[[VcpuState], DebugPtr | None]
    psci_versions: tuple[int, ...]
    smc_calls: bool
    generic_target: bool
    hidden_id_fields: Mapping[int, int]
    debug_version: int
    features_of_machine: bool
    writable_debug_features: bool


class PendingMmio(NamedTuple):
    """An access that userspace answers; the next run completes it."""

    is_write: bool
    length: int
    register: int
    sign_extend: bool
    sixty_four: bool


class Slot(NamedTuple):
    """A memory slot.

    Attributes:
        start: guest-physical address, in bytes.
        size: bytes.
        flags: KVM_MEM_READONLY, KVM_MEM_LOG_DIRTY_PAGES, or 0.
        memory: the caller's buffer.
    """

    start: int
    size: int
    flags: int
    memory: Memory


class VcpuState(Vcpu):
    """The state of a vCPU. The slots are all of it: a snapshot keeps every one (snapshots.py).

    Attributes:
        id: the id that it was created with.
        vm: the machine's state.
        cpu: the processor that it runs on.
        affinity: the affinity fields of its MPIDR_EL1, by which PSCI names it.
        initialised_with: what KVM_ARM_VCPU_INIT was last given; None before.
        closed: ``close()`` was called.
        running: a thread is inside ``run()``.
        refuses_calls: closed, running or not initialised: one flag that frequent calls look at.
        kicked: ``kick()`` was called, and no run has returned for it yet.
        wake: set to end a sleep of this vCPU (WFI, powered off) by the host's clock.
        request_pending: power, reset or interrupt lines must be looked at before the next entry.
        reset_state: (PC, X0) that PSCI CPU_ON gave; the next entry resets the vCPU to it.
        stopped: powered off (KVM_MP_STATE_STOPPED).
        waiting: in a WFI that only time, or another vCPU, can end.
        vgic_cpu: its part of the interrupt controller; None: the machine has none, or it is not
            initialised.
        timer_enabled: the vCPU has run, so its timers' interrupts can no longer be changed.
        irq_lines: HCR_EL2.VI and VF, as KVM_IRQ_LINE set the lines.
        pc_adjustment: what happens to the PC before the next entry: INCREMENT_PC, or (ESR_EL1,
            FAR_EL1 or None) of the exception to take; None: nothing.
        last_injected: where an exception was last injected, to recognise a livelock.
        mmio, mmio_data: the access that userspace is to complete, and its answer to a read.
        psci_version: the version of PSCI that the guest sees.
        spsr_aarch32: SPSR_abt, und, irq and fiq, at 1 to 4.
        unused_regs: registers that this processor has no use for, by encoding.
        hit_programs: programs that decide hits of the external set; None: none.
        hlt_exit: the immediate of the HLT that exits to userspace; None: every HLT is UNDEFINED.
        guest_debug: the control flags of KVM_SET_GUEST_DEBUG, 0 while the host does not debug.
        vcpu_debug_state, external_debug_state: the guest's own set of debug registers, and the set
            that userspace gave.
        hardware_debug_state: the set that the hardware holds.
        debug_ptr: in Linux 6.1, which of the two the hardware gets: DEBUG_PTR_GUEST or
            DEBUG_PTR_EXTERNAL.
        dirty: in Linux 6.1, that set must be moved into the hardware at the next entry.
        debug_owner: in Linux 6.14, whose set the hardware gets: OWNER_FREE (nobody's),
            OWNER_GUEST or OWNER_HOST.
        external_mdscr_el1: in Linux 6.14, the MDSCR_EL1 that a vCPU whose debug registers the host
            owns runs with.
        active_pending: the step that userspace requested is done, its exception not yet taken
            (HOST_SS_ACTIVE_PENDING).
        preserved_ss: the guest's own PSTATE.SS, while the vCPU runs with another.
        os_lock: the guest's OS Lock is locked.
        mdscr_el1, mdccint_el1: the guest's own values.
        mdcr_el2, hardware_mdscr_el1: what the processor was given at the last entry.
    """

    # Slots: a run reads many attributes, and slots are found quickly however many there are.
    __slots__ = (
        "_immediate_exit",
        "_max_instructions",
        "active_pending",
        "affinity",
        "closed",
        "cpu",
        "debug_owner",
        "debug_ptr",
        "dirty",
        "external_debug_state",
        "external_mdscr_el1",
        "guest_debug",
        "hardware_debug_state",
        "hardware_mdscr_el1",
        "hit_programs",
        "hlt_exit",
        "id",
        "initialised_with",
        "irq_lines",
        "kicked",
        "last_injected",
        "mdccint_el1",
        "mdcr_el2",
        "mdscr_el1",
        "mmio",
        "mmio_data",
        "os_lock",
        "pc_adjustment",
        "preserved_ss",
        "psci_version",
        "refuses_calls",
        "request_pending",
        "reset_state",
        "running",
        "spsr_aarch32",
        "stopped",
        "timer_enabled",
        "unused_regs",
        "vcpu_debug_state",
        "vgic_cpu",
        "vm",
        "waiting",
        "wake",
    )

    def __init__(self, vm: VmState, vcpu_id: int, cpu: Processor, mpidr: int) -> None:
        self.id: int = vcpu_id
        self.vm: VmState = vm
        self.cpu: Processor = cpu
        self.affinity = mpidr & MPIDR_AFFINITY
        self.initialised_with: VcpuInit | None = None
        self.closed = False
        self.running = False
        self.refuses_calls = True
        self._immediate_exit = False
        self._max_instructions: int | None = None
        self.kicked = False
        self.wake = threading.Event()
        self.request_pending = False
        self.reset_state: tuple[int, int] | None = None
        self.last_injected: tuple[object, ...] | None = None
        self.stopped = False
        self.waiting = False
        self.irq_lines = 0
        self.vgic_cpu: VgicCpu | None = None
        self.timer_enabled = False
        self.psci_version = vm.linux.psci_versions[-1]
        self.spsr_aarch32 = [0] * 5
        self.unused_regs: dict[int, int] = {}
        self.pc_adjustment: tuple[int, int | None] | None = None
        self.mmio: PendingMmio | None = None
        self.mmio_data: bytes | None = None
        self.hit_programs: HitPrograms | None = None
        self.hlt_exit: int | None = None
        # Guest debug: see debug/linux_6_1.py and debug/linux_6_14.py.
        self.guest_debug = 0
        self.vcpu_debug_state = DebugRegisters()
        self.external_debug_state = DebugRegisters()
        self.hardware_debug_state = HOST_DEBUG_STATE
        self.debug_ptr: DebugPtr = DEBUG_PTR_GUEST
        self.dirty = False
        self.debug_owner: Owner = OWNER_FREE
        self.external_mdscr_el1 = 0
        self.active_pending = False
        self.preserved_ss = 0
        self.os_lock = False
        self.mdscr_el1 = 0
        self.mdccint_el1 = 0
        self.mdcr_el2 = 0
        self.hardware_mdscr_el1 = 0


class VmState(Vm):
    """The state of a machine.

    Attributes:
        model: what its processors are like.
        clock: ``"virtual"`` or ``"host"``: see ``SoftKvm``.
        linux: the kernel version that the provider answers as.
        smc_calls: an SMC #0 is answered as an HVC is.
        nisv_to_user: KVM_CAP_ARM_NISV_TO_USER is enabled.
        ipa_bits, ipa_limit: width in bits of the machine's guest-physical addresses, and of the
            widest that any machine could have.
        phys: physical memory as the processors see it.
        slots: the memory slots, by number.
        soft_vcpus: the vCPUs, in the order of their creation.
        vgic: the interrupt controller; None: there is none.
        max_vcpus: how many vCPUs it can have.
        timer_ppis: the INTIDs of the virtual timer and of the physical one.
        single_vcpu: there is no more than one vCPU, so none waits for another.
        run_lock: one vCPU runs at a time; changes of the machine take it too.
        cntvoff: CNTVOFF_EL2, the same for all vCPUs.
        virtual_time: the furthest that the counter of any vCPU has come, in ticks.
        paused: the extension SupportsPausedVcpus.
        on_undefined: the extension SupportsUndefinedInstructions.
        latest_snapshot: the snapshot last taken or restored; the next one shares pages with it.
        private_memory: by slot, its buffer's host address and length, and whether the host can
            have its pages back.
        snapshot_readers: the pages written since, by slot; only with ``reports_writes``.
        reports_writes: the extension SupportsDirtyPages.
        keeps_monitor: an exit for the debugger does not clear the exclusive monitor.
        before_change: the extension SupportsRepeatedRuns.
        flow_buffer: the extension SupportsFlowTrace: that of the trace that is on.
        instruction_buffer: the extension SupportsInstructionTrace: that of the trace that is on.
        has_run: a vCPU has run, so what describes the processor can no longer be changed.
        id_aa64dfr0_el1: ID_AA64DFR0_EL1 as userspace has set it; None: the processor's own.
        closed: ``close()`` was called.
    """

    def __init__(
        self, model: ProcessorModel, ipa_bits: int, linux: LinuxVersion, *, smc_calls: bool
    ) -> None:
        self.model = model
        self.clock: Clock = model.clock
        self.ipa_limit = model.ipa_limit
        self.ipa_bits = ipa_bits
        self.linux = linux
        self.smc_calls = smc_calls
        self.nisv_to_user = False
        self.has_run = False
        self.id_aa64dfr0_el1: int | None = None
        self.phys = PhysicalMemory()
        self.run_lock = FairLock()
        self.single_vcpu = True
        self.vgic: VgicDist | None = None
        self.max_vcpus: int = MAX_VCPUS
        self.timer_ppis: tuple[int, int] = DEFAULT_TIMER_PPIS
        # Virtual counters start at zero when the machine is created.
        self.cntvoff: int = model.template.counter & U64 if model.clock == "host" else 0
        self.virtual_time: int = 0
        self.paused: frozenset[int] = frozenset()
        self.soft_vcpus: Sequence[VcpuState] = ()
        self.slots: dict[int, Slot] = {}
        self.latest_snapshot: weakref.ref[Snapshot] | None = None
        self.snapshot_readers: dict[int, DirtyPages] = {}
        self.private_memory: dict[int, tuple[tuple[int, int], bool]] = {}
        self.reports_writes = False
        self.keeps_monitor = False
        self.before_change: Callable[[str], object] | None = None
        self.flow_buffer: FlowBuffer | None = None
        self.instruction_buffer: InstructionBuffer | None = None
        self.closed = False
        self.on_undefined: Callable[[Vcpu, int, int], object] | None = None
        self._warned: set[Hashable] = set()

    def will_change(self, call: str) -> None:
        """Userspace's ``call`` is about to change the machine."""
        if self.before_change is not None:
            self.before_change(call)

    def check_open(self, call: str) -> None:
        """Raise KvmError (EBADF) for ``call`` on a machine that is closed."""
        if self.closed:
            raise KvmError(errno.EBADF, call, "the machine is closed")

    def has_memory(self, address: int) -> bool:
        """Whether a slot covers this guest-physical address."""
        return any(start <= address < start + size for start, size, _, _ in self.slots.values())

    def warn_once(self, key: Hashable, text: str) -> None:
        """Log what the guest does and the provider does not implement, once for each key."""
        if self._first(key):
            log.warning("%s", text)

    def undefined(self, vcpu: Vcpu, encoding: int, pc: int, what: str) -> None:
        """The guest has executed what the processor does not implement: ``what``, at ``pc``."""
        if self._first(("instruction", encoding)):
            if self.on_undefined is not None:
                self.on_undefined(vcpu, encoding, pc)
                return
            from guestdbg.arm64.extension_encodings import extension_instruction

            found = extension_instruction(encoding)
            extension = f"{found.on(self.model.cpu)}: " if found is not None else ""
            text = "%s%s at pc %#x is not implemented; UNDEFINED to the guest"
            log.warning(text, extension, what, pc)

    def _first(self, key: Hashable) -> bool:
        """Whether this is the first time for ``key``, and there is still room for it."""
        if key in self._warned or len(self._warned) > _WARNINGS_MAX:
            return False
        self._warned.add(key)
        if len(self._warned) <= _WARNINGS_MAX:
            return True
        log.warning("%d such warnings: no more are given", _WARNINGS_MAX)
        return False
