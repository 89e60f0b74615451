"""What LLDB asks beyond GDB's packets: who we are, registers one by one, areas of memory, threads.

Source: LLDB's docs/resources/lldbgdbremote.md, each packet by its name.
"""

from __future__ import annotations

import errno
import json
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from guestdbg.debugger.memory.regions import region_at
from guestdbg.gdb import threads
from guestdbg.gdb.errors import Refused
from guestdbg.gdb.handlers import Handler
from guestdbg.gdb.packets import escape
from guestdbg.gdb.registers import CPSR, PC, SP, V0, Register
from guestdbg.gdb.stop_reply import SIGTRAP, Event
from guestdbg.gdb.text import number

if TYPE_CHECKING:
    from guestdbg.gdb.session import Session

_TRIPLE = b"aarch64-unknown-none-elf"
_MACHINE = b"triple:%s;ptrsize:8;endian:little;" % _TRIPLE.hex().encode()

_SETS = {
    "general": "General Purpose Registers",
    "vector": "Floating Point Registers",
    "float": "Floating Point Registers",
    "system": "System Registers",
}
#: What registers are for, in LLDB's words: the procedure call standard's arguments, and these.
_GENERIC = {n: f"arg{n + 1}" for n in range(8)} | {
    29: "fp",
    30: "ra",
    SP: "sp",
    PC: "pc",
    CPSR: "flags",
}
#: "DWARF for the Arm 64-bit Architecture" numbers V0 to V31 from here on.
_DWARF_V0 = 64
_NO_SUCH_REGISTER = b"E45"


def host(session: Session, rest: bytes) -> bytes:
    """qHostInfo. Watchpoints are told before the access, as the architecture has them."""
    return _MACHINE + b"watchpoint_exceptions_received:before;"


def process(session: Session, rest: bytes) -> bytes:
    """qProcessInfo: the guest as the one process that there is."""
    return b"pid:%x;" % threads.PROCESS + _MACHINE


def server_version(session: Session, rest: bytes) -> bytes:
    """qGDBServerVersion."""
    try:
        known = version("guestdbg")
    except PackageNotFoundError:  # run from its sources
        known = "0"
    return b"name:guestdbg;version:%s;" % known.encode()


def register_info(session: Session, rest: bytes) -> bytes:
    """qRegisterInfoN: one register; behind the last one there is an error, which ends the list."""
    wanted = number(rest)
    offset = 0
    for register in session.registers:
        if register.number == wanted:
            return _describe(register, offset)
        offset += register.size
    return _NO_SUCH_REGISTER


def _describe(register: Register, offset: int) -> bytes:
    vector = register.group == "vector"
    fields: dict[str, object] = {
        "name": register.name,
        "bitsize": 8 * register.size,
        "offset": offset,
        "encoding": "vector" if vector else "uint",
        "format": "vector-uint8" if vector else "hex",
        "set": _SETS[register.group],
    }
    dwarf = None
    if register.number <= SP:
        dwarf = register.number
    elif vector:
        dwarf = _DWARF_V0 + register.number - V0
    if dwarf is not None:
        fields |= {"ehframe": dwarf, "dwarf": dwarf}
    if register.number in _GENERIC:
        fields["generic"] = _GENERIC[register.number]
    return "".join(f"{key}:{value};" for key, value in fields.items()).encode()


def watchpoints(session: Session, rest: bytes) -> bytes:
    """qWatchpointSupportInfo: how many watchpoint registers there are."""
    return b"num:%d;" % session.guest.hardware.watchpoints


def memory_region(session: Session, rest: bytes) -> bytes:
    """qMemoryRegionInfo:ADDRESS: the memory region around it; without permissions it is not mapped.

    Without an address a client only asks whether we know the packet.
    """
    if not rest.removeprefix(b":"):
        raise Refused("qMemoryRegionInfo is qMemoryRegionInfo:ADDRESS", errno.EINVAL)
    vcpu, board = session.core.vcpu, session.guest.board
    region = region_at(vcpu.get_one_reg, board, number(rest[1:]))
    fields = [b"start:%x;size:%x;" % (region.start, region.end - region.start)]
    if region.permissions is not None:
        allowed = str(region.permissions).replace("-", "")
        fields.append(b"permissions:%s;" % allowed.encode())
    if region.name:
        fields.append(b"name:%s;" % region.name.encode().hex().encode())
    return b"".join(fields)


def threads_info(session: Session, rest: bytes) -> bytes:
    """jThreadsInfo: every thread that stands, why, and its general registers."""
    rows = [
        _thread(session, place)
        for place in range(len(session.guest.cores))
        if place not in session.moves
    ]
    return escape(json.dumps(rows, separators=(",", ":")).encode())


def _thread(session: Session, place: int) -> dict[str, Any]:
    core = session.guest.cores[place]
    registers = session.registers
    row: dict[str, Any] = {
        "tid": place + 1,
        "name": f"vCPU {core.vcpu.id}",
        "registers": {
            str(register.number): registers.read(core, register.number).hex()
            for register in registers.core
        },
    }
    event = session.events.get(place)
    return row | ({"reason": "none"} if event is None else _why(event))


def _why(event: Event) -> dict[str, Any]:
    """The reason of a stop in LLDB's words; the same as the stop reply's."""
    word, _, value = event.reason.rstrip(b";").partition(b":")
    row: dict[str, Any] = {"signal": event.signal}
    if word.endswith(b"watch"):
        return row | {"reason": "watchpoint", "description": str(int(value, 16))}
    if word.endswith(b"break"):
        return row | {"reason": "breakpoint"}
    if event.signal == SIGTRAP and event.stop is not None:
        return row | {"reason": "trace"}
    return row | {"reason": "signal"}


HANDLERS: dict[bytes, Handler] = {
    b"qHostInfo": host,
    b"qProcessInfo": process,
    b"qGDBServerVersion": server_version,
    b"qRegisterInfo": register_info,
    b"qWatchpointSupportInfo": watchpoints,
    b"qMemoryRegionInfo": memory_region,
    b"jThreadsInfo": threads_info,
}
