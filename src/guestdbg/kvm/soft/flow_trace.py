"""An extension of the seam: records of calls, returns, exceptions and contexts."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

from guestdbg.cpu.processor import FlowBuffer
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.soft.vcpu_trace import VcpuTrace, check_start

if TYPE_CHECKING:
    from guestdbg.kvm.soft.state import VcpuState, VmState

__all__ = ["SoftFlowTrace", "start"]

#: What is recorded, as the processor numbers it.
_WHAT: Final[dict[str, int]] = {"calls": 1, "exceptions": 2, "contexts": 4}


class SoftFlowTrace(VcpuTrace):
    """A trace of where control goes."""

    _buffer: FlowBuffer

    def _start(self, vcpu: VcpuState) -> None:
        vcpu.cpu.start_flow(self._buffer, vcpu.id)

    def _record(self, vcpu: VcpuState, on: bool) -> None:
        vcpu.cpu.recording_flow = on

    def _stop(self, vcpu: VcpuState) -> None:
        vcpu.cpu.stop_flow()

    def _forget(self) -> None:
        self._vm.flow_buffer = None


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
    check_start(vm, call, vm.flow_buffer, first, last)
    unknown = [name for name in what if name not in _WHAT]
    if unknown or not what or isinstance(what, str):
        raise KvmError(errno.EINVAL, call, f"what={what!r}: it has some of {[*_WHAT]}")
    number = 0
    for name in what:
        number |= _WHAT[name]
    try:
        buffer = FlowBuffer(sink, what=number, arguments=arguments, start=first, stop=last)
    except MemoryError as error:
        raise KvmError(errno.ENOMEM, call, "no memory for its buffer") from error
    vm.flow_buffer = buffer
    return SoftFlowTrace(vm, buffer)
