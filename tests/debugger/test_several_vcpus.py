"""Guests with several vCPUs, which take turns in one thread and stop together."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guestdbg.check.assembler import add, b, flat, hvc, mov, str_
from guestdbg.debugger import Guest, Hit, InvalidLocation
from guestdbg.debugger.execution import ResumeAction

from .assembled import CODE, DATA, assembled, cbnz, cbnz_w, ldaxr, stlxr, subs

_ROUNDS = 20
_CPU_ON = 0xC400_0003
_OFF = 0x8400_0008
SECOND = CODE + 0x1000


def _count(rounds: int) -> list[int]:
    """Add 1 to the counter at X1, ``rounds`` times, by exclusives."""
    return [
        *mov(9, rounds),
        ldaxr(4, 1),
        add(4, 4, 1),
        stlxr(5, 4, 1),
        cbnz_w(5, -12),
        subs(9, 9, 1),
        cbnz(9, -20),
    ]


@pytest.fixture(params=[False, True], ids=["counted turns", "timed turns"])
def two(request: pytest.FixtureRequest) -> Iterator[Guest]:
    """vCPU 0 starts vCPU 1; both count; vCPU 1 says it is done at DATA + 8; vCPU 0 powers off."""
    first = flat(
        mov(1, DATA),
        mov(0, _CPU_ON),
        [0xD2800021 & ~0x1F | 1],  # mov x1, #1: the target
        mov(2, SECOND),
        mov(3, DATA),
        hvc(),
        mov(1, DATA),
        _count(_ROUNDS),
        [0xF9400422],  # wait: ldr x2, [x1, #8]
        [0xB4FFFFE2],  # cbz x2, wait
        mov(0, _OFF),
        hvc(),
    )
    second = flat(
        [0xAA0003E1],  # mov x1, x0: the context, which is DATA
        _count(_ROUNDS),
        mov(6, 1),
        str_(6, 1, 8),
        b(0),
    )
    guest = assembled(first, vcpus=2, plain=request.param)
    guest.write(SECOND, b"".join(word.to_bytes(4, "little") for word in second))
    yield guest
    guest.close()


def test_hits_of_both(two: Guest) -> None:
    hits: list[tuple[int, int, int]] = []
    two.watch(DATA, 8)(lambda hit: hits.append((hit.vcpu.id, hit.old, hit.new)))
    assert two.run(timeout=30).reason == "exit"
    assert [(old, new) for _, old, new in hits] == [(n, n + 1) for n in range(2 * _ROUNDS)]
    assert [cpu for cpu, _, _ in hits].count(0) == _ROUNDS
    assert [cpu for cpu, _, _ in hits].count(1) == _ROUNDS
    assert two.read_u64(DATA) == 2 * _ROUNDS


def test_a_vcpu_is_armed_before_its_first_instruction(two: Guest) -> None:
    arrived: list[Hit] = []
    two.break_(SECOND)(arrived.append)
    assert two.run(timeout=30).reason == "exit"
    assert [hit.vcpu.id for hit in arrived] == [1]
    assert arrived[0].vcpu is two.vcpus[1]


def test_the_one_that_stopped_is_the_current_one(two: Guest) -> None:
    two.break_(SECOND + 4)
    stop = two.run(timeout=30)
    assert stop.reason == "hit"
    assert stop.cpu is two.cpu is two.vcpus[1]
    assert two.cpu.x[0] == DATA
    at = two.vcpus[0].pc
    two.step()
    assert two.vcpus[1].pc == SECOND + 8
    two.step()  # the exclusive sequence as a whole
    assert two.vcpus[1].pc == SECOND + 8 + 16
    assert two.vcpus[0].pc == at, "the others are paused"
    two.select(0)
    assert two.cpu is two.vcpus[0]
    with pytest.raises(InvalidLocation, match="no vCPU 7"):
        two.select(7)
    assert two.run(timeout=30).reason == "exit"


def test_interrupted_and_resumed(two: Guest) -> None:
    two.interrupt()
    assert two.run(timeout=30).reason == "interrupt"
    assert two.run(timeout=30).reason == "exit"
    assert two.read_u64(DATA) == 2 * _ROUNDS


@pytest.mark.parametrize("vcpus", [2, 3])
@pytest.mark.parametrize("some", [False, True])
def test_a_vcpu_that_wakes_another_and_then_waits_itself(vcpus: int, some: bool) -> None:
    """All wait in turn, and still the guest is not idle: the last one has woken the first."""
    first = flat(
        mov(0, _CPU_ON),
        [0xD2800021 & ~0x1F | 1],  # mov x1, #1: the target
        mov(2, SECOND),
        mov(3, DATA),
        hvc(),
        mov(0, 0x8400_0002),  # CPU_OFF
        hvc(),
    )
    with assembled(first, vcpus=vcpus) as guest:
        second = flat(mov(0, _OFF), hvc())
        guest.write(SECOND, b"".join(word.to_bytes(4, "little") for word in second))
        guest.interrupt()  # the kick of vCPU 0 gives vCPU 1, which is off, the first turn
        assert guest.run(timeout=30).reason == "interrupt"
        if some:
            stop = guest.resume({0: ResumeAction(), 1: ResumeAction()}, timeout=30)
        else:
            stop = guest.run(timeout=30)
        assert (stop.reason, stop.detail) == ("exit", "powered off")
