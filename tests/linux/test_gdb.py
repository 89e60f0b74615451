"""GDB, pwndbg's and gef's questions on a running kernel, over one boot of Debian's newest kernel.

What pwndbg and gef send is replayed: to find out that a machine is debugged, to read system
registers and page tables, to find the kernel and its symbols in memory, to read physical memory.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from guestdbg.debugger import Guest, GuestSnapshot
from tests.gdb.gdb_client import gdb, needs_gdb
from tests.gdb.lldb_client import lldb, needs_lldb
from tests.gdb.rsp_client import Served, Wire

from .support import PROMPT, load

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), needs_gdb]

SECONDS = 200
#: Where backtraces end: entries from programs, new tasks, processors. The code that called
#: rest_init is freed.
OUTERMOST = ("el0t_64_sync", "el0t_64_irq", "ret_from_fork", "__secondary_switched")
OUTERMOST += ("__primary_switched", "start_kernel", "arch_call_rest_init", "rest_init")


@pytest.fixture(scope="module", params=["sid", pytest.param("bookworm", marks=pytest.mark.soak)])
def booted(request: pytest.FixtureRequest) -> Iterator[tuple[Guest, GuestSnapshot]]:
    """The guest at its prompt. It has moved itself (KASLR)."""
    output = bytearray()

    def console(data: bytes) -> None:
        output.extend(data)
        if PROMPT in output:
            output.clear()
            guest.interrupt()

    with load(request.param, console=console, vcpus=2, seed=7) as guest:
        stop = guest.run(timeout=SECONDS)
        assert stop.reason == "interrupt", (stop, bytes(output[-500:]))
        assert guest.linux.slide
        yield guest, guest.snapshot()


@pytest.fixture
def here(booted: tuple[Guest, GuestSnapshot], tmp_path: Path) -> Iterator[Served]:
    guest, snapshot = booted
    guest.restore(snapshot)
    found = Served(guest, str(tmp_path / "gdb"), {"on_disconnect": "stop"})
    yield found
    found.stop()


@pytest.fixture
def wire(here: Served) -> Iterator[Wire]:
    with here.client() as client:
        yield client


# ---- pwndbg ------------------------------------------------------------------------------------

#: The functions of a pwndbg session by what they send, over GDB's own Python.
PWNDBG = """
import struct
connect()
connection = gdb.selected_inferior().connection
inferior = gdb.selected_inferior()
U64 = (1 << 64) - 1

def send(packet):
    return connection.send_packet(packet) or b""

def register(*names):
    # By the name, and then in capitals.
    for name in names:
        for one in (name, name.upper()):
            try:
                return int(gdb.selected_frame().read_register(one)) & U64
            except ValueError:
                pass

def monitor(command):
    return gdb.execute("monitor " + command, to_string=True)

def physical(function):
    before = send("qqemu.PhyMemMode").decode()
    send("Qqemu.PhyMemMode:1")
    assert send("qqemu.PhyMemMode") == b"1"
    try:
        return function()
    finally:
        send("Qqemu.PhyMemMode:" + before)

TCR = register("TCR_EL1")
LEVELS = (64 - (TCR >> 16 & 63) - 12 + 8) // 9
MASK = (1 << 48) - (1 << 12)

def flags(entry):
    writable = entry >> 6 & 3 in (0, 1)
    return "r" + "-w"[writable] + "-x"[entry >> 53 & 3 != 3]

def scan(address, level, start, found):
    size = 1 << 12 + 9 * (level - 1)
    for entry in struct.unpack("<512Q", inferior.read_memory(address, 4096)):
        if entry & 1:
            if level == 1 or entry & 3 == 1:
                if found and found[-1][1] == start and found[-1][2] == flags(entry):
                    found[-1][1] = start + size
                else:
                    found.append([start, start + size, flags(entry)])
            else:
                scan(entry & MASK, level - 1, start, found)
        start += size

def vmmap():
    found = []
    physical(lambda: scan(register("TTBR0_EL1") & MASK, LEVELS, 0, found))
    upper = (1 << 64) - (1 << 12 + 9 * LEVELS)
    physical(lambda: scan(register("TTBR1_EL1") & MASK, LEVELS, upper, found))
    return found
