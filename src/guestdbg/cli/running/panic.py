"""A guest whose kernel has panicked: task, registers and backtrace of the vCPU that printed it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from guestdbg.cli.running.hit_output import frame_records
from guestdbg.debugger.unwind.backtrace import DEFAULT_LIMIT
from guestdbg.errors import GuestdbgError
from guestdbg.terminal_text.hits import frames

if TYPE_CHECKING:
    from guestdbg.debugger import Cpu, Guest

_IN_A_ROW = 4
_REGISTERS = (*(f"x{n}" for n in range(31)), "sp", "pc", "pstate", "ESR_EL1", "FAR_EL1", "ELR_EL1")


def lines(guest: Guest, limit: int | None) -> list[Text]:
    """The registers, and the callers up to ``limit``."""
    cpu = _stopped(guest)
    words = [f"{name:>7} {value:016x}" for name, value in _registers(cpu).items()]
    rows = [words[n : n + _IN_A_ROW] for n in range(0, len(words), _IN_A_ROW)]
    task = _task(guest)
    of = "" if task is None else f", task {task['pid']} ({task['comm']}),"
    where = Text(f"   printed by vCPU {cpu.id}{of} in {cpu.location.symbolic}  ", "bold")
    where.append(f"pc {cpu.pc:#x}", style="not bold dim")
    called = frames(cpu.backtrace(limit or DEFAULT_LIMIT))
    return [where, called, *(Text("   " + " ".join(row), "dim") for row in rows)]


def record(guest: Guest, limit: int | None) -> dict[str, Any]:
    """The same for the log."""
    cpu = _stopped(guest)
    backtrace = cpu.backtrace(limit or DEFAULT_LIMIT)
    return {
        "vcpu": cpu.id,
        "task": _task(guest),
        "registers": {name: f"{value:#x}" for name, value in _registers(cpu).items()},
        "backtrace": frame_records(backtrace),
        "backtrace_cut": backtrace.cut,
    }


def _stopped(guest: Guest) -> Cpu:
    return guest.vcpus[guest.execution.current]


def _task(guest: Guest) -> dict[str, Any] | None:
    """The task that the vCPU executes; None if that is not known."""
    try:
        found = guest.linux.current(_stopped(guest))
    except GuestdbgError:
        return None
    return {"pid": found.pid, "comm": found.comm}


def _registers(cpu: Cpu) -> dict[str, int]:
    return {name: cpu.reg(name) for name in _REGISTERS}
