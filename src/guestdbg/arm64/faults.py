"""Fault status codes: DFSC and IFSC of ESR_ELx, FST of PAR_EL1 (D23.2.37, D23.2.129)."""

from __future__ import annotations

from enum import StrEnum

from guestdbg.arm64.errors import ArchitectureError


class FaultKind(StrEnum):
    """What stopped a translation or an access."""

    ADDRESS_SIZE = "address size fault"
    TRANSLATION = "translation fault"
    ACCESS_FLAG = "access flag fault"
    PERMISSION = "permission fault"
    EXTERNAL_ABORT = "synchronous external abort on a translation table walk"
    ALIGNMENT = "alignment fault"
    DEBUG = "debug exception"


ALIGNMENT = 0x21
DEBUG = 0x22

_BY_LEVEL = {
    FaultKind.ADDRESS_SIZE: 0x00,
    FaultKind.TRANSLATION: 0x04,
    FaultKind.ACCESS_FLAG: 0x08,
    FaultKind.PERMISSION: 0x0C,
    FaultKind.EXTERNAL_ABORT: 0x14,
}
_MINUS_ONE = {
    FaultKind.ADDRESS_SIZE: 0x29,
    FaultKind.TRANSLATION: 0x2B,
    FaultKind.EXTERNAL_ABORT: 0x13,
}
_WORDS = {
    0x10: "synchronous external abort, not on a translation table walk",
    0x11: "synchronous tag check fault",
    0x18: "synchronous parity or ECC error, not on a translation table walk",
    0x1B: "synchronous parity or ECC error on a translation table walk, level -1",
    0x21: "alignment fault",
    0x22: "debug exception",
    0x23: "granule protection fault on a translation table walk, level -1",
    0x28: "granule protection fault, not on a translation table walk",
    0x30: "TLB conflict abort",
    0x31: "unsupported atomic hardware update fault",
    0x34: "IMPLEMENTATION DEFINED fault (lockdown)",
    0x35: "IMPLEMENTATION DEFINED fault (unsupported exclusive or atomic access)",
    0x3D: "section domain fault",
    0x3E: "page domain fault",
}


def status_code(kind: FaultKind, level: int) -> int:
    """The six-bit status code of a fault at a lookup level (-1 to 3).

    Raises ArchitectureError for a level the kind does not have.
    """
    if kind is FaultKind.ALIGNMENT:
        return ALIGNMENT
    if kind is FaultKind.DEBUG:
        return DEBUG
    if level == -1 and kind in _MINUS_ONE:
        return _MINUS_ONE[kind]
    if not 0 <= level <= 3:
        raise ArchitectureError(f"a {kind} has no lookup level {level}")
    return _BY_LEVEL[kind] | level


def status_kind(code: int) -> tuple[FaultKind, int | None] | None:
    """(kind, level) of a status code this module can also make, or None for the others."""
    if code == ALIGNMENT:
        return FaultKind.ALIGNMENT, None
    if code == DEBUG:
        return FaultKind.DEBUG, None
    for kind, value in _MINUS_ONE.items():
        if code == value:
            return kind, -1
    for kind, value in _BY_LEVEL.items():
        if code & ~3 == value:
            return kind, code & 3
    return None


def status_words(code: int) -> str:
    """A status code in words: "translation fault, level 3"."""
    known = status_kind(code)
    if known is not None:
        kind, level = known
        return str(kind) if level is None else f"{kind}, level {level}"
    if code in _WORDS:
        return _WORDS[code]
    if code & 0x3C == 0x1C:
        return f"synchronous parity or ECC error on a translation table walk, level {code & 3}"
    if code & 0x3C == 0x24:
        return f"granule protection fault on a translation table walk, level {code & 3}"
    return "reserved status code"
