"""`print`, `x`, `display`, `undisplay`, `set`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.arm64.disassembly import instruction
from guestdbg.tui.commands.command import Command
from guestdbg.tui.errors import CommandError
from guestdbg.tui.evaluation import FORMATS, evaluate, formatted, integer
from guestdbg.tui.printable import printable

if TYPE_CHECKING:
    from guestdbg.tui.session import Session

__all__ = ["COMMANDS"]

_FORMAT = re.compile(r"^/(?P<count>\d*)(?P<letters>[a-z]*)\s*")
_UNITS = {"b": 1, "h": 2, "w": 4, "g": 8}
_MOST_BYTES = 64 << 10
_IN_A_ROW = 16
_LONGEST_STRING = 1024
_CHARACTERS = 256


def _form(text: str) -> tuple[str, str]:
    """`/x EXPRESSION` as the letter and the rest."""
    match = _FORMAT.match(text)
    if match is None:
        return "", text
    letter = match["letters"]
    if letter not in FORMATS or match["count"]:
        raise CommandError(f"print/{match[0][1:].strip()}: the formats are {', '.join(FORMATS)}")
    return letter, text[match.end() :]


def _print(session: Session, text: str) -> None:
    form, expression = _form(text)
    value = evaluate(session.guest, session.cpu, expression)
    lines = formatted(session.guest, expression, value, form)
    session.say(f"{expression} = {lines[0] if lines else ''}")
    session.say_all(lines[1:])


def _display(session: Session, text: str) -> None:
    if not text:
        for display in session.displays:
            session.say(f"{display.number}: {display.text}")
        if not session.displays:
            session.say("nothing is displayed: display EXPRESSION")
        return
    form, expression = _form(text)
    value = evaluate(session.guest, session.cpu, expression)
    formatted(session.guest, expression, value, form)
    session.add_display(expression, form)


def _undisplay(session: Session, text: str) -> None:
    words = text.split()
    known = {str(display.number) for display in session.displays}
    for word in words:
        if word not in known:
            raise CommandError(f"there is no display {word!r}: `display` lists them")
    session.displays = [d for d in session.displays if words and str(d.number) not in words]


def _examine(session: Session, text: str) -> None:
    match = _FORMAT.match(text)
    count, letters = 1, ""
    if match is not None:
        count = int(match["count"][:9] or 1)
        letters, text = match["letters"], text[match.end() :]
    forms = [letter for letter in letters if letter not in _UNITS]
    units = [letter for letter in letters if letter in _UNITS]
    form = forms[0] if forms else "x"
    if len(forms) > 1 or len(units) > 1 or form not in "xdutcais":
        raise CommandError("x/COUNT FORMAT UNIT, as in x/8xg &queue: x d u t c a i s, b h w g")
    if text:
        address = integer(session.guest, session.cpu, text)
    elif session.next_examined is not None:
        address = session.next_examined
    else:
        raise CommandError("x/8xg ADDRESS: an address is missing")
    show: Callable[[Session, int, int, int], int] = _words(form)
    size = _UNITS[units[0]] if units else {"c": 1, "a": 8}.get(form, 8 if form != "i" else 4)
    if not 1 <= count * size <= _MOST_BYTES:
        raise CommandError(f"{count} of {size} bytes: at most {_MOST_BYTES:,} bytes at once")
    if form == "i":
        show = _instructions
    elif form == "s":
        show = _strings
    session.next_examined = show(session, address, count, size) & (1 << 64) - 1


def _instructions(session: Session, address: int, count: int, size: int) -> int:
    for place in range(address, address + count * size, size):
        code = session.guest.read(place, size)
        text = instruction(code, place) or f".inst {int.from_bytes(code, 'little'):#010x}"
        session.say(f"{_label(session, place)}  {text}")
    return address + count * size


def _strings(session: Session, address: int, count: int, size: int) -> int:
    for _ in range(count):
        data = bytearray()
        while len(data) < _LONGEST_STRING and (byte := session.guest.read(address, 1)) != b"\0":
            data += byte
            address += 1
        address += 1
        cut = "…" if len(data) == _LONGEST_STRING else ""
        session.say(f"{_label(session, address - len(data) - 1)}  {bytes(data)!r}{cut}"[:4000])
    return address


def _words(form: str) -> Callable[[Session, int, int, int], int]:
    def show(session: Session, address: int, count: int, size: int) -> int:
        in_a_row = max(1, _IN_A_ROW // size) if form in "xc" else max(1, 8 // size)
        for start in range(0, count, in_a_row):
            here = address + start * size
            number = min(in_a_row, count - start)
            data = session.guest.read(here, number * size)
            parts = [data[n : n + size] for n in range(0, len(data), size)]
            words = "  ".join(
                _word(session, int.from_bytes(p, "little"), size, form) for p in parts
            )
            session.say(f"{_label(session, here)}  {words}")
        return address + count * size

    return show


def _word(session: Session, value: int, size: int, form: str) -> str:
    if form == "x":
        return f"0x{value:0{2 * size}x}"
    if form == "t":
        return f"{value:0{8 * size}b}"
    if form == "c":
        return repr(chr(value)) if 32 <= value < 127 else f"\\x{value % _CHARACTERS:02x}"
    if form == "d" and value >> 8 * size - 1:
        return str(value - (1 << 8 * size))
    return formatted(session.guest, "", value, form)[0]


def _label(session: Session, address: int) -> str:
    location = session.guest.locate(address)
    if location.function is None:
        return f"{address:#x}"
    return f"{address:#x} <{printable(location.symbolic, 100)}>"


def _set(session: Session, text: str) -> None:
    name, equals, value = text.partition("=")
    name = name.strip().removeprefix("var ").strip()
    if not equals or not name or not value.strip():
        raise CommandError("set $x0 = 5, set queue.tail = 3 or set {0x40090000,4} = 1")
    number = integer(session.guest, session.cpu, value)
    if name.startswith("$"):
        session.cpu.set_reg({"lr": "x30", "fp": "x29"}.get(name[1:], name[1:]), number)
        return
    if name.startswith("{") and name.endswith("}"):
        where, _, length = name[1:-1].partition(",")
        address = integer(session.guest, session.cpu, where)
        size = int(length) if length.strip().isdecimal() else 8
    else:
        data = session.guest.resolve(name)
        address, size = data.address, data.length or 0
        if data.bit_field is not None:
            raise CommandError(f"{name} is a bit-field: set the bytes that it is in")
    if size not in (1, 2, 4, 8):
        raise CommandError(f"{name} has {size} bytes: 1, 2, 4 or 8 can be set")
    session.guest.write(address, (number & (1 << 8 * size) - 1).to_bytes(size, "little"))


COMMANDS = (
    Command(
        ("print", "p", "inspect"),
        "[/FORMAT] EXPRESSION",
        "a variable, register, memory or a computation",
        _print,
        (
            "print queue.tail   print/x $x0 + 8   print u32[sp + 16]   print &queue",
            *(f"  /{letter}  {what}" for letter, what in FORMATS.items()),
        ),
        "symbol",
    ),
    Command(
        ("x",),
        "/COUNT FORMAT UNIT ADDRESS",
        "memory: x/8xg &queue, x/4i $pc, x/s name",
        _examine,
        ("Formats x d u t c a, i (instructions), s (strings); units b h w g (1 2 4 8 bytes).",),
        "symbol",
        True,
    ),
    Command(
        ("display",),
        "[/FORMAT] EXPRESSION",
        "show a value at each stop",
        _display,
        (),
        "symbol",
    ),
    Command(("undisplay",), "[NUMBER …]", "show it no more, or none", _undisplay),
    Command(
        ("set",),
        "$REGISTER | VARIABLE | {ADDRESS,SIZE} = VALUE",
        "change a register or memory",
        _set,
        (),
        "symbol",
    ),
)
