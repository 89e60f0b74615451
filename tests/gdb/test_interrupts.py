"""Ctrl-C at every possible moment: one stop for one letting go, none lost and none doubled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from guestdbg.gdb.packets import Packet, frame
from tests.gdb.rsp_client import Served, Wire, served

CTRL_C = b"\x03"
GO = frame(b"vCont;c")
STEP = frame(b"vCont;s:1")
WHY = frame(b"qC")


def stops_until_quiet(wire: Wire) -> list[bytes]:
    """All that comes before the answer to a question that is asked now."""
    wire.socket.sendall(WHY)
    found: list[bytes] = []
    while True:
        event = wire.event()
        assert isinstance(event, Packet), event
        if event.data.startswith(b"QC"):
            return found
        found.append(event.data)


@pytest.fixture
def spin(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, "spin") as here:
        yield here


@pytest.mark.parametrize("at_once", [True, False], ids=["one piece", "piece by piece"])
def test_one_stop_for_each_resume(spin: Served, at_once: bool) -> None:
    with spin.client() as wire:
        for n in range(100):
            if at_once:
                wire.socket.sendall(GO + CTRL_C)
            else:
                wire.socket.sendall(GO)
                wire.socket.sendall(CTRL_C)
            assert wire.reply().startswith(b"T02"), n
        assert stops_until_quiet(wire) == []


def test_ctrl_c_is_ignored_while_the_guest_is_stopped(spin: Served) -> None:
    with spin.client() as wire:
        wire.socket.sendall(CTRL_C * 3)
        assert stops_until_quiet(wire) == []
        # It does not stop the next run either.
        wire.socket.sendall(CTRL_C + STEP)
        assert wire.reply().startswith(b"T05")
        wire.socket.sendall(CTRL_C)
        wire.socket.sendall(STEP)
        assert wire.reply().startswith(b"T05")
        assert stops_until_quiet(wire) == []


def test_two_at_once_stop_once(spin: Served) -> None:
    with spin.client() as wire:
        for _ in range(20):
            wire.socket.sendall(GO + CTRL_C + CTRL_C)
            assert wire.reply().startswith(b"T02")
            assert stops_until_quiet(wire) == []
            wire.socket.sendall(GO + CTRL_C)
            assert wire.reply().startswith(b"T02")
            wire.socket.sendall(CTRL_C)
            assert stops_until_quiet(wire) == []


def test_a_stop_reply_that_crosses_it(spin: Served) -> None:
    """The step, or the breakpoint, may be first or the Ctrl-C: there is one answer."""
    with spin.client() as wire:
        wire.socket.sendall(GO + CTRL_C)
        wire.reply()
        here = int.from_bytes(bytes.fromhex(wire.ask(b"p20").decode()), "little")
        for n in range(60):
            wire.socket.sendall(STEP + CTRL_C)
            assert wire.reply()[:3] in (b"T05", b"T02"), n
            assert stops_until_quiet(wire) == []
        assert wire.ask(b"Z0,%x,4" % here) == b"OK"
        for n in range(60):
            wire.socket.sendall(GO)
            wire.socket.sendall(CTRL_C)
            assert wire.reply()[:3] in (b"T05", b"T02"), n
            assert stops_until_quiet(wire) == []


def test_queries_do_not_stop_a_running_guest(spin: Served) -> None:
    """Each wakes the server; none is taken for a Ctrl-C, and the Ctrl-C after them works."""
    with spin.client() as wire:
        for _ in range(30):
            wire.socket.sendall(GO + WHY + WHY + CTRL_C)
            replies = [wire.reply() for _ in range(3)]
            assert replies[:2] == [b"QC1", b"QC1"]
            assert replies[2].startswith(b"T02")
        assert stops_until_quiet(wire) == []


def test_half_a_packet_after_it(spin: Served) -> None:
    with spin.client() as wire:
        for cut in range(1, len(WHY)):
            wire.socket.sendall(GO + CTRL_C + WHY[:cut])
            assert wire.reply().startswith(b"T02")
            wire.socket.sendall(WHY[cut:])
            assert wire.reply() == b"QC1"


def test_within_a_packet_it_is_data(spin: Served) -> None:
    """As GDB writes memory by X: 0x03 is not escaped there, and stops nothing."""
    with spin.client() as wire:
        assert wire.ask(b"X40203000,4:\x03\x03\x03\x03") == b"OK"
        assert wire.ask(b"m40203000,4") == b"03030303"
        assert stops_until_quiet(wire) == []
