"""`monitor info`, `gva2gpa` and `gpa2hva`: what scripts ask of QEMU's monitor through GDB.

The output has QEMU's format, because pwndbg and gef read it. For page tables and physical memory
they have other ways too: system registers, and the packet ``Qqemu.PhyMemMode``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from guestdbg.debugger import AddressError
from guestdbg.debugger.memory.mapped_ranges import mapped_ranges
from guestdbg.gdb.monitor.command import Command, MonitorError
from guestdbg.gdb.register_file import CPSR, PC, SP
from guestdbg.gdb.thread_words import describe
from guestdbg.machine.layout import GICC_BASE, GICD_BASE, GICR_BASE

if TYPE_CHECKING:
    from guestdbg.arm64.translate import Permissions
    from guestdbg.gdb.session_state import SessionState

#: Lines of `info mem`: about a megabyte of text.
_MAX_LINES = 16384
_USAGE = "monitor info mem | mtree | registers | cpus | status | version"
#: gef looks for the interrupt controller by these names of QEMU's.
_GIC_NAMES = {GICD_BASE: "gic_dist", GICC_BASE: "gic_cpu", GICR_BASE: "gicv3_redist_region[0]"}


def info(session: SessionState, words: list[str]) -> str:
    """One of the subcommands."""
    if not words:
        raise MonitorError(_USAGE)
    function = _INFO.get(words[0])
    if function is None:
        # QEMU's words, by which scripts recognize that it does not know a command.
        raise MonitorError(f"unknown command: 'info {words[0][:80]}'; {_USAGE}")
    return function(session, words[1:])


def _letters(el0: Permissions, el1: Permissions) -> str:
    """u: programs can access it; r, w, x: the kernel's permissions, or else those of programs."""
    user = el0.read or el0.write or el0.execute
    execute = el1.execute or el0.execute
    return "".join(
        letter if on else "-"
        for letter, on in zip("urwx", (user, el1.read, el1.write, execute), strict=True)
    )


def _mem(session: SessionState, words: list[str]) -> str:
    """Which virtual addresses are mapped, as the current vCPU's page tables are now."""
    execution = session.execution
    halves = mapped_ranges(session.context.vcpu.get_one_reg, execution.read_phys)
    if halves is None:
        return "PG disabled\n"
    lines, complete = [], True
    for half in halves:
        complete = complete and half.complete
        lines += [
            f"{one.start:016x}-{one.end:016x} {one.end - one.start:016x} "
            f"{_letters(one.el0, one.el1)}"
            for one in half.ranges
        ]
    if len(lines) > _MAX_LINES or not complete:
        session.refused("`monitor info mem` is cut off: the guest's tables map too many ranges")
    return "".join(f"{line}\n" for line in lines[:_MAX_LINES])


def _blocks(session: SessionState) -> Iterator[tuple[int, int, str, str]]:
    board = session.guest.board
    for region in board.memory:
        yield region.base, region.end, "rom" if region.read_only else "ram", region.name
    for frame in () if board.gic is None else board.gic.frames:
        yield frame.base, frame.end, "i/o", _GIC_NAMES.get(frame.base, frame.name)
    for device in board.bus.devices:
        yield device.base, device.base + device.size, "i/o", device.name


def _mtree(session: SessionState, words: list[str]) -> str:
    """The guest-physical address space."""
    rows = [
        f"  {start:016x}-{end - 1:016x} (prio 0, {kind}): {name}\n"
        for start, end, kind, name in sorted(_blocks(session))
    ]
    head = 'FlatView #0\n AS "memory", root: system\n Root memory region: system\n'
    return head + "".join(rows) + "\n"


def _registers(session: SessionState, words: list[str]) -> str:
    """X0 to X30, SP, PC and PSTATE of the selected vCPU."""
    context, registers = session.context, session.registers

    def value(number: int) -> int:
        return int.from_bytes(registers.read(context, number), "little")

    shown = [("PC", PC), *((f"X{n:02}", n) for n in range(31)), ("SP", SP)]
    cells = [f"{name:>3}={value(number):016x}" for name, number in shown]
    rows = [" ".join(cells[at : at + 3]) for at in range(0, len(cells), 3)]
    pstate = value(CPSR)
    return "\n".join(
        [
            f"CPU#{context.number}",
            *rows,
            f"PSTATE={pstate:08x} EL{context.cpu.el}{'h' if pstate & 1 else 't'}\n",
        ]
    )


def _cpus(session: SessionState, words: list[str]) -> str:
    """The vCPUs; the selected one has a star."""
    general = session.threads.general
    return "".join(
        f"{'*' if n == general else ' '} CPU #{context.vcpu.id}: {describe(session, n)}\n"
        for n, context in enumerate(session.execution.vcpus)
    )


def _status(session: SessionState, words: list[str]) -> str:
    """Whether the guest runs."""
    if session.guest.ended is not None:
        return "VM status: shutdown\n"
    return f"VM status: {'running' if session.threads.resume_actions else 'paused (debug)'}\n"


def _version(session: SessionState, words: list[str]) -> str:
    """guestdbg's version, not that of any QEMU."""
    try:
        return f"guestdbg {version('guestdbg')}\n"
    except PackageNotFoundError:  # run from its sources
        return "guestdbg\n"


_INFO: dict[str, Callable[[SessionState, list[str]], str]] = {
    "mem": _mem,
    "mtree": _mtree,
    "registers": _registers,
    "cpus": _cpus,
    "status": _status,
    "version": _version,
}


def gva2gpa(session: SessionState, words: list[str]) -> str:
    """The physical address of a virtual one."""
    if len(words) != 1:
        raise MonitorError("monitor gva2gpa ADDRESS")
    try:
        address = int(words[0], 0) & (1 << 64) - 1
        return f"gpa: {session.context.space.translate(address):#x}\n"
    except ValueError:
        raise MonitorError(f"{words[0][:80]!r} is not a number") from None
    except AddressError:
        return "Unmapped\n"


def gpa2hva(session: SessionState, words: list[str]) -> str:
    """Refused: a client has no business in the server's own memory."""
    # Without a number at the end, scripts read the guest's memory through GDB.
    raise MonitorError(
        "there are no host virtual addresses here: read physical memory with "
        "`maintenance packet Qqemu.PhyMemMode:1`, or with `monitor phys`"
    )


COMMANDS = (
    Command(
        "info",
        "mem | mtree | registers | cpus | status | version",
        "as in QEMU's monitor: the page tables, the physical address space, the vCPUs",
        info,
    ),
    Command("gva2gpa", "ADDRESS", "as in QEMU's monitor: like translate", gva2gpa),
    Command("gpa2hva", "ADDRESS", "as in QEMU's monitor: refused", gpa2hva),
)
