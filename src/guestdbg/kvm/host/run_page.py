"""``struct kvm_run``, the page shared with the kernel, read in place.

There are views of the mapping as items of 1, 4 and 8 bytes; a field is one index into one of them.
The offsets come from ``guestdbg.kvm.layouts``, which the tests compare with the kernel's headers.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from guestdbg.arm64.exception_class import EC_SHIFT, WATCHPT
from guestdbg.kvm.constants import (
    KVM_DEBUG_ARCH_HSR_HIGH_VALID,
    KVM_EXIT_ARM_NISV,
    KVM_EXIT_DEBUG,
    KVM_EXIT_FAIL_ENTRY,
    KVM_EXIT_INTERNAL_ERROR,
    KVM_EXIT_INTR,
    KVM_EXIT_MMIO,
    KVM_EXIT_SHUTDOWN,
    KVM_EXIT_SYSTEM_EVENT,
)
from guestdbg.kvm.exits import (
    ExitArmNisv,
    ExitDebug,
    ExitFailEntry,
    ExitInternalError,
    ExitIntr,
    ExitMmio,
    ExitShutdown,
    ExitSystemEvent,
    ExitUnknown,
)
from guestdbg.kvm.layouts import (
    _run_arm_nisv,
    _run_fail_entry,
    _run_internal,
    _run_mmio,
    _run_system_event,
    kvm_debug_exit_arch,
    kvm_run,
)

if TYPE_CHECKING:
    from guestdbg.kvm.exits import (
        Exit,
    )

_EXIT: Final = kvm_run.exit.offset

IMMEDIATE_EXIT: Final = kvm_run.immediate_exit.offset
EXIT_REASON: Final = kvm_run.exit_reason.offset // 4
_FLAGS: Final = kvm_run.flags.offset

HSR: Final = (_EXIT + kvm_debug_exit_arch.hsr.offset) // 4
HSR_HIGH: Final = (_EXIT + kvm_debug_exit_arch.hsr_high.offset) // 4
# From exit_reason to both halves of the syndrome, as 64-bit words: all of a debug exit except FAR.
# It includes the flags; the other fields in between are of other architectures and do not change.
STOP: Final = slice(
    kvm_run.exit_reason.offset // 8, (_EXIT + kvm_debug_exit_arch.hsr.offset) // 8 + 1
)
FAR: Final = (_EXIT + kvm_debug_exit_arch.far.offset) // 8

MMIO_DATA: Final = _EXIT + _run_mmio.data.offset
_MMIO_ADDR: Final = (_EXIT + _run_mmio.phys_addr.offset) // 8
_MMIO_LEN: Final = (_EXIT + _run_mmio.len.offset) // 4
_MMIO_WRITE: Final = _EXIT + _run_mmio.is_write.offset

# WATCHPT_LOW and WATCHPT_CUR differ in the lowest bit of the class.
_WATCHPT_SHIFT: Final = EC_SHIFT + 1
_WATCHPT: Final = WATCHPT >> 1

INTR: Final = ExitIntr()
_SHUTDOWN: Final = ExitShutdown()


class RunPage:
    """The mapping of one vCPU, and its exits as objects."""

    def __init__(self, fd: int, size: int) -> None:
        self._map = mmap.mmap(fd, size)
        view = memoryview(self._map)
        self.bytes = view
        self.words = view.cast("I")
        self.longs = view.cast("Q")

    def exit(self) -> Exit:
        """The exit of ``exit_reason`` and its union, as an object that owns its data."""
        reason = self.words[EXIT_REASON]
        if reason == KVM_EXIT_DEBUG:
            return self.debug()
        parse = _PARSERS.get(reason)
        return ExitUnknown(reason) if parse is None else parse(self)

    def debug(self) -> ExitDebug:
        """KVM_EXIT_DEBUG."""
        words = self.words
        hsr = words[HSR]
        flags = self.bytes[_FLAGS] & KVM_DEBUG_ARCH_HSR_HIGH_VALID
        high = words[HSR_HIGH] if flags else 0  # a kernel before 5.19 does not have the field
        far = self.longs[FAR] if hsr >> _WATCHPT_SHIFT == _WATCHPT else None
        return ExitDebug(hsr, high, far, flags)

    def mmio(self) -> ExitMmio:
        """KVM_EXIT_MMIO. The data of a read is zero until it is completed."""
        data, length = self.bytes, self.words[_MMIO_LEN]
        is_write = bool(data[_MMIO_WRITE])
        if not is_write:
            data[MMIO_DATA : MMIO_DATA + 8] = bytes(8)
        moved = bytes(data[MMIO_DATA : MMIO_DATA + length])
        return ExitMmio(self.longs[_MMIO_ADDR], moved, length, is_write)

    @property
    def mmio_length(self) -> int:
        """Bytes of the access of KVM_EXIT_MMIO."""
        return self.words[_MMIO_LEN]

    def system_event(self) -> ExitSystemEvent:
        """KVM_EXIT_SYSTEM_EVENT."""
        words = self.words
        base = (_EXIT + _run_system_event.type.offset) // 4
        return ExitSystemEvent(words[base], self._data(_run_system_event.data.offset, base + 1))

    def internal_error(self) -> ExitInternalError:
        """KVM_EXIT_INTERNAL_ERROR."""
        base = (_EXIT + _run_internal.suberror.offset) // 4
        suberror = self.words[base]
        return ExitInternalError(
            suberror,
            self._data(_run_internal.data.offset, base + 1),
            "the kernel's KVM could not go on",
        )

    def _data(self, offset: int, count_at: int) -> tuple[int, ...]:
        count = min(self.words[count_at], 16)
        start = (_EXIT + offset) // 8
        return tuple(self.longs[start : start + count])

    def fail_entry(self) -> ExitFailEntry:
        """KVM_EXIT_FAIL_ENTRY."""
        why = self.longs[(_EXIT + _run_fail_entry.hardware_entry_failure_reason.offset) // 8]
        return ExitFailEntry(why, self.words[(_EXIT + _run_fail_entry.cpu.offset) // 4])

    def arm_nisv(self) -> ExitArmNisv:
        """KVM_EXIT_ARM_NISV."""
        iss = self.longs[(_EXIT + _run_arm_nisv.esr_iss.offset) // 8]
        return ExitArmNisv(iss, self.longs[(_EXIT + _run_arm_nisv.fault_ipa.offset) // 8])

    def close(self) -> None:
        """Release the mapping."""
        self.words.release()
        self.longs.release()
        self.bytes.release()
        self._map.close()


_PARSERS: Final[dict[int, Callable[[RunPage], Exit]]] = {
    KVM_EXIT_MMIO: RunPage.mmio,
    KVM_EXIT_SYSTEM_EVENT: RunPage.system_event,
    KVM_EXIT_INTERNAL_ERROR: RunPage.internal_error,
    KVM_EXIT_FAIL_ENTRY: RunPage.fail_entry,
    KVM_EXIT_ARM_NISV: RunPage.arm_nisv,
    KVM_EXIT_INTR: lambda page: INTR,
    KVM_EXIT_SHUTDOWN: lambda page: _SHUTDOWN,
}
