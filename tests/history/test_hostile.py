"""Guests that live from stale translations run the same, however they are looked at.

With history on there is none: the TLBs follow the tables. So stops, points, queries and snapshots
change nothing, wherever they are, and each time is as it was.
"""

import random
from collections.abc import Iterator

import pytest

from guestdbg.debugger import Guest
from guestdbg.machine import Time
from tests.history.digest import digest
from tests.history.hostile_guest import CODE, PAGES, WINDOW, image
from tests.history.raw_guest import load, retired

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

MOST = 60_000


def undisturbed(seed: int, vcpus: int, counts: list[int]) -> list[tuple[Time, str]]:
    """The guest at these counts of instructions, in a run that does nothing else."""
    found = []
    with load(image(seed), vcpus) as guest:
        for count in counts:
            guest.run(max_instructions=count - retired(guest))
            found.append((guest.history.now, digest(guest)))
    return found


def disturb(guest: Guest, rnd: random.Random) -> None:
    """Something that must not be seen by the guest."""
    kind = rnd.randrange(8)
    if len(guest.points) > 2:
        kind = 2
    if kind == 0:
        guest.break_(CODE + 4 * rnd.randrange(60, 150), when="x9 == 0")
    elif kind == 1:
        address = rnd.choice([WINDOW, PAGES]) + 8 * rnd.randrange(0x1000)
        guest.watch(address, 8, when=rnd.choice(["new == 1", lambda hit: False]))
    elif kind == 2:
        for point in list(guest.points):
            point.delete()
    elif kind == 3:
        guest.snapshot()
    elif kind == 4 and guest.history.now.position > guest.history.begin:
        guest.history.last_write(WINDOW + 8 * rnd.randrange(8), 8)
    elif kind == 5:
        guest.goto(guest.history.begin)
        guest.history.goto_end()
    elif kind == 6:
        guest.vcpus[0].vcpu.kick()
    else:
        guest.read(PAGES, 64)


def counts_of(rnd: random.Random) -> Iterator[int]:
    count = 0
    while count < MOST:
        count += rnd.choice([1, 7, 100, 900, 2500])
        yield count


@pytest.mark.parametrize(("seed", "vcpus"), [(1, 1), (2, 1), (3, 2), (4, 3)])
def test_nothing_that_is_done_to_it_changes_a_guest(seed: int, vcpus: int) -> None:
    rnd = random.Random(seed)
    counts = sorted(rnd.sample(list(counts_of(rnd)), 25))
    expected = undisturbed(seed, vcpus, [counts[-1]])
    with load(image(seed), vcpus) as guest:
        seen = []
        for count in counts:
            disturb(guest, rnd)
            while count > retired(guest):
                guest.run(max_instructions=count - retired(guest))
            seen.append((guest.history.now, digest(guest)))
        assert seen[-1] == expected[-1]
        for _ in range(12):
            disturb(guest, rnd)
            time, then = rnd.choice(seen)
            guest.goto(time)
            assert digest(guest) == then
    assert undisturbed(seed, vcpus, counts) == seen


def test_steps_find_the_same_as_a_run() -> None:
    with load(image(5)) as guest:
        guest.run(max_instructions=500)
        while retired(guest) < 2000:  # a step that takes an exception retires nothing
            guest.step()
        stepped = guest.history.now, digest(guest)
        guest.goto(500)
        for _ in range(300):
            guest.reverse_step(1)
            guest.step()
    assert undisturbed(5, 1, [2000]) == [stepped]
