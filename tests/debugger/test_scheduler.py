"""Resuming some vCPUs, each in its own way, while the others are paused."""

from __future__ import annotations

import threading
import time

import pytest

from guestdbg.check.assembler import NOP, access, add, flat, mov
from guestdbg.debugger import InvalidLocation
from guestdbg.debugger.execution import ResumeAction

from .assembled import CODE, DATA, assembled
from .conftest import Load

SELF = 0x14000000


def test_one_steps_while_the_other_runs_or_is_paused(start: Load) -> None:
    guest = start("smp", vcpus=2)
    guest.break_("secondary_main")
    assert guest.resume({0: ResumeAction(), 1: ResumeAction()}).cpu.id == 1
    first, second = (core.vcpu for core in guest.execution.vcpus)
    before = first.instructions  # type: ignore[attr-defined]
    here = guest.vcpus[1].pc
    stop = guest.resume({1: ResumeAction(step=True)})
    assert (stop.reason, stop.cpu.id, stop.pc) == ("step", 1, here + 4)
    assert first.instructions == before, "paused"  # type: ignore[attr-defined]
    stop = guest.resume({0: ResumeAction(), 1: ResumeAction(step=True)})
    assert (stop.reason, stop.cpu.id, stop.pc) == ("step", 1, here + 8)
    assert before < first.instructions < before + 10_000  # type: ignore[attr-defined]
    assert second.instructions < 1000  # type: ignore[attr-defined]
    stop = guest.resume({0: ResumeAction(), 1: ResumeAction()}, timeout=60)
    assert stop.reason == "exit"


def test_a_step_through_a_range_ends_after_it() -> None:
    count = 2000
    loop = [0xD1000400, 0xB5FFFFE0]  # sub x0, x0, #1; cbnz x0, back
    with assembled(flat(mov(0, count), loop, NOP, SELF)) as guest:
        loop_at = CODE + 4 * len(flat(mov(0, count)))
        guest.run(until=loop_at)
        stop = guest.resume({0: ResumeAction(True, loop_at, loop_at + 8)})
        assert (stop.reason, stop.pc) == ("step", loop_at + 8)
        assert guest.cpu.x[0] == 0
        # If the PC stays in the range, the step ends by its limit.
        stop = guest.resume({0: ResumeAction(True, CODE, CODE + 0x1000)}, max_instructions=50)
        assert stop.reason == "limit"


def test_bad_actions_are_refused(start: Load) -> None:
    guest = start("hello")
    with pytest.raises(InvalidLocation, match="no vCPU is to be resumed"):
        guest.resume({})
    with pytest.raises(InvalidLocation, match="no vCPU 1"):
        guest.resume({1: ResumeAction()})


def test_kicks_do_not_change_the_order_of_execution() -> None:
    """Two vCPUs count in the same word, without atomics: each lost count shows the order."""
    loop = [access("ldr", 0, 1), add(0, 0, 1), add(2, 2, 1), access("str", 0, 1), 0x17FFFFFC]

    def play(kicks: bool) -> tuple[list[int], list[int], int]:
        done = threading.Event()
        with assembled(flat(mov(1, DATA), loop), vcpus=2) as guest:
            vcpus = guest.board.vcpus
            guest.vcpus[1].pc = CODE
            vcpus[1].set_mp_state(0)

            def disturb() -> None:
                while not done.is_set():
                    time.sleep(0.001)
                    for vcpu in vcpus:
                        vcpu.kick()

            thread = threading.Thread(target=disturb)
            if kicks:
                thread.start()
            try:
                stop = guest.run(max_instructions=8_000_003)
            finally:
                done.set()
                if kicks:
                    thread.join()
            assert stop.reason == "limit"
            counts = [vcpu.instructions for vcpu in vcpus]  # type: ignore[attr-defined]
            return counts, [cpu.x[2] for cpu in guest.vcpus], guest.read_u64(DATA)

    assert play(True) == play(False)


def test_an_input_does_not_keep_a_run_of_a_vcpu_that_is_off_going() -> None:
    with assembled(flat(NOP), vcpus=2) as guest:
        guest.board.console.feed(b"typed")
        assert guest.resume({1: ResumeAction()}, timeout=20).reason == "idle"
