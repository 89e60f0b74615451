"""Loading a guest again: the points stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from guestdbg.debugger import DebuggerError, load
from guestdbg.errors import GuestdbgError
from tests.machine.guests import EXAMPLES

from .assembled import assembled
from .conftest import Load

SELF = 0x14000000


def test_a_reset_keeps_the_points(start: Load) -> None:
    guest = start("counter")
    hits = [guest.break_(name) for name in ("count", "inner")]
    guest.break_("middle", kind="software")
    entry = guest.cpu.pc
    for _ in range(2):
        seen = [guest.run().hit for _ in range(3)]
        assert [hit.point.name for hit in seen if hit] == ["middle", "inner", "count"]
        guest.reset()
        assert guest.cpu.pc == entry
    assert [point.hits for point in hits] == [2, 2]
    for point in list(guest.points):
        point.delete()
    assert guest.run(timeout=60).reason == "exit"
    guest.reset()
    assert guest.run(timeout=60).reason == "exit", "it has run again"


def test_a_reset_that_fails_keeps_the_points(tmp_path: Path) -> None:
    copy = tmp_path / "counter.elf"
    copy.write_bytes((EXAMPLES / "counter.elf").read_bytes())
    with load(copy, provider="soft", console=None) as guest:
        point = guest.break_("count", kind="software")
        copy.unlink()
        with pytest.raises(GuestdbgError, match="no such file"):
            guest.reset()
        assert point.enabled
        assert guest.run(timeout=60).reason == "hit"


def test_only_what_was_loaded_can_be_loaded_again() -> None:
    with assembled([SELF]) as guest, pytest.raises(DebuggerError, match="not loaded from a file"):
        guest.reset()


def test_software_breakpoints_that_the_mmu_had_mapped_stay_disabled(
    start: Load, caplog: pytest.LogCaptureFixture
) -> None:
    """With the MMU off, an address of the upper half is one without memory; the others are back."""
    guest = start("mmu")
    guest.run(until="main")
    points = [guest.break_(where, kind="software") for where in ("main", "serve", "upper")]
    guest.reset()
    assert not any(point.enabled for point in points)
    assert caplog.text.count("stays disabled") == len(points)
    stop = guest.run(until="main", timeout=60)
    assert stop.reason == "until"
    for point in points:
        point.enabled = True
    assert guest.run(timeout=60).reason == "hit"
