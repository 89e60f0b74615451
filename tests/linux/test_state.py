"""What ``guest.linux`` reads of a running kernel, compared with what the guest itself prints."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Callable

import pytest

from guestdbg.debugger import Guest, InvalidLocation
from guestdbg.errors import GuestdbgError
from guestdbg.linux import Linux, MissingKernelData, NoSuchTask
from guestdbg.linux.state.tasks import state_of

from .shell import SECONDS, Shell

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

EL_MASK = 0xF


def test_version_and_command_line(shell: Shell) -> None:
    linux = shell.guest.linux
    assert linux.version == shell.ask("cat /proc/version").strip()
    assert linux.command_line == shell.ask("cat /proc/cmdline").strip()


def test_tasks(shell: Shell) -> None:
    linux = shell.guest.linux
    tasks = linux.tasks(threads=True)
    assert tasks.cut is None
    printed = shell.ask("cat /proc/[0-9]*/stat")
    known = {}
    for line in printed.splitlines():
        found = re.match(r"(\d+) \((.*)\) (\S) (\d+) ", line)
        assert found is not None
        known[int(found[1])] = (found[2], int(found[4]))
    same = {task.pid for task in tasks} & set(known)
    assert len(same) > 40
    for task in tasks:
        if task.pid in same:
            # The kernel adds to the name of a kernel thread what it works on: kworker/0:1-events
            assert known[task.pid][0].startswith(task.comm)
            assert known[task.pid][1] == task.parent_pid
            assert task.is_kernel_thread == (2 in (task.pid, task.parent_pid))
    assert [task.pid for task in linux.tasks() if task.pid in same] == sorted(same)
    lines = tasks.table().splitlines()
    assert len(lines) == len(tasks) + 1
    assert max(map(len, lines)) <= 80
    assert str(linux.task(2)).startswith("2 [kthreadd] sleeping, last on CPU ")


def test_where_a_task_sleeps(shell: Shell) -> None:
    linux = shell.guest.linux
    init = linux.task(1)
    assert (init.state, init.state_name, init.is_running) == ("S", "sleeping", False)
    trace = init.backtrace()
    functions = [frame.location.function for frame in trace]
    assert functions[0] == "__switch_to"
    assert functions.index("schedule") < functions.index("do_wait")
    assert functions[-1] == "el0t_64_sync"
    assert trace.cut is None
    assert [f.location.function for f in linux.task(2).backtrace()][-1] == "ret_from_fork"
    registers = init.registers()
    # wait4() waits for the shell at the console.
    text = shell.ask("cat /proc/1/syscall")
    numbers = [int(word, 0) for word in text.split()] if text[:1].isdigit() else []
    if numbers:
        assert numbers[0] == registers["x8"]
        assert numbers[-2:] == [registers["sp"], registers["pc"]]
    assert registers["x8"] == 260
    assert registers["pstate"] & EL_MASK == 0
    assert registers["pc"] >> 48 == registers["sp"] >> 48 == 0
    with pytest.raises(MissingKernelData, match="kernel thread"):
        linux.task(2).registers()


def test_the_current_task(shell: Shell) -> None:
    guest, linux = shell.guest, shell.guest.linux
    calls = guest.break_("__arm64_sys_newuname")
    shell.type(b"uname -r")
    stop = guest.run(timeout=SECONDS)
    assert stop.hit is not None
    task = linux.current(stop.cpu)
    assert task == linux.current()
    assert (task.comm, task.state, task.is_running) == ("uname", "R", True)
    assert task.address == stop.cpu.reg("SP_EL0")
    assert linux.task(task.pid) == task
    assert [frame.pc for frame in task.backtrace()] == [f.pc for f in stop.cpu.backtrace()]
    program = guest.break_(task.registers()["pc"], el="el0")
    stop = guest.run(timeout=SECONDS)
    assert stop.hit is not None
    assert stop.hit.point is program
    # In the program SP_EL0 is its own stack pointer.
    assert linux.current(stop.cpu).pid == task.pid
    assert linux.current(stop.cpu).registers()["pc"] == stop.pc
    program.delete()
    calls.delete()
    shell.to_prompt()
    with pytest.raises(NoSuchTask, match="has ended"):
        task.registers()
    with pytest.raises(NoSuchTask, match=f"no task {task.pid}"):
        linux.task(task.pid)
    with pytest.raises(InvalidLocation, match="no vCPU 7: the guest has 2"):
        linux.current(7)


def test_dmesg(shell: Shell) -> None:
    linux = shell.guest.linux
    records = linux.dmesg()
    assert records.cut is None
    assert [record.sequence for record in records] == list(range(len(records)))
    lines = [line for record in records for line in str(record).splitlines()]
    printed = shell.ask("dmesg").splitlines()
    assert [line for line in printed[: len(lines)] if line.startswith("[")] == [
        line for line in lines if line.startswith("[")
    ]
    first = records[0]
    assert first.text.startswith("Booting Linux on physical CPU 0x")
    assert (first.level_name, first.facility_name) == ("info", "kern")
    shell.ask("echo '<12>hello' > /dev/kmsg")
    last = linux.dmesg()[-1]
    assert (last.text, last.level, last.facility) == ("hello", 4, 1)


def test_modules(shell: Shell) -> None:
    modules = shell.guest.linux.modules()
    found = {m.name: (m.size, m.references, ",".join(m.used_by)) for m in modules}
    printed = {}
    for line in shell.ask("cat /proc/modules").splitlines():
        name, size, uses, users, state, address = line.split()[:6]
        printed[name] = (int(size), int(uses), users.strip("-,"))
        module = next(m for m in modules if m.name == name)
        assert (module.state, module.address) == (state.lower(), int(address, 16))
    assert found == printed
    assert [module.name for module in modules] == list(printed)


def test_mounts(shell: Shell) -> None:
    shell.ask("mkdir -p /tmp/a/b; mount -t tmpfs -o nosuid,ro mine /tmp/a/b")
    mounts = shell.guest.linux.mounts()
    printed = shell.ask("cat /proc/mounts").splitlines()
    assert [[m.device, m.path, m.type] for m in mounts] == [line.split()[:3] for line in printed]
    for mount, line in zip(mounts, printed, strict=True):
        options = line.split()[3].split(",")
        assert set(mount.options) <= set(options), line
    assert mounts[-1].path == "/tmp/a/b"
    assert {"ro", "nosuid", "relatime"} == set(mounts[-1].options)


def test_interrupts(shell: Shell) -> None:
    printed = shell.ask("cat /proc/interrupts")
    interrupts = shell.guest.linux.interrupts()
    assert interrupts.cut is None
    found = {each.number: each for each in interrupts if not each.is_hidden}
    numbers = []
    for line in printed.splitlines():
        words = line.split()
        if not words[0].rstrip(":").isdigit():
            continue
        each = found[int(words[0].rstrip(":"))]
        numbers.append(each.number)
        counts = [int(word) for word in words[1:3]]
        assert all(0 <= b - a < 50 for a, b in zip(counts, each.counts, strict=True)), line
        hardware = str(each.hardware_number)
        assert words[3:] == [each.chip, hardware, each.trigger, ", ".join(each.names)]
    assert numbers == sorted(found)
    assert len([each for each in interrupts if each.names == ("IPI",)]) >= 6


def test_pages(shell: Shell) -> None:
    guest, linux = shell.guest, shell.guest.linux
    memory = linux.memory
    task = linux.page(memory.translate(linux.task(1).address))
    assert (task.type, task.owner) == ("slab", "slab task_struct")
    assert linux.page(linux.physical("start_kernel") & -4096 | 5).owner in ("reserved", "free")
    assert "reserved" in linux.page(linux.physical("schedule")).flags
    # The shell's code is a file, which is in the page cache of the RAM file system.
    calls = guest.break_("__arm64_sys_newuname")
    shell.type(b"uname -r")
    guest.run(timeout=SECONDS)
    calls.delete()
    program = guest.break_(linux.current().registers()["pc"], el="el0")
    stop = guest.run(timeout=SECONDS)
    program.delete()
    code = linux.page(guest.translate(stop.pc))
    assert code.owner == "file rootfs /bin/busybox"
    assert code.mapcount >= 1
    assert code.references > code.mapcount
    stack = linux.page(guest.translate(stop.cpu.sp))
    assert (stack.owner, stack.mapcount) == ("anonymous", 1)
    table = linux.page(stop.cpu.reg("TTBR0_EL1") & (1 << 48) - 2)
    assert table.owner in ("page table", "kernel")  # the kernel does not mark its root in 6.1
    owners = {linux.page(0x4000_0000 + 4096 * n).owner for n in range(0, 65536, 999)}
    assert "free" in owners
    with pytest.raises(InvalidLocation, match="no memory at the physical address 0x10"):
        linux.page(0x10)


def test_a_loop_in_the_list_of_tasks(shell: Shell) -> None:
    guest, linux = shell.guest, shell.guest.linux
    tasks = linux.tasks()
    offset = linux.state.view.layouts.struct("task_struct").field("tasks").offset
    where = linux.memory.translate(tasks[20].address + offset)
    guest.execution.write_phys(where, (tasks[10].address + offset).to_bytes(8, "little"))
    damaged = linux.tasks()
    assert [task.pid for task in damaged] == [task.pid for task in tasks[:21]]
    assert damaged.cut is not None
    assert "has a loop" in damaged.cut
    assert damaged.table().splitlines()[-1] == f"({damaged.cut})"
    guest.execution.write_phys(where, (0x1234).to_bytes(8, "little"))
    assert "leads to 0x1234" in str(linux.tasks().cut)
    with pytest.raises(NoSuchTask, match="leads to 0x1234"):
        linux.task(1 << 20)


QUESTIONS: list[Callable[[Linux], object]] = [
    lambda linux: linux.tasks(threads=True).table(),
    lambda linux: [task.backtrace() for task in linux.tasks()[:4]],
    lambda linux: linux.task(1).registers(),
    lambda linux: linux.current(0),
    lambda linux: linux.dmesg().table(),
    lambda linux: linux.modules().table(),
    lambda linux: linux.mounts().table(),
    lambda linux: linux.interrupts().table(),
    lambda linux: linux.page(0x4400_0000),
    lambda linux: linux.command_line,
]


def damage(guest: Guest, chance: random.Random) -> None:
    """Overwrite pieces of what the questions read: pointers become others, or nonsense."""
    linux = guest.linux
    places = [task.address for task in linux.tasks()] + [m.struct_address for m in linux.modules()]
    places += [mount.address for mount in linux.mounts()]
    places += [guest.symbol(name).address for name in ("prb", "modules", "init_task")]
    for _ in range(40):
        address = chance.choice(places) + chance.randrange(0, 4096, 8)
        values = (0, chance.getrandbits(64), chance.choice(places), (1 << 64) - 8, address)
        try:
            where = linux.memory.translate(address)
        except GuestdbgError:
            continue
        guest.execution.write_phys(where, chance.choice(values).to_bytes(8, "little"))


@pytest.mark.parametrize("seed", range(4))
def test_damage_gives_errors_of_ours_only(bookworm: Shell, seed: int) -> None:
    guest = bookworm.guest
    damage(guest, random.Random(seed))
    for question in QUESTIONS:
        with contextlib.suppress(GuestdbgError):
            question(guest.linux)


@pytest.mark.parametrize(
    ("state", "exit_state", "letter"),
    [
        (0, 0, "R"),
        (1, 0, "S"),
        (2, 0, "D"),
        (0x402, 0, "I"),
        (4, 0, "T"),
        (8, 0, "t"),
        (0, 0x10, "X"),
        (0x80, 0x20, "Z"),
        (0x40, 0, "P"),
        (0x1000, 0, "D"),
        (0x8000, 0, "D"),
    ],
)
def test_letters_of_states(state: int, exit_state: int, letter: str) -> None:
    assert state_of(state, exit_state)[0] == letter
