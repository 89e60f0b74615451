"""All that happened in an interval: compared with a run that was watched from the start."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

import guestdbg
from guestdbg.debugger import BadRange, InvalidLocation, UnknownSymbol, Unsupported
from guestdbg.history import NotRecorded, OutsideHistory
from tests.debugger.compiled import compiled, needs_gcc
from tests.debugger.test_dma_watchpoints import DATA_AT, PROGRAM, Machine
from tests.history.digest import digest
from tests.machine.guests import EXAMPLES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

QUEUE = EXAMPLES / "queue.elf"
SMP = EXAMPLES / "smp.elf"
COPIES = (Path(__file__).parent / "copies.c").read_text()
MOST = 600_000
OPTIONS = {"provider": "soft", "memory": "8M", "console": None}


@pytest.fixture
def short_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many checkpoints in a short run."""
    monkeypatch.setattr("guestdbg.history.recorder.MIN_DISTANCE", 70_000)
    monkeypatch.setattr("guestdbg.history.recorder._COST", 1e9)


def watched(path: Path, what: str, vcpus: int, access: str, most: int = MOST) -> list[tuple]:
    """(position, pc, address, size, access, old, new) of each access, watched from the start."""
    found = []
    with guestdbg.load(path, vcpus=vcpus, **OPTIONS) as guest:

        @guest.watch(what, access=access)
        def accessed(hit):
            found.append(
                (guest.board.position, hit.pc, hit.address, hit.size, hit.access, hit.old, hit.new)
            )

        guest.run(max_instructions=most)
    return found


def rows(accesses) -> list[tuple]:
    return [each[:7] for each in accesses]


