"""The answers of history are those of somebody who steps through the whole run and looks."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from guestdbg.debugger import Guest, Hit
from guestdbg.debugger.execution.scheduler import Scheduler
from guestdbg.machine import Position
from tests.history.random_guest import CODE, DATA, image
from tests.history.raw_guest import load, retired

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

MOST = 2500


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns of a few instructions, so that the vCPUs are interleaved."""
    monkeypatch.setattr(Scheduler._take_turn, "__defaults__", (37,))


@dataclass(frozen=True)
class Step:
    """One instruction of the run."""

    position: Position  # before it
    done: Position  # after it, which is the time of its accesses
    pc: int  # -1: not known
    before: bytes  # of DATA
    after: bytes


def stepped(guest: Guest) -> list[Step]:
    """All instructions from the beginning of the history to its end, in their order."""
    steps = []
    end = guest.history.end
    here = guest.goto(guest.history.begin)
    while here.position < end:
        position, pc, before = here.position, guest.cpu.pc, guest.read(DATA, 256)
        guest.run(max_instructions=1)
        here = guest.history.now
        if here.position.vcpu != position.vcpu:  # its turn began with this instruction
            own = guest.vcpus[here.position.vcpu]
            count = own.vcpu.instructions - 1
            position, pc = here.position._replace(instructions=count), -1
        steps.append(Step(position, here.position, pc, before, guest.read(DATA, 256)))
    return steps


@pytest.mark.parametrize(("seed", "vcpus"), [(n, 1 + n % 4) for n in range(8)])
def test_the_last_and_next_write_and_execution(seed: int, vcpus: int) -> None:
    rng = random.Random(seed)
    with load(image(seed), vcpus) as guest:
        while retired(guest) < MOST:
            guest.run(max_instructions=rng.choice([100, 333, 1000]))
        steps = stepped(guest)
        assert len(steps) == retired(guest)
        for _ in range(6):
            now = guest.goto(rng.choice(steps).position).position
            offset = 8 * rng.randrange(32)
            changed = [
                step
                for step in steps
                if step.before[offset : offset + 8] != step.after[offset : offset + 8]
            ]
            hit = guest.history.last_write(DATA + offset, 8, when="new != old")
            check(hit, [step for step in changed if step.done < now], last=True)
            hit = guest.history.next_write(DATA + offset, 8, when="new != old")
            check(hit, [step for step in changed if step.done > now], last=False)
            pc = CODE + 4 * rng.randrange(40, 90)
            there = [step for step in steps if step.pc == pc and step.position < now]
            hit = guest.history.last_execution(pc)
            if hit is not None or there:
                assert hit is not None
                assert hit.time is not None
                assert all(step.position <= hit.time.position for step in there)
                assert any(step.position == hit.time.position for step in there) or vcpus > 1
            assert guest.history.now.position == now


def check(hit: Hit | None, steps: list[Step], *, last: bool) -> None:
    if not steps:
        assert hit is None
        return
    step = steps[-1 if last else 0]
    assert hit is not None
    assert hit.time is not None
    assert hit.time.position == step.done
    assert step.pc in (-1, hit.pc)
    offset = hit.address - DATA
    assert hit.old == int.from_bytes(step.before[offset : offset + hit.size], "little")
    assert hit.new == int.from_bytes(step.after[offset : offset + hit.size], "little")
