"""fw_cfg: what a firmware learns about the machine, and gets from it.

Source: QEMU's docs/specs/fw_cfg.rst, with the registers that Arm machines have: data at 0 (up to 8
bytes), selector at 8 (2 bytes), address of a DMA request at 16 (8 bytes). Selector and address are
big-endian. Nothing can be written by the guest.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.machine.devicetree import Node, cells
from guestdbg.machine.errors import MachineError, PhysicalAddressError
from guestdbg.machine.layout import FW_CFG_BASE, FW_CFG_SIZE
from guestdbg.machine.virtio.dma import DmaMemory

if TYPE_CHECKING:
    from guestdbg.machine.memory import PhysicalMemory

__all__ = ["FwCfg", "Key"]

_DATA_END = 8
_SELECTOR = 8
_DMA_HIGH, _DMA_LOW, _DMA_END = 16, 20, 24
_DMA_SIGNATURE = b"QEMU CFG"

_ERROR, _READ, _SKIP, _SELECT, _WRITE = 1, 2, 4, 8, 16
_REQUEST = struct.Struct(">IIQ")  # control, length, address

#: Bytes after the end of an item, which read as zero, that one DMA request gets at most.
_ZEROS_MAX = 16 << 20

_FILE_FIRST = 0x20
_FILES_MAX = 0x1000
_FILE_NAME_BYTES = 56
_FILE = struct.Struct(f">IHH{_FILE_NAME_BYTES}s")  # size, key, reserved, name


class Key:
    """Keys of items that are no files."""

    SIGNATURE = 0x00
    ID = 0x01
    RAM_SIZE = 0x03
    NOGRAPHIC = 0x04
    NB_CPUS = 0x05
    KERNEL_SIZE = 0x08
    INITRD_SIZE = 0x0B
    BOOT_MENU = 0x0E
    MAX_CPUS = 0x0F
    KERNEL_DATA = 0x11
    INITRD_DATA = 0x12
    CMDLINE_SIZE = 0x14
    CMDLINE_DATA = 0x15
    FILE_DIR = 0x19


class FwCfgState(NamedTuple):
    """The state of the device: see ``FwCfg.snapshot``.

    ``items`` are the data by key, ``files`` the keys by name.
    """

    key: int
    offset: int
    dma_high: int
    items: tuple[tuple[int, bytes], ...]
    files: tuple[tuple[str, int], ...]


class FwCfg:
    """fw_cfg at ``base``.

    Args:
        memory: for DMA requests.
        ram_size, vcpus: what the guest learns about the machine.

    Attributes:
        dma: guest memory, as the device accesses it.
    """

    name = "fw_cfg"

    def __init__(
        self,
        memory: PhysicalMemory,
        *,
        ram_size: int,
        vcpus: int,
        base: int = FW_CFG_BASE,
    ) -> None:
        self.base = base
        self.size = FW_CFG_SIZE
        self.dma = DmaMemory(memory)
        self._files: dict[str, int] = {}
        self._items: dict[int, bytes] = {
            Key.SIGNATURE: b"QEMU",
            Key.ID: struct.pack("<I", 3),  # the traditional interface, and DMA
            Key.RAM_SIZE: struct.pack("<Q", ram_size),
            Key.NOGRAPHIC: struct.pack("<H", 1),
            Key.NB_CPUS: struct.pack("<H", vcpus),
            Key.BOOT_MENU: struct.pack("<H", 0),
            Key.MAX_CPUS: struct.pack("<H", vcpus),
            Key.FILE_DIR: struct.pack(">I", 0),
        }
        self._key = self._offset = self._dma_high = 0
        self.set_kernel(b"")

    def set_kernel(self, kernel: bytes, initrd: bytes = b"", bootargs: str = "") -> None:
        """What a firmware boots: EDK2 starts ``kernel`` in place of looking for a system."""
        text = bootargs.encode("utf-8", "surrogateescape") + b"\0" if bootargs else b""
        for size_key, data_key, data in (
            (Key.KERNEL_SIZE, Key.KERNEL_DATA, kernel),
            (Key.INITRD_SIZE, Key.INITRD_DATA, initrd),
            (Key.CMDLINE_SIZE, Key.CMDLINE_DATA, text),
        ):
            self._items[size_key] = struct.pack("<I", len(data))
            self._items[data_key] = bytes(data)

    def add_file(self, name: str, data: bytes) -> None:
        """Add a file, or replace the one with this name: ``"opt/org.example/setting"``.

        Raises:
            MachineError: a name that is empty, longer than 55 bytes or not ASCII; or too many
                files.
        """
        if not isinstance(name, str) or not name.isascii() or "\0" in name:
            raise MachineError(f"fw_cfg file {name!r}: a name is ASCII text")
        if not 0 < len(name) < _FILE_NAME_BYTES:
            raise MachineError(
                f"fw_cfg file {name!r}: a name has 1 to {_FILE_NAME_BYTES - 1} characters"
            )
        if name not in self._files and len(self._files) >= _FILES_MAX:
            raise MachineError(f"fw_cfg file {name!r}: there are {_FILES_MAX} files already")
        key = self._files.setdefault(name, _FILE_FIRST + len(self._files))
        self._items[key] = bytes(data)
        self._items[Key.FILE_DIR] = struct.pack(">I", len(self._files)) + b"".join(
            _FILE.pack(len(self._items[self._files[file]]), self._files[file], 0, file.encode())
            for file in sorted(self._files)
        )

    def reset(self) -> None:
        """Select the first item. The items stay."""
        self._key = self._offset = self._dma_high = 0

    def device_tree_nodes(self) -> tuple[Node, ...]:
        properties = {
            "compatible": "qemu,fw-cfg-mmio",
            "reg": cells(self.base, _DMA_END),
            "dma-coherent": None,
        }
        return (Node(f"fw-cfg@{self.base:x}", properties),)

    def snapshot(self) -> FwCfgState:
        """The items, what is selected, and how much of it was read."""
        return FwCfgState(
            self._key,
            self._offset,
            self._dma_high,
            tuple(self._items.items()),
            tuple(self._files.items()),
        )

    def restore(self, state: FwCfgState) -> None:
        """Return to the state of ``snapshot``."""
        self._key, self._offset, self._dma_high = state[:3]
        self._items, self._files = dict(state.items), dict(state.files)

    def read(self, offset: int, size: int) -> int:
        if offset < _DATA_END:
            return int.from_bytes(self._take(size).ljust(size, b"\0"), "little")
        if _DMA_HIGH <= offset < _DMA_END:
            at = offset - _DMA_HIGH
            return int.from_bytes(_DMA_SIGNATURE[at : at + size], "little")
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        if (offset, size) == (_SELECTOR, 2):
            self._select(_big_endian(value, 2))
        elif (offset, size) == (_DMA_HIGH, 4):
            self._dma_high = _big_endian(value, 4)
        elif (offset, size) in ((_DMA_LOW, 4), (_DMA_HIGH, 8)):
            address = self._dma_high << 32 | _big_endian(value, 4)
            if size == 8:
                address = _big_endian(value, 8)
            self._dma_high = 0
            self._dma(address)

    def _select(self, key: int) -> None:
        self._key, self._offset = key, 0

    def _take(self, length: int) -> bytes:
        """The next bytes of the item, which are fewer than ``length`` at its end."""
        item = self._items.get(self._key, b"")
        data = item[self._offset : self._offset + length]
        self._offset = min(self._offset + length, len(item))
        return data

    def _dma(self, address: int) -> None:
        """Perform the request at ``address``; its control word becomes 0, or ``_ERROR``."""
        try:
            region, start = self.dma.locate(address, _REQUEST.size, writes=True)
            request = region.buffer[start : start + _REQUEST.size]
            error = self._perform(*_REQUEST.unpack(request))
            self._store(address, struct.pack(">I", error))
        except PhysicalAddressError:  # there is no memory at the request itself
            return

    def _perform(self, control: int, length: int, target: int) -> int:
        if control & _SELECT:
            self._select(control >> 16)
        if control & _READ:
            rest = max(len(self._items.get(self._key, b"")) - self._offset, 0)
            if length - rest > _ZEROS_MAX:
                return _ERROR
            try:
                self.dma.locate(target, length, writes=True)
            except PhysicalAddressError:
                return _ERROR
            self._store(target, self._take(length).ljust(length, b"\0"))
        elif control & _WRITE:
            return _ERROR
        elif control & _SKIP:
            self._take(length)
        return 0

    def _store(self, address: int, data: bytes) -> None:
        region, start = self.dma.locate(address, len(data), writes=True)
        self.dma.will_write(address, len(data))
        region.buffer[start : start + len(data)] = data
        self.dma.written(address, len(data))


def _big_endian(value: int, size: int) -> int:
    return int.from_bytes((value & (1 << 8 * size) - 1).to_bytes(size, "little"), "big")
