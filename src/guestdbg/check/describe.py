"""Exits and syndromes in words, which can be compared with the manual."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.esr import ESR
from guestdbg.check.layout import DONE, REPORTED, TAKEN
from guestdbg.kvm import ExitDebug, ExitMmio

if TYPE_CHECKING:
    from guestdbg.kvm import Exit

_VECTOR_SIZE = 0x800


def taken_vector(exit_: Exit) -> int | None:
    """The offset of the exception vector that the guest took, or None if it took none."""
    if isinstance(exit_, ExitMmio) and exit_.is_write and 0 <= exit_.phys_addr - TAKEN < 0x800:
        return exit_.phys_addr - TAKEN
    return None


def syndrome(value: int) -> str:
    """ESR_ELx in words."""
    words = ESR.summary(value) if ESR.summary else ""
    fields = [
        f"{name}={number:#x}"
        for name, number in ESR.decode(value).items()
        if number and name not in ("EC", "IL", "ISS", "ISS2")
    ]
    return f"{words} ({', '.join([f'{value:#x}', *fields])})"


def exit_words(exit_: Exit) -> str:
    """An exit in words, with the fields of its syndrome."""
    vector = taken_vector(exit_)
    if vector is not None and isinstance(exit_, ExitMmio):
        esr = int.from_bytes(exit_.data, "little")
        return f"the guest's own exception at vector {vector:#x}: {syndrome(esr)}"
    match exit_:
        case ExitDebug():
            far = "" if exit_.far is None else f", FAR {exit_.far:#x}"
            return f"KVM_EXIT_DEBUG: {syndrome(exit_.hsr | exit_.hsr_high << 32)}{far}"
        case ExitMmio() if exit_.is_write and exit_.phys_addr == DONE:
            value = int.from_bytes(exit_.data, "little")
            return f"the guest ran to its end and stored {value:#x}"
        case ExitMmio() if exit_.is_write and exit_.phys_addr == REPORTED:
            value = int.from_bytes(exit_.data, "little")
            return f"the guest reported {value:#x} ({value})"
    return str(exit_)
