"""A Linux guest of the real KVM, where there is no drgn: what is known of it. Runs in the lab.

    linux_program.py [VCPUS]

It boots the guest once, by what is in /guest, and makes all the checks on it, in their order. For
each it prints a line: its name, the seconds that it took, and how it has failed, if it has.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import guestdbg
from guestdbg.debugger import (
    AddressError,
    Breakpoint,
    Guest,
    MissingDependency,
    OutOfRegisters,
    Unsupported,
)
from guestdbg.gdb import Server
from guestdbg.gdb.packets import Decoder, Packet, frame
from guestdbg.history import HistoryUnavailable
from guestdbg.linux import MissingKernelData, NoSuchTask
from guestdbg.linux.processes import ProgramBreakpoint

FILES = Path("/guest")
PROMPT = b"guest# "
SECONDS = 300
#: How often a worker writes at a signal.
WRITES = 3
EL_MASK = 0xF


class Booted:
    """The guest, and its shell."""

    def __init__(self, vcpus: int) -> None:
        self.output = bytearray()
        self.seed = 5
        self.guest: Guest = guestdbg.load(
            FILES / "vmlinuz",
            provider="host",
            initrd=FILES / "initrd",
            memory="256M",
            vcpus=vcpus,
            seed=self.seed,
            bootargs="console=ttyAMA0 quiet",
            console=self._console,
        )
        self.linux = self.guest.linux
        self.names: dict[str, int] = json.loads((FILES / "worker.json").read_text())

    def _console(self, data: bytes) -> None:
        self.output.extend(data)
        if PROMPT in self.output[-(len(data) + len(PROMPT) - 1) :]:
            self.guest.interrupt()

    def type(self, line: str) -> None:
        self.output.clear()
        self.guest.board.console.feed(line.encode() + b"\n")

    def to_prompt(self) -> str:
        stop = self.guest.run(timeout=SECONDS)
        assert stop.reason == "interrupt", (stop, bytes(self.output[-500:]))
        return self.output.decode(errors="replace")

    def ask(self, line: str) -> str:
        """What the guest prints for a command."""
        self.type(line)
        answer = self.to_prompt().replace("\r\n", "\n").replace("\x1b[6n", "")
        return answer.partition(f"{line}\n")[2].rpartition(PROMPT.decode())[0]

    def start(self, program: str = "/worker") -> int:
        """Start a worker; its pid."""
        answer = self.ask(f"{program} {WRITES} & sleep 0.1; echo pid $!")
        found = re.search(r"^pid (\d+)$", answer, re.MULTILINE)
        assert found is not None, answer
        pid = int(found[1])
        self.until(lambda: self._waits(pid, program[1:]))
        return pid

    def _waits(self, pid: int, name: str) -> bool:
        task = self.linux.task(pid)
        return (task.comm, task.state) == (name, "S")

    def value(self, pid: int) -> int:
        """The worker's counter; 0 as long as it has no page for it."""
        try:
            data = self.linux.processes.read(pid, self.names["counter"], 8)
        except AddressError:
            return 0
        return int.from_bytes(data, "little")

    def signal(self, pid: int, name: str = "USR1") -> None:
        """Send a worker a signal, and wait until it has done its work.

        The guest's clock goes on while Python handles a hit: it is the counter that says it.
        """
        if self.value(pid):
            where = self.linux.processes.memory(pid).translate(self.names["counter"])
            self.guest.execution.write_phys(where, bytes(8))
        self.ask(f"kill -{name} {pid}; sleep 0.05")
        self.until(lambda: self.value(pid) == WRITES)

    def end(self, *pids: int) -> None:
        """End workers; returns when they are gone."""
        self.ask(f"kill {' '.join(map(str, pids))}")
        self.until(lambda: not {task.pid for task in self.linux.tasks()} & set(pids))

    def until(self, done: Callable[[], object]) -> None:
        """Let the guest run until this is true."""
        for _ in range(30):
            if done():
                return
            self.ask("sleep 0.1")
        raise AssertionError("what was waited for did not happen")


Check = Callable[[Booted], None]
CHECKS: list[Check] = []


def check(function: Check) -> Check:
    """Make this check, after those before it."""
    CHECKS.append(function)
    return function


