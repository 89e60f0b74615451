"""Reverse steps and continues from random places, while both cores are busy: each is as it was."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator

import pytest

import guestdbg
from guestdbg.debugger.execution.scheduler import Scheduler
from tests.history.digest import digest
from tests.history.random_guest import CODE, image

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

BUSY = "while True: pass"


@pytest.fixture
def load() -> Iterator[None]:
    """Both cores are busy."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(2)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns of a few instructions, so that the vCPUs are interleaved."""
    monkeypatch.setattr(Scheduler._take_turn, "__defaults__", (53,))


def go_back(count: int) -> int:
    """So many reverse steps and continues; how many of them agree with the forward run."""
    rnd = random.Random(count)
    contents, address = image(3)
    agreed = 0
    with guestdbg.load(
        contents,
        kind="raw",
        address=address,
        provider="soft",
        memory="4M",
        vcpus=2,
        cpu="armv8.2",
        console=None,
        history=True,
    ) as guest:
        guest.run(max_instructions=6000)
        single = []  # each instruction of a part of the run
        for _ in range(80):
            guest.run(max_instructions=1)
            single.append((guest.history.now, digest(guest)))
        guest.break_(CODE + 4 * 32)
        stops = []
        for _ in range(80):
            stop = guest.run(max_instructions=10_000)
            assert stop.reason == "hit"
            stops.append((stop.time, digest(guest)))
        for n in range(count):
            if n % 2:
                place = rnd.randrange(1, len(stops))
                guest.goto(stops[place][0])
                guest.reverse_run()
                time, expected = stops[place - 1]
            else:
                place = rnd.randrange(1, len(single))
                here, before = single[place][0], single[place - 1][0]
                guest.goto(here)
                if before.position.turn != here.position.turn:
                    guest.goto(before)  # the vCPU before ended its turn there
                else:
                    guest.reverse_step()
                time, expected = single[place - 1]
            agreed += guest.history.now == time and digest(guest) == expected
    return agreed


def test_a_hundred_times(load: None) -> None:
    assert go_back(100) == 100


@pytest.mark.soak
def test_a_thousand_times(load: None) -> None:
    assert go_back(1000) == 1000