"""


def test_pwndbg_takes_the_server_for_a_machine(here: Served) -> None:
    """`is_qemu`, `is_usermode` and the version; then whether paging is on."""
    results = gdb(
        here.path,
        PWNDBG
        + """
report(bits=send("Qqemu.sstepbits").decode(), offsets=send("qOffsets").decode(),
       version=send("qGDBServerVersion").decode(), paging=register("SCTLR") & 1,
       large=register("ID_AA64MMFR2_EL1") >> 16 & 15, granule=TCR >> 30 & 3,
       unknown=monitor("chardev-add file,id=x,path=/nonexistent"),
       hva=monitor("gpa2hva 0x40000000"), done=1)
""",
    )
    assert results["bits"].startswith("ENABLE=1")
    assert results["offsets"] == ""
    assert re.search(r"version:\d+\.\d+", results["version"])
    assert (results["paging"], results["large"], results["granule"]) == (1, 0, 2)
    assert "there is no monitor command" in results["unknown"]
    # pwndbg takes the last word for the address, if it is a number, and reads a process's memory.
    assert not re.fullmatch(r"(0x)?[0-9a-f]+", results["hva"].split()[-1])


def test_pwndbg_vmmap_and_the_kernel_base(here: Served) -> None:
    """All tables by reads of physical memory, and `monitor info mem`; the base from VBAR_EL1."""
    results = gdb(
        here.path,
        PWNDBG
        + """
maps = vmmap()
vbar = register("vbar_el1", "vbar")
base = next(start for start, end, _ in maps if start <= vbar < end)
report(maps=maps, base=base, mem=monitor("info mem"), mtree=monitor("info mtree -f"),
       pc=register("pc"), stack=register("SP_EL0"), done=1)
""",
    )
    linux = here.guest.linux
    assert 0 <= results["base"] - linux.address < 1 << 21
    text = next(m for m in results["maps"] if m[0] <= results["pc"] < m[1])
    assert text[2] == "r-x"
    assert any(start <= results["stack"] < end for start, end, _ in results["maps"])
    # The server's own list: user, read, write, execute.
    mem = []
    for line in results["mem"].split("\n")[:-1]:
        between, size, letters = line.split()
        start, end = (int(part, 16) for part in between.split("-"))
        assert end - start == int(size, 16)
        assert len(letters) == 4
        mem.append([start, end, letters[1:]])
    kernel = [m for m in results["maps"] if m[0] >> 63]
    assert len(kernel) > 50
    assert covered(mem) == covered(results["maps"])
    assert [m[1] for m in mem if m[0] >> 63 and "w" in m[2]] == [
        m[1] for m in kernel if "w" in m[2]
    ]
    head, _, rows = results["mtree"].partition("Root memory region: system\n")
    assert head
    ram = next(row for row in rows.splitlines() if "ram" in row)
    assert int(ram.split("-")[0], 16) == 0x4000_0000


def covered(maps: list[list[int]]) -> list[tuple[int, int]]:
    """The addresses in the ranges, whatever their permissions."""
    found: list[tuple[int, int]] = []
    for start, end, *_ in maps:
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def test_pwndbg_finds_version_and_kallsyms_in_memory(here: Served) -> None:
    """The first read-only mapping with the banner; in it kallsyms' table of tokens."""
    results = gdb(
        here.path,
        PWNDBG
        + """
maps = vmmap()
vbar = register("vbar_el1")
base = next(start for start, end, _ in maps if start <= vbar < end)
banner = None
for start, end, kind in maps:
    if start < base or kind != "r--":
        continue
    banner = inferior.search_memory(start, end - start, b"Linux version")
    if banner is not None:
        break
version = bytes(inferior.read_memory(banner, 64))
data = bytes(inferior.read_memory(start, end - start))
digits = b"".join(b"%c\\0" % n for n in range(0x30, 0x3A))
report(version=version.decode(), tokens=data.count(digits), size=len(data),
       index=data.index(b"Linux version") + start == banner,
       absent=inferior.search_memory(start, end - start, b"no such text in this kernel") is None,
       done=1)
""",
    )
    assert results["version"].startswith(f"Linux version {here.guest.linux.release} (")
    assert results["tokens"] >= 1
    assert results["index"]
    assert results["absent"]
    assert results["size"] > 1 << 20


