"""The files of a trace, as tools of others read them."""

from __future__ import annotations

import json
import os
import random
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.trace.tracing import perfetto, slices
from guestdbg.trace.tracing.errors import TracingError
from guestdbg.trace.tracing.event import Event, Task
from guestdbg.trace.tracing.writers import ENDINGS, FileWriter, form_writer, writer_for
from tests.trace.timelines import read, read_chrome, read_perfetto

FUNCTIONS = {0x1000: "main", 0x2000: "queue_push", 0x3000: 'naïve<"\\\n\udc80>', 0x4000: "handler"}
TASK_A, TASK_B = 0xFFFF_0000_0000_1000, 0xFFFF_0000_0000_2000


class Guest:
    """What a writer asks of the guest."""

    guest = "queue.elf"
    vcpus = 2
    names = {TASK_A: Task(1, "init"), TASK_B: Task(12, "sh")}  # noqa: RUF012

    def function(self, address: int, context: int) -> str | None:
        return FUNCTIONS.get(address & ~0xFFF)

    def task(self, register: str, value: int) -> Task | None:
        return self.names.get(value) if register == "SP_EL0" else None


def write(path: Path, *batches: Sequence[Event]) -> None:
    writer = writer_for(path)
    writer.begin(Guest())
    for batch in batches:
        writer.write(batch)
    writer.close()
    writer.close()


def call(time: int, source: int, target: int, sp: int, detail: object = None) -> Event:
    return Event(time, time * 2, 0, "call", 1, source, target, sp, detail)


def back(time: int, source: int, target: int, sp: int) -> Event:
    return Event(time, time * 2, 0, "return", 1, source, target, sp, None)


def event(time: int, kind: str, detail: object, *, vcpu: int = 0, value: int = 0) -> Event:
    return Event(time, time * 2, vcpu, kind, 1, 0x1010, 0, value, detail)  # type: ignore[arg-type]


RUN = [
    call(10, 0x1000, 0x2000, 0x8000, (("item", "7"), ("text", '"a"'))),
    Event(15, 30, 0, "exception", 1, 0x2010, 0x4000, 0x5600_0000, "SVC"),
    call(16, 0x4004, 0x3000, 0x7000),
    event(17, "console", "hel"),
    event(18, "console", "lo\n\x1b[31mred\n"),
    back(19, 0x3008, 0x4008, 0x7000),
    Event(20, 40, 0, "exception_return", 1, 0x4010, 0x2014, 0, None),
    event(21, "hit", {"point": "queue.tail", "number": 1, "old": 3, "new": 1 << 70, "line": None}),
    back(30, 0x2020, 0x1004, 0x8000),
    call(40, 0x1004, 0x9000, 0x8000),
]


