"""A trace that a machine's vCPUs write: what traces of any kind share."""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from guestdbg.kvm.errors import KvmError

if TYPE_CHECKING:
    from guestdbg.cpu.processor import FlowBuffer, InstructionBuffer
    from guestdbg.kvm.soft.state import VcpuState, VmState

__all__ = ["VcpuTrace", "check_start"]


class VcpuTrace(ABC):
    """A trace of a machine, whose vCPUs write to one buffer: see ``kvm.tracing.FlowTrace``.

    Raises MemoryError: there is no room for what a vCPU needs for it.
    """

    def __init__(self, vm: VmState, buffer: FlowBuffer | InstructionBuffer) -> None:
        self._vm = vm
        self._vcpus: tuple[VcpuState, ...] = tuple(vm.soft_vcpus)
        self._buffer = buffer
        self._paused = False
        self._open = True
        try:
            for vcpu in self._vcpus:
                self._start(vcpu)
        except MemoryError:
            self.close()
            raise

    @abstractmethod
    def _start(self, vcpu: VcpuState) -> None:
        """Let a vCPU write to the buffer."""

    @abstractmethod
    def _record(self, vcpu: VcpuState, on: bool) -> None:
        """Let it go on, or not for now."""

    @abstractmethod
    def _stop(self, vcpu: VcpuState) -> None:
        """Let it write nothing any more."""

    @abstractmethod
    def _forget(self) -> None:
        """The machine has no such trace any more."""

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
                self._record(vcpu, not value)

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
            self._stop(vcpu)
        self._forget()
        self._buffer.flush()


def check_start(
    vm: VmState, call: str, current: object, first: int | None, last: int | None
) -> None:
    """Raise KvmError if a trace cannot begin: ``current`` is that which is on."""
    vm.check_open(call)
    _check_still(vm, call)
    if current is not None:
        raise KvmError(errno.EBUSY, call, "another trace of this machine is on: close() it first")
    for name, time in (("start", first), ("stop", last)):
        if time is not None and not 0 <= time < 1 << 63:
            raise KvmError(errno.EINVAL, call, f"{name}={time}: it counts instructions, from 0")


def _check_still(vm: VmState, call: str) -> None:
    for vcpu in vm.soft_vcpus:
        if vcpu.running:
            raise KvmError(errno.EBUSY, call, f"vCPU {vcpu.id} is running")