def test_pwndbg_walks_to_one_address(here: Served) -> None:
    """`pagewalk`: the same physical address as the server's, from the register to the page."""
    results = gdb(
        here.path,
        PWNDBG
        + """
def walk(target):
    table = register("TTBR1_EL1" if target >> 63 else "TTBR0_EL1") & MASK
    for level in range(LEVELS, 0, -1):
        shift = 12 + 9 * (level - 1)
        entry, = struct.unpack("<Q", inferior.read_memory(table + 8 * (target >> shift & 511), 8))
        if not entry & 1:
            return None
        if level == 1 or entry & 3 == 1:
            return (entry & MASK & -1 << shift) + (target & (1 << shift) - 1)
        table = entry & MASK

pages = {}
for target in (register("pc"), register("vbar_el1"), register("SP_EL0"), 0xffff123400000000):
    found = physical(lambda: walk(target))
    pages[hex(target)] = [found, monitor("gva2gpa %#x" % target)]
    if found is not None:
        there = physical(lambda: bytes(inferior.read_memory(found, 16)))
        assert there == bytes(inferior.read_memory(target, 16)), hex(target)
report(pages=pages, done=1)
""",
    )
    pages = list(results["pages"].values())
    assert pages[-1] == [None, "Unmapped\n"]
    for found, said in pages[:-1]:
        assert said == f"gpa: {found:#x}\n"


# ---- the kernel's names, without a file ---------------------------------------------------------


def test_names_and_backtraces_without_a_vmlinux(here: Served) -> None:
    """GDB reads an ELF file of the server's: names, functions and variables, frames.

    Frames are found through interrupts, through functions in their first instructions, and through
    return addresses with authentication codes.
    """
    results = gdb(
        here.path,
        """
        connect()
        run("symbol-file target:/linux-symbols")

        def names():
            found, frame = [], gdb.newest_frame()
            while frame is not None:
                found.append(frame.name())
                frame = frame.older()
            return found

        threads = []
        for thread in gdb.selected_inferior().threads():
            thread.switch()
            threads.append(names())
        report(threads=threads,
               code=value("(unsigned long)&commit_creds"), task=value("(unsigned long)&init_task"),
               module=run("info symbol virtio_queue_rq"))
        gdb.Breakpoint("*&handle_percpu_devid_irq", gdb.BP_HARDWARE_BREAKPOINT)
        run("continue")
        first = names()
        run("stepi 6")
        report(first=first, inside=names())
        caller = gdb.newest_frame().older().pc()
        run("delete")
        run("finish")
        report(finished=pc() == caller, done=1)
        """,
    )
    linux = here.guest.linux
    assert results["code"] == linux.symbols("commit_creds")[0].address
    assert results["task"] == linux.symbols("init_task")[0].address
    assert results["module"].startswith("virtio_queue_rq in section .text")
    for frames in results["threads"]:
        assert frames[-1] in OUTERMOST, frames
        assert None not in frames
        assert len(frames) > 3
    for frames in (results["first"], results["inside"]):
        assert frames[0] == "handle_percpu_devid_irq"
        entry = next(n for n, name in enumerate(frames) if name.endswith("_64_irq"))
        assert "handler" in frames[entry - 1]  # that of programs has two functions
        assert "gic_handle_irq" in frames[:entry]
        if frames[entry] == "el1h_64_irq":
            assert len(frames) > entry + 2, frames
            assert frames[-1] in OUTERMOST, frames
    assert results["finished"]


# ---- gef ---------------------------------------------------------------------------------------


GEF_REGISTERS = (
    "TTBR0_EL1 TTBR1_EL1 TCR_EL1 VBAR SCTLR MAIR_EL1 ESR_EL1 FAR_EL1 ELR_EL1 SPSR_EL1 SP_EL0 "
    "TPIDR_EL1"
)


@pytest.fixture
def expected(booted: tuple[Guest, GuestSnapshot]) -> dict[str, int]:
    """The registers that gef reads. (Comes before ``here``, which uses the guest.)"""
    guest, snapshot = booted
    guest.restore(snapshot)
    cpu = guest.vcpus[guest.execution.current]
    full = {"VBAR": "VBAR_EL1", "SCTLR": "SCTLR_EL1"}
    return {name: cpu.reg(full.get(name, name)) for name in GEF_REGISTERS.split()}