@contextmanager
def fails(kind: type[Exception], text: str) -> Iterator[None]:
    """The body raises an error of this kind, whose message has this text in it."""
    caught: Exception | None = None
    try:
        yield
    except kind as error:
        caught = error
    assert caught is not None, f"no {kind.__name__} with {text!r}"
    assert text in str(caught), caught


@contextmanager
def points(*made: Breakpoint | ProgramBreakpoint) -> Iterator[None]:
    """Points for the body only."""
    try:
        yield
    finally:
        for point in made:
            point.delete()


# ---- the kernel --------------------------------------------------------------------------------


@check
def points_from_before_the_boot(booted: Booted) -> None:
    """They move with the kernel (KASLR), and one waits for its module."""
    guest, linux = booted.guest, booted.linux
    start = guest.break_("start_kernel")
    init = guest.break_("virtio_net:init_module")
    states: list[tuple[object, list[str | None]]] = []
    state = guest.watch("system_state", 4)
    state(lambda hit: states.append((hit.new, [f.location.function for f in hit.backtrace()])))
    linked = start.address
    stop = guest.run(timeout=SECONDS)
    assert stop.hit is not None
    assert stop.hit.point is start
    assert linux.is_relocated
    assert linux.slide
    assert linux.slide % (2 << 20) == 0
    assert stop.pc == start.address == linked + linux.slide
    assert stop.hit.location.function == "start_kernel"
    start.delete()
    stop = guest.run(timeout=SECONDS)
    assert stop.hit is not None
    assert stop.hit.point is init
    functions = [f.location.function for f in stop.cpu.backtrace()]
    assert functions.index("do_one_initcall") < functions.index("do_init_module")
    assert str(stop.hit.task).startswith("insmod (")
    assert linux.modules()[0].state == "coming"
    init.delete()
    booted.to_prompt()
    # SYSTEM_SCHEDULING, FREEING_INITMEM, RUNNING and one between.
    assert [value for value, _ in states] == [1, 2, 3], states
    assert states[-1][1][0] == "kernel_init"
    assert states[-1][1][-1] == "ret_from_fork"
    state.delete()
    assert not list(guest.points)


@check
def version_and_command_line(booted: Booted) -> None:
    linux = booted.linux
    version, command_line, release = booted.ask(
        "cat /proc/version /proc/cmdline; uname -r"
    ).splitlines()
    assert linux.version == version
    assert linux.command_line == command_line
    assert linux.release == release
    assert linux.vmcoreinfo.kernel_offset == linux.slide


@check
def symbols(booted: Booted) -> None:
    guest = booted.guest
    names = ("vfs_read", "schedule", "__per_cpu_offset", "virtnet_probe", "init_task")
    text = booted.ask(f"grep -E ' ({'|'.join(names)})(.\\[|$)' /proc/kallsyms")
    shown = {name: int(address, 16) for address, name in re.findall(r"(\w+) . (\w+)", text)}
    assert {"vfs_read", "schedule", "virtnet_probe"} <= set(shown)
    for name, address in shown.items():
        assert guest.symbol(name).address == address
    assert guest.locate(shown["vfs_read"] + 8).symbolic == "vfs_read+0x8"
    # Of the kernel's exports and of its code: this kernel has no CONFIG_KALLSYMS_ALL.
    task = guest.symbol("init_task").address
    assert guest.linux.memory.read(task + offset_of(booted, "task_struct", "comm"), 9) == (
        b"swapper/0"
    )
    assert guest.symbol("modules").address
    assert "runqueues" in guest.linux.unknown_symbols


def offset_of(booted: Booted, struct: str, member: str) -> int:
    return booted.linux.processes.layout.field(struct, member).offset


