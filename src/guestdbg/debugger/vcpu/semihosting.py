"""Semihosting calls of the guest: HLT #0xF000 with the operation in W0 and its block at X1.

The operations are in ``guestdbg.semihosting``; this is their way to a vCPU. Without semihosting the
first call is reported, and each one is UNDEFINED to the guest, as under KVM.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from guestdbg.debugger.errors import AddressError
from guestdbg.debugger.vcpu.recorded_call import RecordedCall
from guestdbg.debugger.vcpu.semihosting_exits import set_exits
from guestdbg.kvm import ExitIntr, SupportsCounterFrequency
from guestdbg.kvm.regs import PC, PSTATE, X, sys_reg
from guestdbg.machine import ReplayError
from guestdbg.semihosting import (
    CallLog,
    Exited,
    NeedsInput,
    RemoteInterrupted,
    operation_name,
)

if TYPE_CHECKING:
    from guestdbg.debugger.vcpu.context import VcpuContext
    from guestdbg.debugger.vcpu.stop import Outcome
    from guestdbg.kvm import ExitHlt
    from guestdbg.semihosting import (
        SemihostingCalls,
    )

__all__ = ["perform_call", "report_call"]

log = logging.getLogger(__name__)

_CNTVCT = sys_reg("CNTVCT_EL0")
_U64 = (1 << 64) - 1
_NANOSECONDS = 1_000_000_000
_PSTATE_BTYPE = 3 << 10


class _SinkFailed(Exception):
    """The console's sink has raised an OSError."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class _CallingVcpu:
    """What the operations need of the vCPU that calls: see ``guestdbg.semihosting.calls``.

    An open console keeps the one that has opened it, so what is logged is not kept here.
    """

    def __init__(self, context: VcpuContext) -> None:
        self._context = context
        board = context.target.board
        self._board = board
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
        if self._log is not None:
            self._log.writes.append((address, bytes(data)))

    @property
    def _log(self) -> CallLog | None:
        calls = self._context.target.semihosting
        return None if calls is None else calls.log

    def print(self, data: bytes) -> None:
        if self._log is not None:
            self._log.printed += data
        try:
            self._console.put_all(data)
        except OSError as error:
            # It is the sink's (a full disk), and no error of the guest's.
            raise _SinkFailed(error) from error

    def take_input(self, limit: int) -> bytes | None:
        if self._log is not None:
            self._log.takes.append(limit)
        self._console.flush()  # a prompt appears before its answer is waited for
        self._board.deliver_inputs()
        data = self._uart.take_received(limit)
        data += self._console.take(limit - len(data))
        return None if not data and self._console.input_ended else data

    def ticks(self) -> tuple[int, int]:
        vcpu = self._context.vcpu
        if isinstance(vcpu, SupportsCounterFrequency):
            return vcpu.get_one_reg(_CNTVCT), vcpu.counter_frequency
        # KVM does not tell the frequency of the counter; its guests' time is the host's.
        return time.monotonic_ns() - self._context.target.loaded_at, _NANOSECONDS


def perform_call(context: VcpuContext, exit_: ExitHlt) -> Outcome:
    """Perform the call at the PC, or report that the guest wants it."""
    calls = context.target.semihosting
    if calls is None:
        report_call(context, exit_)
        return None
    # The operation number is in W0: the upper half of X0 does not count.
    operation = context.get(X[0]) & 0xFFFF_FFFF
    try:
        result = _result(context, calls, operation)
    except _SinkFailed as failed:
        raise failed.error from None
    except RemoteInterrupted:
        # The call is made again when the guest goes on.
        context.resume_state.needs_step_over = context.get(PC)
        return ExitIntr()
    except NeedsInput:
        # The PC stays at the HLT: the call is made again when the vCPU runs next. A breakpoint at
        # the HLT was reported before the call, and is not reported again.
        context.resume_state.needs_step_over = context.get(PC)
        context.resume_state.waits_for_input = True
        return ExitIntr(idle=True)
    context.resume_state.waits_for_input = False
    context.vcpu.set_one_reg(PC, context.get(PC) + 4 & _U64)
    pstate = context.get(PSTATE)
    if pstate & _PSTATE_BTYPE:  # 0 after any instruction but an indirect branch
        context.vcpu.set_one_reg(PSTATE, pstate & ~_PSTATE_BTYPE)
    if isinstance(result, Exited):
        return context.stop("exit", result.text, status=result.status)
    if result is not None:
        context.vcpu.set_one_reg(X[0], result)
    return None


def _result(context: VcpuContext, calls: SemihostingCalls, operation: int) -> int | Exited | None:
    """Perform the call, or repeat what it did when this run was recorded."""
    board, memory = context.target.board, context.target.memory
    block = context.get(X[1])
    caller = _CallingVcpu(context)
    if not board.inputs.recorded:
        return calls.call(caller, operation, block)

    def perform() -> bytes:
        calls.log = log = CallLog()
        try:
            result = calls.call(caller, operation, block)
        finally:
            calls.log = None
        return RecordedCall(result, log.takes, log.writes, bytes(log.printed)).encode()

    board.deliver_inputs()
    replaying = board.inputs.replaying
    if replaying and not board.inputs.has_sample(board.semihosting):
        raise NeedsInput  # as then: the vCPU waited, and made the call again
    # What the call writes is the guest's doing, not the user's.
    before, memory.before_write = memory.before_write, None
    try:
        data = board.semihosting.sample(perform)
        try:
            call = RecordedCall.decode(data)
        except ValueError as error:  # the log is from a file
            raise ReplayError(f"this run cannot be repeated: {error}") from error
        if replaying:
            if call.printed:
                caller.print(call.printed)
            for limit in call.takes:
                caller.take_input(limit)
            for address, data in call.writes:
                context.space.write(address, data)
    finally:
        memory.before_write = before
    return call.result


def report_call(context: VcpuContext, exit_: ExitHlt) -> None:
    """Say once what the guest wants; the HLT is UNDEFINED when the vCPU runs on."""
    set_exits(context.target, None)
    log.warning(
        "the guest asked for semihosting (HLT #%#x): %s at %s; --semihosting (in Python "
        "load(semihosting=True)) provides it. Without, the instruction is UNDEFINED to the guest",
        exit_.immediate,
        operation_name(context.get(X[0]) & 0xFFFF_FFFF),
        context.locate(context.get(PC)),
    )
