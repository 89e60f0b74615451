"""The Power State Coordination Interface (psci.c; Arm DEN 0022), versions 0.2 to 1.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guestdbg.kvm.constants import (
    KVM_SYSTEM_EVENT_RESET,
    KVM_SYSTEM_EVENT_RESET_FLAG_PSCI_RESET2,
    KVM_SYSTEM_EVENT_SHUTDOWN,
    KVM_SYSTEM_EVENT_SHUTDOWN_FLAG_PSCI_OFF2,
)
from guestdbg.kvm.exits import Exit, ExitSystemEvent
from guestdbg.kvm.soft.exits.psci_versions import PSCI_1_0, PSCI_1_1, PSCI_1_3
from guestdbg.kvm.soft.register_fields import U32, U64
from guestdbg.kvm.soft.run.requests import power_off, power_on
from guestdbg.kvm.soft.run.waiting import wait_for_interrupt
from guestdbg.kvm.soft.state import MPIDR_AFFINITY

if TYPE_CHECKING:
    from guestdbg.kvm.soft.state import VcpuState

VERSION: Final = 0x84000000
CPU_SUSPEND: Final = 0x84000001
CPU_OFF: Final = 0x84000002
CPU_ON: Final = 0x84000003
AFFINITY_INFO: Final = 0x84000004
MIGRATE: Final = 0x84000005
MIGRATE_INFO_TYPE: Final = 0x84000006
MIGRATE_INFO_UP_CPU: Final = 0x84000007
SYSTEM_OFF: Final = 0x84000008
SYSTEM_RESET: Final = 0x84000009
FEATURES: Final = 0x8400000A
SYSTEM_RESET2: Final = 0x84000012
SYSTEM_OFF2: Final = 0x84000015
#: Set in the number of a function that takes 64-bit arguments (SMC64 calling convention).
FN64: Final = 0x40000000

#: The range of function numbers that belong to PSCI, in both widths.
PSCI_FUNCTIONS: Final = frozenset(
    base + n for base in (0x84000000, 0x84000000 | FN64) for n in range(32)
)

SUCCESS: Final = 0
NOT_SUPPORTED: Final = -1
INVALID_PARAMETERS: Final = -2
ALREADY_ON: Final = -4
INTERNAL_FAILURE: Final = -6

_AFFINITY_ON: Final = 0
_AFFINITY_OFF: Final = 1
_TRUSTED_OS_NOT_NEEDED: Final = 2  # MIGRATE_INFO_TYPE: there is no Trusted OS to migrate
_RESET2_VENDOR: Final = 1 << 31
_OFF_TYPE_HIBERNATE: Final = 1 << 0  # SYSTEM_OFF2: HIBERNATE_OFF

_ONLY_32BIT: Final = frozenset(
    (VERSION, CPU_OFF, MIGRATE_INFO_TYPE, SYSTEM_OFF, SYSTEM_RESET, FEATURES)
)
_BOTH_WIDTHS: Final = frozenset((CPU_SUSPEND, CPU_ON, AFFINITY_INFO, SYSTEM_RESET2, SYSTEM_OFF2))

Result = tuple[int | None, Exit | None]


def psci_call(vcpu: VcpuState, function: int) -> Result:
    """Do a PSCI function.

    Returns what X0 gets (None: leave the registers), and the exit to userspace or None.
    """
    cpu = vcpu.cpu
    version = vcpu.psci_version
    mask = U64 if function & FN64 else U32
    plain = function & ~FN64
    if function & FN64 and plain in _ONLY_32BIT:
        return NOT_SUPPORTED, None
    if plain == VERSION:
        return version, None
    if plain == CPU_SUSPEND:
        # A suspended CPU is woken by an interrupt: the same as WFI.
        return SUCCESS, wait_for_interrupt(vcpu)
    if plain == CPU_OFF:
        power_off(vcpu)
        return SUCCESS, None
    if plain == CPU_ON:
        return _cpu_on(vcpu, cpu.get_x(1) & mask, cpu.get_x(2) & mask, cpu.get_x(3) & mask), None
    if plain == AFFINITY_INFO:
        return _affinity_info(vcpu, cpu.get_x(1) & mask, cpu.get_x(2) & mask), None
    if plain == MIGRATE_INFO_TYPE:
        return _TRUSTED_OS_NOT_NEEDED, None
    if plain == SYSTEM_OFF:
        return INTERNAL_FAILURE, _system_event(vcpu, KVM_SYSTEM_EVENT_SHUTDOWN, 0)
    if plain == SYSTEM_RESET:
        return INTERNAL_FAILURE, _system_event(vcpu, KVM_SYSTEM_EVENT_RESET, 0)
    if version >= PSCI_1_0 and plain == FEATURES:
        return _features(cpu.get_x(1) & U32, version), None
    if version >= PSCI_1_1 and plain == SYSTEM_RESET2:
        reset_type = cpu.get_x(1) & U32
        if reset_type and not reset_type & _RESET2_VENDOR:
            return INVALID_PARAMETERS, None
        flag = KVM_SYSTEM_EVENT_RESET_FLAG_PSCI_RESET2
        return INTERNAL_FAILURE, _system_event(vcpu, KVM_SYSTEM_EVENT_RESET, flag)
    if version >= PSCI_1_3 and plain == SYSTEM_OFF2:
        if cpu.get_x(1) & mask not in (0, _OFF_TYPE_HIBERNATE) or cpu.get_x(2) & mask:
            return INVALID_PARAMETERS, None
        flag = KVM_SYSTEM_EVENT_SHUTDOWN_FLAG_PSCI_OFF2
        return INTERNAL_FAILURE, _system_event(vcpu, KVM_SYSTEM_EVENT_SHUTDOWN, flag)
    return NOT_SUPPORTED, None


def _cpu_on(vcpu: VcpuState, target: int, entry: int, context: int) -> int:
    if target & ~MPIDR_AFFINITY:
        return INVALID_PARAMETERS
    for other in vcpu.vm.soft_vcpus:
        if other.affinity == target:
            if not other.stopped:
                return ALREADY_ON
            power_on(other, entry, context)
            return SUCCESS
    return INVALID_PARAMETERS


def _affinity_info(vcpu: VcpuState, target: int, level: int) -> int:
    if target & ~MPIDR_AFFINITY or level > 3:
        return INVALID_PARAMETERS
    mask = MPIDR_AFFINITY & ~((1 << 8 * level) - 1)
    matching = [v for v in vcpu.vm.soft_vcpus if v.affinity & mask == target & mask]
    if not matching:
        return INVALID_PARAMETERS
    return _AFFINITY_OFF if all(v.stopped for v in matching) else _AFFINITY_ON


def _features(function: int, version: int) -> int:
    plain = function & ~FN64
    if function == 0x80000000:  # SMCCC_VERSION
        return SUCCESS
    if function & FN64 and plain not in _BOTH_WIDTHS:
        return NOT_SUPPORTED
    if plain in (
        VERSION,
        CPU_SUSPEND,
        CPU_OFF,
        CPU_ON,
        AFFINITY_INFO,
        MIGRATE_INFO_TYPE,
        SYSTEM_OFF,
        SYSTEM_RESET,
        FEATURES,
    ):
        return SUCCESS
    if plain == SYSTEM_OFF2 and version >= PSCI_1_3:
        return _OFF_TYPE_HIBERNATE
    return SUCCESS if plain == SYSTEM_RESET2 and version >= PSCI_1_1 else NOT_SUPPORTED


def _system_event(vcpu: VcpuState, kind: int, flags: int) -> Exit:
    """Stop every vCPU, and exit. If userspace runs the vCPU all the same, X0 says failure."""
    for other in vcpu.vm.soft_vcpus:
        power_off(other)
    return ExitSystemEvent(kind, (flags,))
