"""A handler for each exception class that can reach EL2 (handle_exit.c).

A handler takes the vCPU and ESR_EL2. It returns the exit for userspace, or None: the guest runs on.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import Final

from guestdbg.arm64.exception_class import EC, EC_MASK, EC_SHIFT
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.exits import Exit, ExitDebug
from guestdbg.kvm.soft.exits.hypercalls import handle_hvc, handle_smc
from guestdbg.kvm.soft.exits.inject_fault import inject_undef, skip_instr
from guestdbg.kvm.soft.exits.mmu import handle_guest_abort
from guestdbg.kvm.soft.exits.sys_reg_traps import handle_sys_reg
from guestdbg.kvm.soft.register_fields import (
    U32,
)
from guestdbg.kvm.soft.run.waiting import wait_for_interrupt
from guestdbg.kvm.soft.state import VcpuState

log = logging.getLogger("guestdbg.kvm")

Handler = Callable[[VcpuState, int], Exit | None]

_WFX_IS_WFE: Final = 1 << 0
_HSR_HIGH: Final = (1 << 30) - 1

# Exits are immutable, and most stops repeat: the object made for a syndrome (and address) is used
# again. Making a new one costs as much as the rest of a stop.
_exits: dict[int, ExitDebug] = {}
_watch_exits: dict[int, dict[int, ExitDebug]] = {}
_EXITS_KEPT: Final = 4096


def _debug_exit(esr: int) -> ExitDebug:
    exit_ = _exits.get(esr)
    if exit_ is None:
        if len(_exits) >= _EXITS_KEPT:
            _exits.clear()
        exit_ = _exits[esr] = ExitDebug(esr & U32, esr >> 32 & _HSR_HIGH)
    return exit_


def _new_watch_exit(esr: int, far: int) -> ExitDebug:
    by_far = _watch_exits.setdefault(esr, {})
    if len(by_far) >= _EXITS_KEPT:
        by_far.clear()
    exit_ = by_far[far] = ExitDebug(esr & U32, esr >> 32 & _HSR_HIGH, far)
    return exit_


def handle_breakpoint(vcpu: VcpuState, esr: int) -> Exit:
    """A breakpoint, BRK or BKPT (EC 0x30, 0x3C, 0x38): KVM_EXIT_DEBUG.

    It may be the host's or, with TDE, one of the guest's own. Userspace must find out which, and
    must inject into the guest the exceptions that are the guest's own.
    """
    return _debug_exit(esr)


def handle_step(vcpu: VcpuState, esr: int) -> Exit:
    """A software step (EC 0x32): KVM_EXIT_DEBUG. Its exception is taken: no step is pending now."""
    vcpu.vm.linux.step_taken(vcpu)
    return _exits.get(esr) or _debug_exit(esr)


def handle_watchpoint(vcpu: VcpuState, esr: int) -> Exit:
    """A watchpoint (EC 0x34): KVM_EXIT_DEBUG with FAR_EL2, which is valid for this class only."""
    far = vcpu.cpu.far_el2
    try:
        return _watch_exits[esr][far]
    except KeyError:
        return _new_watch_exit(esr, far)


def handle_wfx(vcpu: VcpuState, esr: int) -> Exit | None:
    """WFI or WFE (EC 0x01): the guest continues at the next instruction. WFE does not wait."""
    skip_instr(vcpu)
    return None if esr & _WFX_IS_WFE else wait_for_interrupt(vcpu)


def handle_ptrauth(vcpu: VcpuState, esr: int) -> Exit | None:
    """Pointer authentication (EC 0x09) by a vCPU without the feature: UNDEFINED to the guest."""
    inject_undef(vcpu)
    return None


def handle_unknown(vcpu: VcpuState, esr: int) -> Exit | None:
    """A class that nothing here enables: UNDEFINED to the guest."""
    ec = esr >> EC_SHIFT & EC_MASK
    vcpu.vm.warn_once(
        ("ec", ec),
        f"exception class {ec:#04x} (esr {esr:#x}) is not handled; UNDEFINED to the guest",
    )
    inject_undef(vcpu)
    return None


_BY_CLASS: Final[dict[int, Handler]] = {
    EC.WFX: handle_wfx,
    EC.PAC: handle_ptrauth,
    EC.HVC64: handle_hvc,
    EC.SMC64: handle_smc,
    EC.SYS64: handle_sys_reg,
    EC.IABT_LOW: handle_guest_abort,
    EC.DABT_LOW: handle_guest_abort,
    EC.BREAKPT_LOW: handle_breakpoint,
    EC.SOFTSTP_LOW: handle_step,
    EC.WATCHPT_LOW: handle_watchpoint,
    EC.BKPT32: handle_breakpoint,
    EC.BRK64: handle_breakpoint,
}
#: The handler of each exception class, by its number (arm_exit_handlers).
EXIT_HANDLERS: Final = tuple(_BY_CLASS.get(ec, handle_unknown) for ec in range(EC_MASK + 1))


def unexpected(reason: int) -> KvmError:
    """The error for a return of the processor with a reason that does not exist."""
    return KvmError(errno.EIO, "KVM_RUN", f"the processor returned with unknown reason {reason}")