def test_gef_reads_registers_and_physical_memory(expected: dict[str, int], here: Served) -> None:
    """gef recognises the machine by two packets, and switches GDB to physical addresses."""
    results = gdb(
        here.path,
        f"""
        NAMES = {GEF_REGISTERS!r}
        connect()
        def packet(text):
            return gdb.execute("maintenance packet " + text, to_string=True, from_tty=False)

        system = "ENABLE=" in packet("Qqemu.sstepbits") and 'received: ""' in packet("qOffsets")
        before = packet("qqemu.PhyMemMode")
        values = dict((n, value("(unsigned long)$" + n)) for n in NAMES.split())
        where = values["VBAR"]
        virtual = bytes(gdb.selected_inferior().read_memory(where, 64))
        page = int(run("monitor gva2gpa %#x" % where).split()[-1], 16)
        packet("Qqemu.PhyMemMode:1")
        assert 'received: "1"' in packet("qqemu.PhyMemMode")
        run("maintenance flush dcache")
        there = bytes(gdb.selected_inferior().read_memory(page, 64))
        packet("Qqemu.PhyMemMode:0")
        run("maintenance flush dcache")
        report(system=system, before=before, values=values, same=there == virtual,
               lower=value("(unsigned long)$ttbr1_el1"), maps=run("monitor info mem"),
               gic=run("monitor info mtree -f"), done=1)
        """,
    )
    assert results["system"]
    assert 'received: "0"' in results["before"]
    assert results["same"]
    assert results["values"] == expected
    assert results["lower"] == results["values"]["TTBR1_EL1"]
    assert re.search(
        r"^  0000000008000000-([0-9a-f]+) \(prio 0, i/o\): gic_dist$", results["gic"], re.MULTILINE
    )
    # As gef's parser takes the lines of `info mem` apart.
    for line in results["maps"].splitlines():
        ranges, offset, permissions = line.split()
        assert len([int(part, 16) for part in ranges.split("-")]) == 2
        assert int(offset, 16)
        assert permissions[1] == "r"


# ---- monitor linux -----------------------------------------------------------------------------


def test_monitor_linux(wire: Wire, here: Served) -> None:
    ask = wire.monitor
    topics = [line.split()[2] for line in ask("linux").splitlines()]
    assert {"ps", "lsmod", "dmesg", "mounts", "interrupts", "page", "version"} <= set(topics)
    assert "linux" in ask("help")
    version = ask("linux version")
    assert version.startswith("Linux version ")
    assert "command line: console=ttyAMA0 quiet" in version
    rows = [row.split() for row in ask("linux ps").splitlines()]
    assert rows[0][0] == "pid"
    names = {row[0]: row[-1] for row in rows[1:]}
    assert (names["1"], names["2"]) == ("init", "[kthreadd]")
    assert len(ask("linux ps -T").splitlines()) >= len(rows)
    task = ask("linux task 1")
    assert "in do_wait+0x" in task
    assert "in el0t_64_sync+0x" in task
    assert re.search(r"\n +pc 0000[0-9a-f]{12} pstate ", task)
    assert "virtio_blk" in ask("linux lsmod")
    assert len(ask("linux dmesg 3").splitlines()) == 3
    assert "Booting Linux on physical CPU" in ask("linux dmesg 0")
    assert "/proc proc" in ask("linux mounts")
    assert ask("linux mounts 1") == ask("linux mounts")
    assert "arch_timer" in ask("linux interrupts")
    assert ask("linux page 0x40200000").startswith("page 0x40200000: ")
    assert ask("linux symbols commit_creds").endswith(" function commit_creds\n")
    assert "target:/linux-symbols" in ask("linux symbols")
    current = ask("linux current").splitlines()
    assert [line.split(":")[0] for line in current] == ["vCPU 0", "vCPU 1"]
    # An abbreviation, and what is wrong.
    assert ask("linux int") == ask("linux interrupts")
    for wrong, said in (
        ("linux nothing", "knows no 'nothing': version, ps,"),
        ("linux m x", "monitor linux mounts [PID]"),
        ("linux page", "page PHYSICAL-ADDRESS"),
        ("linux page 0", "no memory"),
        ("linux task 4000000", "has no task 4000000"),
        ("linux task -1", "not a negative number"),
        ("linux lsmod x", "takes no arguments"),
        ("linux ps x", "monitor linux ps -T"),
        ("linux symbols nothing_of_that_name", "no symbol 'nothing_of_that_name'"),
        ("linux threads maybe", "threads [on | off]"),
    ):
        assert said in ask(wrong), (wrong, ask(wrong))


