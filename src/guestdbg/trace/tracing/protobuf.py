"""Protocol buffers, as far as a trace takes them (https://protobuf.dev/programming-guides/encoding)."""

from __future__ import annotations

__all__ = ["field_bytes", "field_text", "field_varint", "varint"]

_SHORT = [bytes([value]) for value in range(128)]


def varint(value: int) -> bytes:
    """A number of up to 64 bits, seven of them in each byte; without a sign."""
    if value < 128:
        return _SHORT[value]
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def field_varint(number: int, value: int) -> bytes:
    """A field with a number; what is negative is its two's complement of 64 bits."""
    return varint(number << 3) + varint(value & (1 << 64) - 1)


def field_bytes(number: int, value: bytes) -> bytes:
    """A field with bytes, or with a message."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def field_text(number: int, value: str) -> bytes:
    """A field with text: what is no Unicode (lone surrogates) is written as an escape."""
    return field_bytes(number, value.encode("utf-8", "backslashreplace"))
