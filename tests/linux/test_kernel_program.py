"""The drgn program of a running kernel: drgn's own helpers say what the guest says of itself."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest

from guestdbg.debugger import AddressError, Hit, NoDebugInfo, UnknownSymbol
from guestdbg.debugger.errors import NotInScope
from guestdbg.linux import BadKallsyms, Linux
from guestdbg.linux.program import source
from guestdbg.linux.program.vmcoreinfo_text import minimal_vmcoreinfo

from .shell import Shell
from .support import load

drgn = pytest.importorskip("drgn")
pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")
if not source.can_debug_kernels(drgn):
    pytest.skip("drgn is older than 0.3", allow_module_level=True)
from drgn.helpers import linux as helpers  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_types_are_those_that_the_kernel_says_it_has(shell: Shell) -> None:
    answer = shell.ask("md5sum /sys/kernel/btf/vmlinux")
    btf = shell.guest.linux.btf
    assert hashlib.md5(btf.data).hexdigest() == answer.split()[0]


def test_tasks(shell: Shell) -> None:
    answer = shell.ask("sleep 1000 & ps -o pid,ppid,comm")
    program = shell.guest.program
    listed = {
        (int(pid), int(ppid), comm)
        for pid, ppid, comm in re.findall(r"^ *(\d+) +(\d+) (.*?) *$", answer, re.MULTILINE)
        if comm != "ps"
    }
    tasks = list(helpers.for_each_task(program))
    found = {
        (t.tgid.value_(), t.real_parent.tgid.value_(), t.comm.string_().decode()) for t in tasks
    }
    # busybox cuts names, the kernel's own are longer.
    assert {(pid, ppid) for pid, ppid, _ in listed} <= {(pid, ppid) for pid, ppid, _ in found}
    assert {"init", "kthreadd", "sleep"} <= {comm for _, _, comm in found}
    sleeping = next(t for t in tasks if t.comm.string_() == b"sleep")
    assert helpers.find_task(program, sleeping.pid) == sleeping
    assert [each.decode() for each in helpers.cmdline(sleeping)] == ["sleep", "1000"]
    assert helpers.d_path(sleeping.mm.exe_file.f_path) == b"/bin/busybox"
    arguments = sleeping.mm.arg_start.value_()
    assert helpers.access_process_vm(sleeping, arguments, 10) == b"sleep\x001000"
    physical = helpers.follow_phys(sleeping.mm, arguments).value_()
    assert program.read(physical, 10, physical=True) == b"sleep\x001000"
    # Where it sleeps.
    functions = [frame.name for frame in program.stack_trace(sleeping)]
    assert functions[:2] == ["__switch_to", "__schedule"]
    assert "hrtimer_nanosleep" in functions


def test_each_cpu(shell: Shell) -> None:
    guest = shell.guest
    program = guest.program
    assert list(helpers.for_each_online_cpu(program)) == [0, 1]
    assert helpers.idle_task(program, 1).comm.string_() == b"swapper/1"
    for cpu, vcpu in enumerate(guest.vcpus):
        if not vcpu.pc >> 55:
            continue  # SP_EL0 is that of a program
        assert helpers.cpu_curr(program, cpu).value_() == vcpu.reg("SP_EL0")
    runqueues = [helpers.per_cpu(program["runqueues"], cpu) for cpu in (0, 1)]
    assert [rq.cpu.value_() for rq in runqueues] == [0, 1]


def test_files_modules_and_messages(shell: Shell) -> None:
    mounts = shell.ask("cut -d' ' -f2 /proc/mounts").split()
    modules = re.findall(r"^(\S+)", shell.ask("cat /proc/modules"), re.MULTILINE)
    log = shell.ask("dmesg | tail -3")
    pages = int(re.findall(r"MemTotal: *(\d+)", shell.ask("cat /proc/meminfo"))[0]) // 4
    program = shell.guest.program
    mounted = [helpers.mount_dst(m).decode() for m in helpers.for_each_mount(program)]
    assert mounted[1 - len(mounts) :] == mounts[1:]
    found = [m.name.string_().decode() for m in helpers.for_each_module(program)]
    assert found == modules
    assert helpers.get_dmesg(program).decode().split()[-8:] == log.split()[-8:]
    assert int(helpers.totalram_pages(program)) == pages
    assert program["UTS_RELEASE"].string_().decode() == shell.guest.linux.release


def test_variables_that_6_1_does_not_name(shell: Shell) -> None:
    irqs = re.findall(r"^ *(\d+):", shell.ask("cat /proc/interrupts"), re.MULTILINE)
    slabs = shell.ask("cut -d' ' -f1 /proc/slabinfo").split()[4:]
    program = shell.guest.program
    found = {helpers.task_state_to_char(t) for t in helpers.for_each_task(program)}
    assert {"S", "I"} <= found <= set("RSDTtXZPI")
    assert set(map(int, irqs)) <= {irq for irq, _ in helpers.for_each_irq_desc(program)}
    caches = {c.name.string_().decode() for c in helpers.for_each_slab_cache(program)}
    assert set(slabs) <= caches


def test_types_of_modules_come_and_go(shell: Shell) -> None:
    guest = shell.guest
    program = guest.program
    assert program.type("struct ovl_fs").has_member("numlayer")
    assert program.type("struct ovl_fs").member("config").type.has_member("workdir")
    # Types of the kernel in those of a module.
    mount = program.type("struct ovl_layer").member("mnt").type.type
    assert str(mount) == str(program.type("struct vfsmount"))
    assert shell.ask("rmmod overlay; echo $?").strip() == "0"
    with pytest.raises(LookupError):
        program.type("struct ovl_fs")
    assert program.type("struct virtio_blk").is_complete()


def test_a_list_of_modules_without_an_end(sid: Shell) -> None:
    guest = sid.guest
    program = guest.program
    head = program["btf_modules"]
    first = head.next.value_()
    guest.write(first, first.to_bytes(8, "little"))  # it is its own successor
    with pytest.raises(LookupError):
        program.type("struct no_such_structure")
    guest.write(head.address_, (0xDEAD_0000_0000_0100).to_bytes(8, "little"))
    with pytest.raises(LookupError):
        program.type("struct no_such_structure")


def test_symbols(shell: Shell) -> None:
    guest = shell.guest
    program = guest.program
    symbol = program.symbol("schedule")
    assert symbol.address == guest.symbol("schedule").address
    assert program.symbol(symbol.address + 4).name == "schedule"
    assert program["schedule"].address_ == symbol.address
    assert program.function("do_sys_openat2").type_.parameters[1].name == "filename"
    with pytest.raises(LookupError):
        program.symbol("no_such_symbol")
    with pytest.raises(LookupError):
        program.symbol(16)


def test_values_are_those_of_now(shell: Shell) -> None:
    guest = shell.guest
    jiffies = guest.program["jiffies"]
    before = jiffies.value_()
    shell.ask("sleep 1")
    assert jiffies.value_() > before
    assert guest["jiffies"].value_() == jiffies.value_()
    comm = guest["init_task.comm"].address_
    guest.write(comm, b"changed\0")
    assert guest["init_task.comm"].string_() == b"changed"


def test_expressions(shell: Shell) -> None:
    """Types without a vmlinux: what is watched, and what stops a vCPU."""
    guest = shell.guest
    watch = guest.watch("init_task.tasks.next")
    assert (watch.address, watch.length) == (guest["init_task.tasks.next"].address_, 8)
    watch.delete()
    threads = guest.watch("init_pid_ns.pid_allocated")
    shell.type(b"true | true")
    stop = guest.run(timeout=100)
    assert stop.hit is not None
    assert stop.hit.point is threads
    assert threads.length == 4
    with pytest.raises(UnknownSymbol, match="member of struct task_struct"):
        guest.watch("init_task.no_such_member")
    with pytest.raises(UnknownSymbol, match="no_such_variable"):
        _ = guest["no_such_variable"]
    with pytest.raises(NoDebugInfo, match=r"panic_timeout.*vmlinux"):
        _ = guest["panic_timeout"]


def test_the_size_of_a_variable_is_that_of_its_type(shell: Shell) -> None:
    guest = shell.guest
    sizes = {"jiffies": 8, "nr_cpu_ids": 4, "init_task": 8, "panic_timeout": None}
    for name, size in sizes.items():
        watch = guest.watch(name)
        assert size is None or watch.length == size
        assert watch.address == guest.symbol(name).address
        watch.delete()


def test_conditions_on_parameters(shell: Shell) -> None:
    """By BTF, where the function is entered; the provider decides them itself."""
    guest = shell.guest
    point = guest.break_("do_sys_openat2", when="dfd == -100 and how->flags == 0x20000")
    others = guest.break_("do_sys_openat2", when="dfd != -100")
    seen: list[tuple[bytes, int]] = []

    @point
    def opened(hit: Hit) -> None:
        assert hit["dfd"].value_() == -100
        name = guest.read(hit["filename"].value_(), 32).partition(b"\0")[0]
        seen.append((name, hit["how->flags"].value_()))

    assert "guest" in shell.ask("cat /proc/version /proc/cmdline; echo guest")
    assert (b"/proc/version", 0x20000) in seen
    assert (b"/proc/cmdline", 0x20000) in seen
    assert others.hits == 0
    assert point.hits == len(seen)
    with pytest.raises(NotInScope, match=r"'dfd' is a parameter .* first instruction only"):
        guest.break_("do_sys_openat2+8", when="dfd == -100")
    with pytest.raises(UnknownSymbol, match="no_such_parameter"):
        guest.break_("do_sys_openat2", when="no_such_parameter == 1")
    with pytest.raises(UnknownSymbol, match="member of struct open_how"):
        guest.break_("do_sys_openat2", when="how->no_such_member == 1")


def test_the_current_task(shell: Shell) -> None:
    guest = shell.guest
    shell.type(b"sh -c 'exec sleep 1'")
    point = guest.break_("__arm64_sys_execve", when="current->tgid != 1 and jiffies_64 > 0")
    stop = guest.run(timeout=100)
    assert stop.hit is not None
    assert stop.hit.point is point
    pid = stop.hit["current->pid"].value_()
    assert stop.hit["current->comm"].string_() == b"sh"
    assert stop.hit["current"].value_() == helpers.find_task(guest.program, pid).value_()
    point.delete()
    # While its program runs, and at a write of the kernel.
    program = guest.break_(guest.read_u64(stop.hit.vcpu.x[0] + 256), el="el0")
    watch = guest.watch("init_pid_ns.pid_allocated", when=f"current->pid == {pid}")
    stop = guest.run(timeout=100)
    program.delete()
    if stop.hit is not None and stop.hit.point is program:
        assert stop.hit["current->pid"].value_() == pid
    watch.delete()


def test_memory_that_is_not_there(shell: Shell) -> None:
    guest = shell.guest
    program = guest.program
    for address in (0xFFFF_FFFF_FFFF_F000, 0xFFFF_0000_0000_0000 | 1 << 46, 8):
        with pytest.raises(drgn.FaultError):
            program.read(address, 8)
    with pytest.raises(drgn.FaultError):
        program.read(0x100, 8, physical=True)
    task = drgn.Object(program, "struct task_struct *", value=0xFFFF_FFFF_FFFF_F000)
    with pytest.raises(drgn.FaultError):
        task.pid.value_()
    with pytest.raises(AddressError):
        guest.linux.memory.read(0xFFFF_FFFF_FFFF_F000, 8)


def test_the_kernel_is_known_while_a_program_runs(bookworm: Shell) -> None:
    """At EL0 the kernel is not in the vCPU's page tables (KPTI)."""
    guest = bookworm.guest
    bookworm.type(b"while :; do :; done")
    program = guest.program
    for _ in range(50):
        guest.run(max_instructions=200_000)
        programs = [vcpu for vcpu in guest.vcpus if not vcpu.pc >> 55]
        if programs:
            break
    guest.select(programs[0])
    assert guest.cpu.reg("pstate") & 0xF == 0
    with pytest.raises(AddressError):
        guest.read(guest.symbol("init_task").address, 8)
    assert program["init_task"].comm.string_() == b"swapper/0"
    assert len(list(helpers.for_each_task(program))) > 20
    # Below the kernel is the program that the vCPU executes.
    assert program.read(guest.cpu.pc & -4096, 64) == guest.read(guest.cpu.pc & -4096, 64)


