"""Calls to the hypervisor in the SMC calling convention (hypercalls.c; Arm DEN 0028)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guestdbg.kvm.soft.exits.inject_fault import skip_instr
from guestdbg.kvm.soft.exits.psci import PSCI_FUNCTIONS, psci_call
from guestdbg.kvm.soft.register_fields import U32, U64

if TYPE_CHECKING:
    from guestdbg.kvm.exits import Exit
    from guestdbg.kvm.soft.state import VcpuState

SMCCC_VERSION: Final = 0x80000000
SMCCC_1_1: Final = 0x10001
NOT_SUPPORTED: Final = -1

#: ISS of HVC and SMC: the immediate. For SMC other values than 0 are reserved (DEN 0028, 2.9).
_IMMEDIATE: Final = 0xFFFF


def handle_hvc(vcpu: VcpuState, esr: int) -> Exit | None:
    """HVC (EC 0x16). The PC is already at the next instruction."""
    return smccc_call(vcpu)


def handle_smc(vcpu: VcpuState, esr: int) -> Exit | None:
    """SMC, trapped by HCR_EL2.TSC (EC 0x17). The PC is still at it, so it must be skipped.

    Linux 6.1 returns NOT_SUPPORTED for every SMC, later kernels answer SMC #0 as they do HVC.
    """
    skip_instr(vcpu)
    if esr & _IMMEDIATE or not vcpu.vm.smc_calls:
        vcpu.cpu.set_x(0, NOT_SUPPORTED & U64)
        return None
    return smccc_call(vcpu)


def smccc_call(vcpu: VcpuState) -> Exit | None:
    """Do the function whose number is in W0. The result goes to X0; X1 to X3 become zero."""
    cpu = vcpu.cpu
    function = cpu.get_x(0) & U32
    exit_: Exit | None = None
    result: int | None = NOT_SUPPORTED
    if function == SMCCC_VERSION:
        result = SMCCC_1_1
    elif function in PSCI_FUNCTIONS:
        result, exit_ = psci_call(vcpu, function)
    if result is not None:
        cpu.set_x(0, result & U64)
        for n in (1, 2, 3):
            cpu.set_x(n, 0)
    return exit_
