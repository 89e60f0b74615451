"""An extension of the seam: what each instruction did."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.cpu.processor import InstructionBuffer
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.soft.vcpu_trace import VcpuTrace, check_start

if TYPE_CHECKING:
    from guestdbg.kvm.soft.state import VcpuState, VmState

__all__ = ["SoftInstructionTrace", "start"]


class SoftInstructionTrace(VcpuTrace):
    """A trace of every instruction: see ``SupportsInstructionTrace``."""

    _buffer: InstructionBuffer

    def _start(self, vcpu: VcpuState) -> None:
        vcpu.cpu.start_instruction_log(self._buffer, vcpu.id)

    def _record(self, vcpu: VcpuState, on: bool) -> None:
        vcpu.cpu.recording_instructions = on

    def _stop(self, vcpu: VcpuState) -> None:
        vcpu.cpu.stop_instruction_log()

    def _forget(self) -> None:
        self._vm.instruction_buffer = None


def start(
    vm: VmState, sink: Callable[[bytes], object], *, first: int | None, last: int | None
) -> SoftInstructionTrace:
    """``SupportsInstructionTrace.start_instruction_trace``."""
    call = "start_instruction_trace"
    check_start(vm, call, vm.instruction_buffer, first, last)
    try:
        buffer = InstructionBuffer(sink, start=first, stop=last)
        vm.instruction_buffer = buffer
        return SoftInstructionTrace(vm, buffer)
    except MemoryError as error:
        vm.instruction_buffer = None
        raise KvmError(errno.ENOMEM, call, "no memory for its buffer") from error
