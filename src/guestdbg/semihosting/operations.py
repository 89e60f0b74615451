"""The numbers and names of the operations (sections 5 and 6)."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["HLT_IMMEDIATE", "Operation", "operation_name"]

#: The immediate of the HLT that calls semihosting in AArch64 (section 3.2).
HLT_IMMEDIATE = 0xF000


class Operation(IntEnum):
    """The operation number, in W0."""

    SYS_OPEN = 0x01
    SYS_CLOSE = 0x02
    SYS_WRITEC = 0x03
    SYS_WRITE0 = 0x04
    SYS_WRITE = 0x05
    SYS_READ = 0x06
    SYS_READC = 0x07
    SYS_ISERROR = 0x08
    SYS_ISTTY = 0x09
    SYS_SEEK = 0x0A
    SYS_FLEN = 0x0C
    SYS_TMPNAM = 0x0D
    SYS_REMOVE = 0x0E
    SYS_RENAME = 0x0F
    SYS_CLOCK = 0x10
    SYS_TIME = 0x11
    SYS_SYSTEM = 0x12
    SYS_ERRNO = 0x13
    SYS_GET_CMDLINE = 0x15
    SYS_HEAPINFO = 0x16
    SYS_EXIT = 0x18
    SYS_EXIT_EXTENDED = 0x20
    SYS_ELAPSED = 0x30
    SYS_TICKFREQ = 0x31


def operation_name(number: int) -> str:
    """The name of an operation, such as ``SYS_WRITE0``."""
    try:
        return Operation(number).name
    except ValueError:
        return f"operation {number:#x}, which the specification does not have"
