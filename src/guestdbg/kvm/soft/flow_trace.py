"""An extension of the seam: records of calls, returns, exceptions and contexts."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection
from typing import Final

from guestdbg.cpu.processor import FlowBuffer
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.soft.state import VcpuState, VmState

__all__ = ["SoftFlowTrace", "start"]

#: What is recorded, as the processor numbers it.
_WHAT: Final[dict[str, int]] = {"calls": 1, "exceptions": 2, "contexts": 4}


class SoftFlowTrace:
    """A trace of a machine, whose vCPUs write to one buffer: see ``kvm.tracing.FlowTrace``."""

    def __init__(self, vm: VmState, buffer: FlowBuffer) -> None:
        self._vm = vm
        self._vcpus: tuple[VcpuState, ...] = tuple(vm.soft_vcpus)
        self._buffer = buffer
        self._paused = False
        self._open = True
        for vcpu in self._vcpus:
            vcpu.cpu.start_flow(buffer, vcpu.id)

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
                vcpu.cpu.recording_flow = not value

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
            vcpu.cpu.stop_flow()
        self._vm.flow_buffer = None
        self._buffer.flush()


def start(
    vm: VmState,
    what: Collection[str],
    sink: Callable[[bytes], object],
    *,
    arguments: bool,
    first: int | None,
    last: int | None,
) -> SoftFlowTrace:
    """``SupportsFlowTrace.start_flow_trace``."""
    call = "start_flow_trace"
    vm.check_open(call)
    _check_still(vm, call)
    if vm.flow_buffer is not None:
        raise KvmError(errno.EBUSY, call, "another trace of this machine is on: close() it first")
    unknown = [name for name in what if name not in _WHAT]
    if unknown or not what or isinstance(what, str):
        raise KvmError(errno.EINVAL, call, f"what={what!r}: it has some of {[*_WHAT]}")
    for name, time in (("start", first), ("stop", last)):
        if time is not None and not 0 <= time < 1 << 63:
            raise KvmError(errno.EINVAL, call, f"{name}={time}: it counts instructions, from 0")
    number = 0
    for name in what:
        number |= _WHAT[name]
    try:
        buffer = FlowBuffer(sink, what=number, arguments=arguments, start=first, stop=last)
    except MemoryError as error:
        raise KvmError(errno.ENOMEM, call, "no memory for its buffer") from error
    vm.flow_buffer = buffer
    return SoftFlowTrace(vm, buffer)


def _check_still(vm: VmState, call: str) -> None:
    for vcpu in vm.soft_vcpus:
        if vcpu.running:
            raise KvmError(errno.EBUSY, call, f"vCPU {vcpu.id} is running")
