"""Points in one process, on Debian's kernel: processes of the same program, at the same addresses.

The guest is booted once; each test begins at the snapshot of the shell's prompt. They run on
Debian's 6.1, by `make soak` also on its newest kernel, for which test_running_processes.py is
quicker.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from guestdbg.debugger import (
    AddressError,
    ConditionError,
    GuestSnapshot,
    Hit,
    InvalidLocation,
    Point,
    Record,
    Recording,
    UnknownSymbol,
)
from guestdbg.linux import CorruptedGuestData, Mapping, NoSuchTask
from guestdbg.linux.processes.program import FollowFork

from .workers import NEEDS_GCC, Workers, workers

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), NEEDS_GCC]

#: How often a worker writes at a signal.
N = 5


@pytest.fixture(scope="module", params=["bookworm", pytest.param("sid", marks=pytest.mark.soak)])
def booted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Workers, GuestSnapshot]]:
    directory = tmp_path_factory.mktemp("worker")
    with workers(request.param, directory, vcpus=2, seed=5) as found:
        yield found, found.guest.snapshot()


@pytest.fixture
def work(booted: tuple[Workers, GuestSnapshot]) -> Workers:
    found, snapshot = booted
    for point in found.guest.points:
        point.delete()
    found.guest.restore(snapshot)
    return found


def noted(work: Workers, task: int | str, **options: object) -> tuple[list[int], list[object]]:
    """The pids of the tasks that hit a watch of the counter of ``task``, and the values."""
    pids: list[int] = []
    values: list[object] = []
    processes = work.guest.linux.processes

    def note(hit: Hit) -> None:
        current = processes.current(hit.vcpu)
        pids.append(current.pid)
        values.append(hit.new)

    work.guest.watch(work.counter, 8, task=task, **options)(note)  # type: ignore[arg-type]
    return pids, values


def test_only_one_of_two_processes_is_watched(work: Workers) -> None:
    first, second = work.start(N), work.start(N)
    pids, values = noted(work, first)
    work.signal(first)
    work.signal(second)
    work.signal(first)
    assert pids == [first] * 2 * N
    assert values == [1, 2, 3, 4, 5] * 2
    (watch,) = work.guest.points
    assert watch.seen == 2 * N  # the other's are not counted


def test_python_compares_where_the_provider_does_not(
    work: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a provider without table filters."""
    monkeypatch.setattr(Point, "_tables", lambda point, most: None)
    first, second = work.start(N), work.start(N)
    pids, values = noted(work, first)
    work.signal(second)
    work.signal(first)
    assert (pids, values) == ([first] * N, [1, 2, 3, 4, 5])


def test_a_name_means_all_processes_that_have_it(work: Workers) -> None:
    first, second = work.start(N), work.start(N)
    pids, _ = noted(work, "worker")
    work.signal(second)
    work.signal(first)
    assert pids == [second] * N + [first] * N


def test_a_name_waits_for_its_process(work: Workers) -> None:
    pids, _ = noted(work, "worker")
    (watch,) = work.guest.points
    assert watch.task is not None
    assert "pending" in watch.task.describe()
    first, second = work.start(N), work.start(N)
    assert watch.task.describe() == f"worker ({first}, {second})"
    work.signal(second)
    work.signal(first)
    assert pids == [second] * N + [first] * N


def test_a_hit_says_in_which_task_it_happened(work: Workers) -> None:
    first = work.start(1)
    tasks: list[object] = []
    kept: list[Hit] = []

    def note(hit: Hit) -> None:
        tasks.append((hit.task.pid, hit.task.comm, hit.task.context))  # type: ignore[union-attr]
        kept.append(hit)

    work.guest.watch(work.counter, 8, task=first)(note)
    interrupt = work.guest.break_("generic_handle_domain_irq")
    timer = work.guest.break_("run_timer_softirq")
    call = work.guest.break_("__arm64_sys_rt_sigtimedwait", task=first)
    call(note)
    interrupt(lambda hit: tasks.append(hit.task.context))
    timer(lambda hit: tasks.append(hit.task.context))
    work.signal(first)
    assert [each for each in tasks if isinstance(each, tuple)] == [(first, "worker", "process")] * 2
    assert {each for each in tasks if isinstance(each, str)} == {"hardirq", "softirq"}
    assert (kept[0].task.pid, str(kept[0].task)) == (first, f"worker ({first})")


def recorded(work: Workers, pids: list[int], where: int | str, **options: object) -> list[Record]:
    """The records of what happens while both processes work."""
    rows = work.guest.record(where, 8, **options)  # type: ignore[arg-type]
    for pid in pids:
        work.signal(pid)
    rows.delete()
    return list(rows)


