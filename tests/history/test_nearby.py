"""Times near each other: a snapshot that is kept a little before them changes no answer."""

import random
from pathlib import Path

import pytest

import guestdbg
from tests.history.digest import digest
from tests.machine.guests import EXAMPLES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")


@pytest.mark.parametrize(
    ("path", "vcpus"),
    [(EXAMPLES / "queue.elf", 1), (EXAMPLES / "smp.elf", 4)],
    ids=lambda value: getattr(value, "stem", value),
)
def test_going_to_times_near_each_other(
    path: Path, vcpus: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guestdbg.history.travel._FAR", 5_000)
    monkeypatch.setattr("guestdbg.history.travel._NEAR", 1_500)
    rnd = random.Random(vcpus)
    options = {"vcpus": vcpus, "console": None, "provider": "soft", "memory": "8M"}
    with guestdbg.load(path, history=True, **options) as guest:
        seen = []
        for n in range(40):
            # Pairs of places that are close together, some with a write of the user between them.
            length = 30_000 if n % 2 == 0 else rnd.choice([1, 40, 1_000, 2_000])
            stop = guest.run(max_instructions=length)
            if n % 10 == 5:
                guest.cpu.x[28] = n
            seen.append((guest.history.now, digest(guest)))
            if stop.reason != "limit":
                break
        size, final = guest.history.memory_size, digest(guest)
        used = 0
        for _ in range(12):
            first = rnd.randrange(len(seen))
            for time, expected in seen[first : first - 4 if first >= 4 else None : -1]:
                guest.goto(time)
                assert digest(guest) == expected
                used += guest.history._there._near is not None
                if rnd.random() < 0.3:
                    guest.history.last_execution(time.pc)
                    assert digest(guest) == expected
        assert used > 10
        assert guest.history.memory_size > size
        guest.history.goto_end()
        assert digest(guest) == final
        assert guest.history.memory_size == size, "nothing is left of it"
        guest.goto(seen[5][0])
        guest.reverse_step(3)
        guest.history.branch()
        guest.run(max_instructions=100)
        guest.goto(guest.history.begin)
        guest.history.goto_end()
