"""The provider's records of calls, returns, exceptions and contexts, as events."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.arm64.exception_class import EC, EC_MASK, EC_SHIFT
from guestdbg.kvm.tracing import ARGUMENT_WORDS, RECORD_WORDS
from guestdbg.trace.tracing.event import Event

if TYPE_CHECKING:
    from guestdbg.trace.tracing.event import EventKind

__all__ = ["CALL", "events_of"]

CALL = 0
_EXCEPTION, _CONTEXT = 2, 4
_KINDS: tuple[EventKind, ...] = ("call", "return", "exception", "exception_return", "context")
_REGISTERS = ("CONTEXTIDR_EL1", "TTBR0_EL1", "SP_EL0")
_INTERRUPTS = ("", "IRQ", "FIQ", "SError")
#: Synchronous exceptions that a guest's EL1 takes.
_CLASSES: dict[int, str] = {
    EC.UNKNOWN: "undefined instruction",
    EC.WFX: "trapped WFI or WFE",
    EC.FP_ASIMD: "trapped FP or SIMD access",
    EC.PAC: "trapped pointer authentication",
    EC.BTI: "branch target",
    EC.ILL: "illegal state",
    EC.SVC64: "SVC",
    EC.SYS64: "trapped system register",
    EC.IABT_LOW: "instruction abort",
    EC.IABT_CUR: "instruction abort",
    EC.PC_ALIGN: "PC alignment",
    EC.DABT_LOW: "data abort",
    EC.DABT_CUR: "data abort",
    EC.SP_ALIGN: "SP alignment",
    EC.BREAKPT_LOW: "breakpoint",
    EC.BREAKPT_CUR: "breakpoint",
    EC.SOFTSTP_LOW: "software step",
    EC.SOFTSTP_CUR: "software step",
    EC.WATCHPT_LOW: "watchpoint",
    EC.WATCHPT_CUR: "watchpoint",
    EC.BRK64: "BRK",
}

_RECORD = struct.Struct(f"={RECORD_WORDS}Q")
_WITH_ARGUMENTS = struct.Struct(f"={RECORD_WORDS + ARGUMENT_WORDS}Q")

#: Gives what an event of a call has as its detail, from the function's address and X0 to X7.
Arguments = Callable[[int, tuple[int, ...]], object]


def events_of(data: bytes, arguments: Arguments | None = None) -> list[Event]:
    """The events of whole records; ``arguments`` if they have X0 to X7."""
    make, new = Event, tuple.__new__
    found: list[Event] = []
    add = found.append
    record = _RECORD if arguments is None else _WITH_ARGUMENTS
    for words in record.iter_unpack(data):
        time, nanoseconds, source, target, value, what = words[:RECORD_WORDS]
        kind = what & 0xFF
        detail: object = None
        if kind == CALL:
            if arguments is not None:
                detail = arguments(target, words[RECORD_WORDS:])
        elif kind == _EXCEPTION:
            detail = _exception(what >> 16 & 0xFF, value)
        elif kind == _CONTEXT:
            detail = _REGISTERS[what >> 16 & 0xFF]
        add(
            new(
                make,
                (
                    time,
                    nanoseconds,
                    what >> 32,
                    _KINDS[kind],
                    what >> 8 & 0xFF,
                    source,
                    target,
                    value,
                    detail,
                ),
            )
        )
    return found


def _exception(vector: int, esr: int) -> str:
    """What kind of exception it is: "SVC", "IRQ"."""
    if vector:
        return _INTERRUPTS[vector]
    number = esr >> EC_SHIFT & EC_MASK
    return _CLASSES.get(number) or f"class {number:#x}"
