"""Packets of QEMU's gdbstub: physical memory mode, and what interrupts do to a single step.

``Qqemu.PhyMemMode:1`` lets the memory packets take physical addresses. The flags of ``qemu.sstep``
are those of QEMU: ENABLE, a step executes one instruction (without it, a step continues); NOIRQ, a
step does not end in the handler of an interrupt; NOTIMER, timers do not advance while the guest is
stopped between steps, which holds for every guest whose time is that of its instructions.

Source: QEMU's docs/system/gdb.rst ("Advanced debugging options").
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from guestdbg.gdb.errors import PacketError
from guestdbg.gdb.step_flags import StepFlags

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import Handler, SessionState

_NAME = re.compile(rb"\.([A-Za-z]+)(.*)", re.DOTALL)
# strtoul takes numbers with and without the prefix.
_HEX = re.compile(rb"(?:0[xX])?([0-9a-fA-F]{1,16})")


def _number(text: bytes) -> int:
    match = _HEX.fullmatch(text)
    if match is None:
        raise PacketError("a number in hexadecimal must follow")
    return int(match[1], 16)


def _step_flags(session: SessionState, value: bytes) -> bytes:
    """qemu.sstep: the flags; qemu.sstep=HEX: set them. Both words, q and Q, do both."""
    if not value:
        return b"0x%x" % session.step_flags
    flags = _number(value.removeprefix(b"=")) if value[:1] == b"=" else -1
    if flags < 0:
        return b""
    if flags > StepFlags.ALL:
        raise PacketError(
            f"the flags are {StepFlags.ENABLE:d}, {StepFlags.NOIRQ:d} and "
            f"{StepFlags.NOTIMER:d}, not {flags:#x}"
        )
    session.set_step_flags(StepFlags(flags))
    return b"OK"


def _common(session: SessionState, name: bytes, value: bytes) -> bytes:
    if name == b"sstepbits" and not value:
        return ",".join(f"{flag.name}={flag:x}" for flag in StepFlags).encode()
    return _step_flags(session, value) if name == b"sstep" else b""


def query(session: SessionState, rest: bytes) -> bytes:
    """qqemu.Supported, qqemu.PhyMemMode, qqemu.sstepbits, qqemu.sstep."""
    name, value = _split(rest)
    if value:
        return _common(session, name, value)
    if name == b"Supported":
        return b"sstepbits;sstep;PhyMemMode"
    if name == b"PhyMemMode":
        return b"%d" % session.physical_memory
    return _common(session, name, value)


def change(session: SessionState, rest: bytes) -> bytes:
    """Qqemu.PhyMemMode:N, Qqemu.sstep=HEX."""
    name, value = _split(rest)
    if name == b"PhyMemMode" and value[:1] == b":":
        session.physical_memory = bool(_number(value[1:]))
        return b"OK"
    return _common(session, name, value)


def _split(rest: bytes) -> tuple[bytes, bytes]:
    match = _NAME.fullmatch(rest)
    return (match[1], match[2]) if match else (b"", b"")


HANDLERS: dict[bytes, Handler] = {b"qqemu": query, b"Qqemu": change}
