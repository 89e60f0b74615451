"""Watches that cannot be hit: through NULL, and where the guest or the board has nothing."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import guestdbg
from guestdbg.debugger import Guest

QUEUE = Path(__file__).parents[2] / "examples" / "queue.elf"


@pytest.fixture
def guest() -> Iterator[Guest]:
    with guestdbg.load(QUEUE, provider="soft", console=None) as guest:
        yield guest


@pytest.mark.parametrize("address", [0x4, 0x2000_0000, 0x0800_0000, 0xFFFF_0000_0000_0000])
def test_a_watch_where_the_board_has_nothing_warns(
    guest: Guest, address: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        watch = guest.watch(address, 4)
    assert f"is watched at {address:#x}, where nothing can be accessed" in caplog.text
    assert watch.enabled


@pytest.mark.parametrize("where", ["queue.tail", 0x4000_0000, 0x0900_0000])
def test_a_watch_of_memory_or_a_device_does_not_warn(
    guest: Guest, where: str | int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        guest.watch(where, 4)
        guest.record(where, 4)
    assert not caplog.text


JUNK = [None, -1, 1 << 70, 1.5, float("nan"), float("inf"), "", "\0", "\udcff", "9" * 5000, b"x"]
JUNK += [[], {}, object(), print, True]
CALLS = {
    "watch": lambda guest, junk: guest.watch(junk),
    "watch length": lambda guest, junk: guest.watch("queue.tail", junk),
    "watch access": lambda guest, junk: guest.watch("queue.tail", access=junk),
    "watch when": lambda guest, junk: guest.watch("queue.tail", when=junk),
    "watch ignore": lambda guest, junk: guest.watch("queue.tail", ignore=junk),
    "watch el": lambda guest, junk: guest.watch("queue.tail", el=junk),
    "watch context": lambda guest, junk: guest.watch("queue.tail", context=junk),
    "record registers": lambda guest, junk: guest.record("queue.tail", registers=junk),
    "record limit": lambda guest, junk: guest.record("queue.tail", limit=junk),
    "break": lambda guest, junk: guest.break_(junk),
    "break kind": lambda guest, junk: guest.break_("main", kind=junk),
    "run until": lambda guest, junk: guest.run(until=junk, max_instructions=10),
    "run timeout": lambda guest, junk: guest.run(timeout=junk, max_instructions=10),
    "run instructions": lambda guest, junk: guest.run(max_instructions=junk, timeout=0.01),
    "step": lambda guest, junk: guest.step(junk, max_instructions=10),
    "resume": lambda guest, junk: guest.resume(junk, max_instructions=10),
    "resume number": lambda guest, junk: guest.resume({0: junk}, max_instructions=10),
    "select": lambda guest, junk: guest.select(junk),
    "symbol": lambda guest, junk: guest.symbol(junk),
    "locate": lambda guest, junk: guest.locate(junk),
    "resolve": lambda guest, junk: guest.resolve(junk),
    "read": lambda guest, junk: guest.read(junk, 4),
    "read length": lambda guest, junk: guest.read(0x4000_0000, junk),
    "write": lambda guest, junk: guest.write(junk, b"1234"),
    "write data": lambda guest, junk: guest.write(0x4000_0000, junk),
    "translate": lambda guest, junk: guest.translate(junk),
    "variable": lambda guest, junk: guest[junk],
    "restore": lambda guest, junk: guest.restore(junk),
    "register": lambda guest, junk: guest.cpu.reg(junk),
    "add_symbols": lambda guest, junk: guest.add_symbols(junk),
    "add_symbols slide": lambda guest, junk: guest.add_symbols(QUEUE, junk),
}


@pytest.mark.parametrize("call", CALLS)
def test_arguments_of_every_wrong_kind(guest: Guest, call: str) -> None:
    for junk in JUNK:
        with contextlib.suppress(guestdbg.GuestdbgError, TypeError):
            CALLS[call](guest, junk)
        for point in guest.points:
            point.delete()


LOADING = [
    "memory",
    "vcpus",
    "kind",
    "address",
    "symbols",
    "slide",
    "bootargs",
    "initrd",
    "gic",
    "seed",
    "drives",
    "net",
    "overwatch",
]


@pytest.mark.parametrize("name", [*LOADING, "provider", "console"])
def test_arguments_of_load_of_every_wrong_kind(name: str) -> None:
    for junk in JUNK:
        options = {"provider": "soft", "console": None, name: junk}
        with contextlib.suppress(guestdbg.GuestdbgError, TypeError, OSError):
            guestdbg.load(QUEUE, **options).close()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("mem", "memory"), ("cpus", "vcpus"), ("bootarg", "bootargs"), ("ram", "memory")],
)
def test_a_misspelt_argument_of_load(wrong: str, right: str) -> None:
    with pytest.raises(TypeError, match=f"no argument '{wrong}'; did you mean '{right}'"):
        guestdbg.load(QUEUE, **{wrong: 1})


def test_a_watch_of_the_guests_own_memory_does_not_warn_before_it_is_mapped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = QUEUE.with_name("mmu.elf")
    with caplog.at_level(logging.WARNING), guestdbg.load(path, provider="soft", console=None) as g:
        assert g.watch("syscalls").address >> 63  # the upper half, while the MMU is off
    assert not caplog.text
