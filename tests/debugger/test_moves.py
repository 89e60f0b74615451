"""A move for each vCPU, resets, and BRK instructions that the guest has lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from guestdbg.check.assembler import NOP, add, flat, mov
from guestdbg.debugger import DebuggerError, InvalidLocation, load
from guestdbg.debugger.execution.scheduler import ResumeAction
from guestdbg.errors import GuestdbgError
from tests.machine.guests import EXAMPLES

from .assembled import CODE, assembled, words
from .conftest import Load

SELF = 0x14000000


def test_one_steps_while_the_other_runs_or_is_held(start: Load) -> None:
    guest = start("smp", vcpus=2)
    guest.break_("secondary_main")
    assert guest.resume({0: ResumeAction(), 1: ResumeAction()}).cpu.id == 1
    first, second = (core.vcpu for core in guest.execution.vcpus)
    before = first.instructions  # type: ignore[attr-defined]
    here = guest.vcpus[1].pc
    stop = guest.resume({1: ResumeAction(step=True)})
    assert (stop.reason, stop.cpu.id, stop.pc) == ("step", 1, here + 4)
    assert first.instructions == before, "held"  # type: ignore[attr-defined]
    stop = guest.resume({0: ResumeAction(), 1: ResumeAction(step=True)})
    assert (stop.reason, stop.cpu.id, stop.pc) == ("step", 1, here + 8)
    assert before < first.instructions < before + 10_000  # type: ignore[attr-defined]
    assert second.instructions < 1000  # type: ignore[attr-defined]
    stop = guest.resume({0: ResumeAction(), 1: ResumeAction()}, timeout=60)
    assert stop.reason == "exit"


def test_a_step_through_a_range_ends_behind_it() -> None:
    count = 2000
    loop = [0xD1000400, 0xB5FFFFE0]  # sub x0, x0, #1; cbnz x0, back
    with assembled(flat(mov(0, count), loop, NOP, SELF)) as guest:
        loop_at = CODE + 4 * len(flat(mov(0, count)))
        guest.run(until=loop_at)
        stop = guest.resume({0: ResumeAction(True, loop_at, loop_at + 8)})
        assert (stop.reason, stop.pc) == ("step", loop_at + 8)
        assert guest.cpu.x[0] == 0
        # One that is not left ends by its limit, or by an interruption.
        stop = guest.resume({0: ResumeAction(True, CODE, CODE + 0x1000)}, max_instructions=50)
        assert stop.reason == "limit"


def test_moves_that_are_none(start: Load) -> None:
    guest = start("hello")
    with pytest.raises(InvalidLocation, match="no vCPU is to be resumed"):
        guest.resume({})
    with pytest.raises(InvalidLocation, match="no vCPU 1"):
        guest.resume({1: ResumeAction()})


def test_reset_begins_anew_with_the_points_there_are(start: Load) -> None:
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
    assert guest.run(timeout=60).reason == "exit", "it has run anew"


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


def test_a_brk_follows_its_address() -> None:
    """The guest's memory is written over between two runs: the breakpoint is where it was."""
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


def test_a_brk_where_there_is_no_memory_leaves_nothing_behind() -> None:
    with assembled([NOP, NOP, SELF]) as guest:
        for _ in range(3):
            with pytest.raises(GuestdbgError, match="0x1000000"):
                guest.break_(0x100_0000, kind="software")
        assert len(guest.points) == 0
        guest.break_(CODE + 4, kind="software")
        assert guest.run(timeout=10).pc == CODE + 4


def test_a_point_taken_out_and_put_back_is_armed_as_it_was() -> None:
    """The states of points are remembered: one must not be taken for another."""
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