@pytest.mark.usefixtures("short_distances")
@pytest.mark.parametrize(
    ("path", "what", "vcpus", "access"),
    [
        (QUEUE, "queue.tail", 1, "write"),
        (QUEUE, "queue.tail", 1, "any"),
        (QUEUE, "queue.head", 1, "read"),
        (SMP, "counter", 2, "write"),
        (SMP, "counter", 4, "any"),
    ],
    ids=lambda value: getattr(value, "stem", value),
)
def test_accesses_are_those_of_a_watched_run(path, what, vcpus, access) -> None:
    expected = watched(path, what, vcpus, access)
    assert expected
    with guestdbg.load(path, vcpus=vcpus, history=True, **OPTIONS) as guest:
        guest.run(max_instructions=MOST)
        assert len(guest.history._there.recorder.checkpoints) > 1
        here = digest(guest)
        found = guest.history.accesses(what, access=access)
        assert rows(found) == expected
        assert found.cut is None
        assert [each.number for each in found] == list(range(1, len(found) + 1))
        assert [each.position for each in found] == sorted(each.position for each in found)
        assert digest(guest) == here, "asking does not move the guest"
        rnd = random.Random(vcpus)
        for _ in range(4):
            start, end = sorted(each[0] for each in rnd.choices(expected, k=2))
            part = guest.history.accesses(what, start, end, access=access)
            assert rows(part) == [each for each in expected if start < each[0] <= end]
        assert digest(guest) == here
        guest.goto(expected[len(expected) // 2][0])
        here = digest(guest)
        assert rows(guest.history.accesses(what, access=access)) == expected
        assert digest(guest) == here, "nor in its past"


def test_a_row_has_the_fields_of_a_recording() -> None:
    with guestdbg.load(QUEUE, **OPTIONS) as guest:
        recording = guest.record("queue.tail", access="any")
        guest.run(max_instructions=MOST)
        expected = {name: list(recording.column(name)) for name in recording.columns}
    with guestdbg.load(QUEUE, history=True, **OPTIONS) as guest:
        guest.run(max_instructions=MOST)
        found = guest.history.accesses("queue.tail")
        written = list(found.column("written"))
        for name, column in expected.items():
            if name == "new":  # a recording has the old value there if nothing was written
                column = [each * done for each, done in zip(column, written, strict=True)]
            assert list(found.column(name)) == column, name
        interface = found.__array_interface__
        sizes = [int(each.lstrip("<|uV")) for _, each in interface["descr"]]
        assert interface["shape"] == (len(found),)
        assert sum(sizes) * len(found) == len(found.data())
        assert interface["typestr"] == f"|V{sum(sizes)}"
        with pytest.raises(InvalidLocation, match="there is no column 'colour'"):
            found.column("colour")
        with pytest.raises(IndexError):
            found[len(found)]
        assert found[-1] == list(found)[-1]
        assert found[3:9:2] == list(found)[3:9:2]


def test_more_bytes_than_there_are_registers_for() -> None:
    with guestdbg.load(QUEUE, history=True, **OPTIONS) as guest:
        guest.run(max_instructions=100_000)
        whole = guest.resolve("queue")
        assert guest.hardware.watchpoints == 4
        assert whole.length == 272
        found = list(guest.history.writes("queue"))
        for member in ("queue.tail", "queue.head", "queue.items[3].id", "queue.items[9].cost"):
            data = guest.resolve(member)
            alone = [(w.position, w.pc, w.old, w.new) for w in guest.history.writes(member)]
            part = []
            for each in found:
                offset = data.address - each.address
                if 0 <= offset < each.size:
                    low = [
                        v >> 8 * offset & (1 << 8 * data.length) - 1 for v in (each.old, each.new)
                    ]
                    part.append((each.position, each.pc, *low))
            assert part == alone
            assert alone
        assert [each.position for each in found] == sorted(each.position for each in found)
        cut = guest.history.writes("queue", limit=10)
        assert rows(cut) == [each[:7] for each in found[:10]]
        assert "only the first 10" in cut.cut


def test_conditions_and_limits() -> None:
    with guestdbg.load(QUEUE, history=True, **OPTIONS) as guest:
        guest.run(max_instructions=MOST)
        all_ = list(guest.history.writes("queue.tail"))
        found = guest.history.writes("queue.tail", when="new > 20")
        assert rows(found) == [each[:7] for each in all_ if each.new > 20]
        assert [each.number for each in found] == [each.number for each in all_ if each.new > 20]
        found = guest.history.writes("queue.tail", when=lambda hit: hit.new == 7)
        assert rows(found) == [each[:7] for each in all_ if each.new == 7]
        found = guest.history.writes("queue.tail", limit=25)
        assert list(found) == all_[:25]
        assert found.cut.startswith("only the first 25, up to turn 0, vCPU 0, ")
        again = guest.history.writes("queue.tail", found[-1].position, limit=25)
        assert rows(again) == [each[:7] for each in all_[25:50]]
        assert guest.history.writes("queue.tail", limit=len(all_)).cut is None
        assert not guest.history.writes("queue.tail", when="new > 1000")


@pytest.mark.usefixtures("short_distances")
def test_a_condition_counts_over_all_of_the_history() -> None:
    with guestdbg.load(QUEUE, history=True, **OPTIONS) as guest:
        guest.run(max_instructions=MOST)
        all_ = list(guest.history.writes("queue.tail"))
        found = guest.history.writes("queue.tail", when="count % 100 == 0")
        assert rows(found) == [each[:7] for each in all_[99::100]]


@pytest.mark.usefixtures("short_distances")
def test_executions_are_those_of_a_run_with_a_breakpoint() -> None:
    expected = []
    with guestdbg.load(SMP, vcpus=2, **OPTIONS) as guest:

        @guest.break_("take_lock")
        def reached(hit):
            expected.append((guest.board.position, hit.pc))

        guest.run(max_instructions=MOST)
    assert expected
    with guestdbg.load(SMP, vcpus=2, history=True, **OPTIONS) as guest:
        guest.run(max_instructions=MOST)
        found = guest.history.executions("take_lock")
        assert [(each.position, each.pc) for each in found] == expected
        assert {each.access for each in found} == {"execute"}
        assert len(guest.history.executions("take_lock", limit=3)) == 3


def test_an_execution_where_the_guest_was_stopped_and_changed() -> None:
    with guestdbg.load(QUEUE, history=True, **OPTIONS) as guest:
        guest.break_("queue_push", ignore=5)
        guest.run()
        stopped = guest.history.now.position
        guest.cpu.x[28] = 1  # a checkpoint is taken here, where the breakpoint was reached
        guest.run(max_instructions=50_000)
        found = [each.position for each in guest.history.executions("queue_push")]
        assert found.count(stopped) == 1
        assert len(found) == 6


# ---- values --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("short_distances")
@pytest.mark.parametrize(("path", "what", "vcpus"), [(QUEUE, "queue.head", 1), (SMP, "counter", 3)])
def test_values_over_time_are_those_of_a_watched_run(path, what, vcpus) -> None:
    writes = watched(path, what, vcpus, "write")
    with guestdbg.load(path, vcpus=vcpus, history=True, **OPTIONS) as guest:
        guest.run(max_instructions=MOST)
        found = guest.history.value(what)
        changes = [(each[0], each[6]) for each in writes if each[5] != each[6]]
        assert [(each.position, each.value) for each in found][1:] == changes
        assert found[0] == (guest.history.begin, 0, "start")
        assert {each.by for each in found} == {"start", "vcpu"}
        for position, value in random.Random(3).choices(changes, k=6):
            guest.goto(position)
            assert int(guest[what]) == value == found.at(position)
        at = changes[5][0]
        assert [*guest.history.value(what, at, at)] == [(at, changes[5][1], "start")]
        cut = guest.history.value(what, limit=4)
        assert list(cut) == [each for each in found if each.position <= writes[3][0]]
        assert "the first 4 writes" in cut.cut


def test_the_user_s_changes_are_among_the_values() -> None:
    with guestdbg.load(QUEUE, history=True, **OPTIONS) as guest:
        guest.run(max_instructions=100_000)
        times = []
        for value in (1000, 2000):
            times.append(guest.history.now.position)
            guest.write_u32(guest.resolve("queue.peak").address, value)
            guest.run(max_instructions=10_000)
        found = guest.history.value("queue.peak")
        by_user = [each for each in found if each.by == "user"]
        assert by_user == [(times[0], 1000, "user"), (times[1], 2000, "user")]
        assert found[0].by == "start"


def test_what_semihosting_has_written_is_not_left_out() -> None:
    options = OPTIONS | {"semihosting": guestdbg.Semihosting(args="hello")}
    with guestdbg.load(EXAMPLES / "semihosting.elf", history=True, **options) as guest:
        guest.run(max_instructions=2_000_000)
        found = [(each.value, each.by) for each in guest.history.value("line[0]")]
        assert found[0] == (0, "start")
        assert (ord("h"), "unseen") in found


def test_what_a_disk_has_written(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "disk", PROGRAM)
    with machine.guest as guest:
        machine.request(0)
        guest.history.start()
        guest.run(max_instructions=100)
        first = int.from_bytes(machine.contents[:8], "little")
        found = guest.history.writes(DATA_AT, length=8)
        assert [(each.new, each.device, each.access) for each in found] == [(first, True, "write")]
        assert [(each.value, each.by) for each in guest.history.value(DATA_AT)] == [
            (0, "start"),
            (first, "device"),
        ]
        long = guest.history.writes(DATA_AT, length=32)
        words = struct.unpack("<4Q", machine.contents[:32])
        assert [(each.new, each.device) for each in long] == [(word, True) for word in words]
        origin = guest.history.origin(DATA_AT, 8)
        assert (origin.reason, origin.text) == (
            "outside",
            "virtio-blk wrote it: it came in from outside",
        )
        assert origin[0].hit.device == "virtio-blk"


# ---- calls ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("short_distances")
def test_calls_are_those_of_a_run_with_breakpoints() -> None:
    expected = []
    with guestdbg.load(QUEUE, **OPTIONS) as guest:
        entry = guest.break_("queue_push")
        back = {}

        @entry
        def entered(hit):
            number = len(expected)
            expected.append([guest.board.position, int(hit["q"]), None, None])
            back.setdefault((hit.vcpu.x[30], hit.vcpu.sp), []).append(number)

        def returned(hit):
            waiting = back.get((hit.pc, hit.vcpu.sp))
            if waiting:
                expected[waiting.pop()][2:] = guest.board.position, hit.vcpu.x[0] & 1

        guest.run(until="queue_push")
        guest.break_(guest.cpu.x[30])(returned)
        guest.run(max_instructions=MOST)
    with guestdbg.load(QUEUE, history=True, **OPTIONS) as guest:
        guest.run(until="queue_push")
        guest.run(max_instructions=MOST)
        here = digest(guest)
        found = guest.history.calls("queue_push")
        assert [
            [c.position, c.arguments["q"], c.returned, None if c.result is None else int(c.result)]
            for c in found
        ] == expected
        assert found[0].arguments["job"].keys() == {"id", "source", "cost"}
        assert [c.arguments["job"]["id"] for c in found] == list(range(len(found)))
        assert found[0].location.function == "submit"
        assert digest(guest) == here
        only = guest.history.calls("queue_push", "entry", limit=7)
        assert [c.position for c in only] == [c.position for c in found[:7]]
        assert {c.returned for c in only} == {None}
        assert "only the first 7" in only.cut
        some = guest.history.calls("queue_push", when="w1 % 50 == 0 or w1 == 7")
        assert [c.arguments["job"]["id"] for c in some] == [
            n for n in range(len(found)) if n % 50 == 0 or n == 7
        ]


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("copies"), {"copies.c": COPIES}, floats=True)


@needs_gcc
def test_recursion_tail_calls_structures_and_floats(copies: Path) -> None:
    with guestdbg.load(copies, history=True, **OPTIONS) as guest:
        guest.run()
        calls = guest.history.calls
        assert [str(each) for each in calls("recursive")] == [
            "recursive(n=6) = 22",
            "recursive(n=5) = 16",
            "recursive(n=4) = 11",
            "recursive(n=3) = 7",
            "recursive(n=2) = 4",
            "recursive(n=1) = 2",
            "recursive(n=0) = 1",
        ]
        times = [(each.position, each.returned) for each in calls("recursive")]
        assert times == sorted(times)
        assert [back for _, back in times] == sorted((back for _, back in times), reverse=True)
        (tail,) = calls("ends_in_leaf")
        assert str(tail) == "ends_in_leaf(n=4) = 15, it has ended in a tail call of leaf"
        assert [each.result for each in calls("leaf")] == [15, 3]
        assert calls("leaf")[0].location.function == "main", "it returns there"
        assert str(calls("half")[0]) == "half(value=1000.0) = 500.0"
        assert calls("made_pair")[0].result == {"a": 1023, "b": 9}
        end = guest.history.calls("ends_in_leaf", end=tail.returned)
        assert end[0].note == "it has ended in a tail call of leaf; it had not returned by then"
        assert not guest.history.calls("ends_in_leaf", end=tail.position), "it is not executed yet"


@needs_gcc
def test_without_debug_information_arguments_are_registers(tmp_path: Path) -> None:
    path = compiled(tmp_path, {"copies.c": COPIES}, (), floats=True)
    with guestdbg.load(path, history=True, **OPTIONS) as guest:
        guest.run()
        found = guest.history.calls("recursive")
        assert [each.arguments["x0"] for each in found] == [6, 5, 4, 3, 2, 1, 0]
        assert [each.result for each in found] == [22, 16, 11, 7, 4, 2, 1]


# ---- nothing changes -----------------------------------------------------------------------------


def test_the_user_s_points_stay_as_they_are() -> None:
    called = []
    with guestdbg.load(QUEUE, history=True, **OPTIONS) as guest:
        watch = guest.watch("queue.tail", when="new > 3", ignore=2)(called.append)
        point = guest.break_("queue_pop", ignore=4)(lambda hit: None)
        recording = guest.record("queue.head")
        guest.run(max_instructions=200_000)
        points = (watch, point, recording)
        before = [
            (p.hits, p.seen, p.ignore, p.enabled, p.handler, p.when, len(called)) for p in points
        ]
        records = list(recording)
        guest.history.writes("queue.tail", limit=10)
        guest.history.reads("queue")
        guest.history.value("queue.tail")
        guest.history.calls("queue_pop")
        guest.history.executions("queue_pop")
        guest.history.origin("queue.tail")
        after = [
            (p.hits, p.seen, p.ignore, p.enabled, p.handler, p.when, len(called)) for p in points
        ]
        assert after == before
        assert list(recording) == records
        assert list(guest.points) == list(points)


def test_bad_questions_say_what_would_be_right() -> None:
    plain = guestdbg.load(QUEUE, **OPTIONS)
    with plain as guest, pytest.raises(NotRecorded, match="history=True"):
        guest.history.writes("queue.tail")
    with guestdbg.load(QUEUE, history=True, **OPTIONS) as guest:
        guest.run(max_instructions=200_000)
        history, here = guest.history, digest(guest)
        for ask in (history.writes, history.value, history.executions):
            where = "queue_pop" if ask == history.executions else "queue.tail"
            with pytest.raises(OutsideHistory, match="from turn 0, vCPU 0, 0 instructions to"):
                ask(where, 0, 300_000)
            with pytest.raises(OutsideHistory, match=r"begins at .* after its end"):
                ask(where, 1000, 999)
        with pytest.raises(UnknownSymbol, match="no member of struct queue named 'tial'"):
            history.writes("queue.tial")
        with pytest.raises(UnknownSymbol):
            history.calls("no_such_function")
        with pytest.raises(InvalidLocation, match="limit"):
            history.writes("queue.tail", limit=0)
        with pytest.raises(InvalidLocation, match="'return' or 'entry'"):
            history.calls("queue_pop", "both")
        with pytest.raises(BadRange, match=r"queue has 272 bytes.*members"):
            history.value("queue")
        with pytest.raises(Unsupported, match="was inlined at 1 place and is never called"):
            history.calls("sources_poll")
        with pytest.raises(InvalidLocation, match="is not a function"):
            history.calls("queue_pop+8")
        assert not history.writes("queue.tail", when="new == 12345")
        assert not history.writes("queue.tail", 1000, 1000)
        assert not history.calls("queue_pop", end=0)
        assert len(history.value("queue.tail", 1000, 1000)) == 1
        assert digest(guest) == here
