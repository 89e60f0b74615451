"""Hits decided by the provider, and by the debugger: nothing may differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import guestdbg
from guestdbg.debugger import BadRange, Guest, Hit, Record
from guestdbg.debugger.vcpu import hit_programs

from .conftest import EXAMPLES

COUNTER = EXAMPLES / "counter.elf"
QUEUE = EXAMPLES / "queue.elf"

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")


@pytest.fixture(params=["decided", "plain"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(hit_programs, "PLAIN", request.param == "plain")
    return str(request.param)


def label(when: object) -> str:
    return "lambda" if callable(when) and not isinstance(when, guestdbg.cond) else str(when)


def reported(hit: Hit) -> tuple[Any, ...]:
    return (
        hit.point.name,
        hit.pc,
        hit.address,
        hit.size,
        hit.access,
        hit.old,
        hit.new,
        hit.new_reason,
        hit.count,
        hit.syndrome,
        hit.vcpu.pc,
        hit.vcpu.x[0],
        hit.vcpu.sp,
    )


def both_ways(monkeypatch: pytest.MonkeyPatch, scenario: Callable[[], Any]) -> Any:
    results = []
    for plain in (False, True):
        monkeypatch.setattr(hit_programs, "PLAIN", plain)
        results.append(scenario())
    decided, plain_result = results
    assert decided == plain_result
    return decided


CONDITIONS = [
    None,
    guestdbg.cond("new == 3"),
    guestdbg.cond("old != new and x0 != 0"),
    guestdbg.cond("new > queue.size or count % 1000 == 0"),
    guestdbg.cond("function == 'queue_push'"),
    guestdbg.cond("count < 50 or address == 0"),
    lambda hit: hit.new == 5,
]


@pytest.mark.parametrize("when", CONDITIONS, ids=label)
@pytest.mark.parametrize("access", ["write", "read", "any"])
def test_the_same_hits(monkeypatch: pytest.MonkeyPatch, when: Any, access: Any) -> None:
    def scenario() -> tuple[Any, ...]:
        out = bytearray()
        hits: list[tuple[Any, ...]] = []
        with guestdbg.load(QUEUE, console=out.extend) as guest:

            @guest.watch("queue.tail", access=access, when=when)
            def tail(hit: Hit) -> object:
                hits.append(reported(hit))
                return guestdbg.STOP if len(hits) == 300 else None

            other = guest.watch("queue.head", when=guestdbg.cond("new == 1"))
            other(lambda hit: hits.append(reported(hit)))
            stop = guest.run(max_instructions=400_000)
            # Every vCPU has executed the same number of instructions, whoever decided.
            return hits, tail.hits, tail.seen, other.hits, stop.reason, guest.cpu.pc, bytes(out)

    hits, *_ = both_ways(monkeypatch, scenario)
    assert hits or (access == "read" and when is not None)


@pytest.mark.parametrize(
    "text", ["x0 % 7 == 3", "count == 40", "x1 > 0 and lr != 0", "count > 1000000"]
)
def test_breakpoints_whose_condition_is_decided(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    def scenario() -> tuple[Any, ...]:
        hits: list[tuple[Any, ...]] = []
        with guestdbg.load(QUEUE, console=None) as guest:

            @guest.break_("queue_push", when=guestdbg.cond(text))
            def arrived(hit: Hit) -> object:
                hits.append(reported(hit))
                return guestdbg.STOP if len(hits) == 20 else None

            stop = guest.run(max_instructions=200_000)
            return hits, arrived.hits, arrived.seen, stop.reason, guest.cpu.pc

    both_ways(monkeypatch, scenario)


def test_a_lock_is_watched_and_taken_all_the_same(way: str) -> None:
    """Exclusives: the guest must make progress, whatever is watched."""
    with guestdbg.load(COUNTER, console=None) as guest:
        reads = guest.watch("lock", access="any")
        seen: list[str] = []
        reads(lambda hit: seen.append(hit.access))
        never = guest.watch("counter", when=guestdbg.cond("new == 1 << 40"))
        assert guest.run(timeout=60).reason == "exit"
        assert seen
        assert never.hits == 0
        assert never.seen > 0


def test_a_condition_can_be_changed_by_a_handler(way: str) -> None:
    with guestdbg.load(QUEUE, console=None) as guest:
        values: list[int] = []
        watch = guest.watch("queue.tail", when=guestdbg.cond("new == 7"))

        @watch
        def moved(hit: Hit) -> object:
            values.append(hit.new)
            watch.when = guestdbg.cond("new == 9")
            return guestdbg.STOP if len(values) == 3 else None

        assert guest.run(timeout=60).reason == "hit"
        assert values == [7, 9, 9]


@pytest.mark.parametrize("limit", [None, 1, 100, 1000])
@pytest.mark.parametrize(
    "when", [None, guestdbg.cond("new & 1"), lambda hit: hit.new < 9], ids=label
)
def test_recordings(monkeypatch: pytest.MonkeyPatch, limit: int | None, when: Any) -> None:
    def scenario() -> tuple[Any, ...]:
        with guestdbg.load(QUEUE, console=None) as guest:
            recording = guest.record("queue.tail", registers=(0, 30), limit=limit, when=when)
            stop = guest.run(max_instructions=4_000_000 if limit else 60_000)
            records = list(recording)
            data = recording.data()
            assert len(records) == len(recording) == recording.hits
            if records:
                assert data.shape == (len(records), 9)
                assert [data[n, 3] for n in range(len(records))] == [r.new for r in records]
            return records, stop.reason, recording.hits, recording.seen, recording.enabled

    records, reason, *_, enabled = both_ways(monkeypatch, scenario)
    assert records
    assert (reason, enabled) == (("limit", True) if limit is None else ("hit", False))
    if limit is not None:
        assert len(records) == limit
    assert all(r.address and r.size == 4 and r.access == "write" for r in records)
    assert [r.instructions for r in records] == sorted(r.instructions for r in records)


def test_reads_are_recorded_with_the_register_that_was_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def scenario() -> list[Record]:
        with guestdbg.load(QUEUE, console=None) as guest:
            recording = guest.record(
                "queue.tail", access="any", registers=tuple(range(16)), limit=60
            )
            assert guest.run(timeout=60).reason == "hit"
            return list(recording)

    records: list[Record] = both_ways(monkeypatch, scenario)
    reads = [record for record in records if record.access == "read"]
    assert len({record.old for record in reads}) > 5
    assert all(record.new is None for record in reads)
    assert all(record.old in record.registers for record in reads)


def test_a_recording_goes_on_over_several_runs(way: str) -> None:
    with guestdbg.load(QUEUE, console=None) as guest:
        recording = guest.record("queue.tail", limit=50)
        while guest.run(max_instructions=700).reason == "limit":
            pass
        assert len(recording) == 50
        numbers = [record.number for record in recording]
        assert numbers == list(range(1, 51))
        recording.clear()
        assert list(recording) == []
        assert len(recording.data()) == 0


def test_conditions_on_system_registers_and_memory(way: str) -> None:
    with guestdbg.load(QUEUE, console=None) as guest:
        guest.cpu.set_reg("CONTEXTIDR_EL1", 5)
        tail = guest.resolve("queue.tail").address
        here = "CONTEXTIDR_EL1 == 5 and u32[x0 + 4] == 3 and s64[sp - 8] != u8[x30]"
        pushed = guest.break_("queue_push", when=guestdbg.cond(here))
        never = guest.watch("queue.tail", when=guestdbg.cond("contextidr_el1 != 5 or TTBR0_EL1"))
        stop = guest.run(timeout=60)
        assert stop.hit is not None
        assert (stop.hit.point, guest.read_u32(tail)) == (pushed, 3)
        assert (pushed.seen, never.seen, never.hits) == (4, 3, 0)


@pytest.mark.parametrize("reads", ["x0 != 0", "u32[pc] & 0xff == 1 or u8[pc + 4] == 1", "count"])
@pytest.mark.parametrize("many", [1, 40, 70])
def test_software_breakpoints_do_not_show(
    monkeypatch: pytest.MonkeyPatch, many: int, reads: str
) -> None:
    """BRK instructions are in memory: beside what is hit, and where conditions read."""

    def scenario() -> tuple[Any, ...]:
        hits: list[tuple[Any, ...]] = []
        with guestdbg.load(QUEUE, console=None) as guest:
            push = guest.symbol("queue_push").address
            quiet = [guest.break_("note_worst", kind="software")]
            for n in range(1, many):
                quiet.append(guest.break_(push + 4 * n, kind="software"))
            for point in quiet:
                point(lambda hit: None)
            here = guest.break_(push, when=guestdbg.cond(f"({reads}) and x1 != 1 << 63"))
            also = guest.break_(push + 4, kind="hardware", when=guestdbg.cond("x0 == 0"))
            here(lambda hit: hits.append(reported(hit)))
            words = guest.watch(push + 4, 16, access="any", when=guestdbg.cond("pc != 0"))
            tail = guest.watch("queue.tail", when=guestdbg.cond("new == 5"))
            tail(lambda hit: hits.append(reported(hit)))
            stop = guest.run(max_instructions=20_000)
            counts = [(point.seen, point.hits) for point in (here, also, words, tail, *quiet)]
            return hits, counts, stop.reason, guest.cpu.pc

    both_ways(monkeypatch, scenario)


def test_hot_breakpoints_are_decided_beside_software_ones() -> None:
    with guestdbg.load(QUEUE, console=None) as guest:
        guest.break_("note_worst", kind="software")
        guest.watch("queue.peak", when=guestdbg.cond("new == 1 << 30"))
        assert decided_by_provider(guest)


def test_very_many_watches_are_decided_by_the_debugger() -> None:
    with guestdbg.load(QUEUE, console=None) as guest:
        watches = [guest.watch("queue.tail", when=lambda hit: hit.new == 3) for _ in range(120)]
        stop = guest.run(timeout=60)
        assert len(stop.hits) == len(watches)


def test_what_cannot_be_recorded_is_refused() -> None:
    with guestdbg.load(QUEUE, console=None) as guest:
        with pytest.raises(BadRange, match="1, 2, 4 or 8 bytes"):
            guest.record("queue")
        with pytest.raises(guestdbg.GuestdbgError, match="x0 to x30"):
            guest.record("queue.tail", registers=(31,))
        with pytest.raises(guestdbg.GuestdbgError, match="at least 1"):
            guest.record("queue.tail", limit=0)
        assert guest.run(max_instructions=1000).reason == "limit"


def decided_by_provider(guest: Guest) -> bool:
    guest.run(max_instructions=10)
    return guest.execution.hit_programs_installed(0)


def test_the_demo_is_decided_by_the_processor() -> None:
    """The condition of the README needs a variable of the guest: it is judged without Python."""
    with guestdbg.load(QUEUE, console=None) as guest:
        watch = guest.watch("queue.tail", when=guestdbg.cond("new != (old + 1) % queue.size"))
        stop = guest.run(timeout=60)
        assert decided_by_provider(guest)
        assert stop.hit is not None
        assert stop.hit.location.function == "note_worst"
        assert watch.hits == 1
        assert watch.seen > 6000
