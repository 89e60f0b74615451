"""Restores by what has changed are equal to restores of everything.

Two guests, made in the same way, get the same runs, changes by the user, snapshots and restores in
any order. Before each restore the second one is made to forget all that tells it what has changed,
and all code that it has decoded. They must be equal after each, and run on equally.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

import guestdbg
from guestdbg.cpu import tier
from guestdbg.debugger import Guest
from guestdbg.debugger.execution.scheduler import Scheduler
from tests.debugger import interrupt_guest
from tests.debugger.whole_state import differences, forget, whole_state
from tests.history import hostile_guest, random_guest
from tests.machine.virtio.disks import IN, OUT, disk
from tests.machine.virtio.driver import Driver

RAM = 0x4000_0000
PAGE = 4096
REQUEST = RAM + 0x60_0000  # for the disk: a header, the status, then data
COUNTS = st.sampled_from([1, 3, 20, 150, 900, 4000])
#: Where the user writes: code, vectors, data, tables, and pages that nobody else touches.
PLACES = [
    *(RAM + offset for offset in (0x8_0000, 0x8_0100, 0x8_8280, 0xC_0200)),
    *(RAM + offset for offset in (0x10_0000, 0x10_3000, 0x14_0000, 0x40_0000, 0x41_0000)),
    *(RAM + 0x50_0000 + n * PAGE for n in range(4)),
]


def image(kind: str, seed: int, vcpus: int) -> tuple[bytes, int]:
    if kind == "interrupts":
        return interrupt_guest.image(seed, vcpus)
    return {"random": random_guest, "hostile": hostile_guest}[kind].image(seed)


@contextmanager
def executed_by(which: str) -> Iterator[None]:
    """Guests that are made inside execute so."""
    why = tier.use(which, 2)
    try:
        if why is not None:
            pytest.skip(f"no stencils: {why}")
        yield
    finally:
        tier.choose(())


class Twins(RuleBasedStateMachine):
    """Two guests that are given the same; ``pairs`` are their snapshots."""

    which = "interpreter"

    def __init__(self) -> None:
        super().__init__()
        self.directory: tempfile.TemporaryDirectory[str] | None = None
        self.guests: list[Guest] = []
        self.pairs: list[tuple[list[Any], dict[str, Any] | None]] = []
        #: The pair that was taken or restored last.
        self.latest: tuple[list[Any], dict[str, Any] | None] = ([], None)

    @initialize(
        kind=st.sampled_from(["random", "hostile", "interrupts"]),
        seed=st.integers(0, 200),
        vcpus=st.integers(1, 3),
        history=st.booleans(),
    )
    def begin(self, kind: str, seed: int, vcpus: int, history: bool) -> None:
        self.directory = tempfile.TemporaryDirectory()
        path = Path(self.directory.name, "disk")
        disk(path, 64)
        contents, address = image(kind, seed, vcpus)
        with executed_by(self.which):
            self.guests = [
                guestdbg.load(
                    contents, kind="raw", address=address, provider="soft", memory="8M",
                    vcpus=vcpus, cpu="armv8.2", console=None, history=history,
                    drives=[f"{path},overlay"],
                )
                for _ in range(2)
            ]  # fmt: skip
        self.snapshot()

    def both(self, action: Callable[[Guest], object]) -> None:
        one, other = (action(guest) for guest in self.guests)
        assert one == other
        self.compare()

    def compare(self) -> dict[str, Any]:
        one, other = (whole_state(guest) for guest in self.guests)
        assert differences(one, other) == []
        return one

    @rule(count=COUNTS)
    def run(self, count: int) -> None:
        self.both(lambda guest: [str(guest.run(max_instructions=count)), guest.cpu.pc])

    @rule(count=st.integers(1, 5))
    def step(self, count: int) -> None:
        self.both(lambda guest: [str(guest.step(count)), guest.cpu.pc])

    @rule(place=st.sampled_from(PLACES), data=st.binary(min_size=1, max_size=64))
    def write(self, place: int, data: bytes) -> None:
        self.both(lambda guest: guest.board.write_phys(place, data))

    @rule(place=st.sampled_from(PLACES), data=st.binary(min_size=1, max_size=64))
    def write_the_buffer(self, place: int, data: bytes) -> None:
        """Not through the board; whoever does that says so."""

        def action(guest: Guest) -> None:
            guest.board.ram.buffer[place - RAM : place - RAM + len(data)] = data
            vm: Any = guest.board.vm
            vm.memory_written(place, len(data))
            vm.code_changed(place, len(data))

        self.both(action)

    @rule(first=st.integers(0, 0x7F0), count=st.sampled_from([1, 2, 16, 70, 200]))
    def clear(self, first: int, count: int) -> None:
        """Many pages: some are given back to the host."""

        def action(guest: Guest) -> None:
            length = min(count, 0x800 - first) * PAGE
            guest.board.write_phys(RAM + first * PAGE, b"\xab" * length)

        self.both(action)

    @rule(number=st.integers(0, 12), value=st.integers(0, (1 << 64) - 1), last=st.booleans())
    def set_register(self, number: int, value: int, last: bool) -> None:
        def action(guest: Guest) -> None:
            cpu = guest.vcpus[-1 if last else 0]
            cpu.x[number] = value
            cpu.v[number] = value

        self.both(action)

    @rule(text=st.binary(min_size=1, max_size=40))
    def type(self, text: bytes) -> None:
        self.both(lambda guest: guest.board.console.feed(text))

    @rule(expected=st.binary(min_size=1, max_size=2))
    def answer(self, expected: bytes) -> None:
        self.both(lambda guest: guest.board.console.answer(expected, b"yes"))

    @rule(spi=st.integers(0, 12), level=st.booleans())
    def interrupt(self, spi: int, level: bool) -> None:
        self.both(lambda guest: guest.board.interrupt(spi)(level))

    @rule()
    def press_the_power_button(self) -> None:
        self.both(lambda guest: guest.board.press_power_button())

    @rule(
        kind=st.sampled_from([IN, OUT]),
        sector=st.integers(0, 60),
        data=st.binary(min_size=512, max_size=512),
        place=st.sampled_from([REQUEST + PAGE, RAM + 0x8_0000 + 512, RAM + 0x10_0000]),
    )
    def use_the_disk(self, kind: int, sector: int, data: bytes, place: int) -> None:
        """The user is the driver: the disk reads into code and data, too."""

        def action(guest: Guest) -> int:
            driver = Driver(guest.board.virtio[0], guest.board.memory)
            ring = driver.start()
            header = kind.to_bytes(8, "little") + sector.to_bytes(8, "little")
            guest.board.write_phys(REQUEST, header + b"\xee")
            if kind == OUT:
                guest.board.write_phys(place, data)
            ring.add([(REQUEST, 16, False), (place, 512, kind == IN), (REQUEST + 16, 1, True)])
            ring.notify()
            return guest.board.read_phys(REQUEST + 16, 1)[0]

        self.both(action)

    @rule(word=st.integers(0, 110), software=st.booleans())
    def break_(self, word: int, software: bool) -> None:
        kind: Any = "software" if software else "hardware"
        if len(self.guests[0].points) < 3:
            self.both(
                lambda guest: (
                    guest.break_(random_guest.CODE + 4 * word, kind=kind, when="x9 != 3").enabled
                )
            )

    @rule(word=st.integers(0, 0x600))
    def watch(self, word: int) -> None:
        if len(self.guests[0].points) < 3:
            self.both(lambda guest: guest.watch(RAM + 0x10_0000 + 8 * word, 8).enabled)

    @rule()
    def delete_points(self) -> None:
        def action(guest: Guest) -> None:
            for point in list(guest.points):
                point.delete()

        self.both(action)

    @rule()
    def snapshot(self) -> None:
        if len(self.pairs) == 5:
            del self.pairs[1]
        taken = [guest.snapshot() for guest in self.guests]
        state = self.compare()
        # With BRKs in it, memory is not the guest's alone.
        brks = any(guest.execution.has_software_breakpoints for guest in self.guests)
        self.latest = (taken, None if brks else state)
        self.pairs.append(self.latest)

    @rule(number=st.integers(0, 10), times=st.integers(1, 3))
    def restore(self, number: int, times: int) -> None:
        """Most often the one that was taken or restored last, of which it is known what differs."""
        if number < len(self.pairs):
            self.latest = self.pairs[number]
        taken, state = self.latest
        for _ in range(times):
            fast, full = self.guests
            fast.restore(taken[0])
            forget(full)
            full.restore(taken[1])
            now = self.compare()
            if state is not None and not fast.execution.has_software_breakpoints:
                assert differences(now, state) == []

    @rule(number=st.integers(0, 4))
    def restore_one_of_the_other(self, number: int) -> None:
        """A snapshot of another guest."""
        taken, _ = self.pairs[min(number, len(self.pairs) - 1)]
        forget(self.guests[1])
        for guest in self.guests:
            guest.restore(taken[1 if guest is self.guests[0] else 0])
        self.compare()

    @rule(count=st.sampled_from([100, 1500]), times=st.integers(1, 4))
    def run_and_restore(self, count: int, times: int) -> None:
        """As those do who run one guest thousands of times."""
        for _ in range(times):
            self.run(count)
            self.restore(len(self.pairs), 1)
        self.run(count)

    @rule(sector=st.integers(0, 60), data=st.binary(min_size=512, max_size=512))
    def write_the_disk_and_restore(self, sector: int, data: bytes) -> None:
        self.use_the_disk(OUT, sector, data, REQUEST + PAGE)
        self.restore(len(self.pairs), 1)

    def teardown(self) -> None:
        for guest in self.guests:
            guest.close()
        if self.directory is not None:
            self.directory.cleanup()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A history begins anew with each restore, and says so."""
    caplog.set_level(logging.ERROR, logger="guestdbg")


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns of a few instructions, so that the vCPUs are interleaved."""
    monkeypatch.setattr(Scheduler._take_turn, "__defaults__", (53,))


def play(which: str, examples: int, steps: int, *, derandomize: bool = False) -> None:
    machine = type("Twins", (Twins,), {"which": which})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=derandomize,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("which", ["interpreter", "stencils"])
def test_any_restore_is_a_whole_one(which: str) -> None:
    play(which, 12, 25, derandomize=True)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("which", ["interpreter", "stencils"])
def test_any_restore_is_a_whole_one_in_many_orders(which: str) -> None:
    play(which, 1000, 60)
