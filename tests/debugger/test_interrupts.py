"""Interrupts that come while a point is stepped over.

The guest has interrupts unmasked and a handler that counts in X28 and lowers nothing: the test
raises the line at the very moment of a hit, and lowers it in the handler.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guestdbg.check.assembler import ERET, NOP, add, daifclr, flat, hvc, ldr, mov, msr, str_
from guestdbg.debugger import Guest, Hit

from .assembled import CODE, DATA, IRQ_LINE_CPU, VECTORS, assembled, cbnz_w, ldaxr, stlxr

IRQ_SP_EL1 = 0x280
_TURNS = 5
# The loop begins here; its store, or exclusive sequence, two instructions on.
PROLOGUE = flat(mov(1, DATA), mov(2, VECTORS), msr("VBAR_EL1", 2), mov(3, 0), daifclr(2))
LOOP = CODE + 4 * len(PROLOGUE)
STORE = LOOP + 4
OFF = flat(mov(0, 0x8400_0008), hvc())


@pytest.fixture
def counting() -> Iterator[Guest]:
    """Stores 1 to 5 to DATA, then powers off; IRQs are counted in X28."""
    loop = [add(3, 3, 1), str_(3, 1), NOP, 0xF100007F | _TURNS << 10, 0x54FFFF81 + 0]
    # cmp x3, #5; b.ne to the loop's start: four instructions back
    guest = assembled(
        flat(PROLOGUE, loop, OFF), {IRQ_SP_EL1: [add(28, 28, 1), ldr(27, 1, 8), NOP, ERET]}
    )
    yield guest
    guest.close()


def lower_at_the_vector(guest: Guest) -> list[int]:
    """The interrupt is acknowledged at its vector: the line falls, and the handler goes on."""
    taken: list[int] = []

    def acknowledge(hit: Hit) -> None:
        guest.board.vm.irq_line(IRQ_LINE_CPU, 0)
        taken.append(hit.vcpu.reg("elr_el1"))

    guest.break_(VECTORS + IRQ_SP_EL1)(acknowledge)
    return taken


def test_the_loop_alone(counting: Guest) -> None:
    assert counting.run(timeout=10).reason == "exit"
    assert counting.read_u64(DATA) == _TURNS


def test_a_watch_hit_that_an_interrupt_delays_is_reported_once(counting: Guest) -> None:
    guest = counting
    taken = lower_at_the_vector(guest)
    reported: list[tuple[int, int]] = []

    @guest.watch(DATA, 8, before=True)
    def ahead(hit: Hit) -> None:
        # Between the hit and the step off it: the interrupt is taken instead of the store.
        guest.board.vm.irq_line(IRQ_LINE_CPU, 1)

    @guest.watch(DATA, 8)
    def stored(hit: Hit) -> None:
        reported.append((hit.old, hit.new))

    assert guest.run(timeout=10).reason == "exit"
    assert reported == [(n, n + 1) for n in range(_TURNS)]
    assert taken == [STORE] * _TURNS
    assert guest.cpu.x[28] == _TURNS
    assert ahead.hits == _TURNS, "reported once, though the store is tried twice"


def test_a_breakpoint_whose_instruction_an_interrupt_delays(counting: Guest) -> None:
    guest = counting
    taken = lower_at_the_vector(guest)

    @guest.break_(STORE)
    def arrived(hit: Hit) -> None:
        guest.board.vm.irq_line(IRQ_LINE_CPU, 1)

    assert guest.run(timeout=10).reason == "exit"
    assert arrived.hits == _TURNS
    assert taken == [STORE] * _TURNS
    assert guest.read_u64(DATA) == _TURNS


def test_the_handler_runs_armed(counting: Guest) -> None:
    """Accesses of the guest's interrupt handler are reported, also while a step is under way."""
    guest = counting
    lower_at_the_vector(guest)

    @guest.break_(STORE)
    def arrived(hit: Hit) -> None:
        guest.board.vm.irq_line(IRQ_LINE_CPU, 1)

    reads = guest.watch(DATA + 8, 8, access="read")
    reads(lambda hit: None)
    assert guest.run(timeout=10).reason == "exit"
    assert reads.hits == _TURNS


def test_a_step_runs_the_interrupt_first(counting: Guest) -> None:
    guest = counting
    guest.run(until=STORE, timeout=10)
    lower_at_the_vector(guest)
    guest.board.vm.irq_line(IRQ_LINE_CPU, 1)
    stop = guest.step()
    assert (stop.reason, stop.pc) == ("step", STORE + 4)
    assert guest.read_u64(DATA) == 1
    assert guest.cpu.x[28] == 1


def test_an_interrupt_into_an_exclusive_sequence() -> None:
    sequence = [ldaxr(4, 1), add(4, 4, 1), stlxr(5, 4, 1), cbnz_w(5, -12)]
    guest = assembled(
        flat(PROLOGUE, sequence, sequence, OFF), {IRQ_SP_EL1: [add(28, 28, 1), NOP, ERET]}
    )
    with guest:
        taken = lower_at_the_vector(guest)
        raised: list[int] = []

        @guest.watch(DATA, 8, access="any", before=True)
        def ahead(hit: Hit) -> None:
            if not raised:
                raised.append(hit.pc)
                guest.board.vm.irq_line(IRQ_LINE_CPU, 1)

        reported: list[tuple[str, int, int]] = []
        guest.watch(DATA, 8, access="any")(
            lambda hit: reported.append((hit.access, hit.old, hit.new))
        )
        assert guest.run(timeout=10).reason == "exit"
        assert reported == [("readwrite", 0, 1), ("readwrite", 1, 2)]
        assert len(taken) == 1
        assert guest.cpu.x[28] == 1