@check
def tasks(booted: Booted) -> None:
    linux = booted.linux
    found = linux.tasks(threads=True)
    assert found.cut is None
    printed = booted.ask("cat /proc/[0-9]*/stat | cut -d' ' -f1-4")
    known = {int(m[1]): (m[2], int(m[3])) for m in re.finditer(r"(\d+) \((.*)\) \S (\d+)", printed)}
    same = {task.pid for task in found} & set(known)
    assert len(same) > 20, (same, printed)
    for task in found:
        if task.pid in same:
            # The kernel adds to the name of a kernel thread what it works on.
            assert known[task.pid][0].startswith(task.comm)
            assert known[task.pid][1] == task.parent_pid
    assert found.table().splitlines()[0].split()[:2] == ["pid", "tgid"], found.table()[:200]
    init = linux.task(1)
    functions = [frame.location.function for frame in init.backtrace()]
    assert functions[0] == "__switch_to"
    assert functions.index("schedule") < functions.index("do_wait")
    assert functions[-1] == "el0t_64_sync"
    assert init.registers()["x8"] == 260  # wait4()
    assert init.registers()["pstate"] & EL_MASK == 0
    with fails(MissingKernelData, "kernel thread"):
        linux.task(2).registers()


@check
def the_current_task_and_its_page(booted: Booted) -> None:
    guest, linux = booted.guest, booted.linux
    call = guest.break_("__arm64_sys_newuname")
    booted.type("uname -r")
    stop = guest.run(timeout=SECONDS)
    assert stop.hit is not None
    task = linux.current(stop.cpu)
    assert (task.comm, task.state, task.is_running) == ("uname", "R", True)
    assert task.address == stop.cpu.reg("SP_EL0")
    assert str(stop.hit.task) == f"uname ({task.pid})"
    assert [frame.pc for frame in task.backtrace()] == [f.pc for f in stop.cpu.backtrace()]
    program = guest.break_(task.registers()["pc"], el="el0")
    stop = guest.run(timeout=SECONDS)
    assert stop.hit is not None
    assert stop.hit.point is program
    # In the program SP_EL0 is its own stack pointer.
    assert linux.current(stop.cpu).pid == task.pid
    assert stop.hit.task.context == "process"
    code = linux.page(guest.translate(stop.pc))
    assert code.owner == "file rootfs /bin/busybox"
    stack = linux.page(guest.translate(stop.cpu.sp))
    assert (stack.owner, stack.mapcount) == ("anonymous", 1)
    kernel = linux.page(linux.memory.translate(task.address))
    assert kernel.owner == "slab task_struct"
    program.delete()
    call.delete()
    booted.to_prompt()
    with fails(NoSuchTask, "has ended"):
        task.registers()


@check
def dmesg(booted: Booted) -> None:
    records = booted.linux.dmesg()
    assert records.cut is None
    assert records[0].text.startswith("Booting Linux on physical CPU 0x")
    assert [record.sequence for record in records] == list(range(len(records)))
    shown = booted.ask("dmesg | head -n 3").splitlines()
    assert shown == [line for record in records[:3] for line in str(record).splitlines()][:3]
    booted.ask("echo '<12>hello' > /dev/kmsg")
    last = booted.linux.dmesg()[-1]
    assert (last.text, last.level, last.facility) == ("hello", 4, 1)


@check
def modules_and_mounts(booted: Booted) -> None:
    shown = [line.split()[:3] for line in booted.ask("cat /proc/modules").splitlines()]
    modules = booted.linux.modules()
    assert [[m.name, str(m.size), str(m.references)] for m in modules] == shown
    lines = booted.ask("mount -t tmpfs -o nosuid,ro mine /tmp; cat /proc/mounts; umount /tmp")
    mounts = booted.linux.mounts()
    assert [[m.device, m.path, m.type] for m in mounts] == [
        line.split()[:3] for line in lines.splitlines()
    ][:-1]


@check
def interrupts(booted: Booted) -> None:
    found = {each.number: each for each in booted.linux.interrupts() if not each.is_hidden}
    count = len(booted.guest.vcpus)
    seen = 0
    for line in booted.ask("cat /proc/interrupts").splitlines():
        words = line.split()
        if not words[0].rstrip(":").isdigit():
            continue
        each = found[int(words[0].rstrip(":"))]
        counts = [int(word) for word in words[1 : 1 + count]]
        assert all(a <= b for a, b in zip(each.counts, counts, strict=True)), line
        hardware = str(each.hardware_number)
        assert words[1 + count :] == [each.chip, hardware, each.trigger, ", ".join(each.names)]
        seen += 1
    assert seen >= 3