@pytest.mark.parametrize("ending", [".pftrace", ".perfetto-trace", ".json"])
def test_a_viewer_shows_calls_exceptions_console_and_hits(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write(path, RUN[:4], RUN[4:])
    tracks = read(path)
    odd = FUNCTIONS[0x3000]
    if ending != ".json":
        odd = odd.replace("\udc80", "\\udc80")
    assert tracks["vCPU 0"].slices == [
        (odd, 16, 19, 2),
        ("SVC", 15, 20, 1),
        ("queue_push", 10, 30, 0),
        ("0x9000", 40, 40, 0),
    ]
    console = [(name, time) for name, time, _ in tracks["console"].instants]
    assert console == [("hello", 18), ("\x1b[31mred", 18)]
    (name, time, details) = tracks["hits"].instants[0]
    assert (name, time) == ("queue.tail", 21)
    assert details["number"] == 1
    assert details["new"] in (1 << 70, str(1 << 70))
    # At exceptions and hits, and at the end of each batch.
    assert tracks["guest time (ns)"].counters == [(15, 30), (17, 34), (21, 42), (40, 80)]


def test_arguments_are_shown_with_their_call(tmp_path: Path) -> None:
    write(tmp_path / "a.json", RUN)
    begins = [each for each in json.loads((tmp_path / "a.json").read_bytes()) if each["ph"] == "B"]
    assert begins[0]["args"] == {"item": "7", "text": '"a"'}
    write(tmp_path / "a.jsonl", RUN)
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert lines[0]["event"] == "begin"
    assert lines[1]["arguments"] == {"item": "7", "text": '"a"'}
    assert lines[1]["to_function"] == "queue_push"
    assert len(lines) == 1 + len(RUN)


@pytest.mark.parametrize("ending", [".pftrace", ".json"])
def test_a_task_keeps_its_calls_while_others_run(tmp_path: Path, ending: str) -> None:
    switch = [
        event(0, "context", "SP_EL0", value=TASK_A),
        call(1, 0x1000, 0x2000, 0x8000),
        event(2, "context", "SP_EL0", value=TASK_B),
        call(3, 0x1000, 0x3000, 0x6000),
        event(4, "context", "SP_EL0", vcpu=1, value=TASK_A),
        Event(5, 10, 1, "return", 1, 0x2008, 0x1004, 0x8000, None),
        event(6, "context", "TTBR0_EL1", vcpu=1, value=0x4000),
        event(7, "context", "SP_EL0", value=0x1234),
        back(8, 0x3008, 0x1004, 0x6000),
    ]
    write(tmp_path / f"a{ending}", switch)
    tracks = read(tmp_path / f"a{ending}")
    assert tracks["init (1)"].slices == [("queue_push", 1, 5, 0)]
    assert [(begin, end) for _, begin, end, _ in tracks["sh (12)"].slices] == [(3, 8)]
    assert tracks["vCPU 0: task"].slices == [("init (1)", 0, 2, 0), ("sh (12)", 2, 8, 0)]
    assert tracks["vCPU 1: task"].slices == [("init (1)", 4, 8, 0)]
    if ending == ".pftrace":
        assert tracks["init (1)"].parent == "tasks"


def test_contexts_without_linux_have_tracks_of_their_own(tmp_path: Path) -> None:
    run = [
        event(0, "context", "CONTEXTIDR_EL1", value=7),
        call(1, 0x1000, 0x2000, 0x8000),
        event(2, "context", "CONTEXTIDR_EL1", vcpu=1, value=7),
    ]
    path = tmp_path / "a.pftrace"
    write(path, run)
    assert read(path)["context 0x7"].parent == "tasks"


KINDS = st.sampled_from(["call", "return", "exception", "exception_return", "context", "console"])
ADDRESSES = st.sampled_from([0x1000, 0x1004, 0x2000, 0x2004, 0x3000, 0x9000])
EVENTS = st.builds(
    Event,
    time=st.integers(0, 50),
    nanoseconds=st.integers(0, 100),
    vcpu=st.integers(0, 1),
    kind=KINDS,
    el=st.integers(0, 2),
    source=ADDRESSES,
    target=ADDRESSES,
    value=st.sampled_from([0x7000, 0x8000, TASK_A, TASK_B]),
    detail=st.sampled_from(["SP_EL0", "CONTEXTIDR_EL1", "TTBR0_EL1", "a\nb", "\n", None]),
)


@given(st.lists(st.lists(EVENTS, max_size=30), max_size=4))
def test_whatever_happens_slices_lie_in_each_other_and_both_viewers_show_the_same(
    batches: list[list[Event]],
) -> None:
    found = []
    for ending, reader in ((".pftrace", read_perfetto), (".json", read_chrome)):
        receiver, sender = os.pipe()
        writer = form_writer(ending, os.fdopen(sender, "wb", buffering=0))
        writer.begin(Guest())
        for batch in batches:
            writer.write(batch)
        writer.close()
        with os.fdopen(receiver, "rb") as file:
            tracks = reader(file.read())
        assert not any(track.open for track in tracks.values())
        found.append({name: track.slices for name, track in tracks.items()})
    # Its odd name is not the same text in both.
    assert _plain(found[0]) == _plain(found[1])


def _plain(tracks: dict[str, list[tuple[str, int, int, int]]]) -> object:
    odd = ("\udc80", "\\udc80")
    return {
        name: [(text.replace(*odd), *rest) for text, *rest in found]
        for name, found in tracks.items()
    }


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_can_be_opened_after_each_batch(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    writer = writer_for(path)
    writer.begin(Guest())
    for one in RUN:
        writer.write([one])
        data = path.read_bytes()
        if ending == ".jsonl":
            assert [json.loads(line) for line in data.splitlines()]
        elif ending == ".json":
            read_chrome(data)
        else:
            read_perfetto(data)
    writer.close()


def write_without_end(writer: FileWriter) -> None:
    while True:
        writer.write(RUN)


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file can be larger, as if the disk were full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("ending", ENDINGS)
def test_on_a_full_disk_what_was_written_can_be_opened(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    writer = writer_for(path)
    writer.begin(Guest())
    with room_for(5000), pytest.raises(OSError, match="too large"):
        write_without_end(writer)
    if ending != ".jsonl":
        with pytest.raises(OSError, match="too large"):
            writer.write(RUN)
    writer.close()
    if ending == ".jsonl":
        assert all(json.loads(line) for line in path.read_bytes().splitlines())
    elif ending == ".json":
        assert read_chrome(path.read_bytes())["vCPU 0"].slices
    else:
        assert read_perfetto(path.read_bytes())["vCPU 0"].slices


def test_names_are_forgotten_before_a_reader_has_to_remember_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perfetto, "_MOST_NAMES", 3)
    path = tmp_path / "a.pftrace"
    targets = [0x10000 + 0x1000 * (number % 7) for number in range(100)]
    write(path, [call(number, 4 * number, target, 0x8000) for number, target in enumerate(targets)])
    shown = sorted((begin, name) for name, begin, _, _ in read(path)["vCPU 0"].slices)
    assert [name for _, name in shown] == [f"{target:#x}" for target in targets]


def test_what_lies_too_deep_is_counted_and_said(tmp_path: Path) -> None:
    deep = slices.DEEPEST + 20
    down = [call(n, 0x1000 + 4 * n, 0x2000, 0x9_0000 - 16 * n) for n in range(deep)]
    up = [back(deep + n, 0, one.source + 4, one.value) for n, one in enumerate(reversed(down))]
    path = tmp_path / "a.pftrace"
    writer = writer_for(path)
    writer.begin(Guest())
    writer.write(down + up)
    writer.close()
    found = read(path)["vCPU 0"].slices
    assert len(found) == slices.DEEPEST
    assert found[-1] == ("queue_push", 0, 2 * deep - 1, 0)
    assert writer.notes == ["20 calls were left out, which lie deeper than viewers show"]


def test_a_file_that_no_viewer_can_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from guestdbg.trace.tracing.chrome import ChromeForm

    monkeypatch.setattr(ChromeForm, "limit", 500)
    writer = writer_for(tmp_path / "a.json")
    writer.begin(Guest())
    writer.write(RUN)
    writer.close()
    assert "write a .pftrace" in writer.notes[0]


def test_a_file_is_never_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("mine")
    with pytest.raises(TracingError, match="exists"):
        writer_for(path)
    assert path.read_text() == "mine"
    writer_for(path, overwrite=True).close()
    with pytest.raises(TracingError, match="pftrace"):
        writer_for(tmp_path / "a.trace")
    with pytest.raises(TracingError, match="cannot be written there: No such file"):
        writer_for(tmp_path / "none" / "a.json")
    with pytest.raises(TracingError, match="cannot be written there"):
        writer_for("a\0b.json")


def test_tasks_without_end_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "_MOST_THREADS", 20)
    path = tmp_path / "a.pftrace"
    run = []
    for number in range(200):
        run.append(event(2 * number, "context", "CONTEXTIDR_EL1", value=number))
        run.append(call(2 * number + 1, 0x1000, 0x2000, 0x8000))
    write(path, run)
    tracks = read(path)
    assert sum(len(track.slices) for name, track in tracks.items() if "context" in name) == 200


def test_a_file_that_is_cut_has_all_packets_before(tmp_path: Path) -> None:
    """A process that is killed leaves all packets but the last."""
    path = tmp_path / "a.pftrace"
    write(path, RUN * 20)
    data = path.read_bytes()
    place = random.Random(3).randrange(len(data) // 2, len(data))
    end = 0
    while True:
        size, width = _varint(data, end + 1)
        if end + 1 + width + size > place:
            break
        end += 1 + width + size
    assert read_perfetto(data[:end])["vCPU 0"].slices


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value, shift = 0, 0
    for width in range(10):
        value |= (data[place + width] & 127) << shift
        shift += 7
        if data[place + width] < 128:
            return value, width + 1
    raise AssertionError
