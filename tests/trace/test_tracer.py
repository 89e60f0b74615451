"""``guest.trace()``: what it has, where it begins and ends, writers that fail."""

from __future__ import annotations

import errno
import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

import guestdbg
from guestdbg.debugger import GuestBusy
from guestdbg.trace import Event, TracingError
from guestdbg.trace.tracing import About, tracer
from tests.debugger.assembled import assembled
from tests.machine.guests import EXAMPLES

OPTIONS: dict[str, Any] = {"console": None, "provider": "soft", "memory": "16M"}


def queue(**options: Any) -> Any:
    return guestdbg.load(EXAMPLES / "queue.elf", **OPTIONS, **options)


class Kept:
    """A writer that keeps batches, and fails after so many."""

    def __init__(self, most: int = 1 << 30) -> None:
        self.events: list[Event] = []
        self.closed = 0
        self.about: About | None = None
        self._most = most

    def begin(self, about: About) -> None:
        self.about = about

    def write(self, events: Sequence[Event]) -> None:
        if len(self.events) + len(events) > self._most:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.events += events

    def close(self) -> None:
        self.closed += 1


def in_order(events: Sequence[Event]) -> bool:
    return all(
        a.time <= b.time and a.nanoseconds <= b.nanoseconds for a, b in itertools.pairwise(events)
    )


def test_a_whole_run_with_output_and_hits() -> None:
    with queue() as guest:
        point = guest.break_("job_finish")
        hits: list[tuple[int, int]] = []
        point(lambda hit: hits.append((guest.execution.retired(), hit.pc)))
        with guest.trace() as trace:
            guest.run(max_instructions=1_000_000)
        events = trace.events
        assert trace.complete
        assert in_order(events)
        kinds = Counter(event.kind for event in events)
        assert kinds["call"] > 20_000
        assert [(e.time, e.source) for e in events if e.kind == "hit"] == hits
        first = next(e for e in events if e.kind == "hit")
        assert isinstance(first.detail, dict)
        assert first.detail["function"] == "job_finish"
        # The BL of the function, whose first instruction the breakpoint is at, comes before it.
        at = events.index(first)
        assert (events[at - 1].kind, events[at - 1].target) == ("call", first.source)
        output = [e for e in events if e.kind == "console"]
        assert output[0].detail == "queue: start\n"
        assert trace.written == len(events)
        table = trace.table()
        assert len(table) == len(events)
        assert table.column("function")[at - 1] == "job_finish"
        assert table.column("detail")[at] == point.name


def test_the_same_by_a_writer_and_beside_coverage() -> None:
    with queue() as guest, guest.trace(what=("calls", "console")) as trace:
        guest.run(max_instructions=1_000_000)
    kept = Kept()
    with queue() as guest:
        with (
            guest.coverage(edges=True) as coverage,
            guest.trace(what=("calls", "console"), to=kept) as other,
        ):
            guest.run(max_instructions=1_000_000)
            with pytest.raises(TracingError, match="with its writer"):
                _ = other.events
        assert kept.about is not None
        assert (kept.about.guest, kept.about.vcpus) == ("queue.elf", 1)
        entered = {f.address: f.count for f in coverage.result().functions()}
    assert kept.closed == 1
    assert kept.events == trace.events
    called = Counter(event.target for event in kept.events if event.kind == "call")
    assert all(entered[target] == count for target, count in called.items() if target in entered)


def test_from_and_to_a_number_of_instructions() -> None:
    with queue() as guest, guest.trace() as trace:
        guest.run(max_instructions=3_000_000)
    with queue() as guest, guest.trace(1_000_000, 2_500_000) as part:
        guest.run(max_instructions=3_000_000)
    expected = [e for e in trace.events if 1_000_000 < e.time <= 2_500_000]
    assert part.events == expected
    assert any(e.kind == "console" for e in expected)


def test_from_and_to_a_location() -> None:
    with queue() as guest, guest.trace("queue_push", "queue_pop", what=("calls",)) as trace:
        guest.run(max_instructions=20_000)
        push, pop = guest.symbol("queue_push").address, guest.symbol("queue_pop").address
    with queue() as guest, guest.trace(what=("calls",)) as whole:
        guest.run(max_instructions=20_000)
    inside, expected = False, []
    for event in whole.events:
        # A breakpoint is hit before its instruction, and after the call that leads there.
        if inside:
            expected.append(event)
        if event.target in (push, pop):
            inside = event.target == push
    assert trace.events == expected
    assert expected


