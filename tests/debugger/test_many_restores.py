"""A snapshot that is restored again and again: each time every bit is as it was at first."""

from __future__ import annotations

import random
from typing import Any

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

import guestdbg
from guestdbg.cpu.processor import Pages
from guestdbg.debugger import Guest
from guestdbg.debugger.execution.scheduler import Scheduler
from tests.debugger import interrupt_guest
from tests.debugger.whole_state import differences, whole_state

RAM = interrupt_guest.RAM
PAGE = 4096
#: Pages from the start of RAM on, in which all is that the guest and the user write.
USED = 0x200
#: How often the guest also runs on undisturbed, which must always lead to the same.
EVERY = 64


class Restores:
    """A guest whose pages, console, timers and interrupts are in use, and one snapshot of it."""

    def __init__(self, seed: int, vcpus: int) -> None:
        contents, address = interrupt_guest.image(seed, vcpus)
        self.rng = random.Random(seed)
        self.guest: Guest = guestdbg.load(
            contents, kind="raw", address=address, provider="soft", memory="4M", vcpus=vcpus,
            console=None,
        )  # fmt: skip
        self.guest.run(max_instructions=5000)
        self.snapshot = self.guest.snapshot()
        ram = self.guest.board.ram.buffer
        self.whole = [(0, len(ram) // PAGE)]
        self.pages = Pages(ram, self.whole)
        self.first = self.state()
        self.later = self.undisturbed()

    def state(self) -> dict[str, Any]:
        """All but memory, which is compared in its place."""
        return whole_state(self.guest, memory=False)

    def undisturbed(self) -> dict[str, Any]:
        """What a run from the snapshot leads to."""
        self.guest.restore(self.snapshot)
        self.guest.run(max_instructions=700)
        return whole_state(self.guest)

    def disturb(self) -> None:
        """Let the guest run, and change something of it."""
        guest, rng = self.guest, self.rng
        what = rng.randrange(8)
        if what == 0:
            place = RAM + rng.randrange(USED * PAGE - 5000)
            guest.write(place, rng.randbytes(rng.choice([1, 8, 5000])))
        elif what == 1:
            guest.board.console.feed(rng.randbytes(rng.randrange(1, 20)))
        elif what == 2:
            guest.board.interrupt(rng.randrange(16))(bool(rng.getrandbits(1)))
        elif what == 3:
            guest.cpu.x[rng.randrange(30)] = rng.getrandbits(64)
        elif what == 4:
            guest.board.uart.write(0x38, 4, rng.getrandbits(11))
        guest.run(max_instructions=rng.choice([1, 20, 80, 200]))

    def check(self) -> None:
        """Each bit; of memory those pages that the guest or the user writes."""
        ram = self.guest.board.ram.buffer
        assert self.pages.differing_in(ram, [(0, USED)]) == []
        assert differences(self.state(), self.first) == []

    def restore(self, count: int) -> None:
        for n in range(count):
            self.disturb()
            self.guest.restore(self.snapshot)
            self.check()
            if n % EVERY == 0:
                assert self.pages.differing(self.guest.board.ram.buffer, self.whole) == []
                assert differences(self.undisturbed(), self.later) == []


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns of a few instructions, so that all vCPUs run."""
    monkeypatch.setattr(Scheduler._take_turn, "__defaults__", (53,))


@pytest.mark.parametrize(("vcpus", "count"), [(1, 8000), (3, 2000)])
def test_ten_thousand_restores(vcpus: int, count: int) -> None:
    restores = Restores(vcpus, vcpus)
    restores.restore(count)
    restores.guest.close()


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_a_million_restores() -> None:
    restores = Restores(7, 1)
    restores.restore(1_000_000)
    restores.guest.close()
