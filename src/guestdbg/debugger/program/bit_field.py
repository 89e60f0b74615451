"""The value of a bit-field, from the bytes that it lies in."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["BitField"]


class BitField(NamedTuple):
    """A bit-field of a little-endian program.

    Attributes:
        offset: from bit 0 of the first byte that contains a part of it, 0 to 7.
        size: in bits, 1 to 64.
        signed: whether its highest bit is the sign.
    """

    offset: int
    size: int
    signed: bool

    def value(self, container: int) -> int:
        """The field, where ``container`` is the bytes from the first one on, as an integer."""
        value = container >> self.offset & (1 << self.size) - 1
        return value - (1 << self.size) if self.signed and value >> self.size - 1 else value
