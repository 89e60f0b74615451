"""`monitor snapshot`, `restore` and `snapshots`: going back to an earlier time of the guest.

The snapshots belong to the server: a debugger that attaches later has them, too.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from guestdbg.gdb.monitor.command import Command, MonitorError

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import SessionState

#: Each may need as much memory as the guest has.
MAX_SNAPSHOTS = 32

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_USAGE = "monitor snapshots [delete NAME | all]"


def snapshot(session: SessionState, words: list[str]) -> str:
    """Keep the guest's state under a name."""
    if len(words) > 1:
        raise MonitorError("monitor snapshot [NAME]")
    _check_stopped(session)
    snapshots = session.snapshots
    name = (
        words[0] if words else next(n for n in map(str, itertools.count(1)) if n not in snapshots)
    )
    if not _NAME.fullmatch(name) or name == "all":
        raise MonitorError(
            f"a snapshot cannot be named {name[:80]!r}: a name has up to 64 letters, digits, '_', "
            "'.' and '-', and is not 'all'"
        )
    if name in snapshots:
        raise MonitorError(
            f"there is a snapshot {name!r} already: give another name, or first: "
            f"monitor snapshots delete {name}"
        )
    if len(snapshots) >= MAX_SNAPSHOTS:
        raise MonitorError(f"there are {MAX_SNAPSHOTS} snapshots, which is the most: delete one")
    snapshots[name] = session.guest.snapshot()
    return f"snapshot {name}: {_described(session, name)}\n"


def restore(session: SessionState, words: list[str]) -> str:
    """Put the guest back to a snapshot; breakpoints and watchpoints stay."""
    if len(words) != 1:
        raise MonitorError(f"monitor restore NAME; {_listed(session)}")
    _check_stopped(session)
    session.restore(session.snapshots[_existing(session, words[0])])
    location = session.guest.locate(session.context.cpu.pc)
    return (
        f"the guest is at snapshot {words[0]}, in {location}\n"
        "(GDB still shows the old registers: `maintenance flush register-cache`)\n"
    )


def snapshots(session: SessionState, words: list[str]) -> str:
    """List the snapshots, or delete one or all."""
    kept = session.snapshots
    if not words:
        rows = [f"{name}: {_described(session, name)}" for name in kept]
        return "\n".join(rows or ["no snapshots; to take one: monitor snapshot NAME"]) + "\n"
    if len(words) != 2 or words[0] != "delete":
        raise MonitorError(_USAGE)
    if words[1] == "all":
        kept.clear()
    else:
        del kept[_existing(session, words[1])]
    return ""


def _check_stopped(session: SessionState) -> None:
    if session.threads.resume_actions:
        raise MonitorError("the guest runs: stop it first (Ctrl-C, or `interrupt`)")


def _existing(session: SessionState, name: str) -> str:
    if name not in session.snapshots:
        raise MonitorError(f"there is no snapshot {name[:80]!r}; {_listed(session)}")
    return name


def _listed(session: SessionState) -> str:
    return f"the snapshots are: {', '.join(session.snapshots) or 'none'}"


def _described(session: SessionState, name: str) -> str:
    kept = session.snapshots[name]
    counts = " + ".join(f"{count:,}" for count in kept.instructions)
    return f"after {counts} instructions, {kept.memory_size >> 10:,} KiB of memory"


COMMANDS = (
    Command("snapshot", "[NAME]", "keep the state of the guest under a name", snapshot),
    Command("restore", "NAME", "put the guest back to a snapshot; breakpoints stay", restore),
    Command("snapshots", "[delete NAME | all]", "list the snapshots, or delete them", snapshots),
)
