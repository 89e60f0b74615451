"""The tasks of Linux at its prompt, listed through GDB by `lx-ps` of the kernel's own scripts.

The scripts and the kernel's vmlinux are those that `guestdbg.lab.guests` fetches: 220 MB, the first
time. What GDB does once, such as reading the types of a task, is not timed.
"""

import functools
from pathlib import Path

from bench import linux_gdb, linux_guest, linux_tasks, qemu
from bench.measurement import Unavailable
from guestdbg.lab import LabError
from guestdbg.lab.guests.gdb_scripts import linux_gdb_scripts
from guestdbg.lab.guests.vmlinux import debian_vmlinux

#: It prints `RATE <seconds>` for TASKS tasks.
SCRIPT = """
# It looks for its modules next to __file__, which GDB sets for the first file only.
__file__ = SCRIPTS + "/vmlinux-gdb.py"
gdb.execute("source " + __file__)

def listed():
    begin = time.perf_counter()
    lines = gdb.execute("lx-ps", to_string=True).splitlines()[1:]
    return (time.perf_counter() - begin) / len(lines), lines

best, lines = min(listed() for _ in range(4))
sleeping = sum(line.endswith(" sleep") for line in lines)
if sleeping != TASKS:
    raise gdb.GdbError("%d tasks sleep, not %d" % (sleeping, TASKS))
print("RATE", best * TASKS)
"""


@functools.cache
def _files() -> tuple[Path, Path]:
    """The kernel's vmlinux, and the directory of its scripts."""
    qemu.program(qemu.GDB)
    try:
        return debian_vmlinux(), linux_gdb_scripts()
    except LabError as error:
        raise Unavailable(f"no GDB scripts of Linux: {error}") from error


def _constants(scripts: Path) -> dict[str, int | str]:
    return {"SCRIPTS": str(scripts), "TASKS": linux_tasks.TASKS}


def guestdbg_seconds() -> float:
    """For `linux_tasks.TASKS` tasks, on guestdbg's server."""
    vmlinux, scripts = _files()
    prompt = linux_guest.prompt()
    with linux_tasks.sleeping(prompt):
        return linux_gdb.figure_on_guestdbg(SCRIPT, _constants(scripts), program=vmlinux)


def qemu_seconds() -> float:
    """The same on QEMU's stub."""
    qemu.program(qemu.QEMU)
    vmlinux, scripts = _files()
    return linux_gdb.figure_on_qemu(
        SCRIPT, _constants(scripts), program=vmlinux, command=linux_tasks.START
    )
