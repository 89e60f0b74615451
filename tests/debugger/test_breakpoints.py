"""Breakpoints on running guests, hardware and software."""

from __future__ import annotations

import logging

import pytest

from guestdbg.debugger import (
    BadRange,
    Guest,
    Hit,
    InvalidLocation,
    OutOfRegisters,
    UnknownLine,
    UnknownSymbol,
)

from .conftest import Load
from .test_watchpoints import done


def test_by_symbol_offset_address_and_line(start: Load) -> None:
    guest = start("counter")
    count = guest.symbol("count").address
    wheres = ("count", "count+4", count + 8, f"{count + 12:#x}", "counter.c:69")
    points = []
    for where in wheres:
        point = guest.break_(where)
        point(lambda hit: None)
        points.append(point)
    done(guest)
    assert [point.hits for point in points] == [1000, 1000, 1000, 1000, 9]
    assert points[0].kind == "hardware"
    assert points[4].line == 69
    assert guest.locate(points[4].address).function == "factorial"


def test_the_handler_runs_before_the_instruction(start: Load) -> None:
    guest = start("counter")
    seen = []

    @guest.break_("write_pair")
    def entered(hit: Hit) -> None:
        assert hit.vcpu.pc == hit.pc == hit.address
        assert (hit.access, hit.size) == ("execute", 4)
        assert (hit.old, hit.new) == (None, None)
        assert hit.backtrace()[1].location.function == "main"
        seen.append((hit.vcpu.x[0], hit.vcpu.x[1]))

    done(guest)
    assert seen == [(n, n + 1) for n in range(0, 1000, 100)]


def test_a_breakpoint_without_a_handler_stops_each_time(start: Load) -> None:
    guest = start("counter")
    point = guest.break_("write_pair")
    for n in range(10):
        stop = guest.run(timeout=60)
        assert stop.reason == "hit"
        assert stop.pc == point.address
        assert guest.vcpus[0].x[0] == 100 * n
    done(guest)
    assert point.hits == 10


def test_at_the_entry_and_at_the_current_pc(start: Load) -> None:
    guest = start("counter")
    first = guest.break_("_start")
    assert guest.run(timeout=60).hit is not None
    assert first.hits == 1
    # One that is set at the current PC is hit at once, and then stepped over.
    guest.step(2)
    here = guest.break_(guest.cpu.pc)
    stop = guest.run(timeout=60)
    assert stop.hit is not None
    assert stop.hit.point is here
    done(guest)
    assert (first.hits, here.hits) == (1, 1)


def test_conditions_and_arguments(start: Load) -> None:
    guest = start("counter")
    point = guest.break_("factorial", when=lambda hit: hit.vcpu.x[0] == 3)
    stop = guest.run(timeout=60)
    assert stop.hit is not None
    assert point.seen == 8
    names = [frame.location.function for frame in stop.hit.backtrace()]
    assert names == ["factorial"] * 8 + ["main", "_start"]


def test_a_breakpoint_on_a_watched_store(start: Load) -> None:
    """Stepping over the breakpoint hits the watch: both are reported once, in that order."""
    guest = start("counter", at_main=True)
    order: list[str] = []
    guest.watch("counter")(lambda hit: order.append("watch"))
    guest.break_(_store_of(guest))(lambda hit: order.append("break"))
    done(guest)
    assert order == ["break", "watch"] * 1000


def _store_of(guest: Guest) -> int:
    base = guest.symbol("count").address
    for address in range(base, base + 32, 4):
        if guest.read_u32(address) >> 22 & 0x3FF == 0b1111100100:  # STR Xt, [Xn, #imm]
            return address
    raise AssertionError("no store in count()")


def test_a_breakpoint_within_an_exclusive_sequence(start: Load) -> None:
    guest = start("counter")
    base = guest.symbol("take_lock").address
    store = next(
        a for a in range(base, base + 64, 4) if guest.read_u32(a) & 0x3FE00000 == 0x08000000
    )
    point = guest.break_(store)
    point(lambda hit: None)
    lock = guest.watch("lock")
    lock(lambda hit: None)
    done(guest)
    assert point.hits == 10


def test_software_breakpoints(start: Load, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "guestdbg.debugger")
    guest = start("counter")
    address = guest.symbol("count").address
    original = guest.read(address, 16)
    point = guest.break_("count", kind="software")
    calls: list[int] = []
    point(lambda hit: calls.append(hit.pc))
    assert point.kind == "software"
    assert point.why_software == "asked for"
    assert guest._target.armed.allocation.used == (0, 0)
    assert guest.read(address, 16) == original, "the BRK does not show"
    assert guest.board.read_phys(guest.translate(address), 4) != original[:4]
    guest.run(until="write_pair", timeout=60)
    assert calls == [address]
    point.enabled = False
    assert guest.board.read_phys(guest.translate(address), 4) == original[:4]
    guest.run(until="write_pair", timeout=60)
    assert len(calls) == 1
    point.enabled = True
    done(guest)
    assert len(calls) == 1 + 899
    assert "count" not in caplog.text, "one that was asked for is no surprise"


def test_software_instead_of_hardware_is_logged(
    start: Load, caplog: pytest.LogCaptureFixture
) -> None:
    guest = start("counter")
    wheres = [f"count+{4 * n}" for n in range(4)] + ["inner", "middle", "outer", "factorial"]
    points = [guest.break_(where) for where in wheres]
    for point in points:
        point(lambda hit: None)
    kinds = [point.kind for point in points]
    assert kinds == ["hardware"] * 6 + ["software"] * 2
    assert "outer is a software breakpoint" in caplog.text
    assert points[6].why_software == "all 6 breakpoint registers are taken"
    with pytest.raises(OutOfRegisters, match=r"7 breakpoint registers would be needed.* has 6"):
        guest.break_("write_pair", kind="hardware")
    # No register is left for the places that steps come back to, either.
    stop = guest.run(until="give_lock", timeout=60)
    assert stop.reason == "until"
    done(guest)
    assert [point.hits for point in points] == [1000] * 7 + [10]


def test_writing_under_a_software_breakpoint(start: Load) -> None:
    guest = start("counter")
    address = guest.symbol("count").address
    ret = bytes.fromhex("c0035fd6")
    point = guest.break_("count", kind="software")
    point(lambda hit: None)
    guest.write(address, ret)
    assert guest.read(address, 4) == ret
    done(guest)
    assert point.hits == 1000
    assert guest.read_u64(guest.symbol("counter").address) == 0


def test_bad_breakpoints_are_refused(start: Load) -> None:
    guest = start("counter")
    with pytest.raises(BadRange, match="aligned to 4"):
        guest.break_("count+2")
    with pytest.raises(UnknownSymbol, match="did you mean 'count'"):
        guest.break_("countt")
    with pytest.raises(UnknownLine, match=r"counter\.c"):
        guest.break_("conter.c:25")
    with pytest.raises(UnknownLine, match="last line with code"):
        guest.break_("counter.c:9999")
    with pytest.raises(InvalidLocation):
        guest.break_("count", kind="soft")  # type: ignore[arg-type]
    assert list(guest.points) == []


def test_a_line_without_code_means_the_next_with_code(start: Load) -> None:
    guest = start("counter")
    point = guest.break_("counter.c:64")
    assert point.line in (65, 66, 67)
    assert guest.locate(point.address).function == "factorial"
