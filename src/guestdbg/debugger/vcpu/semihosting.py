"""Semihosting calls of the guest: HLT #0xF000 with the operation in W0 and its block at X1.

Source: Arm, "Semihosting for AArch32 and AArch64", version 2.0, sections 4 and 5. There is no
semihosting here: the first call is reported, and each one is UNDEFINED to the guest, as under KVM.
Only providers with the extension ``SupportsHltExit`` report it.
"""

from __future__ import annotations

import logging

from guestdbg.debugger.target import Target
from guestdbg.debugger.vcpu.context import VcpuContext
from guestdbg.kvm import ExitHlt, SupportsHltExit
from guestdbg.kvm.regs import PC, X

__all__ = ["HLT_IMMEDIATE", "catch_calls", "operation_name", "report_call"]

log = logging.getLogger(__name__)

HLT_IMMEDIATE = 0xF000

_NAMES = {
    0x01: "SYS_OPEN",
    0x02: "SYS_CLOSE",
    0x03: "SYS_WRITEC",
    0x04: "SYS_WRITE0",
    0x05: "SYS_WRITE",
    0x06: "SYS_READ",
    0x07: "SYS_READC",
    0x08: "SYS_ISERROR",
    0x09: "SYS_ISTTY",
    0x0A: "SYS_SEEK",
    0x0C: "SYS_FLEN",
    0x0D: "SYS_TMPNAM",
    0x0E: "SYS_REMOVE",
    0x0F: "SYS_RENAME",
    0x10: "SYS_CLOCK",
    0x11: "SYS_TIME",
    0x12: "SYS_SYSTEM",
    0x13: "SYS_ERRNO",
    0x15: "SYS_GET_CMDLINE",
    0x16: "SYS_HEAPINFO",
    0x18: "SYS_EXIT",
    0x20: "SYS_EXIT_EXTENDED",
    0x30: "SYS_ELAPSED",
    0x31: "SYS_TICKFREQ",
}


def operation_name(number: int) -> str:
    """The name of a semihosting operation, such as ``SYS_WRITE0``."""
    return _NAMES.get(number, f"operation {number:#x}, which the specification does not have")


def catch_calls(target: Target) -> None:
    """Let the first semihosting call of any vCPU exit, on providers that can."""
    _set_exits(target, HLT_IMMEDIATE)


def report_call(context: VcpuContext, exit_: ExitHlt) -> None:
    """Say once what the guest wants; the HLT is UNDEFINED when the vCPU runs on."""
    _set_exits(context.target, None)
    # The operation number is in W0: the upper half of X0 does not count.
    operation = operation_name(context.get(X[0]) & 0xFFFF_FFFF)
    log.warning(
        "the guest asked for semihosting (HLT #%#x): %s at %s; guestdbg does not provide it, and "
        "the instruction is UNDEFINED to the guest",
        exit_.immediate,
        operation,
        context.locate(context.get(PC)),
    )


def _set_exits(target: Target, immediate: int | None) -> None:
    for vcpu in target.vcpus:
        if isinstance(vcpu, SupportsHltExit):
            vcpu.set_hlt_exit(immediate)
