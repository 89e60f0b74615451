"""A kernel with its vmlinux: lines, inlined functions, types and variables, under KASLR.

Debian 12's kernel, booted once; the newest, whose package has 356 MB, by `make soak`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from guestdbg.debugger import Breakpoint, Guest, GuestSnapshot, Hit
from guestdbg.lab import LabError
from guestdbg.lab.guests.vmlinux import debian_vmlinux
from guestdbg.linux import BadBtf, BadVmlinux, Linux

from .shell import SECONDS, Shell
from .support import PROMPT, load

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

#: Where the kernels are linked.
LINKED = {"bookworm": 0xFFFF_8000_0800_0000, "sid": 0xFFFF_8000_8000_0000}
#: Of the processor; it takes two seconds.
FIRST_LINE_SECONDS = 12


def vmlinux_of(suite: str) -> Path:
    try:
        return debian_vmlinux(suite)
    except LabError as error:
        pytest.skip(f"no vmlinux: {error}")


class Booted(NamedTuple):
    """The guest at its prompt, and what was seen on the way there."""

    suite: str
    shell: Shell
    snapshot: GuestSnapshot
    line: Breakpoint
    first: Hit
    functions: list[str | None]


@pytest.fixture(scope="module", params=["bookworm", pytest.param("sid", marks=pytest.mark.soak)])
def booted(request: pytest.FixtureRequest) -> Iterator[Booted]:
    suite: str = request.param
    output = bytearray()

    def console(data: bytes) -> None:
        output.extend(data)
        if PROMPT in output:
            guest.interrupt()

    path = vmlinux_of(suite)
    start = time.process_time()
    with load(suite, console=console, seed=7, vmlinux=path) as guest:
        line = guest.break_("kernel/fork.c:copy_process")
        assert time.process_time() - start < FIRST_LINE_SECONDS
        assert line.address in range(LINKED[suite], LINKED[suite] + (32 << 20))
        stop = guest.run(timeout=SECONDS)
        assert stop.hit is not None
        functions = [frame.location.function for frame in stop.cpu.backtrace()]
        first = stop.hit
        line.enabled = False
        shell = Shell(guest, output)
        shell.to_prompt()
        yield Booted(suite, shell, guest.snapshot(), line, first, functions)


@pytest.fixture
def shell(booted: Booted) -> Shell:
    for point in booted.shell.guest.points:
        if point is not booted.line:
            point.delete()
    booted.shell.guest.restore(booted.snapshot)
    return booted.shell


def test_a_point_from_before_the_boot(booted: Booted) -> None:
    """It has moved with the kernel, whose slide is not zero."""
    guest, first = booted.shell.guest, booted.first
    assert guest.linux.slide
    assert guest.linux.vmlinux.image.slide == guest.linux.slide
    assert first.pc == booted.line.address
    assert first.location.function == "copy_process"
    assert first.location.file == "kernel/fork.c"
    assert "rest_init" in booted.functions
    assert booted.functions[-1] == "__primary_switched"


def test_addresses_are_the_guests_own(shell: Shell) -> None:
    text = shell.ask("grep -E ' (vfs_read|schedule|_printk|do_one_initcall)$' /proc/kallsyms")
    found = {name: int(address, 16) for address, name in re.findall(r"(\w+) . (\w+)", text)}
    assert len(found) == 4
    for name, address in found.items():
        assert shell.guest.symbol(name).address == address
        location = shell.guest.locate(address + 8)
        assert location.outermost.function == name
        assert location.line


def test_data_has_names_types_and_sizes(shell: Shell) -> None:
    """This kernel's kallsyms has none of them."""
    pytest.importorskip("drgn")
    guest = shell.guest
    assert guest["init_task"].comm.string_() == b"swapper/0"
    assert guest.resolve("jiffies_64").length == 8
    assert guest.resolve("init_task.tasks.next").length == 8
    assert guest.linux.vmlinux.release == shell.ask("uname -r").strip()


def test_parameters_and_inlined_functions(shell: Shell) -> None:
    pytest.importorskip("drgn")
    guest = shell.guest
    text = b"0123456789-123456789-1"
    write = guest.break_("vfs_write", when="x2 == 23")
    shell.type(b"echo " + text)
    hit = guest.run(timeout=SECONDS).hit
    assert hit is not None
    assert hit.point is write
    assert int(hit["count"]) == 23
    assert int(hit["count"]) == 23
    assert bytes(guest.read(int(hit["buf"]), 23)) == text + b"\n"
    write.delete()
    inlined = guest.break_("__do_sys_newuname")
    shell.to_prompt()
    shell.type(b"uname -r")
    stop = guest.run(timeout=SECONDS)
    assert stop.hit is not None, stop
    assert stop.hit.point is inlined
    functions = [frame.location.function for frame in stop.cpu.backtrace()]
    assert "__do_sys_newuname" in functions
    outer = functions[functions.index("__invoke_syscall") + 1]
    assert (
        str(outer).partition(".")[0] == "invoke_syscall"
    )  # the newest: invoke_syscall.constprop.0


