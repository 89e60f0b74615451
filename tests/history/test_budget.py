"""A history stays within its budget, whatever the guest does; and it is exact all the same."""

import logging
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import guestdbg
from guestdbg.debugger import Guest
from guestdbg.debugger.execution.scheduler import Scheduler
from guestdbg.history import BudgetTooSmall
from guestdbg.machine import Position
from tests.history.digest import digest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

MIB = 1 << 20
ENTRY = 0x4008_0000

#: Writes 2 MiB from 0x40200000 on, page by page, again and again, each time another value.
WRITER = (
    0xD2A80401,  # movz x1, #0x4020, lsl #16
    0x91000400,  # again: add x0, x0, #1
    0xAA0103E2,  # mov x2, x1
    0xD2804003,  # movz x3, #512
    0xF9000040,  # page: str x0, [x2]
    0x91400442,  # add x2, x2, #1, lsl #12
    0xD2800C84,  # movz x4, #100
    0xD1000484,  # wait: sub x4, x4, #1
    0xB5FFFFE4,  # cbnz x4, wait
    0xD1000463,  # sub x3, x3, #1
    0xB5FFFF43,  # cbnz x3, page
    0x17FFFFF6,  # b again
)


def load(code: tuple[int, ...], **options: Any) -> Guest:
    data = struct.pack(f"<{len(code)}I", *code)
    options = {"provider": "soft", "console": None, "memory": "8M"} | options
    return guestdbg.load(data, kind="raw", address=ENTRY, **options)


def check_exact(guest: Guest, places: dict[int, str]) -> None:
    """Those of the places that are in the history are as they were."""
    for place in random.Random(1).sample(sorted(places), len(places)):
        if place >= guest.history.begin.instructions:
            guest.goto(place)
            assert digest(guest) == places[place]


