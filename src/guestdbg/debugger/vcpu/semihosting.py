"""Semihosting calls of the guest: HLT #0xF000 with the operation in W0 and its block at X1.

The operations are in ``guestdbg.semihosting``; this is their way to a vCPU. Without semihosting the
first call is reported, and each one is UNDEFINED to the guest, as under KVM. Only providers with
the extension ``SupportsHltExit`` catch the calls.
"""

from __future__ import annotations

import logging

from guestdbg.debugger.errors import AddressError
from guestdbg.debugger.target import Target
from guestdbg.debugger.vcpu.context import VcpuContext
from guestdbg.debugger.vcpu.stop import Outcome
from guestdbg.kvm import ExitHlt, ExitIntr, SupportsCounterFrequency, SupportsHltExit
from guestdbg.kvm.regs import PC, X, sys_reg
from guestdbg.semihosting import HLT_IMMEDIATE, Exited, NeedsInput, operation_name

__all__ = ["WAITS_FOR_INPUT", "can_catch_calls", "catch_calls", "perform_call", "report_call"]

log = logging.getLogger(__name__)

#: The detail of a Stop with reason "idle" where the only vCPU waits in SYS_READ or SYS_READC.
WAITS_FOR_INPUT = "the guest waits for console input (semihosting)"

_CNTVCT = sys_reg("CNTVCT_EL0")
_U64 = (1 << 64) - 1


class _CallingVcpu:
    """What the operations need of the vCPU that calls: see ``guestdbg.semihosting.calls``."""

    def __init__(self, context: VcpuContext) -> None:
        self._context = context
        board = context.target.board
        self._console, self._uart = board.console, board.uart
        self.memory_size = board.memory_size
        self.heap = context.target.heap

    def read(self, address: int, length: int) -> bytes:
        try:
            return self._context.space.read(address, length)
        except AddressError as error:
            raise LookupError(str(error)) from error

    def write(self, address: int, data: bytes) -> None:
        try:
            self._context.space.write(address, data)
        except AddressError as error:
            raise LookupError(str(error)) from error

    def print(self, data: bytes) -> None:
        for byte in data:
            self._console.put(byte)

    def take_input(self, limit: int) -> bytes:
        self._console.flush()  # a prompt appears before its answer is waited for
        return self._uart.take_received(limit) or self._console.take(limit)

    def ticks(self) -> tuple[int, int]:
        vcpu = self._context.vcpu
        assert isinstance(vcpu, SupportsCounterFrequency)
        return vcpu.get_one_reg(_CNTVCT), vcpu.counter_frequency


def can_catch_calls(target: Target) -> bool:
    """Whether the provider can tell of semihosting calls."""
    return all(
        isinstance(vcpu, SupportsHltExit) and isinstance(vcpu, SupportsCounterFrequency)
        for vcpu in target.vcpus
    )


def catch_calls(target: Target) -> None:
    """Let semihosting calls exit, on providers that can."""
    _set_exits(target, HLT_IMMEDIATE)


def perform_call(context: VcpuContext, exit_: ExitHlt) -> Outcome:
    """Perform the call at the PC, or report that the guest wants it."""
    calls = context.target.semihosting
    if calls is None:
        report_call(context, exit_)
        return None
    # The operation number is in W0: the upper half of X0 does not count.
    operation = context.get(X[0]) & 0xFFFF_FFFF
    try:
        result = calls.call(_CallingVcpu(context), operation, context.get(X[1]))
    except NeedsInput:
        # The PC stays at the HLT: the call is made again when the vCPU runs next.
        if len(context.target.vcpus) == 1:
            return context.stop("idle", WAITS_FOR_INPUT)
        return ExitIntr(idle=True)
    context.vcpu.set_one_reg(PC, context.get(PC) + 4 & _U64)
    if isinstance(result, Exited):
        return context.stop("exit", result.text, status=result.status)
    if result is not None:
        context.vcpu.set_one_reg(X[0], result)
    return None


def report_call(context: VcpuContext, exit_: ExitHlt) -> None:
    """Say once what the guest wants; the HLT is UNDEFINED when the vCPU runs on."""
    _set_exits(context.target, None)
    log.warning(
        "the guest asked for semihosting (HLT #%#x): %s at %s; --semihosting (in Python "
        "load(semihosting=True)) provides it. Without, the instruction is UNDEFINED to the guest",
        exit_.immediate,
        operation_name(context.get(X[0]) & 0xFFFF_FFFF),
        context.locate(context.get(PC)),
    )


def _set_exits(target: Target, immediate: int | None) -> None:
    for vcpu in target.vcpus:
        if isinstance(vcpu, SupportsHltExit):
            vcpu.set_hlt_exit(immediate)
