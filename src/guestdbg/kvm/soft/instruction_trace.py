"""An extension of the seam: what each instruction did."""

from __future__ import annotations

import errno
from collections.abc import Callable

from guestdbg.cpu.processor import InstructionBuffer
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.soft.state import VcpuState, VmState

__all__ = ["SoftInstructionTrace", "start"]


class SoftInstructionTrace:
    """A trace of a machine, whose vCPUs write to one buffer: see ``SupportsInstructionTrace``."""

    def __init__(self, vm: VmState, buffer: InstructionBuffer) -> None:
        self._vm = vm
        self._vcpus: tuple[VcpuState, ...] = tuple(vm.soft_vcpus)
        self._buffer = buffer
        self._paused = False
        self._open = True
        try:
            for vcpu in self._vcpus:
                vcpu.cpu.start_instruction_log(buffer, vcpu.id)
        except MemoryError:
            self.close()
            raise

    @property
    def error(self) -> Exception | None:
        """See ``FlowTrace``."""
        return self._buffer.error

    @property
    def lost(self) -> int:
        """See ``FlowTrace``."""
        return self._buffer.lost

    @property
    def reached(self) -> bool:
        """See ``FlowTrace``."""
        return self._buffer.reached

    @property
    def paused(self) -> bool:
        """See ``FlowTrace``."""
        return self._paused

    @paused.setter
    def paused(self, value: bool) -> None:
        _check_still(self._vm, "paused")
        self._paused = value
        if self._open:
            for vcpu in self._vcpus:
                vcpu.cpu.recording_instructions = not value

    def flush(self) -> None:
        """See ``FlowTrace``."""
        _check_still(self._vm, "flush")
        if self._open:
            self._buffer.flush()

    def close(self) -> None:
        """See ``FlowTrace``."""
        if not self._open:
            return
        _check_still(self._vm, "close")
        self._open = False
        for vcpu in self._vcpus:
            vcpu.cpu.stop_instruction_log()
        self._vm.instruction_buffer = None
        self._buffer.flush()


def start(
    vm: VmState, sink: Callable[[bytes], object], *, first: int | None, last: int | None
) -> SoftInstructionTrace:
    """``SupportsInstructionTrace.start_instruction_trace``."""
    call = "start_instruction_trace"
    vm.check_open(call)
    _check_still(vm, call)
    if vm.instruction_buffer is not None:
        raise KvmError(errno.EBUSY, call, "another trace of this machine is on: close() it first")
    for name, time in (("start", first), ("stop", last)):
        if time is not None and not 0 <= time < 1 << 63:
            raise KvmError(errno.EINVAL, call, f"{name}={time}: it counts instructions, from 0")
    try:
        buffer = InstructionBuffer(sink, start=first, stop=last)
        vm.instruction_buffer = buffer
        return SoftInstructionTrace(vm, buffer)
    except MemoryError as error:
        vm.instruction_buffer = None
        raise KvmError(errno.ENOMEM, call, "no memory for its buffer") from error


def _check_still(vm: VmState, call: str) -> None:
    for vcpu in vm.soft_vcpus:
        if vcpu.running:
            raise KvmError(errno.EBUSY, call, f"vCPU {vcpu.id} is running")
