"""Documents that are read in pieces, qXfer; and the slide of the program, qOffsets.

Source: "Debugging with GDB", appendix E.5 (qXfer, qOffsets), E.15 (thread list), E.16 (memory map).
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape as xml_escape
from xml.sax.saxutils import quoteattr

from guestdbg.gdb import thread_id
from guestdbg.gdb.errors import PacketError
from guestdbg.gdb.packet_fields import parse_range
from guestdbg.gdb.packets import MAX_PACKET, escape
from guestdbg.gdb.target_description import target_xml
from guestdbg.gdb.thread_words import describe

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import Handler, SessionState

# Every byte may need an escape.
_MAX_READ = (MAX_PACKET - 16) // 2


def _features(session: SessionState, annex: bytes) -> bytes:
    if annex != b"target.xml":
        raise PacketError("the only document is target.xml", errno.ENOENT)
    return target_xml(session.registers)


def _memory_map(session: SessionState, annex: bytes) -> bytes:
    """The whole address space is RAM: which addresses have memory is up to the page tables.

    The exception is flash, from which firmware executes before it has enabled the MMU: in ROM, GDB
    uses hardware breakpoints.
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


def _threads(session: SessionState, annex: bytes) -> bytes:
    rows = []
    for index, context in enumerate(() if session.detached else session.execution.vcpus):
        thread = thread_id.format_id(index, multiprocess=session.multiprocess).decode()
        name = quoteattr(f"vCPU {context.vcpu.id}")
        words = xml_escape(describe(session, index))
        rows.append(f'<thread id="{thread}" core="{index}" name={name}>{words}</thread>\n')
    for task in () if session.detached else session.tasks.all():
        thread = thread_id.format_number(task.number, multiprocess=session.multiprocess).decode()
        name, words = quoteattr(task.name), xml_escape(task.words)
        rows.append(f'<thread id="{thread}" name={name}>{words}</thread>\n')
    return f'<?xml version="1.0"?>\n<threads>\n{"".join(rows)}</threads>\n'.encode()


def _has_program(session: SessionState) -> bool:
    """Whether the client should read the guest's file through this connection by itself.

    Not the vmlinux of a kernel: it has hundreds of megabytes.
    """
    return bool(session.guest.images) and not session.guest.has_linux


def _program(session: SessionState, annex: bytes) -> bytes:
    if not _has_program(session):
        raise PacketError("the guest was not loaded from a file with symbols", errno.ENOENT)
    return str(session.guest.images[0].path.absolute()).encode()


_OBJECTS: dict[bytes, Callable[[SessionState, bytes], bytes]] = {
    b"features": _features,
    b"memory-map": _memory_map,
    b"threads": _threads,
    b"exec-file": _program,
}


def transfer(session: SessionState, rest: bytes) -> bytes:
    """qXfer:OBJECT:read:ANNEX:OFFSET,LENGTH: a piece, after m (more follows) or l (the last)."""
    try:
        _, name, what, annex, where = rest.split(b":", 4)
    except ValueError:
        raise PacketError("qXfer is qXfer:OBJECT:read:ANNEX:OFFSET,LENGTH") from None
    if name not in _OBJECTS or what != b"read":
        return b""
    offset, length = parse_range(where)
    document = _OBJECTS[name](session, annex)
    if offset > len(document):
        raise PacketError(f"the offset {offset} is past the end")
    piece = document[offset : offset + min(length, _MAX_READ)]
    return (b"l" if offset + len(piece) >= len(document) else b"m") + escape(piece)


def offsets(session: SessionState, rest: bytes) -> bytes:
    """qOffsets: how far the guest is loaded from the addresses it was linked at.

    None, as QEMU for a machine: pwndbg and gef take a target with any reply for a process.
    """
    images = session.guest.images
    if not images or not images[0].slide:
        return b""
    return b"Text=%x;Data=%x;Bss=%x" % ((images[0].slide,) * 3)


def features(session: SessionState) -> list[bytes]:
    """The documents of this guest."""
    found = [b"qXfer:features:read+", b"qXfer:memory-map:read+", b"qXfer:threads:read+"]
    if _has_program(session):
        found.append(b"qXfer:exec-file:read+")
    return found


HANDLERS: dict[bytes, Handler] = {b"qXfer": transfer, b"qOffsets": offsets}
