"""Integers in memory that is read and written as bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod

from guestdbg.debugger.errors import BadRange
from guestdbg.debugger.validation import integer

__all__ = ["IntegerAccess"]


class IntegerAccess(ABC):
    """Little-endian integers over ``read`` and ``write``; both raise AddressError."""

    @abstractmethod
    def read(self, address: int, length: int) -> bytes:
        """``length`` bytes at ``address``."""

    @abstractmethod
    def write(self, address: int, data: bytes) -> None:
        """Write bytes at ``address``."""

    def read_u8(self, address: int) -> int:
        """One byte."""
        return self.read(address, 1)[0]

    def read_u16(self, address: int) -> int:
        """Two bytes, little-endian, as an int."""
        return int.from_bytes(self.read(address, 2), "little")

    def read_u32(self, address: int) -> int:
        """Four bytes, little-endian, as an int."""
        return int.from_bytes(self.read(address, 4), "little")

    def read_u64(self, address: int) -> int:
        """Eight bytes, little-endian, as an int."""
        return int.from_bytes(self.read(address, 8), "little")

    def write_u8(self, address: int, value: int) -> None:
        """Write one byte; here and below, negative values are written in two's complement."""
        self._write_int(address, value, 1)

    def write_u16(self, address: int, value: int) -> None:
        """Write two bytes."""
        self._write_int(address, value, 2)

    def write_u32(self, address: int, value: int) -> None:
        """Write four bytes."""
        self._write_int(address, value, 4)

    def write_u64(self, address: int, value: int) -> None:
        """Write eight bytes."""
        self._write_int(address, value, 8)

    def _write_int(self, address: int, value: int, size: int) -> None:
        bits = 8 * size
        if not -(1 << bits - 1) <= integer("value", value) < 1 << bits:
            raise BadRange(f"{value:#x} does not fit {size} bytes")
        self.write(address, (value & (1 << bits) - 1).to_bytes(size, "little"))
