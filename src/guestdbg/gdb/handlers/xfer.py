"""Objects that are read piece by piece: qXfer; and where the program lies: qOffsets.

Source: "Debugging with GDB", appendix E.5 (qXfer, qOffsets), E.15 (thread list), E.16 (memory map).
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape as xml_escape
from xml.sax.saxutils import quoteattr

from guestdbg.gdb import threads
from guestdbg.gdb.errors import Refused
from guestdbg.gdb.handlers import Handler
from guestdbg.gdb.handlers.threads import describe
from guestdbg.gdb.packets import MAX_PACKET, escape
from guestdbg.gdb.targetxml import target_xml
from guestdbg.gdb.text import span

if TYPE_CHECKING:
    from guestdbg.gdb.session import Session

# Every byte may need an escape.
_MOST = (MAX_PACKET - 16) // 2


def _features(session: Session, annex: bytes) -> bytes:
    if annex != b"target.xml":
        raise Refused("there is target.xml alone", errno.ENOENT)
    return target_xml(session.registers)


def _memory_map(session: Session, annex: bytes) -> bytes:
    """All of the address space: which addresses have memory is for the page tables to say.

    While flash is executed from (nothing is mapped yet), it is told as what it is, so that GDB
    takes hardware breakpoints there.
    """
    flash = session.guest.board.flash
    rom = 0 if flash is None else flash.size
    regions = [("rom", 0, rom)] if rom else []
    half = 1 << 63
    regions += [("ram", rom, half - rom), ("ram", half, half)]
    rows = [
        f'<memory type="{kind}" start="{start:#x}" length="{length:#x}"/>\n'
        for kind, start, length in regions
    ]
    return (
        '<?xml version="1.0"?>\n<!DOCTYPE memory-map PUBLIC "+//IDN gnu.org//DTD GDB Memory Map '
        'V1.0//EN" "http://sourceware.org/gdb/gdb-memory-map.dtd">\n'
        f"<memory-map>\n{''.join(rows)}</memory-map>\n"
    ).encode()


def _threads(session: Session, annex: bytes) -> bytes:
    rows = []
    for place, core in enumerate(() if session.detached else session.guest.cores):
        thread = threads.show(place, multiprocess=session.multiprocess).decode()
        name = quoteattr(f"vCPU {core.vcpu.id}")
        words = xml_escape(describe(session, place))
        rows.append(f'<thread id="{thread}" core="{place}" name={name}>{words}</thread>\n')
    return f'<?xml version="1.0"?>\n<threads>\n{"".join(rows)}</threads>\n'.encode()


def _program(session: Session, annex: bytes) -> bytes:
    images = session.guest.images
    if not images:
        raise Refused("the guest was not loaded from a file with symbols", errno.ENOENT)
    return str(images[0].path.absolute()).encode()


_OBJECTS: dict[bytes, Callable[[Session, bytes], bytes]] = {
    b"features": _features,
    b"memory-map": _memory_map,
    b"threads": _threads,
    b"exec-file": _program,
}


def transfer(session: Session, rest: bytes) -> bytes:
    """qXfer:OBJECT:read:ANNEX:OFFSET,LENGTH: a piece, behind m (there is more) or l (the last)."""
    try:
        _, name, what, annex, where = rest.split(b":", 4)
    except ValueError:
        raise Refused("qXfer is qXfer:OBJECT:read:ANNEX:OFFSET,LENGTH") from None
    if name not in _OBJECTS or what != b"read":
        return b""
    offset, length = span(where)
    document = _OBJECTS[name](session, annex)
    if offset > len(document):
        raise Refused(f"{offset} is behind the end")
    piece = document[offset : offset + min(length, _MOST)]
    return (b"l" if offset + len(piece) >= len(document) else b"m") + escape(piece)


def offsets(session: Session, rest: bytes) -> bytes:
    """qOffsets: how far the guest has moved itself from where it was linked."""
    images = session.guest.images
    if not images:
        return b""
    return b"Text=%x;Data=%x;Bss=%x" % ((images[0].slide,) * 3)


def features(session: Session) -> list[bytes]:
    found = [b"qXfer:features:read+", b"qXfer:memory-map:read+", b"qXfer:threads:read+"]
    if session.guest.images:
        found.append(b"qXfer:exec-file:read+")
    return found


HANDLERS: dict[bytes, Handler] = {b"qXfer": transfer, b"qOffsets": offsets}
