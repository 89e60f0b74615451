"""Packets that only LLDB sends: host and process, register by register, memory regions, threads.

Source: LLDB's docs/resources/lldbgdbremote.md, each packet by its name.
"""

from __future__ import annotations

import errno
import json
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from guestdbg.debugger.memory.regions import region_at
from guestdbg.gdb import thread_id
from guestdbg.gdb.errors import PacketError
from guestdbg.gdb.packet_fields import parse_number
from guestdbg.gdb.packets import escape
from guestdbg.gdb.register_file import CPSR, PC, SP, V0
from guestdbg.gdb.stop_reply import SIGTRAP

if TYPE_CHECKING:
    from guestdbg.gdb.register_file import Register
    from guestdbg.gdb.session_state import Handler, SessionState
    from guestdbg.gdb.stop_reply import StopEvent
    from guestdbg.gdb.task_threads import TaskThread

_TRIPLE = b"aarch64-unknown-none-elf"
_MACHINE = b"triple:%s;ptrsize:8;endian:little;" % _TRIPLE.hex().encode()

_SETS = {
    "general": "General Purpose Registers",
    "vector": "Floating Point Registers",
    "float": "Floating Point Registers",
    "system": "System Registers",
}
#: LLDB's generic names of registers: the arguments by the procedure call standard, and these.
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


def host(session: SessionState, rest: bytes) -> bytes:
    """qHostInfo: the target. A watchpoint hit is reported before the access, as on Arm hardware."""
    session.is_lldb = True
    # By it LLDB takes pointer authentication codes out of return addresses, in both halves.
    return _MACHINE + b"watchpoint_exceptions_received:before;addressing_bits:48;"


def process(session: SessionState, rest: bytes) -> bytes:
    """qProcessInfo: the guest, which is the only process."""
    return b"pid:%x;" % thread_id.PROCESS + _MACHINE


def server_version(session: SessionState, rest: bytes) -> bytes:
    """qGDBServerVersion."""
    try:
        known = version("guestdbg")
    except PackageNotFoundError:  # run from its sources
        known = "0"
    return b"name:guestdbg;version:%s;" % known.encode()


def register_info(session: SessionState, rest: bytes) -> bytes:
    """qRegisterInfoN: describe register N. An error reply ends LLDB's list."""
    found = parse_number(rest)
    offset = 0
    for register in session.registers:
        if register.number == found:
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


def watchpoints(session: SessionState, rest: bytes) -> bytes:
    """qWatchpointSupportInfo: how many watchpoint registers there are."""
    return b"num:%d;" % session.guest.hardware.watchpoints


def memory_region(session: SessionState, rest: bytes) -> bytes:
    """qMemoryRegionInfo:ADDRESS: the region around it. One without permissions is not mapped.

    Without an address a client tests for support: an error reply means yes.
    """
    if not rest.removeprefix(b":"):
        raise PacketError("qMemoryRegionInfo is qMemoryRegionInfo:ADDRESS", errno.EINVAL)
    vcpu, board = session.context.vcpu, session.guest.board
    region = region_at(vcpu.get_one_reg, board, parse_number(rest[1:]))
    fields = [b"start:%x;size:%x;" % (region.start, region.end - region.start)]
    if region.permissions is not None:
        allowed = str(region.permissions).replace("-", "")
        fields.append(b"permissions:%s;" % allowed.encode())
    if region.name:
        fields.append(b"name:%s;" % region.name.encode().hex().encode())
    return b"".join(fields)


def threads_info(session: SessionState, rest: bytes) -> bytes:
    """jThreadsInfo: all stopped threads, with stop reason and general registers."""
    rows = [
        _thread(session, index)
        for index in range(session.threads.count)
        if index not in session.threads.resume_actions
    ]
    rows += [_task(session, one) for one in session.tasks.all()]
    return escape(json.dumps(rows, separators=(",", ":")).encode())


def _thread(session: SessionState, index: int) -> dict[str, Any]:
    context = session.execution.vcpus[index]
    registers = session.registers
    row: dict[str, Any] = {
        "tid": index + 1,
        "name": f"vCPU {context.vcpu.id}",
        "registers": {
            str(register.number): registers.read(context, register.number).hex()
            for register in registers.core
        },
    }
    event = session.threads.stop_events.get(index)
    return row | ({"reason": "none"} if event is None else _stop_reason(event))


def _task(session: SessionState, thread: TaskThread) -> dict[str, Any]:
    """A task as a thread. Its registers are read one by one."""
    return {"tid": thread.number, "name": f"{thread.name} ({thread.task.pid})", "reason": "none"}


def _stop_reason(event: StopEvent) -> dict[str, Any]:
    """The stop reason by LLDB's names, from that of the stop reply."""
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
