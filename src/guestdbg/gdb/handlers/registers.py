"""Registers: g, G, p, P.

Source: "Debugging with GDB", appendix E.2 (packets).
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from guestdbg.errors import GuestdbgError
from guestdbg.gdb.errors import PacketError
from guestdbg.gdb.packet_fields import parse_hex_bytes, parse_number
from guestdbg.gdb.register_file import SP

if TYPE_CHECKING:
    from guestdbg.gdb.register_file import Register
    from guestdbg.gdb.session_state import Handler, SessionState
    from guestdbg.gdb.task_threads import TaskThread


def _of_task(task: TaskThread, register: Register) -> bytes:
    """A register of a task that no vCPU executes, as far as the kernel keeps it."""
    try:
        value = task.registers.get(register.number)
    except GuestdbgError as error:
        raise PacketError(str(error), errno.ESRCH) from error
    if value is None:
        return b"xx" * register.size
    return value.to_bytes(register.size, "little").hex().encode()


def _check_writable(session: SessionState) -> None:
    task = session.task
    if task is not None and task.vcpu is None:
        raise PacketError(
            f"{task.name} ({task.words}) is not executed by a vCPU: its registers cannot be written"
        )


def read_all(session: SessionState, rest: bytes) -> bytes:
    """g: read X0 to CPSR. Clients read the other registers one by one."""
    task = session.task
    if task is None or task.vcpu is not None:
        return session.registers.read_core(session.context).hex().encode()
    return b"".join(_of_task(task, register) for register in session.registers.core)


def write_all(session: SessionState, rest: bytes) -> bytes:
    """G XX..: write X0 to CPSR."""
    _check_writable(session)
    session.registers.write_core(session.context, parse_hex_bytes(rest))
    return b"OK"


def read_one(session: SessionState, rest: bytes) -> bytes:
    """p N: read one register."""
    number, task = parse_number(rest), session.task
    if task is None or task.vcpu is not None:
        return session.registers.read(session.context, number).hex().encode()
    register = session.registers.by_number(number)
    if register.reg_id is None and number != SP:
        # Which bits of a pointer are its address is the same for all tasks.
        return session.registers.read(session.context, number).hex().encode()
    value = _of_task(task, register)
    if session.is_lldb and value[:1] == b"x":
        # LLDB would take the letters for 0xcc.
        raise PacketError(f"{task.name} ({task.words}) has no {register.name} while it waits")
    return value


def write_one(session: SessionState, rest: bytes) -> bytes:
    """P N=VALUE: write one register."""
    register, equals, value = rest.partition(b"=")
    if not equals:
        raise PacketError("P is P REGISTER=VALUE")
    _check_writable(session)
    session.registers.write(session.context, parse_number(register), parse_hex_bytes(value))
    return b"OK"


HANDLERS: dict[bytes, Handler] = {
    b"g": read_all,
    b"G": write_all,
    b"p": read_one,
    b"P": write_one,
}
