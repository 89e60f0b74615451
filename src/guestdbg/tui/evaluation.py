"""Expressions that a user types: variables, registers, memory and arithmetic, and their values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from guestdbg.debugger.breakpoints.conditions.expression import Condition, ConditionError
from guestdbg.debugger.errors import UnknownSymbol
from guestdbg.debugger.program.drgn_objects import is_scalar, number
from guestdbg.errors import GuestdbgError
from guestdbg.library_errors import raised_as
from guestdbg.tui.errors import CommandError
from guestdbg.tui.printable import printable

if TYPE_CHECKING:
    from guestdbg.debugger import Cpu, Guest
    from guestdbg.debugger.program.source_location import Location

__all__ = ["FORMATS", "evaluate", "formatted", "integer", "short"]

#: The letters of `print/x`, as in GDB.
FORMATS = {
    "x": "hexadecimal",
    "d": "signed decimal",
    "u": "unsigned decimal",
    "t": "binary",
    "o": "octal",
    "c": "a character",
    "a": "an address with its symbol",
    "f": "a floating-point number",
    "s": "as it is declared",
}
#: A value of more bytes is not printed: a guest's debug information may declare any size.
_LARGEST = 64 << 10
_MOST_LINES = 500
_DOLLAR = re.compile(r"\$(\w+)")
_PLAIN_REGISTER = re.compile(r"(?:[xw]\d\d?|sp|pc|lr|fp|pstate|cpsr|fpcr|fpsr|[vq]\d\d?)\Z", re.I)
_PATH = re.compile(r"[\w.:>\[\]-]+\Z")
_U64 = (1 << 64) - 1


class _NoPoint(NamedTuple):
    """Nothing was hit."""

    seen: int = 0


class _Here:
    """The current instruction of a vCPU, for an expression in the language of conditions."""

    point = _NoPoint()
    changed = False

    def __init__(self, guest: Guest, cpu: Cpu) -> None:
        self.guest = guest
        self.vcpu = cpu

    @property
    def pc(self) -> int:
        return self.vcpu.pc

    @property
    def location(self) -> Location:
        return self.vcpu.location

    def _no_hit(self) -> Any:
        raise CommandError("new, old, address and size are of a hit: they have no value here")

    new = old = address = size = property(_no_hit)

    def __getitem__(self, expression: str) -> Any:
        return self.vcpu[expression]


def evaluate(guest: Guest, cpu: Cpu, text: str) -> Any:
    """The value of ``text``: an int, a float, or a drgn object.

    Registers may have a ``$``; ``&name`` is the address of a variable or function. Raises the
    errors of variables and conditions.
    """
    text = _DOLLAR.sub(r"\1", text.strip())
    if not text:
        raise CommandError("an expression is missing: print queue.tail, print/x x0 + 8")
    if _PLAIN_REGISTER.match(text):
        return cpu.reg(text)
    if text.startswith("&"):
        return guest.resolve(text[1:].strip()).address
    failure: GuestdbgError | None = None
    if _PATH.match(text) and not text[0].isdecimal():
        try:
            return cpu[text]
        except GuestdbgError as error:
            failure = error
    try:
        return Condition(text).value(_Here(guest, cpu))
    except (ConditionError, UnknownSymbol) as error:
        if failure is None:
            raise
        if isinstance(failure, UnknownSymbol):
            address = _symbol(guest, text)
            if address is not None:
                return address
        raise failure from error


def _symbol(guest: Guest, name: str) -> int | None:
    """The address of a function or label, which is no variable."""
    try:
        return guest.symbol(name).address
    except GuestdbgError:
        return None


def integer(guest: Guest, cpu: Cpu, text: str) -> int:
    """The same where a number is needed, such as an address; a function is its address."""
    value = evaluate(guest, cpu, text)
    if isinstance(value, float | str | tuple) or value is None:
        raise CommandError(f"{text} is {value!r}, which is no integer")
    if isinstance(value, int):
        return value & _U64
    with raised_as(CommandError, text):
        if not is_scalar(value.type_):
            address = value.address_
            if address is None:
                raise CommandError(f"{text} is no number, and has no address")
            return int(address)
        return number(value) & _U64


def formatted(
    guest: Guest, text: str, value: Any, form: str = "", *, one_line: bool = False
) -> list[str]:
    """A value as lines; ``form`` is a letter of ``FORMATS``."""
    if not isinstance(value, int | float | str | tuple) and value is not None:
        with raised_as(CommandError, text):
            return _of_object(guest, text, value, form, one_line)
    return [_number(guest, value, form, 64)]


def _of_object(guest: Guest, text: str, value: Any, form: str, one_line: bool) -> list[str]:
    import drgn

    if is_scalar(value.type_) and form not in ("", "s"):
        return [_number(guest, number(value), form, 8 * drgn.sizeof(value))]
    try:
        size = drgn.sizeof(value)
    except TypeError:
        size = 0  # an incomplete type, or a function
    if size > _LARGEST:
        raise CommandError(
            f"{text} has {size:,} bytes: print a part of it, or look at the memory (x/32xg &{text})"
        )
    shown = value.format_(
        integer_base=16 if form == "x" else 10,
        type_name=False,
        member_type_names=False,
        element_type_names=False,
        members_same_line=one_line,
        elements_same_line=True,
    )
    lines = [printable(line) for line in shown.splitlines()]
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"… {len(lines) - _MOST_LINES:,} more lines"]
    return lines


def _number(guest: Guest, value: Any, form: str, bits: int) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        return printable(str(value))
    unsigned = value & (1 << max(bits, value.bit_length())) - 1
    if form == "a":
        return f"{unsigned:#x} <{printable(guest.locate(unsigned & _U64).symbolic)}>"
    if form == "c":
        letter = chr(unsigned & 0xFF) if 32 <= unsigned & 0xFF < 127 else "."
        return f"{unsigned} {letter!r}"
    if form == "f":
        import struct

        return repr(struct.unpack("<d", (unsigned & _U64).to_bytes(8, "little"))[0])
    if form == "d":
        return str(unsigned - (1 << bits) if unsigned >> bits - 1 == 1 else unsigned)
    if form in ("x", "t", "o"):
        return f"{unsigned:#{ {'x': 'x', 't': 'b', 'o': 'o'}[form] }}"
    if form == "u":
        return str(unsigned)
    return f"{value} ({unsigned:#x})" if abs(value) > 9 else str(value)


def short(guest: Guest, cpu: Cpu, text: str, form: str = "") -> str:
    """A value in one line, for a pane; where it has none, why."""
    try:
        lines = formatted(guest, text, evaluate(guest, cpu, text), form, one_line=True)
    except GuestdbgError as error:
        return f"({printable(str(error).splitlines()[0], 200)})"
    return " ".join(line.strip() for line in lines)[:400]
