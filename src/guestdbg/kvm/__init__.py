"""The KVM API for arm64 guests in Python: one interface, and two providers that implement it.

Start with ``open_kvm()``; docs/kvm-api.md describes every call. There are more than fifteen
modules because each optional interface has its own.

constants       numbers of the API, named as in the kernel's headers
linux_release   releases of Linux, and the versions of the software provider
layouts         binary structures of the API
errors          KvmError, which every call may raise
regs            one-reg ids of registers, by name
structures      what calls take and return
debug_state     the hidden state of guest debug, which the soft provider shows
exits           why run() returned
interface       the calls: Kvm, Vm, Vcpu, Device, and optional interfaces
hit_programs    an optional interface: hits that the provider decides itself
hlt_exit        an optional interface: HLT instructions that exit to userspace
coverage        an optional interface: which instructions were executed
tracing         an optional interface: where control went
instruction_trace  an optional interface: what each instruction did
table_filters   an optional interface: debug registers for some address spaces only
guest_faults    optional interfaces: how exceptions began, what is not implemented
processor       an optional interface: which processor the provider emulates
soft            the software provider
host            the provider over /dev/kvm
provider        open_kvm()
programs        the former name of hit_programs, for one version
"""

from typing import TYPE_CHECKING

from guestdbg.lazy_names import lazy_names

if TYPE_CHECKING:
    from guestdbg.kvm.coverage import CoverageData, SupportsCoverage, SupportsCoverageMap
    from guestdbg.kvm.debug_state import DebugState
    from guestdbg.kvm.errors import KvmError
    from guestdbg.kvm.exits import (
        Exit,
        ExitArmNisv,
        ExitDebug,
        ExitFailEntry,
        ExitInternalError,
        ExitIntr,
        ExitMmio,
        ExitShutdown,
        ExitSystemEvent,
        ExitUnknown,
    )
    from guestdbg.kvm.guest_faults import (
        FirstException,
        SupportsFirstException,
        SupportsUndefinedInstructions,
    )
    from guestdbg.kvm.hit_programs import (
        ExitHit,
        HitProgram,
        InstalledPrograms,
        SupportsHitPrograms,
    )
    from guestdbg.kvm.hlt_exit import ExitHlt, SupportsHltExit
    from guestdbg.kvm.instruction_trace import SupportsInstructionTrace
    from guestdbg.kvm.interface import (
        Device,
        DirtyPageReader,
        Kvm,
        Memory,
        SavedSnapshot,
        Snapshot,
        SupportsCodeChanged,
        SupportsCounterFrequency,
        SupportsDebugState,
        SupportsDirtyPages,
        SupportsFinalize,
        SupportsInstructionCount,
        SupportsInstructionLimit,
        SupportsOptions,
        SupportsPausedVcpus,
        SupportsRepeatedRuns,
        SupportsSnapshotFiles,
        SupportsSnapshots,
        Vcpu,
        Vm,
    )
    from guestdbg.kvm.processor import SupportsCpuModel, SupportsTier
    from guestdbg.kvm.provider import open_kvm
    from guestdbg.kvm.structures import DebugRegisters, GuestDebug, VcpuEvents, VcpuInit
    from guestdbg.kvm.table_filters import SupportsTableFilters
    from guestdbg.kvm.tracing import FlowTrace, SupportsFlowTrace

__all__ = [
    "CoverageData",
    "DebugRegisters",
    "DebugState",
    "Device",
    "DirtyPageReader",
    "Exit",
    "ExitArmNisv",
    "ExitDebug",
    "ExitFailEntry",
    "ExitHit",
    "ExitHlt",
    "ExitInternalError",
    "ExitIntr",
    "ExitMmio",
    "ExitShutdown",
    "ExitSystemEvent",
    "ExitUnknown",
    "FirstException",
    "FlowTrace",
    "GuestDebug",
    "HitProgram",
    "InstalledPrograms",
    "Kvm",
    "KvmError",
    "Memory",
    "SavedSnapshot",
    "Snapshot",
    "SupportsCodeChanged",
    "SupportsCounterFrequency",
    "SupportsCoverage",
    "SupportsCoverageMap",
    "SupportsCpuModel",
    "SupportsDebugState",
    "SupportsDirtyPages",
    "SupportsFinalize",
    "SupportsFirstException",
    "SupportsFlowTrace",
    "SupportsHitPrograms",
    "SupportsHltExit",
    "SupportsInstructionCount",
    "SupportsInstructionLimit",
    "SupportsInstructionTrace",
    "SupportsOptions",
    "SupportsPausedVcpus",
    "SupportsRepeatedRuns",
    "SupportsSnapshotFiles",
    "SupportsSnapshots",
    "SupportsTableFilters",
    "SupportsTier",
    "SupportsUndefinedInstructions",
    "Vcpu",
    "VcpuEvents",
    "VcpuInit",
    "Vm",
    "open_kvm",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "guestdbg.kvm.coverage": (
            "CoverageData",
            "SupportsCoverage",
            "SupportsCoverageMap",
        ),
        "guestdbg.kvm.debug_state": ("DebugState",),
        "guestdbg.kvm.errors": ("KvmError",),
        "guestdbg.kvm.exits": (
            "Exit",
            "ExitArmNisv",
            "ExitDebug",
            "ExitFailEntry",
            "ExitInternalError",
            "ExitIntr",
            "ExitMmio",
            "ExitShutdown",
            "ExitSystemEvent",
            "ExitUnknown",
        ),
        "guestdbg.kvm.guest_faults": (
            "FirstException",
            "SupportsFirstException",
            "SupportsUndefinedInstructions",
        ),
        "guestdbg.kvm.hit_programs": (
            "ExitHit",
            "HitProgram",
            "InstalledPrograms",
            "SupportsHitPrograms",
        ),
        "guestdbg.kvm.hlt_exit": (
            "ExitHlt",
            "SupportsHltExit",
        ),
        "guestdbg.kvm.instruction_trace": ("SupportsInstructionTrace",),
        "guestdbg.kvm.interface": (
            "Device",
            "DirtyPageReader",
            "Kvm",
            "Memory",
            "SavedSnapshot",
            "Snapshot",
            "SupportsCodeChanged",
            "SupportsCounterFrequency",
            "SupportsDebugState",
            "SupportsDirtyPages",
            "SupportsFinalize",
            "SupportsInstructionCount",
            "SupportsInstructionLimit",
            "SupportsOptions",
            "SupportsPausedVcpus",
            "SupportsRepeatedRuns",
            "SupportsSnapshotFiles",
            "SupportsSnapshots",
            "Vcpu",
            "Vm",
        ),
        "guestdbg.kvm.processor": (
            "SupportsCpuModel",
            "SupportsTier",
        ),
        "guestdbg.kvm.provider": ("open_kvm",),
        "guestdbg.kvm.structures": (
            "DebugRegisters",
            "GuestDebug",
            "VcpuEvents",
            "VcpuInit",
        ),
        "guestdbg.kvm.table_filters": ("SupportsTableFilters",),
        "guestdbg.kvm.tracing": (
            "FlowTrace",
            "SupportsFlowTrace",
        ),
    },
)
