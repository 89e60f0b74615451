"""Memory slots: buffers of this process that the kernel maps into a guest."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Iterator
from ctypes import addressof, c_char
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from guestdbg.kvm.constants import KVM_SET_USER_MEMORY_REGION
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.host.calls import call
from guestdbg.kvm.layouts import kvm_userspace_memory_region

if TYPE_CHECKING:
    from guestdbg.kvm.interface import Memory

_CALL: Final = "KVM_SET_USER_MEMORY_REGION"


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot in use.

    Attributes:
        start: guest-physical address.
        size: bytes.
        address: virtual address of the buffer in this process.
        held: keeps the buffer alive, and at its address.
    """

    start: int
    size: int
    address: int
    held: object


class Slots:
    """The memory slots of one machine."""

    def __init__(self) -> None:
        self._slots: dict[int, Slot] = {}

    def __len__(self) -> int:
        return len(self._slots)

    def set(self, fd: int, slot: int, start: int, memory: Memory | None, flags: int) -> None:
        """KVM_SET_USER_MEMORY_REGION: see ``Vm.set_user_memory_region``."""
        if not 0 <= slot < 1 << 32 or not 0 <= flags < 1 << 32 or not 0 <= start < 1 << 64:
            raise KvmError(
                errno.EINVAL,
                _CALL,
                f"slot {slot}, flags {flags:#x}, address {start:#x}: slot and flags are 32 bits "
                "wide, addresses 64",
            )
        if memory is None:
            if slot not in self._slots:
                raise KvmError(errno.EINVAL, _CALL, f"slot {slot} is not in use")
            self._make(fd, slot, flags, start, 0, 0)
            del self._slots[slot]
            return
        held, address, size = _pinned(memory)
        try:
            self._make_with_memory(fd, slot, flags, start, size, address)
        except BaseException:
            # Who keeps the error keeps this frame, and must be able to close the buffer.
            held = None
            raise
        self._slots[slot] = Slot(start, size, address, held)

    def _make_with_memory(
        self, fd: int, slot: int, flags: int, start: int, size: int, address: int
    ) -> None:
        if start % mmap.PAGESIZE or size % mmap.PAGESIZE or not size:
            raise KvmError(
                errno.EINVAL,
                _CALL,
                f"{size:#x} bytes at {start:#x}: both must be multiples of the host's page size, "
                f"{mmap.PAGESIZE:#x}, and there must be at least one page",
            )
        if address % mmap.PAGESIZE:
            raise KvmError(
                errno.EINVAL,
                _CALL,
                f"the buffer is at {address:#x} in this process, not a multiple of the page "
                f"size, {mmap.PAGESIZE:#x}: use an mmap.mmap(-1, size), which always is",
            )
        self._make(fd, slot, flags, start, size, address)

    def _make(self, fd: int, slot: int, flags: int, start: int, size: int, address: int) -> None:
        request = kvm_userspace_memory_region(slot, flags, start, size, address)

        def explain(number: int) -> str | None:
            if number == errno.EEXIST:
                return self._overlap(slot, start, size)
            if number == errno.EINVAL:
                return self._invalid(slot, start, size, flags)
            if number == errno.EFAULT:
                return f"{size:#x} bytes at {start:#x} are beyond the machine's physical addresses"
            return None

        call(fd, _CALL, KVM_SET_USER_MEMORY_REGION, request, explain)

    def _overlap(self, slot: int, start: int, size: int) -> str:
        for other, has in self._slots.items():
            if other != slot and has.start < start + size and start < has.start + has.size:
                return (
                    f"{size:#x} bytes at {start:#x} overlap slot {other}, {has.size:#x} bytes at "
                    f"{has.start:#x}"
                )
        return f"{size:#x} bytes at {start:#x} overlap a range that the kernel uses"

    def _invalid(self, slot: int, start: int, size: int, flags: int) -> str:
        old = self._slots.get(slot)
        if old is not None and size and old.size != size:
            return (
                f"slot {slot} is {old.size:#x} bytes and cannot become {size:#x}; delete it first"
            )
        return (
            f"slot {slot}, {size:#x} bytes at {start:#x}, flags {flags:#x}: the slot must be below "
            "KVM_CAP_NR_MEMSLOTS, the flags known to this kernel (KVM_MEM_READONLY: "
            "KVM_CAP_READONLY_MEM)"
        )

    def size(self, slot: int) -> int:
        """Bytes of a slot; 0 if it is not in use."""
        has = self._slots.get(slot)
        return 0 if has is None else has.size

    def pieces(self, start: int, length: int) -> Iterator[tuple[Slot, int, int]]:
        """The parts of a guest-physical range that slots cover.

        Yields the slot, the address in this process, and the length in bytes.
        """
        for slot in list(self._slots.values()):
            first = max(start, slot.start)
            end = min(start + length, slot.start + slot.size)
            if first < end:
                yield slot, slot.address + first - slot.start, end - first

    def release(self) -> None:
        """The machine is closed: release every buffer."""
        self._slots.clear()


def _pinned(memory: Memory) -> tuple[object, int, int]:
    """An object that keeps the buffer in place, its address here, and its length in bytes."""
    with memoryview(memory) as view:
        if view.readonly:
            raise KvmError(
                errno.EFAULT,
                _CALL,
                "the buffer is read-only; give a writable one (KVM_MEM_READONLY makes the slot "
                "read-only to the guest)",
            )
        if not view.c_contiguous:
            raise KvmError(errno.EFAULT, _CALL, "the buffer is not contiguous")
        size = view.nbytes
    held = (c_char * size).from_buffer(memory) if size else None
    return held, addressof(held) if held is not None else 0, size