@pytest.fixture
def with_200(booted: tuple[Guest, GuestSnapshot], tmp_path: Path) -> Iterator[Served]:
    """The guest with 200 more tasks."""
    guest, snapshot = booted
    guest.restore(snapshot)
    guest.board.console.feed(b"for i in $(seq 200); do sleep 9999 & done; echo\n")
    for _ in range(5):  # the shell may show its prompt again while the line is typed
        assert guest.run(timeout=SECONDS).reason == "interrupt"
        if len(guest.linux.tasks()) > 240:
            break
    found = Served(guest, str(tmp_path / "gdb"), {"on_disconnect": "stop"})
    yield found
    found.stop()


@pytest.mark.soak
def test_two_hundred_tasks(with_200: Served) -> None:
    """Their list, and the frames of all of them."""
    results = gdb(
        with_200.path,
        """
        connect()
        run("symbol-file target:/linux-symbols")
        run("monitor linux threads on")
        begin = time.perf_counter()
        listed = run("info threads")
        middle = time.perf_counter()
        frames = run("thread apply all backtrace")
        report(count=len(gdb.selected_inferior().threads()), first=middle - begin,
               all=time.perf_counter() - middle, ends=frames.count(" in ret_from_fork ()")
               + frames.count(" in el0t_64_sync ()"), done=1)
        """,
    )
    assert results["count"] > 240
    assert results["first"] < 5
    assert results["all"] < 30
    assert results["ends"] > 230


@pytest.mark.soak
def test_a_damaged_kernel_is_always_answered(
    booted: tuple[Guest, GuestSnapshot], tmp_path: Path
) -> None:
    """Random words all over the structures of tasks: no command hangs, and none is a defect."""
    guest, snapshot = booted
    for seed in range(30):
        guest.restore(snapshot)
        rng = random.Random(seed)
        tasks = [task.address for task in guest.linux.tasks()]
        for _ in range(rng.choice((1, 20, 400))):
            at = rng.choice(tasks) + rng.randrange(0, 4096, 8)
            value = rng.choice((0, rng.choice(tasks), rng.getrandbits(64), 0xDEAD_0000_0000_0100))
            guest.linux.memory.space().write(at, value.to_bytes(8, "little"))
        here = Served(guest, str(tmp_path / f"gdb{seed}"), {"on_disconnect": "stop"})
        with here.client() as wire:
            for command in ("threads on", "ps -T", "current", "task 1", "mounts", "lsmod"):
                said = wire.monitor(f"linux {command}")
                assert said
                assert "defect" not in said, (seed, command, said)
            for thread in ids(wire)[:40]:
                wire.ask(b"Hg%x" % thread)
                assert wire.ask(b"g")
                wire.ask(b"qThreadExtraInfo,%x" % thread)
            assert wire.ask(b"qXfer:threads:read::0,7000")[:1] in b"ml"
        here.stop()
        assert not any("defect" in text for text in here.announced)


def test_damaged_lists_end(wire: Wire, here: Served) -> None:
    """A list of tasks that leads into nothing, and one that is a circle without its head."""
    linux = here.guest.linux
    tasks = linux.state.view.layouts.struct("task_struct").field("tasks").offset
    head = linux.symbols("init_task")[0].address + tasks
    first = int.from_bytes(bytes.fromhex(wire.ask(b"m%x,8" % head).decode()), "little")
    for value in (0xDEAD_0000_0000_0100, first):
        # The first process's next one: nothing, or itself.
        before = wire.ask(b"m%x,8" % first)
        assert wire.ask(b"M%x,8:%b" % (first, value.to_bytes(8, "little").hex().encode())) == b"OK"
        assert len(wire.monitor("linux ps").splitlines()) < 10
        assert "the rest cannot be read" in wire.monitor("linux ps")
        wire.monitor("linux threads on")
        assert len(wire.ask(b"qfThreadInfo").split(b",")) < 10
        wire.monitor("linux threads off")
        assert wire.ask(b"M%x,8:%b" % (first, before)) == b"OK"