@pytest.mark.parametrize("budget", [3 * MIB, 5 * MIB, 12 * MIB])
def test_a_guest_that_writes_all_its_memory(budget: int, caplog: pytest.LogCaptureFixture) -> None:
    """Two snapshots take 4 MiB: with the least budget there is never more than one."""
    most = 60_000_000
    with load(WRITER) as plain:
        plain.run(max_instructions=most + 5_000_000)
        final = digest(plain)
    places: dict[int, str] = {}
    with load(WRITER, history=budget) as guest:
        history = guest.history
        for n in range(1, 9):
            guest.run(max_instructions=most // 8)
            assert history.memory_size <= budget
            places[n * most // 8] = digest(guest)
        check_exact(guest, places)
        assert history.memory_size <= budget
        guest.history.goto_end()
        assert digest(guest) == places[most]
        if budget > 4 * MIB:
            assert history.begin.instructions == 0, "what is left out is in between"
        guest.goto(history.begin)
        with history._there.elsewhere():
            guest.history.goto_end()
            assert history.memory_size <= budget
        guest.history.goto_end()
        guest.run(max_instructions=5_000_000)
        assert digest(guest) == final
    assert caplog.text.count("history begins at") <= 1


def test_one_snapshot_only_is_given_up_when_it_is_far_away(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guestdbg.history.recorder.MAX_DISTANCE", 30_000_000)
    with load(WRITER, history=3 * MIB) as guest:
        begins = []
        for _ in range(10):
            guest.run(max_instructions=12_000_000)
            begins.append(guest.history.begin.instructions)
            assert guest.history.memory_size <= 3 * MIB
        assert begins[0] == 0
        assert begins == sorted(begins)
        assert guest.history.end.instructions - begins[-1] <= 60_000_000
        assert len(set(begins)) >= 3
        there = digest(guest)
        guest.goto(guest.history.begin)
        guest.history.goto_end()
        assert digest(guest) == there
    assert caplog.text.count("history begins at") == 1


def test_a_guest_that_has_outgrown_the_budget(caplog: pytest.LogCaptureFixture) -> None:
    """No snapshot of it fits any more: what is needed for the history is there still."""
    with load(WRITER, history=MIB) as guest:
        guest.run(max_instructions=40_000_000)
        there = digest(guest)
        assert guest.history.memory_size <= MIB
        assert guest.history.begin.instructions == 0
        guest.goto(1234)
        assert guest.history.now.instructions == 1234
        guest.history.goto_end()
        assert digest(guest) == there
        guest.cpu.x[28] = 7
        with pytest.raises(BudgetTooSmall, match=r"1 MiB.*give more.*history\.stop"):
            guest.run(max_instructions=1000)
        guest.history.stop()
        guest.run(max_instructions=1000)
        assert guest.cpu.x[28] == 7
    assert not [r for r in caplog.records if r.levelno > logging.WARNING]


#: Reads the console for ever.
READER = (
    0xD2A12001,  # movz x1, #0x0900, lsl #16
    0xB9400020,  # again: ldr w0, [x1]
    0x17FFFFFF,  # b again
)


def test_very_many_inputs(caplog: pytest.LogCaptureFixture) -> None:
    budget = 260 << 10
    most = 0
    with load(READER, history=budget) as guest:
        for n in range(1, 2401):
            guest.board.console.feed(b"x" * 40)
            guest.run(max_instructions=90)
            most = max(most, guest.history.memory_size)
            if n % 800 == 0:
                there = digest(guest)
                guest.goto(guest.history.begin)
                assert guest.history.memory_size <= budget
                guest.history.goto_end()
                assert digest(guest) == there
        assert budget / 3 < most <= budget
        assert guest.history.begin.instructions > 0
    assert caplog.text.count("history begins at") == 1


#: Starts the other three vCPUs (PSCI CPU_ON), and then all of them count for ever.
FOUR = (
    0xD2800033,  # movz x19, #1
    0xD2800060,  # next: movz x0, #3
    0xF2B88000,  # movk x0, #0xc400, lsl #16
    0xAA1303E1,  # mov x1, x19
    0xD2800502,  # movz x2, #40
    0xF2A80102,  # movk x2, #0x4008, lsl #16
    0xD4000002,  # hvc #0
    0x91000673,  # add x19, x19, #1
    0xF100127F,  # cmp x19, #4
    0x54FFFF01,  # b.ne next
    0x91000400,  # count: add x0, x0, #1
    0x17FFFFFF,  # b count
)


def test_very_many_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four vCPUs that change all the time: nine bytes for a few instructions."""
    monkeypatch.setattr(Scheduler._take_turn, "__defaults__", (7,))
    budget = 350 << 10
    with load(FOUR, vcpus=4, history=budget) as guest:
        for _ in range(8):
            guest.run(max_instructions=20_000)
            assert guest.history.memory_size <= budget
        history = guest.history
        assert history.begin > Position(0, 0, 0)
        assert history.end.turn > 20_000
        there = digest(guest)
        guest.reverse_step(3)
        guest.goto(history.begin)
        guest.run(max_instructions=1000)
        history.goto_end()
        assert digest(guest) == there


def run_on(guest: Guest) -> None:
    """It may come in during the first run only, and is seen in the next then."""
    for _ in range(2):
        guest.run(max_instructions=1000)


def test_one_input_that_is_larger_than_the_budget() -> None:
    with load(READER, history=MIB) as guest:
        guest.run(max_instructions=1000)
        guest.board.console.feed(b"x" * (2 * MIB))
        with pytest.raises(BudgetTooSmall, match="give more"):
            run_on(guest)
        guest.history.stop()
        guest.run(max_instructions=1000)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_the_host_sees_no_more_than_that() -> None:
    """In a process of its own: resident memory with the history, without the guest's own."""
    found = subprocess.run(
        [sys.executable, "-m", "tests.history.resident", "24M"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    grown, counted, snapshots = map(int, found.stdout.split())
    assert counted <= 24 * MIB
    assert snapshots >= 5
    assert counted > 12 * MIB, "the budget is used"
    # Not of what is counted: the host's allocator may keep for a while what was given back.
    assert grown <= 1.05 * 24 * MIB + 2 * MIB
    assert grown >= 0.9 * counted - 2 * MIB, "what is counted is there"
