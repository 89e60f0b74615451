"""KVM_GET_ONE_REG, KVM_SET_ONE_REG and KVM_GET_REG_LIST of one vCPU."""

from __future__ import annotations

import errno
import fcntl
import struct
from collections.abc import Callable
from ctypes import addressof, c_uint8, c_uint64, sizeof
from typing import Final

from guestdbg.kvm.constants import (
    KVM_GET_ONE_REG,
    KVM_GET_REG_LIST,
    KVM_REG_ARM64,
    KVM_REG_ARM_COPROC_MASK,
    KVM_REG_ARM_CORE,
    KVM_REG_SIZE_MASK,
    KVM_SET_ONE_REG,
)
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.host.calls import call, refused
from guestdbg.kvm.layouts import kvm_one_reg, kvm_regs
from guestdbg.kvm.regs import name_of, size_of

_LARGEST: Final = 256  # bytes: 2048 bits, an SVE register of the longest vector length
_ONE_REG: Final = struct.Struct("=QQ")
_U64: Final = (1 << 64) - 1
_CORE_END: Final = sizeof(kvm_regs) // 4
_FIRST_GUESS: Final = 512
_MAX_REGISTERS: Final = 1 << 20

assert _ONE_REG.size == sizeof(kvm_one_reg)


class Registers:
    """One-reg access through one descriptor. The buffer and the packed requests are reused."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = (c_uint8 * _LARGEST)()
        view = memoryview(self._buffer).cast("B")
        self._bytes = view
        self._u32 = view.cast("I")
        self._u64 = view.cast("Q")
        self._address = addressof(self._buffer)
        # id -> the packed request, and the width in bytes
        self._requests: dict[int, tuple[bytes, int]] = {}

    def get(self, reg_id: int) -> int:
        """KVM_GET_ONE_REG: see ``Vcpu.get_one_reg``."""
        request, size = self._requests.get(reg_id) or self._prepare("KVM_GET_ONE_REG", reg_id)
        try:
            fcntl.ioctl(self._fd, KVM_GET_ONE_REG, request)
        except InterruptedError:
            self._again("KVM_GET_ONE_REG", KVM_GET_ONE_REG, request)
        except (OSError, ValueError) as error:
            raise refused("KVM_GET_ONE_REG", error, _explainer(reg_id, None)) from error
        if size == 8:
            return self._u64[0]
        if size == 4:
            return self._u32[0]
        return int.from_bytes(self._bytes[:size], "little")

    def set(self, reg_id: int, value: int) -> None:
        """KVM_SET_ONE_REG: see ``Vcpu.set_one_reg``."""
        name = "KVM_SET_ONE_REG"
        request, size = self._requests.get(reg_id) or self._prepare(name, reg_id)
        if size == 8 and 0 <= value <= _U64:
            self._u64[0] = value
        elif 0 <= value < 1 << 8 * size:
            self._bytes[:size] = value.to_bytes(size, "little")
        else:
            raise KvmError(
                errno.EINVAL,
                name,
                f"{name_of(reg_id)} has {8 * size} bits; {value:#x} does not fit",
            )
        try:
            fcntl.ioctl(self._fd, KVM_SET_ONE_REG, request)
        except InterruptedError:
            self._again(name, KVM_SET_ONE_REG, request)
        except (OSError, ValueError) as error:
            raise refused(name, error, _explainer(reg_id, value)) from error

    def _again(self, name: str, number: int, request: bytes) -> None:
        call(self._fd, name, number, kvm_one_reg.from_buffer_copy(request))

    def close(self) -> None:
        """The descriptor is closed; its number may soon be another file's."""
        self._fd = -1

    def _prepare(self, name: str, reg_id: int) -> tuple[bytes, int]:
        if not 0 <= reg_id <= _U64:
            raise KvmError(errno.EINVAL, name, f"{reg_id:#x} is not the id of a register: 64 bits")
        size = size_of(reg_id)
        if size > _LARGEST:
            raise KvmError(
                errno.EINVAL,
                name,
                f"{reg_id:#x} says {8 * size} bits; the widest register has {8 * _LARGEST}",
            )
        prepared = self._requests[reg_id] = _ONE_REG.pack(reg_id, self._address), size
        return prepared

    def list(self) -> list[int]:
        """KVM_GET_REG_LIST: ask how many registers there are, then for those.

        The number may grow between the two calls, so they are repeated.
        """
        name = "KVM_GET_REG_LIST"
        count = 0
        while count <= _MAX_REGISTERS:
            array = (c_uint64 * (count + 1))(count)
            try:
                # fcntl copies buffers of up to 1024 bytes; longer ones go to the kernel in place.
                fcntl.ioctl(self._fd, KVM_GET_REG_LIST, array, True)
            except InterruptedError:
                continue
            except OSError as error:
                if error.errno != errno.E2BIG:
                    raise refused(name, error) from error
                count = max(array[0], 2 * count, _FIRST_GUESS)
                continue
            except ValueError as error:
                raise refused(name, error) from error
            return list(array[1 : array[0] + 1])
        raise KvmError(
            errno.E2BIG, name, f"the kernel says that it has more than {_MAX_REGISTERS} registers"
        )


def _explainer(reg_id: int, value: int | None) -> Callable[[int], str | None]:
    def explain(number: int) -> str | None:
        if number == errno.ENOENT:
            return f"a vCPU has no register {name_of(reg_id)} (id {reg_id:#x})"
        if number != errno.EINVAL:
            return None
        if reg_id >> 32 & ~(KVM_REG_SIZE_MASK >> 32) != KVM_REG_ARM64 >> 32:
            return f"{reg_id:#x} is not the id of an arm64 register"
        if reg_id & KVM_REG_ARM_COPROC_MASK == KVM_REG_ARM_CORE and value is None:
            if reg_id & 0xFFFF < _CORE_END:
                return f"{reg_id:#x} is not the start of a core register, or not with its size"
            return None
        if value is not None:
            return f"{name_of(reg_id)} (id {reg_id:#x}) cannot be given {value:#x}"
        return None

    return explain