def test_several_vcpus_have_one_order() -> None:
    with guestdbg.load(EXAMPLES / "smp.elf", vcpus=3, **OPTIONS) as guest:
        with guest.trace() as trace:
            guest.run()
        assert {event.vcpu for event in trace.events} == {0, 1, 2}
        assert in_order(trace.events)
        assert trace.events[-1].time <= guest.execution.retired()


@pytest.mark.parametrize(("name", "vcpus"), [("queue", 1), ("smp", 3)])
def test_what_a_history_repeats_is_not_traced_again(name: str, vcpus: int) -> None:
    def load() -> Any:
        return guestdbg.load(EXAMPLES / f"{name}.elf", vcpus=vcpus, history=True, **OPTIONS)

    what = ("calls", "exceptions", "console")
    with load() as guest, guest.trace(what=what) as once:
        guest.run(max_instructions=250_000)
        guest.run(max_instructions=100_000)
    with load() as guest, guest.trace(what=what) as trace:
        guest.run(max_instructions=250_000)
        for back in (50, 20_000):
            end = guest.history.now
            guest.reverse_step(back)
            guest.step()
            guest.goto(end)
        guest.run(max_instructions=100_000)
    assert trace.events == once.events
    assert trace.complete


def test_a_guest_that_is_put_back() -> None:
    with queue() as guest:
        snapshot = guest.snapshot()
        with guest.trace() as trace:
            guest.run(max_instructions=10_000)
            count = len(trace.events)
            guest.restore(snapshot)
            guest.run(max_instructions=10_000)
        assert len(trace.events) == count
        assert "put back to an earlier time" in trace.ended
        assert not trace.complete


def test_a_writer_that_fails_does_not_end_the_run() -> None:
    kept = Kept(100_000)
    with queue() as guest:
        trace = guest.trace(to=kept)
        stop = guest.run()
        assert stop.reason == "exit"
        with pytest.raises(TracingError, match=r"any more, after [\d,]+ events: .*No space left"):
            trace.stop()
        trace.stop()
        assert kept.closed == 1
        assert trace.written == len(kept.events) <= 100_000
        assert "cannot be written" in trace.ended
        with guest.trace(to=Kept()):
            pass


def test_events_in_memory_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracer, "MOST_EVENTS", 50_000)
    with queue() as guest, guest.trace() as trace:
        assert guest.run().reason == "exit"
    assert len(trace.events) == 50_000
    assert "to=" in trace.ended


def test_arguments() -> None:
    with queue() as guest, guest.trace(what=("calls",), arguments=True) as trace:
        guest.run(max_instructions=20_000)
        names = {name: guest.symbol(name).address for name in ("submit", "chance")}
    shown = {e.target: e.detail for e in reversed(trace.events) if e.kind == "call"}
    assert shown[names["chance"]] == (("below", "4"),)
    submit = dict(shown[names["submit"]])  # type: ignore[call-overload]
    assert submit["source"] in ("SOURCE_CONSOLE", "SOURCE_TIMER")
    assert int(submit["cost"]) > 0


def test_a_file_is_complete_when_the_guest_is_closed(tmp_path: Path) -> None:
    guest = queue()
    trace = guest.trace(to=tmp_path / "x.jsonl")
    guest.run(max_instructions=10_000)
    guest.close()
    assert not trace.on
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) > 100


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"what": "calls"}, "tuple of calls"),
        ({"what": ()}, "tuple of calls"),
        ({"what": ("jumps",)}, "tuple of calls"),
        ({"start": -1}, "start=-1: it is a location"),
        ({"stop": 1.5}, "stop=1.5: it is a location"),
        ({"to": 7}, "an EventWriter"),
        ({"to": "x.pdf"}, ".pftrace"),
    ],
)
def test_bad_arguments(arguments: Any, text: str) -> None:
    with queue() as guest:
        with pytest.raises(TracingError, match=text):
            guest.trace(**arguments)
        guest.trace().stop()


def test_one_at_a_time_and_not_while_it_runs() -> None:
    with queue() as guest:
        trace = guest.trace()
        with pytest.raises(TracingError, match="another trace"):
            guest.trace()

        @guest.break_("queue_push")
        def pushed(hit: object) -> object:
            with pytest.raises(GuestBusy):
                trace.stop()
            with pytest.raises(GuestBusy):
                _ = trace.events
            return guestdbg.STOP

        assert guest.run().reason == "hit"
        trace.stop()


def test_a_provider_without_it() -> None:
    with (
        assembled([0x14000000], plain=True) as guest,
        pytest.raises(TracingError, match=r'needs the software provider \(provider="soft"'),
    ):
        guest.trace()