def test_a_parameter_in_a_condition(shell: Shell) -> None:
    pytest.importorskip("drgn")
    guest = shell.guest
    point = guest.break_("do_truncate", when="length == 1234")
    shell.type(b"for n in 123 1234 12345; do truncate -s $n /file; done")
    hit = guest.run(timeout=SECONDS).hit
    assert hit is not None
    assert hit.point is point
    assert int(hit["length"]) == 1234
    assert hit["dentry"].d_name.name.string_() == b"file"
    shell.to_prompt()
    assert point.hits == 1


def test_a_line_of_a_file_whose_name_many_have(shell: Shell) -> None:
    guest = shell.guest
    entry = guest.symbol("schedule").address
    found = [guest.locate(entry + offset) for offset in range(0, 0x100, 4)]
    _, line, *_ = sorted({at.line for at in found if at.function == "schedule" and at.line})
    point = guest.break_(f"kernel/sched/core.c:{line}")
    assert point.address > entry
    shell.type(b"sleep 1")
    stop = guest.run(timeout=SECONDS)
    assert stop.hit is not None
    assert stop.hit.point is point
    assert (stop.hit.location.file, stop.hit.location.line) == ("kernel/sched/core.c", line)
    assert any(frame.location.function == "schedule" for frame in stop.cpu.backtrace())


def test_reset_and_restore_take_it_along(booted: Booted, shell: Shell) -> None:
    guest = shell.guest
    slide = guest.linux.slide
    watch = guest.watch("jiffies_64")
    moved = watch.address
    guest.reset()
    assert guest.linux.vmlinux.image.slide == 0
    assert watch.address == moved - slide
    guest.restore(booted.snapshot)
    assert guest.linux.vmlinux.image.slide == slide
    assert watch.address == moved


def state_of(linux: Linux) -> list[str]:
    """What the kernel does, as text."""
    return [
        *map(str, linux.tasks(threads=True)),
        str(linux.current(0)),
        str(linux.task(1).backtrace()),
        str(linux.modules()),
        str(linux.mounts()),
        str(linux.interrupts()),
        str(linux.page(linux.memory.translate(linux.task(1).address))),
        *map(str, linux.task(1).mappings()),
        str(linux.processes.current(linux._guest.vcpus[0])),
    ]


def test_the_state_of_a_kernel_without_btf(shell: Shell) -> None:
    """The vmlinux has the types; without it, an error says which file would."""
    pytest.importorskip("drgn")
    guest, linux = shell.guest, shell.guest.linux
    path, release = linux.vmlinux.path, linux.release
    with_btf = state_of(linux)
    header = linux.read_image().index(b"\x9f\xeb\x01\0\x18\0\0\0")
    guest.execution.write_phys(linux.physical_address + header, bytes(8))
    linux._program.forget()
    try:
        linux.use_vmlinux(path)
        with pytest.raises(BadBtf, match="the kernel has no BTF"):
            _ = linux.btf
        assert state_of(linux) == with_btf
        assert guest["init_task"].comm.string_() == b"swapper/0"
        linux._drop_vmlinux()
        match = rf"no BTF.*The vmlinux of {re.escape(release)} .*-dbg has it\): --vmlinux FILE"
        for ask in (linux.tasks, linux.modules, linux.mounts, linux.interrupts):
            with pytest.raises(BadBtf, match=match):
                ask()
        assert linux.dmesg()[0].text.startswith("Booting Linux")
    finally:
        linux._program.forget()
        linux.use_vmlinux(path)


def test_given_to_a_kernel_that_runs(shell: Shell) -> None:
    guest: Guest = shell.guest
    linux = guest.linux
    path = linux.vmlinux.path
    assert linux.use_vmlinux(path).image.slide == linux.slide
    assert sum(image.path == path for image in guest.images) == 1
    assert guest.locate(guest.symbol("schedule").address + 8).line


def test_of_another_build(booted: Booted) -> None:
    path = booted.shell.guest.linux.vmlinux.path
    own = booted.shell.guest.linux.vmlinux.build_id.hex()
    release = re.escape(booted.shell.guest.linux.vmlinux.release)
    (other,) = LINKED.keys() - {booted.suite}
    match = rf"is of build {own} \({release}.*in the guest is of build "
    with pytest.raises(BadVmlinux, match=match):
        load(other, vmlinux=path)