# ---- tasks as threads --------------------------------------------------------------------------


def ids(wire: Wire) -> list[int]:
    return [int(one, 16) for one in wire.ask(b"qfThreadInfo")[1:].split(b",")]


def test_tasks_are_threads_where_asked(wire: Wire) -> None:
    assert ids(wire) == [1, 2]
    assert wire.monitor("linux threads") == "only vCPUs are threads\n"
    assert "tasks are threads" not in wire.ask(b"qThreadExtraInfo,1").decode()
    assert "are threads" in wire.monitor("linux threads on")
    threads = ids(wire)
    assert threads[:2] == [1, 2], "the vCPUs stay what they are"
    assert {1_000_001, 1_000_002} <= set(threads)
    assert len(threads) > 40
    extra = bytes.fromhex(wire.ask(b"qThreadExtraInfo,%x" % 1_000_001).decode()).decode()
    assert extra == "init, pid 1, sleeping"
    # A task that sleeps: what the kernel keeps has values, the rest has none.
    assert wire.ask(b"Hg%x" % 1_000_001) == b"OK"
    general = wire.ask(b"g")
    assert general.startswith(b"x" * 16 * 19)
    assert b"x" not in general[16 * 19 : 16 * 33]
    assert general[16 * 33 :] == b"x" * 8
    assert wire.ask(b"p20") == general[16 * 32 : 16 * 33]
    assert wire.ask(b"p0") == b"x" * 16
    stack = int.from_bytes(bytes.fromhex(general[16 * 31 : 16 * 32].decode()), "little")
    assert len(wire.ask(b"m%x,10" % stack)) == 32
    for refused in (b"P13=" + b"00" * 8, b"G" + b"00" * 268):
        assert wire.ask(refused).startswith(b"E"), refused
    assert wire.ask(b"T%x" % 1_000_001) == b"OK"
    for gone in (b"T%x" % 1_999_999, b"Hg%x" % 1_999_999, b"qThreadExtraInfo,%x" % 4_000_000):
        assert wire.ask(gone).startswith(b"E"), gone
    # Only vCPUs run.
    for resumed in (b"vCont;s:%x", b"vCont;s:%x;c", b"Hc%x"):
        assert wire.ask(resumed % 1_000_001).startswith(b"E"), resumed
    assert wire.ask(b"qC") == b"QC%x" % 1_000_001
    wire.send(b"vCont;s:1")
    assert b"thread:1;" in wire.reply()
    assert wire.ask(b"qC") == b"QC1"
    assert b"x" not in wire.ask(b"g")
    assert wire.monitor("linux threads off") == "only vCPUs are threads\n"
    assert ids(wire) == [1, 2]


def test_the_memory_of_a_sleeping_task(wire: Wire) -> None:
    """Its program's memory is read through its own page tables, whatever the vCPU executes."""
    row = next(r for r in wire.monitor("linux ps").splitlines() if r.split()[-1] == "sh")
    pid = int(row.split()[0])
    pc = re.search(r" pc ([0-9a-f]{16})", wire.monitor(f"linux task {pid}"))
    assert pc is not None
    wire.monitor("linux threads on")
    assert wire.ask(b"Hg%x" % (1_000_000 + pid)) == b"OK"
    # Before the instruction that it returns to there is SVC #0.
    assert wire.ask(b"m%x,4" % (int(pc[1], 16) - 4)) == b"010000d4"
    assert wire.ask(b"m10,4").startswith(b"E")


def test_a_task_that_a_vcpu_executes(wire: Wire) -> None:
    """It has the vCPU's registers, which can be written."""
    wire.monitor("linux threads on")
    found = None
    for thread in ids(wire)[2:]:
        extra = bytes.fromhex(wire.ask(b"qThreadExtraInfo,%x" % thread).decode()).decode()
        if (match := re.search(r"running on vCPU (\d)", extra)) is not None:
            found = thread, int(match[1])
    if found is None:
        pytest.skip("all vCPUs are idle at this prompt")
    thread, vcpu = found
    words = bytes.fromhex(wire.ask(b"qThreadExtraInfo,%x" % (vcpu + 1)).decode()).decode()
    assert words.endswith(f" {thread - 1_000_000}")
    assert wire.ask(b"Hg%x" % (vcpu + 1)) == b"OK"
    general = wire.ask(b"g")
    assert wire.ask(b"Hg%x" % thread) == b"OK"
    assert wire.ask(b"g") == general
    assert wire.ask(b"P0=1122334455667788") == b"OK"
    assert wire.ask(b"Hg%x" % (vcpu + 1)) == b"OK"
    assert wire.ask(b"p0") == b"1122334455667788"