# ---- processes ---------------------------------------------------------------------------------


@check
def memory_and_mappings_of_processes(booted: Booted) -> None:
    first, second = booted.start(), booted.start()
    booted.signal(first)
    assert (booted.value(first), booted.value(second)) == (WRITES, 0)
    found = booted.linux.processes.mappings(first)
    shown = booted.ask(f"cat /proc/{first}/maps").splitlines()
    assert len(shown) == len(found) > 4
    for line, mapping in zip(shown, found, strict=True):
        span, permissions, *_ = line.split()
        assert span == f"{mapping.start:08x}-{mapping.end:08x}"
        assert permissions == mapping.permissions
        assert line.endswith((mapping.path or "", "]"))
    image = booted.linux.processes.images(first)[0]
    assert image.symbols.find("work").address == booted.names["work"]
    booted.end(first, second)


@check
def points_in_one_process(booted: Booted) -> None:
    """There are no table filters: each hit of the other process stops the vCPU, and is compared."""
    guest = booted.guest
    first, second = booted.start(), booted.start()
    values: list[object] = []
    watch = guest.watch(booted.names["counter"], 8, task=first)
    watch(lambda hit: values.append((hit.task.pid, hit.new)))
    called: Counter[str] = Counter()
    program = guest.break_(booted.names["work"], task=second)
    program(lambda hit: called.update([f"work {hit.task.pid}"]))
    kernel = guest.break_("__arm64_sys_rt_sigtimedwait", task=second)
    kernel(lambda hit: called.update([f"wait {hit.task.pid}"]))
    with points(watch, program, kernel):
        booted.signal(second)
        assert values == []
        booted.until(lambda: called.total() == 2)
        assert called == {f"work {second}": 1, f"wait {second}": 1}
        booted.signal(first)
        assert values == [(first, n) for n in range(1, WRITES + 1)]
        assert watch.seen == watch.hits == WRITES
        assert called.total() == 2
        # When it executes another program, the point goes with it. The first write is the kernel's.
        values.clear()
        booted.ask(f"kill -HUP {first}; sleep 0.2")
        booted.signal(first)
        assert values == [(first, n) for n in range(WRITES + 1)]
        # A second thread has the memory of its process, a child has its own.
        values.clear()
        booted.signal(first, "ALRM")
        booted.until(lambda: len(values) == 2 * WRITES)
        values.clear()
        booted.signal(first, "USR2")
        assert values == [(first, n) for n in range(1, WRITES + 1)]
        booted.end(first)
        assert watch.task is not None
        assert "pending" in watch.task.describe()
        assert guest.why_unreachable(watch) == "there is no such process now"
    with fails(NoSuchTask, f"no process or thread {first}"):
        guest.watch(booted.names["counter"], 8, task=first)
    booted.end(second)


@check
def a_name_waits_for_its_process(booted: Booted) -> None:
    pids: list[int] = []
    watch = booted.guest.watch(booted.names["counter"], 8, task="worker", access="write")
    watch(lambda hit: pids.append(hit.task.pid))
    with points(watch):
        first, second = booted.start(), booted.start("/pie")
        assert watch.task is not None
        assert watch.task.describe() == f"worker ({first})"
        booted.signal(first)
        booted.end(first, second)
    assert pids == [first] * WRITES


@check
def a_program_is_armed_before_it_runs(booted: Booted) -> None:
    processes = booted.linux.processes
    reached = processes.break_in("/worker", "work", when="x0 > 1", follow_fork="both")
    anywhere = processes.break_in("/pie", "work")
    pids: list[int] = []
    callers: list[tuple[int, list[str | None]]] = []

    def note(hit: guestdbg.Hit) -> None:
        frames = processes.backtrace(hit.task.pid)
        callers.append((hit.task.pid, [frame.location.function for frame in frames][:3]))

    with points(reached(lambda hit: pids.append(hit.task.pid)), anywhere(note)):
        assert reached.pending
        first, moved = booted.start(), booted.start("/pie")
        booted.signal(first, "USR2")
        child, parent = pids
        assert parent == first != child
        booted.ask(f"kill -USR1 {moved}")
        booted.until(lambda: callers)
        assert callers == [(moved, ["work", "act", "main"])]
        assert (reached.hits, anywhere.hits, anywhere.missed) == (2, 1, 0)
        booted.end(first, moved)
        assert reached.pending
        assert anywhere.pending
    assert not list(booted.guest.points)


