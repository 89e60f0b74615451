"""Snapshots that a search keeps change no answer: the same with them and without."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

import guestdbg
from guestdbg.debugger import Guest, Stop
from guestdbg.debugger.execution.scheduler import Scheduler
from guestdbg.history import waypoints
from guestdbg.history.travel import Travel
from guestdbg.machine import Time
from tests.history.digest import digest
from tests.history.random_guest import CODE, DATA, image
from tests.machine.guests import EXAMPLES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")


def random_guest(seed: int, vcpus: int) -> Guest:
    contents, address = image(seed)
    options: dict[str, Any] = {"vcpus": vcpus, "cpu": "armv8.2", "memory": "4M", "console": None}
    return guestdbg.load(
        contents, kind="raw", address=address, provider="soft", history="64M", **options
    )


def seen(guest: Guest, stop: Stop) -> tuple[Any, ...]:
    """All that a Stop says, and how the guest is."""
    hits = [
        (h.point.number, h.pc, h.address, h.size, h.access, h.old, h.new, h.vcpu.id, h.time)
        for h in stop.hits
    ]
    counts = [(p.number, p.hits, p.seen, p.ignore, p.unavailable) for p in guest.points]
    return stop.reason, stop.detail, stop.time, hits, counts, digest(guest)


def go_about(
    guest: Guest, seed: int, where: list[int], data: list[int], times: list[Time]
) -> list[Any]:
    """Back from hit to hit of changing points, from here and from there."""
    rng = random.Random(seed)
    found: list[Any] = []

    def add_point() -> None:
        n = rng.randrange(7)
        if n < 3:
            when = rng.choice([None, "x0 != 0", "count % 3 == 1", lambda hit: hit.pc & 8 == 0])
            guest.break_(rng.choice(where), when=when, ignore=rng.randrange(3))
        elif n == 3:
            guest.break_(where[0])  # often two at one instruction
        else:
            when = rng.choice([None, "new != old", "old & 1 == 0"])
            before = n == 6
            guest.watch(rng.choice(data), 8, rng.choice(["write", "any"]), when=when, before=before)

    add_point()
    for _ in range(40):
        n = rng.randrange(16)
        if n == 0 and len(list(guest.points)) < 5:
            add_point()
        elif n == 1 and len(list(guest.points)) > 1:
            rng.choice(list(guest.points)).delete()
        elif n == 2:
            point = rng.choice(list(guest.points))
            point.enabled = not point.enabled
        elif n in (3, 8):
            found.append(guest.goto(rng.choice(times)))
        elif n == 4:
            hit = guest.history.last_write(rng.choice(data), 8)
            found.append(hit and (hit.time, hit.pc, hit.old, hit.new))
        elif n == 5 and guest.history.now.position > guest.history.begin:
            found.append(guest.reverse_step(rng.choice([1, 7])))
        elif n == 6:
            stop = guest.run(max_instructions=rng.choice([1, 50, 700]))
            found.append((stop.reason, stop.time, digest(guest)))
        elif n == 7 and guest.history.now.position > guest.history.begin:
            found.append(seen(guest, guest.history.reverse_step_over()))
        elif guest.history.now.position == guest.history.begin:
            found.append(guest.history.goto_end())
        else:
            found.append(seen(guest, guest.reverse_run()))
    assert guest.history.memory_size <= 64 << 20
    found.append((guest.history.goto_end(), digest(guest)))
    return found


@pytest.mark.parametrize(("seed", "vcpus"), [(1, 1), (2, 2), (3, 4)])
def test_random_guests(seed: int, vcpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scheduler._take_turn, "__defaults__", (61,))
    monkeypatch.setattr("guestdbg.history.recorder.MIN_DISTANCE", 7_000)
    where = [CODE + 4 * n for n in (30, 33, 40)]
    data = [DATA + 8 * n for n in (0, 3, 16)]

    def run() -> list[Any]:
        with random_guest(seed, vcpus) as guest:
            times = []
            for n in range(12):
                guest.run(max_instructions=1_000)
                times.append(guest.history.now)
                if n % 4 == 0:
                    guest.write(DATA + 8, bytes([n] * 8))  # by the user
            return go_about(guest, seed, where, data, times)

    compare(run, monkeypatch)


@pytest.mark.parametrize(("name", "vcpus"), [("queue", 1), ("smp", 4)])
def test_examples(name: str, vcpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {
        "queue": (["queue_push", "queue_pop", "job_finish"], ["queue", "made"]),
        "smp": (["work", "take_lock", "give_lock"], ["counter", "unlocked"]),
    }[name]

    def run() -> list[Any]:
        options: dict[str, Any] = {"vcpus": vcpus, "console": None, "memory": "4M"}
        path = EXAMPLES / f"{name}.elf"
        with guestdbg.load(path, provider="soft", history="64M", **options) as guest:
            times = []
            for _ in range(12):
                guest.run(max_instructions=5_000)
                times.append(guest.history.now)
            where, data = ([guest.resolve(each).address for each in names] for names in places)
            return go_about(guest, vcpus, where, data, times)

    compare(run, monkeypatch)


def compare(run: Callable[[], list[Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """With waypoints and without."""
    monkeypatch.setattr("guestdbg.history.search.cuts", lambda turns, start, end: ())
    expected = run()
    monkeypatch.setattr("guestdbg.history.search.cuts", waypoints.cuts)
    kept: list[object] = []
    monkeypatch.setattr("guestdbg.history.waypoints._LAST", 40)
    original = Travel.keep_waypoint

    def keep(self: Travel) -> Any:
        kept.append(original(self))
        return kept[-1]

    monkeypatch.setattr(Travel, "keep_waypoint", keep)
    assert run() == expected
    assert sum(each is not None for each in kept) > 0