def test_before_the_kernel_runs() -> None:
    """Variables are where they were loaded, and then where the kernel has moved itself to."""
    with load("bookworm", seed=3) as guest:
        assert guest["init_task.comm"].string_() == b"swapper"
        early = guest.program
        guest.break_("start_kernel")
        stop = guest.run(timeout=100)
        assert stop.reason == "hit"
        assert guest.linux.slide
        assert guest["init_task.comm"].string_() == b"swapper"
        assert guest["init_task"].address_ == guest.symbol("init_task").address
        program = guest.program
        assert program is not early
        assert program.flags & drgn.ProgramFlags.IS_LINUX_KERNEL
        assert program["UTS_RELEASE"].string_().decode() == guest.linux.release


def test_an_older_drgn(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, sid: Shell
) -> None:
    """It has types and variables all the same."""

    class Old:
        __version__ = "0.0.30"
        Program = object

    assert not source.can_debug_kernels(Old)
    assert "drgn 0.0.30" in caplog.text
    assert "0.3 or later" in caplog.text
    monkeypatch.setattr(source, "can_debug_kernels", lambda drgn: False)
    guest = sid.guest
    guest.execution.use_program(guest.linux._program)
    assert not guest.program.flags & drgn.ProgramFlags.IS_LINUX_KERNEL
    assert guest["init_task.comm"].string_() == b"swapper/0"
    monkeypatch.undo()
    guest.execution.use_program(guest.linux._program)
    assert guest.program.flags & drgn.ProgramFlags.IS_LINUX_KERNEL


def test_a_kernel_without_kallsyms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Types and memory are there; where its variables are, only a vmlinux says."""

    def none(self: Any) -> Any:
        raise BadKallsyms("the kernel has no kallsyms")

    monkeypatch.setattr(Linux, "_read_tables", none)
    with load("bookworm") as guest:
        program = guest.program
        assert program.type("struct task_struct").has_member("comm")
        base = guest.linux.physical_address
        assert program.read(base, 64, physical=True) == program.read(base, 64)
        with pytest.raises(drgn.FaultError):
            program.read(0xFFFF_8000_0800_0000, 8)
        with pytest.raises(UnknownSymbol):
            _ = guest["init_task.comm"]


def test_what_drgn_demands_of_a_vmcoreinfo() -> None:
    text = minimal_vmcoreinfo("6.1.0", 0xFFFF_8000_0800_0000, 0x4020_0000, None, 0x4_8010_0010)
    flags = drgn.PlatformFlags
    program = drgn.Program(
        drgn.Platform(drgn.Architecture.AARCH64, flags.IS_64_BIT | flags.IS_LITTLE_ENDIAN)
    )
    program.set_linux_kernel_custom(text, True)
    assert program["PAGE_SIZE"].value_() == 4096
