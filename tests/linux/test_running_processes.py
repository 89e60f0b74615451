"""Points in one process on Debian's newest kernel, with the programs that it has: shells.

The other tests of processes run on it by `make soak`: see test_processes.py.
"""

from __future__ import annotations

import struct
from collections import Counter

import pytest

from guestdbg.debugger import Hit

from .shell import Shell

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: Without randomisation every shell has its stack at the same place.
PREPARE = "echo 0 > /proc/sys/kernel/randomize_va_space"
LOOP = "/bin/sh -c 'while :; do kill -0 $$; sleep 0.01; done' & sleep 0.1; echo $!"
#: Offset of sp in `struct pt_regs`, to which X0 points in a system call.
SP = 31 * 8
#: Offset of e_entry in an ELF header.
ENTRY = 24


def start(shell: Shell) -> int:
    """Start a shell that never ends; its pid."""
    return int(shell.ask(LOOP).split()[-1])


def test_only_one_of_two_shells(sid: Shell) -> None:
    """The other one writes at the same addresses. What BusyBox starts by vfork shares memory."""
    guest = sid.guest
    tasks = guest.linux.processes.tasks
    sid.ask(PREPARE)
    first, second = start(sid), start(sid)
    stacks: dict[int, int] = {}

    def call(hit: Hit) -> None:
        stacks[hit.task.pid] = guest.linux.memory.u64(hit.vcpu.x[0] + SP)  # type: ignore[union-attr]

    both = guest.break_("__arm64_sys_kill")(call)
    sid.ask("sleep 0.1")
    both.delete()
    assert stacks.pop(first) == stacks[second]
    written: Counter[int | None] = Counter()
    called: Counter[int] = Counter()

    def write(hit: Hit) -> None:
        current = tasks.current(hit.vcpu.vcpu)
        written[None if current is None else tasks.mm(current)] += 1

    # The frame of kill's caller has the frame record at its lowest address.
    watch = guest.watch(stacks[second], 8, task=second)(write)
    guest.break_("__arm64_sys_kill", task=first)(lambda hit: called.update([hit.task.pid]))
    sid.ask("sleep 0.2")
    assert list(written) == [tasks.mm(guest.linux.task(second).address)]
    assert watch.seen == written.total() > 1
    assert list(called) == [first]
    sid.ask(f"kill -9 {second}; sleep 0.1")
    assert watch.task is not None
    assert "pending" in watch.task.describe()
    assert guest.why_unreachable(watch) == "there is no such process now"


def test_a_program_is_armed_before_it_runs(sid: Shell) -> None:
    guest = sid.guest
    processes = guest.linux.processes
    sid.ask(PREPARE)
    shell = start(sid)
    busybox = processes.mappings(shell)[0]
    assert busybox.path is not None
    (entry,) = struct.unpack("<Q", processes.read(shell, busybox.start + ENTRY, 8))
    hits: list[tuple[str, int]] = []
    reached = processes.break_in(busybox.path, hex(entry), when="sp > 0")
    reached(lambda hit: hits.append((hit.task.comm, hit.pc)))
    sid.ask(f"{busybox.path} true; {busybox.path} false")
    names = [name for name, _ in hits if name == "busybox"]
    assert len(names) == 2
    assert {pc & 0xFFF for _, pc in hits} == {entry & 0xFFF}