@check
def more_points_than_registers(booted: Booted) -> None:
    """Those that the debugger needs itself are counted, and said."""
    guest = booted.guest
    shell = int(booted.ask("echo $$"))
    made: list[Breakpoint] = []
    try:
        with fails(OutOfRegisters, "breakpoint"):
            for n in range(guest.hardware.breakpoints + 1):
                made.append(guest.break_(0x400000 + 4 * n, task=shell))
        # One is for the end of the process.
        assert len(made) == guest.hardware.breakpoints - 1
    finally:
        for point in made:
            point.delete()


# ---- what is not there -------------------------------------------------------------------------


@check
def what_needs_drgn_says_so(booted: Booted) -> None:
    guest = booted.guest
    with fails(MissingDependency, "drgn, which is not installed"):
        guest.program  # noqa: B018
    with fails(MissingDependency, "drgn, which is not installed"):
        guest["init_task.comm"]
    with fails(MissingDependency, "drgn, which is not installed"):
        guest.watch("init_task.tasks.next")
    with fails(MissingDependency, "drgn, which is not installed"):
        guest.break_("do_sys_openat2", when="dfd == -100 and current->pid > 1")
    assert not list(guest.points)
    # Registers and memory need none.
    opened = guest.break_("do_sys_openat2", when="(x0 & 0xffffffff) == 0xffffff9c")
    with points(opened(lambda hit: None)):
        booted.ask("cat /proc/uptime")
    assert (opened.seen, opened.hits) == (1, 1)


@check
def what_the_real_kvm_has_not_says_so(booted: Booted) -> None:
    guest = booted.guest
    with fails(Unsupported, "snapshot"):
        guest.snapshot()
    with fails(HistoryUnavailable, "history needs the software provider"):
        guest.history.start()
    with fails(Unsupported, "timeout"):
        guest.run(max_instructions=1000)


@check
def a_vmlinux_gives_lines_but_no_variables(booted: Booted) -> None:
    """It is a small one, made for this kernel: its build ID, and one function with a line."""
    guest, linux = booted.guest, booted.linux
    before = guest.symbol("__arm64_sys_newuname").address
    found = linux.use_vmlinux(FILES / "vmlinux")
    assert found.image.slide == linux.slide
    assert guest.symbol("__arm64_sys_newuname").address == before
    call = guest.break_("kernel/sys.c:__arm64_sys_newuname")
    with points(call):
        assert call.address == before
        booted.type("uname -r")
        stop = guest.run(timeout=SECONDS)
        assert stop.hit is not None
        assert (stop.hit.location.function, stop.hit.location.line) == ("__arm64_sys_newuname", 3)
        with fails(MissingDependency, "drgn, which is not installed"):
            stop.hit["regs"]
    booted.to_prompt()


# ---- GDB ---------------------------------------------------------------------------------------