def test_records_say_in_which_task_it_happened(
    work: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In programs, in the kernel for them, and in interrupts; also where the provider records."""
    guest = work.guest
    pids = [work.start(N), work.start(N)]
    start = guest.snapshot()
    by_python: list[Hit] = []
    note = Recording.note

    def counted(rows: Recording, hit: Hit) -> None:
        by_python.append(hit)
        note(rows, hit)

    for where in (work.counter, "jiffies_64" if guest.linux.symbols("jiffies_64") else "jiffies"):
        guest.restore(start)
        by_python.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Recording, "note", counted)
            fast = recorded(work, pids, where)
        assert len(by_python) <= 1  # before it is known where the kernel keeps the tasks
        guest.restore(start)
        # Python evaluates this condition, and makes the records.
        slow = recorded(work, pids, where, when=lambda hit: True)
        assert fast == slow
        assert {row.vcpu for row in fast} <= {0, 1}
        tasks = [row.task for row in fast if row.task is not None]
        assert len(tasks) == len(fast) > N
        if where == work.counter:
            assert [task.pid for task in tasks] == [pids[0]] * N + [pids[1]] * N
            assert {str(task) for task in tasks} == {f"worker ({pid})" for pid in pids}
        else:
            assert {task.context for task in tasks} == {"hardirq"}
            assert {"swapper/0"} < {task.comm for task in tasks} | {"sleep"}
    guest.restore(start)
    rows = guest.record(work.counter, 8, limit=N, registers=(0,))
    assert rows.columns[-7:] == ("x0", *guest.linux.processes.recorded.names)
    work.guest.board.console.feed(f"kill -USR1 {pids[1]}; sleep 1\n".encode())
    assert guest.run().reason == "hit"
    assert list(rows.column("pid")) == [pids[1]] * N
    assert list(rows.column("vcpu")) == [row.vcpu for row in rows]
    assert rows.data().shape == (N, 7 + 1 + 6)
    table = rows.table()
    for name in ("pid", "tgid", "comm", "context"):
        assert list(table.column(name)) == [getattr(row.task, name) for row in rows]
    without = guest.record(work.counter, 8, tasks=False)
    assert without.columns[-1] == "number"


def test_names_of_a_program(work: Workers) -> None:
    """Of the files that the process has mapped: for points, in hits and in their backtraces."""
    guest = work.guest
    first, second = work.start(N), work.start(N)
    point = guest.break_("work", task=first)
    assert (point.address, guest.break_("worker:work", task="worker").address) == (work.work,) * 2
    line = guest.break_("worker.c:25", task=second)
    assert line.address > work.work
    watch = guest.watch("/worker:counter", task=first)
    assert (watch.address, watch.length) == (work.counter, 8)
    pytest.importorskip("drgn")
    element = guest.watch("worker:other[3]", task=first)
    assert (element.address - guest.watch("worker:other", 8, task=first).address) == 24
    assert guest.record("worker:counter", task=first).address == work.counter
    for each in guest.points:
        each.delete()
    seen: list[object] = []

    def note(hit: Hit) -> None:
        frames = [frame.location for frame in hit.backtrace()]
        seen.append((str(hit.location), [at.function for at in frames][:3], frames[1].file))

    guest.break_("work", task=first)(note)
    guest.watch("worker:counter", task=first, ignore=N - 1)(note)
    work.signal(second)
    work.signal(first)
    (at, functions, file), (at_write, *_) = seen  # type: ignore[misc]
    assert at.startswith("work (worker.c:2")
    assert at_write.startswith("work+0x")
    assert functions == ["work", "act", "main"]
    assert str(file).endswith("worker.c")
    pies = [work.start(N, "/pie") for _ in range(2)]
    with pytest.raises(InvalidLocation, match=rf"in process {pies[0]}, .* process {pies[1]}: give"):
        guest.break_("work", task="pie")
    own = [guest.break_("work", task=pid).address for pid in pies]
    assert own[0] != own[1]
    assert guest.break_("__arm64_sys_openat", task=first).address >> 55 == 0x1FF
    for where, task in (("no_such_name", first), ("work", "nobody"), ("worker:nothing", first)):
        with pytest.raises(UnknownSymbol, match="--exec FILE:FUNCTION"):
            guest.break_(where, task=task)
        with pytest.raises(UnknownSymbol, match="--exec FILE:FUNCTION"):
            guest.watch(where, task=task)


def test_it_stays_when_the_process_executes_a_program(work: Workers) -> None:
    first, second = work.start(N), work.start(N)
    pids, values = noted(work, first)
    before = work.guest.linux.processes.memory(first)
    work.signal(first, "HUP")
    work.signal(second)
    work.signal(first)
    # The first write is the kernel's, which clears the rest of the page before the program runs.
    assert (pids, values) == ([first] * (N + 1), [0, 1, 2, 3, 4, 5])
    now = work.guest.linux.processes.memory(first)
    assert int.from_bytes(now.read(work.counter, 8), "little") == N
    with pytest.raises((AddressError, AssertionError)):
        assert before.read(work.counter, 8) == now.read(work.counter, 8)


def test_children_and_threads(work: Workers) -> None:
    """A child has memory of its own, threads have that of their process."""
    first = work.start(N)
    pids, values = noted(work, first)
    work.signal(first, "USR2")
    assert (pids, values) == ([first] * N, [1, 2, 3, 4, 5])
    pids.clear()
    work.signal(first, "ALRM")
    assert pids[N:] == [first] * N
    assert len(set(pids[:N])) == 1
    assert pids[0] != first


def test_a_process_that_ends(work: Workers) -> None:
    first, second = work.start(N), work.start(N)
    pids, _ = noted(work, first)
    (watch,) = work.guest.points
    assert watch.task is not None
    assert watch.task.describe() == f"process {first} ({first})"
    work.signal(first, "TERM")
    assert watch.task.tables == ()
    assert "pending" in watch.task.describe()
    third = work.start(N)  # which may get the same page tables
    work.signal(second)
    work.signal(third)
    assert pids == []
    with pytest.raises(NoSuchTask, match=f"no process or thread {first}"):
        work.guest.watch(work.counter, 8, task=first)


def test_breakpoints_in_one_process(work: Workers) -> None:
    """In its program, and in the kernel when it calls that."""
    first, second = work.start(N), work.start(N)
    there = work.guest.break_(work.work, task=first)
    call = work.guest.break_("__arm64_sys_rt_sigtimedwait", task=first)
    hits: list[object] = []
    there(lambda hit: hits.append("work"))
    call(lambda hit: hits.append("sigwait"))
    work.signal(second)
    assert hits == []
    work.signal(first)
    assert hits == ["work", "sigwait"]


def test_memory_and_mappings_of_a_process(work: Workers) -> None:
    first, second = work.start(3), work.start(9)
    work.signal(first)
    work.signal(second)
    processes = work.guest.linux.processes
    assert int.from_bytes(processes.read(first, work.counter, 8), "little") == 3
    assert int.from_bytes(processes.read(second, work.counter, 8), "little") == 9
    task = work.guest.linux.task(first)
    assert task.read(work.counter, 8) == processes.read(first, work.counter, 8)
    assert task.read(task.address, 8) == work.guest.linux.memory.read(task.address, 8)
    assert task.mappings() == processes.mappings(first)
    found: list[Mapping] = processes.mappings(first)
    shown = work.shell.ask(f"cat /proc/{first}/maps").splitlines()
    assert len(shown) == len(found) > 6
    for line, mapping in zip(shown, found, strict=True):
        span, permissions, offset, *_ = line.split()
        assert span == f"{mapping.start:08x}-{mapping.end:08x}"
        assert permissions == mapping.permissions
        assert line.endswith((mapping.path or "", "]"))
        assert int(offset, 16) == mapping.offset
    assert found[0].path == "/worker"
    with pytest.raises(AddressError, match="the page is not there"):
        processes.read(first, 0x1000, 1)
    with pytest.raises(AddressError, match="no address of a process"):
        processes.read(first, 0xFFFF_8000_0000_0000, 1)


@pytest.mark.parametrize("program", ["/worker", "/pie"])
def test_a_program_is_armed_before_it_runs(work: Workers, program: str) -> None:
    """Also one that is elsewhere in each process; its symbols come out of the page cache."""
    processes = work.guest.linux.processes
    reached = processes.break_in(program, "work")
    assert reached.pending
    pids: list[int] = []
    callers: list[list[str | None]] = []

    def note(hit: Hit) -> None:
        pid = hit.task.pid  # type: ignore[union-attr]
        pids.append(pid)
        frames = processes.backtrace(pid)
        callers.append([frame.location.function for frame in frames][:3])

    reached(note)
    other = work.start(N, {"/worker": "/pie", "/pie": "/worker"}[program])
    first, second = work.start(N, program), work.start(N, program)
    work.signal(first)
    work.signal(other)
    work.signal(second)
    assert pids == [first, second]
    assert callers == [["work", "act", "main"]] * 2
    assert reached.hits == 2
    assert len(reached.points) == (1 if program == "/worker" else 2)
    work.signal(first, "TERM")
    work.signal(second, "TERM")
    assert reached.pending
    reached.delete()
    assert not list(work.guest.points)


def test_a_condition_on_a_program(work: Workers) -> None:
    """It is checked when the breakpoint is made, not when a process executes the program."""
    processes = work.guest.linux.processes
    with pytest.raises(ConditionError, match="is not an expression"):
        processes.break_in("/worker", "work", when="x0 ==")
    with pytest.raises((UnknownSymbol, ConditionError), match="nothing_like_it"):
        processes.break_in("/worker", "work", when="nothing_like_it > 1")
    with pytest.raises(InvalidLocation, match="it must be a text or a function"):
        processes.break_in("/worker", "work", when=1)  # type: ignore[arg-type]
    assert not list(work.guest.points)
    reached = processes.break_in("/worker", "work", when="x0 > 4")
    pids: list[int] = []
    reached(lambda hit: pids.append(hit.task.pid))
    first, second = work.start(4), work.start(5)
    work.signal(first)
    work.signal(second)
    assert (pids, reached.hits) == ([second], 1)
    (point,) = reached.points
    assert point.seen == 2


def test_whether_a_process_has_the_page(work: Workers, caplog: pytest.LogCaptureFixture) -> None:
    """Not whether that has it which the vCPU executes at the moment, the shell."""
    guest = work.guest
    hits: list[Hit] = []
    pending = guest.watch(work.counter, 8, task="worker")(hits.append)
    assert guest.why_unreachable(pending) == "there is no such process now"
    first = work.start(N)
    work.signal(first)  # the kernel gives it the page when it writes first
    assert len(hits) == N
    watch = guest.watch(work.counter, 8, task=first)
    assert guest.why_unreachable(watch) is guest.why_unreachable(pending) is None
    assert "watched at" not in caplog.text
    nowhere = guest.watch(0x1000, 8, task=first)
    assert guest.why_unreachable(nowhere) == "the guest's page tables do not map it now"
    assert "0x1000 is watched at 0x1000, where nothing" in caplog.text


@pytest.mark.parametrize(("follow", "who"), [("parent", "p"), ("child", "c"), ("both", "cp")])
def test_a_program_that_forks(work: Workers, follow: FollowFork, who: str) -> None:
    reached = work.guest.linux.processes.break_in("/worker", "work", follow_fork=follow)
    pids: list[int] = []
    reached(lambda hit: pids.append(hit.task.pid))
    first = work.start(N)
    work.signal(first, "USR2")
    assert "".join("p" if pid == first else "c" for pid in pids) == who


def test_a_folder_with_the_guests_files(work: Workers, tmp_path: Path) -> None:
    """Another build of the program is refused; a name that leads out of it is not read."""
    processes = work.guest.linux.processes
    processes.sysroot = tmp_path
    try:
        first = work.start(N)
        (tmp_path / "worker").write_bytes(work.program.read_bytes())
        assert processes.images(first)[0].symbols.find("work").address == work.work
    finally:
        processes.sysroot = None
    with pytest.raises(InvalidLocation, match="is no folder"):
        processes.sysroot = tmp_path / "worker"


def test_damaged_structures_of_the_guest(work: Workers) -> None:
    """A list of tasks with a loop, mappings that lead nowhere: errors, and no walk without end."""
    first = work.start(N)
    linux = work.guest.linux
    processes, memory = linux.processes, linux.memory
    task = linux.task(first).address
    write = work.guest.execution.write_phys
    mm = processes.tasks.mm(task)
    root = mm + processes.layout.field("mm_struct", "mm_mt.ma_root").offset
    node = memory.u64(root)
    for wrong in (node & ~0xFF | 0x7E, 0xFFFF_8000_DEAD_0000 | 0x0E):
        write(memory.translate(root), wrong.to_bytes(8, "little"))
        with pytest.raises((CorruptedGuestData, AddressError)):
            processes.mappings(first)
    tasks = task + processes.layout.field("task_struct", "tasks").offset
    write(memory.translate(tasks), tasks.to_bytes(8, "little"))
    with pytest.raises(CorruptedGuestData, match="is in it twice"):
        work.guest.watch(work.counter, 8, task="worker")
    assert not list(work.guest.points)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (99999, "the guest has no process or thread 99999"),
        (2, "kthreadd .2. has no memory of its own"),
        ("", "empty name"),
    ],
)
def test_tasks_that_can_not_be(work: Workers, task: int | str, message: str) -> None:
    with pytest.raises((NoSuchTask, InvalidLocation), match=message):
        work.guest.watch(work.counter, 8, task=task)
    assert not list(work.guest.points)
