"""Anything in any order: runs, steps, times, branches, writes, points, snapshots.

The model is what the guest was at the times at which it was seen, on the way that is its history
now. Whenever it is at such a time again, every bit is as it was. In the end a new guest is made
that only runs, and to which only the same is written: it must have come to the same.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from guestdbg.debugger import Guest
from guestdbg.debugger.execution.scheduler import Scheduler
from guestdbg.history import InThePast
from guestdbg.machine import Position, Time
from tests.history import hostile_guest, random_guest
from tests.history.digest import digest
from tests.history.raw_guest import load, retired

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

KINDS: dict[str, Any] = {"random": random_guest, "hostile": hostile_guest}
FREE = 0x4070_0000
COUNTS = st.sampled_from([1, 2, 7, 40, 150, 600, 2000])


class Travels(RuleBasedStateMachine):
    """A guest, and what is known of it."""

    guest: Guest

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Time, int, str]] = []  # with the instructions over all vCPUs
        self.written: list[tuple[int, int]] = []  # at so many instructions, this value
        self.changed: set[Position] = set()  # where that was
        self.plain = True  # it has only run, and not stepped one vCPU of several

    @initialize(
        kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 50), vcpus=st.integers(1, 3)
    )
    def begin(self, kind: str, seed: int, vcpus: int) -> None:
        self.made = kind, seed, vcpus
        self.guest = load(KINDS[kind].image(seed), vcpus)
        self.see()

    def see(self) -> None:
        """Compare with what was seen here, or remember it."""
        guest = self.guest
        now, found = guest.history.now, digest(guest)
        if guest.history.in_past and now.position in self.changed:
            return  # what repeats the run ends before the user's write, and not after it
        for time, _, expected in self.seen:
            if time == now:
                assert found == expected, f"at {now}, {guest.cpu.pc:#x}"
                return
        self.seen.append((now, retired(guest), found))

    @rule(count=COUNTS)
    def run(self, count: int) -> None:
        self.guest.run(max_instructions=count)
        self.see()

    @rule(count=st.integers(1, 6))
    def step(self, count: int) -> None:
        if not self.guest.history.in_past and len(self.guest.vcpus) > 1:
            self.plain = False
        self.guest.step(count)
        self.see()

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def goto(self, data: st.DataObject) -> None:
        time, _, expected = data.draw(st.sampled_from(self.seen))
        self.guest.goto(time)
        assert digest(self.guest) == expected

    @rule()
    def goto_end(self) -> None:
        self.guest.history.goto_end()
        assert not self.guest.history.in_past
        self.see()

    @rule(count=st.integers(1, 50))
    def reverse_step(self, count: int) -> None:
        history = self.guest.history
        if history.now.position > history.begin and self.ran(self.guest.execution.current):
            history.reverse_step(count)
            self.see()

    def ran(self, vcpu: int) -> bool:
        return self.guest.vcpus[vcpu].vcpu.instructions > 0

    @rule()
    def reverse_run(self) -> None:
        if self.guest.history.now.position > self.guest.history.begin:
            self.guest.history.reverse_run()
            self.see()

    @rule(value=st.integers(1, 1 << 64 - 1))
    def write(self, value: int) -> None:
        guest = self.guest
        if guest.history.in_past:
            with pytest.raises(InThePast):
                guest.write(FREE, value.to_bytes(8, "little"))
            return
        # What was here before the write cannot be gone to any more, but by its time.
        now = guest.history.now
        self.seen = [item for item in self.seen if item[0].position != now.position]
        guest.write(FREE, value.to_bytes(8, "little"))
        self.written.append((retired(guest), value))
        self.changed.add(now.position)
        self.see()

    @rule()
    def branch(self) -> None:
        guest = self.guest
        if guest.history.in_past and guest.history.now.position in self.changed:
            return  # whether the write there was made already is not known here
        guest.history.branch()
        now: Position = guest.history.now.position
        self.seen = [item for item in self.seen if item[0].position <= now]
        count = retired(guest)
        self.written = [item for item in self.written if item[0] <= count]
        self.see()

    @rule(word=st.integers(60, 110), condition=st.sampled_from([None, "x9 != 0", "x1 == 0"]))
    def break_(self, word: int, condition: str | None) -> None:
        if len(self.guest.points) < 3:
            self.guest.break_(random_guest.CODE + 4 * word, when=condition)

    @rule(offset=st.integers(0, 31), condition=st.sampled_from([None, "new == 0"]))
    def watch(self, offset: int, condition: str | None) -> None:
        if len(self.guest.points) < 3:
            self.guest.watch(random_guest.DATA + 8 * offset, 8, when=condition)

    @rule()
    def delete_points(self) -> None:
        for point in list(self.guest.points):
            point.delete()

    @rule(offset=st.integers(0, 31))
    def ask(self, offset: int) -> None:
        guest = self.guest
        here = digest(guest)
        guest.history.last_write(random_guest.DATA + 8 * offset, 8)
        guest.history.next_write(random_guest.DATA + 8 * offset, 8)
        assert digest(guest) == here

    @rule()
    def take_snapshot(self) -> None:
        self.guest.snapshot()

    @invariant()
    def is_somewhere(self) -> None:
        if hasattr(self, "guest"):
            history = self.guest.history
            assert history.begin <= history.now.position <= history.end

    def teardown(self) -> None:
        if not hasattr(self, "guest"):
            return
        guest = self.guest
        try:
            self.delete_points()
            guest.history.goto_end()
            end = retired(guest), guest.history.now, digest(guest)
            if self.plain:
                self.compare_with_a_plain_run(*end)
        finally:
            guest.close()

    def compare_with_a_plain_run(self, count: int, now: Time, expected: str) -> None:
        kind, seed, vcpus = self.made
        with load(KINDS[kind].image(seed), vcpus) as fresh:
            for at, value in self.written:
                while retired(fresh) < at:
                    fresh.run(max_instructions=at - retired(fresh))
                fresh.write(FREE, value.to_bytes(8, "little"))
            while retired(fresh) < count:
                fresh.run(max_instructions=count - retired(fresh))
            if fresh.history.now == now:  # and not before an exception that the other has taken
                assert digest(fresh) == expected


def travel(examples: int, steps: int, *, derandomize: bool = False) -> None:
    run_state_machine_as_test(
        Travels,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=derandomize,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns of a few instructions, so that the vCPUs are interleaved."""
    monkeypatch.setattr(Scheduler._take_turn, "__defaults__", (53,))


def test_travels() -> None:
    travel(8, 20, derandomize=True)


@pytest.mark.soak
def test_many_travels() -> None:
    travel(1000, 50)