def test_a_task_that_ends_while_it_is_looked_at(wire: Wire, here: Served) -> None:
    wire.monitor("linux threads on")
    assert wire.ask(b"Hg%x" % 1_000_002) == b"OK"
    linux = here.guest.linux
    pid = linux.state.view.layouts.struct("task_struct").field("pid").offset
    row = next(r for r in wire.monitor("linux ps").splitlines() if r.split()[0] == "2")
    address = int(re.search(r"0x[0-9a-f]+", row)[0], 16)  # type: ignore[index]
    # Its structure is now that of another one.
    assert wire.ask(b"M%x,4:ffff0000" % (address + pid)) == b"OK"
    assert wire.ask(b"g").startswith(b"E")
    assert wire.ask(b"p20").startswith(b"E")
    assert "has no task 2" in wire.monitor("linux task 2")
    assert wire.ask(b"Hg1") == b"OK"
    assert b"x" not in wire.ask(b"g")


def test_threads_in_gdb(here: Served) -> None:
    results = gdb(
        here.path,
        """
        connect()
        run("symbol-file target:/linux-symbols")
        vcpus = run("info threads")
        said = run("monitor linux threads on")
        begin = time.perf_counter()
        listed = run("info threads")
        seconds = time.perf_counter() - begin
        threads = {t.ptid[1]: t for t in gdb.selected_inferior().threads()}
        threads[1000001].switch()
        names, frame = [], gdb.newest_frame()
        while frame is not None:
            names.append(frame.name())
            frame = frame.older()
        x0 = run("info registers x0")
        try:
            run("set var $x19 = 1")
            written = True
        except gdb.error:
            written = False
        gdb.Breakpoint("*&handle_percpu_devid_irq", gdb.BP_HARDWARE_BREAKPOINT, temporary=True)
        resumed = run("continue")
        stopped = gdb.selected_thread()
        report(resumed=resumed, vcpus=vcpus, said=said, listed=listed, seconds=seconds)
        report(names=names, x0=x0, written=written, stopped=stopped.ptid[1],
               where=gdb.newest_frame().name(), done=1)
        """,
    )
    assert re.search(r'Thread 1\.1 "vCPU 0" \(EL[01], \S+ \d+\)', results["vcpus"])
    assert re.search(r'Thread 1\.1000001 "init" \(pid 1, sleeping\)', results["listed"])
    assert results["names"][0] == "__switch_to"
    assert "do_wait" in results["names"]
    assert results["names"][-1] == "el0t_64_sync"
    assert "<unavailable>" in results["x0"]
    assert not results["written"]
    assert results["stopped"] in (1, 2)
    # The stop's message names the task.
    assert re.search(r"guestdbg: vCPU \d executes \d+ \S+ running, on CPU \d", results["resumed"])
    assert results["where"] == "handle_percpu_devid_irq"


@needs_lldb
def test_threads_in_lldb(here: Served) -> None:
    results = lldb(
        here.path,
        """
        connect()
        run("process plugin packet monitor linux threads on")
        run("thread step-inst")
        names = [t.GetName() for t in process.threads]
        init = next(t for t in process.threads if t.GetName() == "init (1)")
        frames = [f.GetPC() for f in init.frames]
        known = init.GetFrameAtIndex(0).FindRegister("x19")
        lost = init.GetFrameAtIndex(0).FindRegister("x0")
        report(names=names, frames=frames, known=known.GetValue() is not None,
               lost=lost.GetValue(), first=process.threads[0].GetName())
        run("process detach")
        """,
    )
    assert sum(name.startswith("vCPU ") for name in results["names"]) == 2
    assert len(results["names"]) > 40
    # Return addresses without their authentication codes.
    assert len(results["frames"]) > 8
    assert all(pc >> 48 == 0xFFFF for pc in results["frames"])
    assert results["known"]
    assert results["lost"] is None
