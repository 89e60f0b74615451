"""Z packets with conditions and command lists, given to the session directly."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, cast

import pytest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

import guestdbg
from guestdbg.debugger import Breakpoint, Guest
from guestdbg.debugger.vcpu import hit_programs
from guestdbg.gdb.agent import CommandList
from guestdbg.gdb.connection import Connection
from guestdbg.gdb.end_reason import EndReason
from guestdbg.gdb.session import Session
from tests.machine.guests import EXAMPLES


class Wire:
    """A connection that keeps what the session sends."""

    def __init__(self) -> None:
        self.sent = b""

    def send(self, data: bytes) -> None:
        self.sent += data


def attach(guest: Guest, said: list[str] | None = None) -> Session:
    lines = [] if said is None else said
    return Session(guest, cast(Connection, Wire()), announce=lines.append)


@pytest.fixture
def guest() -> Iterator[Guest]:
    with guestdbg.load(EXAMPLES / "queue.elf", console=None) as guest:
        yield guest


def at(guest: Guest, name: str) -> bytes:
    return b"%x" % guest.symbol(name).address


def condition(guest: Guest, number: int) -> bytes:
    """queue.tail == number."""
    tail = guest.resolve("queue.tail").address
    code = b"\x25" + tail.to_bytes(8, "big") + bytes([0x19, 0x22, number, 0x13, 0x27])
    return b"X%x,%s" % (len(code), code.hex().encode())


def command(text: str) -> bytes:
    body = text.encode() + b"\0"
    code = b"\x22\0\x22\0\x34\0" + len(body).to_bytes(2, "big") + body + b"\x27"
    return b"X%x,%s" % (len(code), code.hex().encode())


def test_the_features_are_announced(guest: Guest) -> None:
    reply = attach(guest).execute(b"qSupported:swbreak+")
    assert reply is not None
    assert {b"ConditionalBreakpoints+", b"BreakpointCommands+"} <= set(reply.split(b";"))


def test_one_true_condition_is_enough(guest: Guest) -> None:
    session = attach(guest)
    packet = b"Z0,%s,4;%s%s" % (at(guest, "queue_push"), condition(guest, 9), condition(guest, 6))
    assert session.execute(packet) == b"OK"
    assert guest.run(timeout=60).reason == "hit"
    assert guest.read_u32(guest.resolve("queue.tail").address) == 6
    ((_, point),) = list(session.breakpoints)
    assert (point.seen, point.hits) == (7, 1)
    assert guest.execution.hit_programs_installed(0)


@pytest.mark.parametrize("plain", [False, True])
def test_system_registers_in_conditions(plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hit_programs, "PLAIN", plain)
    with guestdbg.load(EXAMPLES / "queue.elf", console=None) as guest:
        check_system_registers(guest, plain)


def check_system_registers(guest: Guest, plain: bool) -> None:
    guest.cpu.set_reg("CONTEXTIDR_EL1", 77)
    guest.cpu.set_reg("TPIDR_EL1", 0x1234)
    session = attach(guest)
    numbers = {register.name: register.number for register in session.registers}

    def equal(name: str, value: int) -> bytes:
        number = numbers[name].to_bytes(2, "big")
        code = b"\x26" + number + b"\x23" + value.to_bytes(2, "big") + b"\x13\x27"
        return b"X%x,%s" % (len(code), code.hex().encode())

    place = at(guest, "queue_push")
    for name, value, stops in (
        ("contextidr_el1", 78, False),
        ("sp_el0", 1, False),
        ("fpcr", 1, False),
        ("contextidr_el1", 77, True),
        ("tpidr_el1", 0x1234, True),
        ("fpcr", 0, True),
        ("v0", 0, True),  # it cannot be evaluated: GDB must see it
    ):
        assert session.execute(b"Z0,%s,4;%s" % (place, equal(name, value))) == b"OK"
        stop = guest.run(max_instructions=2000)
        assert stop.reason == ("hit" if stops else "limit"), name
        decided = guest.execution.hit_programs_installed(0)
        assert decided is (not plain and name != "v0")


def test_the_last_conditions_count(guest: Guest) -> None:
    session = attach(guest)
    place = at(guest, "queue_push")
    tail = guest.resolve("queue.tail").address
    for number in (3, 5):
        assert session.execute(b"Z0,%s,4;%s" % (place, condition(guest, number))) == b"OK"
    assert guest.run(timeout=60).reason == "hit"
    assert guest.read_u32(tail) == 5
    # Removed and inserted as GDB does at every stop: the same point, without conditions now.
    assert session.execute(b"z0,%s,4" % place) == b"OK"
    assert session.execute(b"Z0,%s,4" % place) == b"OK"
    assert guest.run(timeout=60).reason == "hit"
    assert guest.read_u32(tail) == 6
    assert len(session.breakpoints) == 1
    assert len(guest.points) == 1


def test_commands_are_evaluated_and_the_guest_runs_on(guest: Guest) -> None:
    said: list[str] = []
    session = attach(guest, said)
    assert session.execute(b"Z1,%s,4;cmds:0,%s" % (at(guest, "main"), command("here")))
    push = b"Z0,%s,4;%s;cmds:1,%s%s" % (
        at(guest, "queue_push"),
        condition(guest, 1),
        command("a\\n"),
        command("b\\n"),
    )
    assert session.execute(push) == b"OK"
    assert session.execute(b"Z0,%s,4" % at(guest, "stats_record")) == b"OK"
    stop = guest.run(timeout=60)
    assert stop.location.function == "stats_record"
    assert said[:3] == ["here", "a", "b"]


@pytest.mark.parametrize("end_reason", list(EndReason))
def test_persistent_commands_stay_until_the_next_client(
    guest: Guest, end_reason: EndReason
) -> None:
    said: list[str] = []
    session = attach(guest, said)
    for name, persist in ((b"queue_push", b"1"), (b"queue_pop", b"0")):
        place = at(guest, name.decode())
        packet = b"Z0,%s,4;cmds:%s,%s" % (place, persist, command(name.decode() + "\\n"))
        assert session.execute(packet) == b"OK"
    session.end_reason = end_reason
    session.remove_points()
    guest.run(max_instructions=20_000)
    expected = (
        {"queue_push"} if end_reason in (EndReason.DETACHED, EndReason.DISCONNECTED) else set()
    )
    assert set(said) == expected
    attach(guest).begin()
    assert not any(isinstance(point.handler, CommandList) for point in guest.points)
    before = len(said)
    guest.run(max_instructions=20_000)
    assert len(said) == before


@pytest.mark.parametrize(
    ("packet", "log"),
    [
        (b"Z0,%s,4;X3,2201", "length of 3 bytes"),
        (b"Z0,%s,4;X2,2201", "no end"),
        (b"Z0,%s,4;X2,0227", "needs 2 values"),
        (b"Z1,%s,4;X4,22010c27", "tracepoints"),
        (b"Z0,%s,4;cmds:1", "where an expression was expected"),
        (b"Z0,%s,4;cmds:1,X1,ff", "not an opcode"),
        (b"Z0,%s,4;X6,22012000ff27", "jumps to byte 255"),
        (b"Z0,%s,4;" + b"X3,220127" * 65, "more than 64"),
    ],
)
def test_malformed_lists_are_refused_and_change_nothing(
    guest: Guest, caplog: pytest.LogCaptureFixture, packet: bytes, log: str
) -> None:
    session = attach(guest)
    with caplog.at_level(logging.WARNING):
        assert session.execute(packet % at(guest, "queue_push")) == b"E16"
    assert log in caplog.text
    assert len(session.breakpoints) == 0
    assert len(guest.points) == 0


def test_watchpoints_have_no_conditions(guest: Guest) -> None:
    session = attach(guest)
    place = b"%x" % guest.resolve("queue.tail").address
    assert session.execute(b"Z2,%s,4;X3,220127" % place) == b"E16"
    assert len(guest.points) == 0


def test_more_conditional_breakpoints_than_registers(guest: Guest) -> None:
    """Some are BRK instructions, with conditions evaluated in Python: the result is the same."""

    def run() -> tuple[Any, ...]:
        with guestdbg.load(EXAMPLES / "queue.elf", console=None) as guest:
            session = attach(guest)
            names = ["queue_pop", "put", "put_dec", "put_hex", "note_worst", "memset", "exception"]
            for name in names if many else []:
                packet = b"Z0,%s,4;%s" % (at(guest, name), condition(guest, 200))
                assert session.execute(packet) == b"OK"
            packet = b"Z0,%s,4;%s" % (at(guest, "queue_push"), condition(guest, 17))
            assert session.execute(packet) == b"OK"
            stop = guest.run(timeout=60)
            kinds = {point.kind for _, point in session.breakpoints}  # type: ignore[attr-defined]
            assert guest.execution.hit_programs_installed(0)
            return kinds, stop.reason, guest.cpu.pc, guest.read_u32(guest.resolve("made").address)

    many = False
    few = run()
    many = True
    all_ = run()
    assert few[0] == {"hardware"}
    assert all_[0] == {"hardware", "software"}
    assert few[1:] == all_[1:]


def test_breakpoints_with_conditions_get_the_registers(guest: Guest) -> None:
    """At a BRK a condition is evaluated in Python, in a register by the processor."""
    session = attach(guest)
    names = ["queue_pop", "put", "put_dec", "put_hex", "note_worst", "memset", "exception"]
    for _ in range(2):  # as GDB does: all are removed and inserted again
        for name in names:
            assert session.execute(b"Z0,%s,4" % at(guest, name)) == b"OK"
        packet = b"Z0,%s,4;%s" % (at(guest, "queue_push"), condition(guest, 17))
        assert session.execute(packet) == b"OK"
        found = {point.name: point for _, point in session.breakpoints}
        point = found[f"Z0,{at(guest, 'queue_push').decode()},4"]
        assert isinstance(point, Breakpoint)
        assert point.kind == "hardware"
        kinds = [p.kind for p in found.values() if isinstance(p, Breakpoint)]
        assert sorted(kinds) == ["hardware"] * 6 + ["software"] * 2
        for name in [*names, "queue_push"]:
            assert session.execute(b"z0,%s,4" % at(guest, name)) == b"OK"
    # A Z1 breakpoint can take the register of any Z0.
    for name in names:
        assert session.execute(b"Z1,%s,4" % at(guest, name)) == (
            b"OK" if name != names[-1] else b"E1c"
        )