class Wire:
    """A client of the server, which sends the packets that it is given."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(SECONDS)
        self._socket.connect(path)
        self._decoder = Decoder()
        self._packets: list[bytes] = []
        self.ask("QStartNoAckMode")
        self.ask("qSupported:swbreak+;hwbreak+;multiprocess+")

    def ask(self, payload: str) -> str:
        self._socket.sendall(frame(payload.encode()))
        while not self._packets:
            data = self._socket.recv(65536)
            assert data, "the server has hung up"
            events = self._decoder.feed(data)
            self._packets += [event.data for event in events if isinstance(event, Packet)]
        return self._packets.pop(0).decode("latin-1")

    def monitor(self, command: str) -> str:
        reply = self.ask(f"qRcmd,{command.encode().hex()}")
        text = ""
        while reply.startswith("O") and reply != "OK":
            text += bytes.fromhex(reply[1:]).decode()
            reply = self._packets.pop(0).decode() if self._packets else self.ask("")
        return text if reply in ("OK", "") else bytes.fromhex(reply).decode()

    def close(self) -> None:
        self._socket.close()


def serve(guest: Guest, talk: Callable[[Wire], None]) -> None:
    """Serve the guest in this thread, while another one talks to the server."""
    failed: list[BaseException] = []
    with (
        tempfile.TemporaryDirectory() as directory,
        Server(guest, f"unix:{directory}/gdb", on_disconnect="stop") as server,
    ):

        def client() -> None:
            try:
                wire = Wire(f"{directory}/gdb")
                try:
                    talk(wire)
                finally:
                    wire.close()
            except BaseException as error:
                failed.append(error)
            finally:
                server.stop()

        thread = threading.Thread(target=client)
        thread.start()
        server.serve()
        thread.join()
    assert guest.run(timeout=SECONDS).reason == "interrupt"  # by server.stop()
    for error in failed:
        raise error


def threads_of(wire: Wire) -> list[str]:
    """The thread-ids that the server lists."""
    found: list[str] = []
    reply = wire.ask("qfThreadInfo")
    while reply.startswith("m"):
        found += reply[1:].split(",")
        reply = wire.ask("qsThreadInfo")
    return found


@check
def gdb_asks_what_the_kernel_does(booted: Booted) -> None:
    guest, linux = booted.guest, booted.linux
    expected = {
        "version": linux.version,
        "ps": "kthreadd",
        "task 1": "__switch_to",
        "current": "vCPU 0: ",
        "dmesg 0": "Booting Linux on physical CPU 0x",
        "lsmod": "virtio_net",
        "mounts": "rootfs",
        "interrupts": "arch_timer",
        f"page {linux.memory.translate(linux.task(1).address):#x}": "slab task_struct",
        "symbols __arm64_sys_newuname": f"{guest.symbol('__arm64_sys_newuname').address:#x}",
    }

    def talk(wire: Wire) -> None:
        for command, text in expected.items():
            answer = wire.monitor(f"linux {command}")
            assert text in answer, (command, answer)
        vcpus = threads_of(wire)
        assert len(vcpus) == len(guest.vcpus)
        assert "tasks are threads" in wire.monitor("linux threads on")
        names = wire.ask("qXfer:threads:read::0,fff0")
        sleeper = re.search(r'<thread id="([^"]+)"[^>]*name="kthreadd"', names)
        assert sleeper is not None, names[:500]
        threads = threads_of(wire)
        assert set(vcpus) < set(threads)
        assert sleeper[1] in threads
        assert wire.ask(f"Hg{sleeper[1]}") == "OK"
        registers = wire.ask("g")
        assert "xxxxxxxx" in registers  # X0 to X18 are not known
        pc = bytes.fromhex(registers[32 * 16 : 33 * 16])
        location = guest.locate(int.from_bytes(pc, "little"))
        assert location.function == "__switch_to", location
        assert wire.monitor("linux threads off") == "only vCPUs are threads\n"
        assert threads_of(wire) == vcpus

    serve(guest, talk)


# ---- the end -----------------------------------------------------------------------------------


@check
def a_panic_ends_the_run(booted: Booted) -> None:
    booted.type("echo c > /proc/sysrq-trigger")
    stop = booted.guest.run(timeout=SECONDS)
    assert stop.reason == "panic", stop
    assert "sysrq triggered crash" in stop.detail
    functions = [frame.location.function for frame in stop.cpu.backtrace()]
    assert functions.index("panic") < functions.index("sysrq_handle_crash"), functions
    assert booted.linux.current(stop.cpu).comm == "sh"


def tidy(booted: Booted) -> None:
    """Leave nothing of a check that has failed to the next one."""
    for point in list(booted.guest.points):
        point.delete()
    with contextlib.suppress(AssertionError):
        booted.ask("killall worker pie")


def main(vcpus: int) -> None:
    begun = time.monotonic()
    booted = Booted(vcpus)
    for function in CHECKS:
        failed = None
        try:
            function(booted)
        except Exception:
            failed = traceback.format_exc()
            tidy(booted)
        seconds = time.monotonic() - begun
        begun += seconds
        line = {"check": function.__name__, "seconds": round(seconds, 1), "failed": failed}
        print(json.dumps(line), flush=True)
        if failed is not None and function is CHECKS[0]:
            break
    booted.guest.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
