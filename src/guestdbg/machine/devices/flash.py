"""The flash of a board: two banks at 0, as memory and as devices, and a file for the second."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from guestdbg.kvm.constants import KVM_CAP_READONLY_MEM, KVM_MEM_READONLY
from guestdbg.machine.devices.cfi_flash import CfiFlash
from guestdbg.machine.devicetree import Node, cells
from guestdbg.machine.errors import MachineError
from guestdbg.machine.layout import FLASH_BASE, FLASH_SIZE
from guestdbg.machine.memory import Region
from guestdbg.machine.sizes import format_size
from guestdbg.machine.virtio.file_lock import lock_image

if TYPE_CHECKING:
    from guestdbg.kvm import Vm
    from guestdbg.machine.devicetree import Value

__all__ = ["Flash", "FlashFile", "flash_node"]

_FIRST_SLOT = 1  # of the provider's memory; each bank has one


def flash_node() -> Node:
    """The node of both banks in the device tree."""
    properties: dict[str, Value] = {
        "compatible": "cfi-flash",
        "reg": cells(FLASH_BASE, FLASH_SIZE, FLASH_BASE + FLASH_SIZE, FLASH_SIZE),
        "bank-width": 4,
    }
    return Node(f"flash@{FLASH_BASE:x}", properties)


class FlashFile:
    """A file with what is in the second bank at first, such as EDK2's variables.

    ``save``: what the guest programs and erases is written to the file at once. Otherwise it is
    only read, now.

    Raises:
        MachineError: it cannot be opened, is larger than the bank, or is in use.
    """

    def __init__(self, path: str | os.PathLike[str], *, save: bool) -> None:
        self.path = os.fspath(path)
        self.save = save
        self._fd: int | None = None
        try:
            fd = os.open(self.path, (os.O_RDWR if save else os.O_RDONLY) | os.O_CLOEXEC)
        except OSError as error:
            raise MachineError(f"flash file {self.path}: {error.strerror}") from error
        try:
            self.contents = self._read(fd)
            if not lock_image(fd, writes=save):
                raise MachineError(f"flash file {self.path}: another program uses it")
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def _read(self, fd: int) -> bytes:
        try:
            with open(fd, "rb", closefd=False) as file:
                contents = file.read(FLASH_SIZE + 1)
        except OSError as error:
            raise MachineError(f"flash file {self.path}: {error.strerror}") from error
        if len(contents) > FLASH_SIZE:
            raise MachineError(
                f"flash file {self.path}: larger than the bank, {format_size(FLASH_SIZE)}"
            )
        return contents

    def write(self, offset: int, data: bytes) -> None:
        """Write what has changed.

        Raises:
            MachineError: the file cannot be written.
        """
        if self._fd is None or not self.save:
            return
        try:
            os.pwrite(self._fd, data, offset)
        except OSError as error:
            raise MachineError(f"flash file {self.path}: {error.strerror}") from error

    def close(self) -> None:
        """Close the file. Closing twice does nothing."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class Flash:
    """Both banks, mapped into a machine.

    ``writable``: the guest writes it as it does RAM, and there are no flash commands. So it is too
    where the provider has no read-only memory (KVM_CAP_READONLY_MEM).

    Attributes:
        region: their memory. banks: their devices; none if it is writable.
    """

    def __init__(self, vm: Vm, *, writable: bool, file: FlashFile | None = None) -> None:
        self._vm = vm
        read_only = not writable and bool(vm.check_extension(KVM_CAP_READONLY_MEM))
        self._flags = KVM_MEM_READONLY if read_only else 0
        self.region = Region("flash", FLASH_BASE, 2 * FLASH_SIZE, read_only=read_only)
        whole = memoryview(self.region.buffer)
        self._memory = (whole[:FLASH_SIZE], whole[FLASH_SIZE:])
        if file is not None:
            self._memory[1][: len(file.contents)] = file.contents
        for number in range(2):
            self._map(number, True)
        self.banks: tuple[CfiFlash, ...] = ()
        if read_only:
            self.banks = tuple(
                CfiFlash(
                    FLASH_BASE + number * FLASH_SIZE,
                    self._memory[number],
                    partial(self._map, number),
                    partial(self._changed, file if number == 1 else None),
                )
                for number in range(2)
            )

    def _map(self, number: int, array: bool) -> None:
        """Let the guest read a bank directly, or have each access handled by the device."""
        base = FLASH_BASE + number * FLASH_SIZE
        memory = self._memory[number] if array else None
        self._vm.set_user_memory_region(
            _FIRST_SLOT + number, base, memory, self._flags if array else 0
        )

    def _changed(self, file: FlashFile | None, offset: int, length: int) -> None:
        if file is not None:
            file.write(offset, bytes(self._memory[1][offset : offset + length]))

    def close(self) -> None:
        """Release the memory, so that it can be unmapped."""
        for memory in self._memory:
            memory.release()
