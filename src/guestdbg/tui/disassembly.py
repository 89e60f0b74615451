"""The instructions around an address."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from guestdbg.arm64.disassembly import instruction
from guestdbg.errors import GuestdbgError
from guestdbg.tui.printable import printable
from guestdbg.tui.view import Instruction

if TYPE_CHECKING:
    from guestdbg.debugger import Guest

__all__ = ["around"]

_BYTES = 4
#: Instructions before and after the address that can be scrolled to.
_BEFORE, _AFTER = 200, 400
_PAGE = 4096
_TARGET = re.compile(r"(?:^b|^bl|^b\.\w+|^cbn?z|^tbn?z|^adrp?)\s.*#(0x[0-9a-f]+)$")


def around(guest: Guest, address: int, marks: Mapping[int, str]) -> tuple[Instruction, ...]:
    """The instructions around ``address``, with the names of functions where these begin.

    ``marks``: what is shown beside an address.
    """
    address &= ~(_BYTES - 1)
    start = max(0, address - _BEFORE * _BYTES)
    end = min(1 << 64, address + _AFTER * _BYTES)
    read = _reader(guest, start, end)
    rows: list[Instruction] = []
    function: str | None = None
    for place in range(start, end, _BYTES):
        code = read(place)
        if code is None:
            if place == address:
                rows.append(Instruction(place, "", "(this memory cannot be read)", ""))
            continue
        location = guest.locate(place).outermost
        if location.function != function:
            function = location.function
            name = f"{place:#x}" if function is None else printable(location.symbolic, 300)
            rows.append(Instruction(place, name, "", ""))
        offset = f"+{location.offset:#x}" if function is not None else ""
        rows.append(Instruction(place, offset, _text(guest, code, place), marks.get(place, "")))
    return tuple(rows)


def _text(guest: Guest, code: bytes, address: int) -> str:
    text = instruction(code, address)
    if text is None:
        return f".inst {int.from_bytes(code, 'little'):#010x}"
    if (target := _TARGET.match(text)) is not None:
        location = guest.locate(int(target[1], 16))
        if location.function is not None:
            text += f" <{printable(location.outermost.symbolic, 200)}>"
    return text


def _reader(guest: Guest, start: int, end: int) -> Callable[[int], bytes | None]:
    """Reads instructions; a page that cannot be read is tried once."""
    pages: dict[int, bytes | None] = {}

    def read(address: int) -> bytes | None:
        page = address // _PAGE
        if page not in pages:
            first, last = max(start, page * _PAGE), min(end, (page + 1) * _PAGE)
            try:
                # What comes before the part is not in it, and indexes stay those of the page.
                pages[page] = bytes(first - page * _PAGE) + guest.read(first, last - first)
            except GuestdbgError:
                pages[page] = None
        data = pages[page]
        offset = address % _PAGE
        return None if data is None else data[offset : offset + _BYTES]

    return read
