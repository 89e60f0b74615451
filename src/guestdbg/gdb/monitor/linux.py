"""`monitor linux`: what the kernel of a Linux guest does, read from its structures.

The output is bounded: a guest may have any number of tasks, and GDB shows all that it is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guestdbg.errors import GuestdbgError
from guestdbg.gdb.monitor.command import Command, MonitorError
from guestdbg.gdb.task_threads import MAX_TASKS

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import SessionState
    from guestdbg.linux import Linux

#: Lines of one command, and columns of a line.
_MAX_LINES = 5000
_WIDTH = 160
_DMESG_LINES = 50


@dataclass(frozen=True, slots=True)
class _Topic:
    """A word after `monitor linux`: its arguments, a line of help, and what gives the text."""

    arguments: str
    summary: str
    run: Callable[[SessionState, Linux, list[str]], str]


def linux(session: SessionState, words: list[str]) -> str:
    """One of the topics; without one, the list of them."""
    if not words:
        return _help()
    topic = _TOPICS.get(words[0])
    if topic is None:
        near = [name for name in _TOPICS if name.startswith(words[0])]
        if len(near) != 1:
            raise MonitorError(
                f"monitor linux knows no {words[0][:40]!r}: {', '.join(near or _TOPICS)}"
            )
        topic = _TOPICS[near[0]]
    if session.threads.resume_actions:
        raise MonitorError("the guest runs: stop it first (Ctrl-C, or `interrupt`)")
    return topic.run(session, session.guest.linux, words[1:])


def _help() -> str:
    rows = [(f"{name} {topic.arguments}".rstrip(), topic) for name, topic in _TOPICS.items()]
    width = max(len(left) for left, _ in rows)
    return "".join(f"monitor linux {left:{width}}  {topic.summary}\n" for left, topic in rows)


def _lines(text: str, limit: int = _MAX_LINES) -> str:
    lines = text.split("\n")
    if len(lines) > limit:
        lines = [*lines[:limit], f"({len(lines) - limit} more lines are not shown)"]
    return "\n".join(lines).rstrip("\n") + "\n"


def _table(records: Any) -> str:
    return _lines(records.table(_WIDTH)) if records or records.cut else "none\n"


def _number(words: list[str], usage: str, default: int | None = None) -> int:
    """The only argument, a number."""
    if not words and default is not None:
        return default
    try:
        (word,) = words
        value = int(word, 0)
    except ValueError:
        raise MonitorError(f"monitor linux {usage}") from None
    if value < 0:
        raise MonitorError(f"monitor linux {usage}: not a negative number")
    return value


def _none(words: list[str], topic: str) -> None:
    if words:
        raise MonitorError(f"monitor linux {topic} takes no arguments")


def _version(session: SessionState, linux: Linux, words: list[str]) -> str:
    _none(words, "version")
    lines = [linux.version]
    try:
        lines.append(f"command line: {linux.command_line}")
    except GuestdbgError as error:
        lines.append(f"command line: not known: {error}")
    where = f"at {linux.address:#x}, physical {linux.physical_address:#x}"
    try:
        where += f", slide {linux.slide:#x}"
    except GuestdbgError:
        where += ", slide not known"
    state = "" if linux.is_relocated else ", not relocated yet"
    return "\n".join([*lines, f"kernel {where}{state}"]) + "\n"


def _ps(session: SessionState, linux: Linux, words: list[str]) -> str:
    if words not in ([], ["-T"]):
        raise MonitorError("monitor linux ps, or with all threads: monitor linux ps -T")
    return _table(linux.tasks(threads=bool(words)))


def _task(session: SessionState, linux: Linux, words: list[str]) -> str:
    task = linux.task(_number(words, "task PID"))
    lines = [f"{task}", f"task_struct {task.address:#x}"]
    for part in (_backtrace_of, _registers_of):
        try:
            lines += part(task)
        except GuestdbgError as error:
            lines.append(f"{error}")
    return "\n".join(lines) + "\n"


def _backtrace_of(task: Any) -> list[str]:
    return [f"{task.backtrace()}"]


def _registers_of(task: Any) -> list[str]:
    registers = task.registers()
    cells = [f"{name:>6} {value:016x}" for name, value in registers.items()]
    rows = [" ".join(cells[at : at + 4]) for at in range(0, len(cells), 4)]
    return ["its program's registers:", *rows]


def _current(session: SessionState, linux: Linux, words: list[str]) -> str:
    _none(words, "current")
    lines = []
    for place, context in enumerate(session.execution.vcpus):
        try:
            text = f"{linux.current(place)}"
        except GuestdbgError as error:
            text = f"{error}"
        lines.append(f"vCPU {context.vcpu.id}: {text}")
    return "\n".join(lines) + "\n"


def _dmesg(session: SessionState, linux: Linux, words: list[str]) -> str:
    count = _number(words, "dmesg [LINES | 0 for all]", _DMESG_LINES)
    records = linux.dmesg()
    shown = records[-count:] if count else records
    texts = [f"{record}" for record in shown]
    if records.cut is not None:
        texts.append(f"({records.cut})")
    lines = [_printable(line) for text in texts for line in text.split("\n")]
    return _lines("\n".join(lines[-_MAX_LINES:])) if lines else "none\n"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in text)


def _modules(session: SessionState, linux: Linux, words: list[str]) -> str:
    _none(words, "lsmod")
    return _table(linux.modules())


def _mounts(session: SessionState, linux: Linux, words: list[str]) -> str:
    return _table(linux.mounts(_number(words, "mounts [PID]", 1)))


def _interrupts(session: SessionState, linux: Linux, words: list[str]) -> str:
    _none(words, "interrupts")
    return _table(linux.interrupts())


def _page(session: SessionState, linux: Linux, words: list[str]) -> str:
    return _lines(f"{linux.page(_number(words, 'page PHYSICAL-ADDRESS'))}")


def _threads(session: SessionState, linux: Linux, words: list[str]) -> str:
    """Whether tasks are threads of the debugger."""
    if len(words) > 1 or (words and words[0] not in ("on", "off")):
        raise MonitorError("monitor linux threads [on | off]")
    tasks = session.tasks
    if words == ["on"]:
        if session.threads.non_stop:
            raise MonitorError("in non-stop mode tasks cannot be threads: set non-stop off")
        tasks.forget()
        count = len(tasks.read())
        tasks.enabled = True
        limit = f" (the first {MAX_TASKS})" if count >= MAX_TASKS else ""
        return (
            f"the guest's {count} tasks{limit} are threads: `info threads` (LLDB: continue or step "
            "once). vCPUs stay threads 1 and up, and only they run and step\n"
        )
    if words == ["off"]:
        tasks.enabled = False
        session.task = None
        return "only vCPUs are threads\n"
    return "tasks are threads\n" if tasks.enabled else "only vCPUs are threads\n"


def _symbols(session: SessionState, linux: Linux, words: list[str]) -> str:
    """Symbols by name, or how to have them in GDB."""
    if not words:
        return (
            f"{len(linux.kallsyms)} symbols; those of a name: monitor linux symbols NAME\n"
            "GDB reads names and call frames from the server: symbol-file target:/linux-symbols\n"
        )
    if len(words) != 1:
        raise MonitorError("monitor linux symbols [NAME]")
    found = linux.symbols(words[0])
    if not found:
        raise MonitorError(f"the kernel has no symbol {words[0][:200]!r}")
    rows = [
        f"{one.address:#x} {one.size:#8x} {one.kind.name.lower()} {one.name}\n"
        for one in found[:_MAX_LINES]
    ]
    return "".join(rows)


_TOPICS: dict[str, _Topic] = {
    "version": _Topic("", "its version, command line and address", _version),
    "ps": _Topic("[-T]", "the processes, or all threads", _ps),
    "task": _Topic("PID", "a task: its kernel stack and its program's registers", _task),
    "current": _Topic("", "what each vCPU executes", _current),
    "threads": _Topic("[on | off]", "tasks as threads of the debugger", _threads),
    "dmesg": _Topic("[LINES]", "the last lines of the kernel's log; 0: all", _dmesg),
    "lsmod": _Topic("", "the modules", _modules),
    "mounts": _Topic("[PID]", "what is mounted, as a task sees it", _mounts),
    "interrupts": _Topic("", "interrupts with handlers, and their counts", _interrupts),
    "page": _Topic("PHYSICAL", "a page of physical memory: flags, counts, owner", _page),
    "symbols": _Topic("[NAME]", "symbols of that name; how GDB gets all", _symbols),
}

COMMANDS = (
    Command(
        "linux",
        "[" + " | ".join(_TOPICS) + "]",
        "what the kernel of a Linux guest does; alone: the list of these commands",
        linux,
    ),
)
