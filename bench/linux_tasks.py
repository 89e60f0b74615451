"""The tasks of a Linux guest, listed by drgn as its contributed script ps.py does.

For each task it shows the process ID, that of its parent, its processor, state, memory and name, by
drgn's own helpers. They read the guest's memory some twenty times for each.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench import linux_guest
from bench.measurement import Unavailable

TASKS = 200
#: Starts them at the guest's prompt.
START = f"for i in $(seq {TASKS}); do sleep 9999 & done >/dev/null 2>&1; sleep 1".encode()


@contextmanager
def sleeping(prompt: linux_guest.Prompt) -> Iterator[None]:
    """TASKS tasks in the guest, which is put back at the end."""
    snapshot = prompt.guest.snapshot()
    prompt.command(START)
    try:
        yield
    finally:
        prompt.guest.restore(snapshot)


def _memory(task: Any, page: int, percpu_counter_sum: Any) -> tuple[int, int]:
    """The size of a task's address space and what of it is in memory, in bytes; 0 without one."""
    mm = task.mm
    if not mm:
        return 0, 0
    counters = mm.rss_stat
    try:
        resident = sum(percpu_counter_sum(counter) for counter in counters)
    except (AttributeError, TypeError):  # before Linux 6.2
        resident = sum(counter.counter.value_() for counter in counters.count)
    return page * mm.total_vm.value_(), page * resident


def listed(program: Any) -> list[str]:
    """A line for each task."""
    from drgn.helpers.common.format import number_in_binary_units
    from drgn.helpers.linux.mm import totalram_pages
    from drgn.helpers.linux.percpu import percpu_counter_sum
    from drgn.helpers.linux.pid import for_each_task
    from drgn.helpers.linux.sched import task_cpu, task_state_to_char

    page = program["PAGE_SIZE"].value_()
    total = page * int(totalram_pages(program))
    lines = []
    for task in sorted(for_each_task(program), key=lambda each: int(each.pid)):
        parent = task.parent.pid.value_() if task.parent else 0
        name = task.comm.string_().decode()
        size, resident = _memory(task, page, percpu_counter_sum)
        lines.append(
            f"{task.pid.value_()} {parent} {task_cpu(task)} {task_state_to_char(task)} "
            f"{number_in_binary_units(size)} {number_in_binary_units(resident)} "
            f"{100 * resident / total:.1f} {name if size else f'[{name}]'}"
        )
    return lines


def seconds() -> float:
    """The time that it takes for TASKS tasks, without the start of drgn."""
    try:
        import drgn
    except ImportError as error:
        raise Unavailable("drgn is not installed") from error
    if not hasattr(drgn.Program, "set_linux_kernel_custom"):
        raise Unavailable(f"drgn {drgn.__version__} cannot debug Linux guests; 0.3 can")
    prompt = linux_guest.prompt()
    with sleeping(prompt):
        start = time.perf_counter()
        found = listed(prompt.guest.program)
        taken = time.perf_counter() - start
    asleep = sum(line.endswith(" sleep") for line in found)
    if asleep != TASKS:
        raise RuntimeError(f"{asleep} tasks sleep, not {TASKS}: {found[-3:]}")
    return taken * TASKS / len(found)
