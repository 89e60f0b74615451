"""The KVM API as a Python program would like it, with two providers behind it.

Start with ``open_kvm()``. docs/kvm-api.md tells every call; ``guestdbg.kvm.constants``,
``guestdbg.kvm.layouts`` and ``guestdbg.kvm.regs`` have the numbers, structures and register ids.
"""

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
from guestdbg.kvm.hit_programs import ExitHit, HitProgram, InstalledPrograms, SupportsHitPrograms
from guestdbg.kvm.interface import (
    Device,
    Kvm,
    Memory,
    Snapshot,
    SupportsCodeChanged,
    SupportsDebugState,
    SupportsFinalize,
    SupportsInstructionCount,
    SupportsInstructionLimit,
    SupportsSnapshots,
    Vcpu,
    Vm,
)
from guestdbg.kvm.provider import open_kvm
from guestdbg.kvm.structures import DebugRegisters, GuestDebug, VcpuEvents, VcpuInit

__all__ = [
    "DebugRegisters",
    "DebugState",
    "Device",
    "Exit",
    "ExitArmNisv",
    "ExitDebug",
    "ExitFailEntry",
    "ExitHit",
    "ExitInternalError",
    "ExitIntr",
    "ExitMmio",
    "ExitShutdown",
    "ExitSystemEvent",
    "ExitUnknown",
    "GuestDebug",
    "HitProgram",
    "InstalledPrograms",
    "Kvm",
    "KvmError",
    "Memory",
    "Snapshot",
    "SupportsCodeChanged",
    "SupportsDebugState",
    "SupportsFinalize",
    "SupportsHitPrograms",
    "SupportsInstructionCount",
    "SupportsInstructionLimit",
    "SupportsSnapshots",
    "Vcpu",
    "VcpuEvents",
    "VcpuInit",
    "Vm",
    "open_kvm",
]
