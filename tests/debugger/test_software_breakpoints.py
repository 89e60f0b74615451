"""BRK instructions in memory that the guest, or somebody else, changes; remembered armed states."""

from __future__ import annotations

import pytest

from guestdbg.check.assembler import NOP, add, flat, mov
from guestdbg.errors import GuestdbgError

from .assembled import CODE, assembled, words

SELF = 0x14000000


def test_a_brk_follows_its_address() -> None:
    """The guest's memory is overwritten between two runs: the breakpoint is still there."""
    with assembled(flat(mov(0, 1), NOP, NOP, SELF)) as guest:
        place = CODE + 8
        guest.break_(place, kind="software")
        guest.board.write_phys(place, words(add(5, 5, 1)))
        assert guest.read(place, 4) == words(add(5, 5, 1))
        stop = guest.run(timeout=10)
        assert (stop.reason, stop.pc) == ("hit", place)
        assert guest.read(place, 4) == words(add(5, 5, 1))
        guest.step()
        assert guest.cpu.x[5] == 1


def test_a_brk_at_an_address_without_memory_leaves_nothing() -> None:
    with assembled([NOP, NOP, SELF]) as guest:
        for _ in range(3):
            with pytest.raises(GuestdbgError, match="0x1000000"):
                guest.break_(0x100_0000, kind="software")
        assert len(guest.points) == 0
        guest.break_(CODE + 4, kind="software")
        assert guest.run(timeout=10).pc == CODE + 4


def test_a_point_taken_out_and_put_back_is_armed_as_it_was() -> None:
    """Armed states are remembered: one must not be taken for another."""
    with assembled(flat(mov(0, 1), NOP, NOP, NOP, SELF)) as guest:
        first = guest.break_(CODE + 4)
        second = guest.break_(CODE + 8)
        seen = []
        for enabled in ((True, False), (False, True), (True, False), (False, False), (True, True)):
            first.enabled, second.enabled = enabled
            guest.cpu.pc = CODE
            stop = guest.run(timeout=0.2)
            seen.append(stop.pc - CODE if stop.reason == "hit" else None)
        assert seen == [4, 8, 4, None, 4]
        second.delete()
        third = guest.break_(CODE + 12)
        first.enabled = False
        guest.cpu.pc = CODE
        assert guest.run(timeout=10).hit.point is third  # type: ignore[union-attr]
