"""vCPUs that wait for others: in a WFI, or in an interrupt handler, while they are stepped.

With an interrupt controller in the kernel a WFI ends by an interrupt or the vCPU's timer only. In
virtual time no thread sleeps: when all vCPUs wait, the next timer of any of them is due.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from guestdbg.check.assembler import (
    ERET,
    NOP,
    WFI,
    cbnz,
    cbz,
    daifclr,
    flat,
    ldr,
    mov,
    movz,
    msr,
    str_,
    sub,
)
from guestdbg.debugger import Guest
from guestdbg.debugger.execution import ResumeAction
from guestdbg.machine.layout import GICD_BASE, GICR_BASE

from .assembled import CODE, DATA, IRQ_LINE_CPU, VECTORS, assembled

SECONDS = 20  # what hangs ends with a Stop, unless nothing ends it
SELF = 0x14000000
SECOND = CODE + 0x1000  # where vCPU 1 begins
SOON, LATE = 10_000, 50_000_000  # ticks
GICR_SGI_FRAME = 0x1_0000


def timer(ticks: int) -> list[int]:
    """Set the virtual timer; its interrupt is not enabled, and ends a WFI all the same."""
    return flat(mov(0, ticks), msr("CNTV_TVAL_EL0", 0), movz(0, 1), msr("CNTV_CTL_EL0", 0))


#: A CPU takes no interrupt (PSTATE.I is set), but SGI 0 ends its WFI.
LISTEN = flat(
    mov(1, GICD_BASE),
    movz(0, 2),
    0xB9000020,  # str w0, [x1]: GICD_CTLR.EnableGrp1
    mov(1, GICR_BASE + GICR_SGI_FRAME),
    movz(0, 1),
    0xB9008020,  # str w0, [x1, #0x80]: GICR_IGROUPR0
    0xB9010020,  # str w0, [x1, #0x100]: GICR_ISENABLER0
    movz(0, 0xF0),
    msr("ICC_PMR_EL1", 0),
    movz(0, 1),
    msr("ICC_IGRPEN1_EL1", 0),
)
SGI_TO_0 = flat(movz(0, 1), msr("ICC_SGI1R_EL1", 0))


def two(first: list[int], second: list[int], **options: Any) -> Guest:
    """vCPU 0 executes ``first``, vCPU 1 ``second``; both then loop."""
    code = [*first, SELF]
    code += [NOP] * ((SECOND - CODE) // 4 - len(code))
    guest = assembled([*code, *second, SELF], vcpus=2, gic=3, **options)
    guest.vcpus[1].pc = SECOND
    guest.board.vcpus[1].set_mp_state(0)
    return guest


def to_wfi(guest: Guest, number: int) -> int:
    """Step a vCPU until it is before its WFI, and return the address."""
    cpu = guest.vcpus[number]
    while int.from_bytes(guest.read(cpu.pc, 4), "little") != WFI:
        assert guest.resume({number: ResumeAction(step=True)}, timeout=SECONDS).reason == "step"
    pc: int = cpu.pc
    return pc


def let_wait(guest: Guest, number: int) -> None:
    """Let a vCPU begin its WFI while the other one can run: it does not end."""
    to_wfi(guest, number)
    guest.resume({number: ResumeAction()}, timeout=SECONDS, max_instructions=1)


ONE = ResumeAction()
STEP = ResumeAction(step=True)


@pytest.mark.parametrize("action", [ONE, STEP], ids=["run", "step"])
def test_no_timer_of_its_own_while_the_other_with_the_next_one_is_paused(
    action: ResumeAction,
) -> None:
    with two([WFI], flat(timer(LATE), WFI)) as guest:
        let_wait(guest, 1)
        at = to_wfi(guest, 0)
        for _ in range(2):
            stop = guest.resume({0: action}, timeout=SECONDS)
            assert (stop.reason, stop.cpu.id, stop.pc) == ("idle", 0, at + 4)
        assert guest.vcpus[1].pc == SECOND + 4 * len(flat(timer(LATE))) + 4
        # With all of them, the timer expires, and vCPU 1 goes on.
        assert guest.run(max_instructions=100).reason == "limit"


@pytest.mark.parametrize("action", [ONE, STEP], ids=["run", "step"])
def test_its_own_timer_ends_the_wait_though_a_paused_one_has_an_earlier(
    action: ResumeAction,
) -> None:
    with two(flat(timer(LATE), WFI, NOP), flat(timer(SOON), WFI)) as guest:
        let_wait(guest, 1)
        at = to_wfi(guest, 0)
        here = guest.vcpus[1].pc
        if action.step:
            stop = guest.resume({0: STEP}, timeout=SECONDS)
            assert (stop.reason, stop.pc) == ("step", at + 4)
        else:
            guest.break_(at + 8)
            assert guest.resume({0: ONE}, timeout=SECONDS).pc == at + 8
        assert guest.vcpus[0].reg("CNTVCT_EL0") >= LATE
        assert guest.vcpus[1].pc == here


def test_it_does_not_wait_for_a_paused_one_that_could_run() -> None:
    with two(flat(timer(SOON), WFI, NOP), [NOP]) as guest:
        at = to_wfi(guest, 0)
        stop = guest.resume({0: STEP}, timeout=SECONDS)
        assert (stop.reason, stop.pc, guest.vcpus[1].pc) == ("step", at + 4, SECOND)


def test_two_run_and_the_one_with_the_next_timer_is_paused() -> None:
    late = flat(timer(LATE), WFI, NOP)
    code = [*late, SELF]
    code += [NOP] * ((SECOND - CODE) // 4 - len(code)) + flat(timer(SOON), WFI) + [SELF]
    with assembled(code, vcpus=3, gic=3) as guest:
        for number, pc in ((1, SECOND), (2, CODE)):
            guest.vcpus[number].pc = pc
            guest.board.vcpus[number].set_mp_state(0)
        let_wait(guest, 1)
        guest.break_(CODE + 4 * (len(late) - 1))
        assert {guest.resume({0: ONE, 2: ONE}, timeout=SECONDS).cpu.id for _ in range(2)} == {0, 2}
        assert guest.run(timeout=SECONDS, max_instructions=1000).reason == "limit"


def test_a_step_command_over_a_wfi_is_one_instruction() -> None:
    with two(flat(timer(LATE), WFI, NOP, NOP), flat(timer(SOON), WFI)) as guest:
        let_wait(guest, 1)
        at = to_wfi(guest, 0)
        point = guest.break_(at + 4)
        guest.select(guest.vcpus[0])
        stop = guest.step()
        assert stop.hit is not None
        assert (stop.hit.point, stop.pc, point.hits) == (point, at + 4, 1)
        assert guest.step().pc == at + 8


@pytest.mark.parametrize("command", ["step", "breakpoint", "both"])
def test_another_one_ends_the_wait_that_is_stepped_over(command: str) -> None:
    """vCPU 1 waits for its timer, and then sends the interrupt that vCPU 0 waits for."""
    with two(flat(LISTEN, WFI, NOP, NOP), flat(timer(SOON), WFI, SGI_TO_0)) as guest:
        let_wait(guest, 1)
        at = to_wfi(guest, 0)
        if command == "both":
            guest.break_(at + 4)
        if command == "breakpoint":
            guest.break_(at)
            guest.break_(at + 8)
            assert [guest.run(timeout=SECONDS).pc for _ in range(2)] == [at, at + 8]
            return
        stop = guest.resume({0: STEP, 1: ONE}, timeout=SECONDS)
        assert (stop.reason, stop.cpu.id, stop.pc) == (
            "hit" if command == "both" else "step",
            0,
            at + 4,
        )
        stop = guest.resume({0: STEP, 1: ONE}, timeout=SECONDS)
        assert (stop.reason, stop.cpu.id, stop.pc) == ("step", 0, at + 8)


@pytest.mark.parametrize("clock", ["virtual", "host"])
@pytest.mark.parametrize("vcpus", [1, 2])
def test_a_step_of_a_wfi_can_be_interrupted(clock: str, vcpus: int) -> None:
    with assembled([WFI, NOP, SELF], vcpus=vcpus, gic=3, clock=clock) as guest:
        expected = "interrupt" if clock == "host" else "idle"
        if clock == "host":
            threading.Timer(0.05, guest.interrupt).start()
        begun = time.monotonic()
        stop = guest.step(timeout=SECONDS)
        assert (stop.reason, stop.pc) == (expected, CODE + 4)
        assert time.monotonic() - begun < SECONDS / 2
        if clock == "host":
            assert guest.step(timeout=0.05).reason == "timeout"


def test_a_step_of_a_wfi_sleeps_until_the_timer() -> None:
    """With the host's clock the counter is real: 62.5 MHz."""
    with two(flat(timer(1_000_000), WFI, NOP), [WFI], clock="host") as guest:
        at = to_wfi(guest, 0)
        guest.select(guest.vcpus[0])
        stop = guest.step(timeout=SECONDS)
        assert (stop.reason, stop.pc) == ("step", at + 4)


def test_a_wait_that_was_left_does_not_end_a_later_step() -> None:
    with assembled([WFI, NOP, NOP, SELF], gic=3) as guest:
        assert guest.step().reason == "idle"
        cpu = guest.vcpus[0]
        assert cpu.pc == CODE + 4
        cpu.pc = CODE + 8 + 4
        cpu.pc = CODE + 8
        assert guest.step().pc == CODE + 12
        cpu.pc = CODE
        assert guest.step().reason == "idle"
        cpu.pc = CODE + 8
        cpu.pc = CODE + 4
        assert guest.step().pc == CODE + 8


@pytest.mark.parametrize("beside", [True, False], ids=["beside a run", "step command"])
def test_an_interrupt_that_comes_first_waits_for_another_vcpu(beside: bool) -> None:
    """The handler takes a lock, which the other vCPU gives back after 50,000 instructions."""
    enable = flat(mov(1, DATA), mov(2, VECTORS), msr("VBAR_EL1", 2), daifclr(2))
    holder = flat(mov(1, DATA), mov(3, 50_000), sub(3, 3, 1), cbnz(3, -4), movz(0, 1), str_(0, 1))
    handler = [NOP, ldr(4, 1), cbz(4, -4), ERET]  # the breakpoint is at the NOP
    code = flat(enable, NOP, NOP, SELF)
    code += [NOP] * ((SECOND - CODE) // 4 - len(code))
    with assembled([*code, *holder, SELF], {0x280: handler}, vcpus=2) as guest:
        guest.vcpus[1].pc = SECOND
        guest.board.vcpus[1].set_mp_state(0)
        at = CODE + 4 * len(enable)
        guest.run(until=at, timeout=SECONDS)
        guest.resume({1: ResumeAction()}, max_instructions=100)
        guest.board.vm.irq_line(IRQ_LINE_CPU, 1)
        guest.break_(VECTORS + 0x280)(lambda hit: guest.board.vm.irq_line(IRQ_LINE_CPU, 0))
        guest.select(guest.vcpus[0])
        if beside:
            stop = guest.resume({0: STEP, 1: ONE}, timeout=SECONDS)
        else:
            stop = guest.step(timeout=SECONDS)
        assert (stop.reason, stop.cpu.id, stop.pc) == ("step", 0, at + 4)
        assert guest.read_u64(DATA) == 1


def test_with_the_others_paused_the_user_ends_the_wait_for_one() -> None:
    """Only vCPU 0 is to run: its handler cannot end, and the step can be interrupted."""
    enable = flat(mov(1, DATA), mov(2, VECTORS), msr("VBAR_EL1", 2), daifclr(2))
    with assembled(
        flat(enable, NOP, NOP, SELF), {0x280: [ldr(4, 1), cbz(4, -4), ERET]}, vcpus=2
    ) as guest:
        at = CODE + 4 * len(enable)
        guest.run(until=at, timeout=SECONDS)
        guest.board.vm.irq_line(IRQ_LINE_CPU, 1)
        stop = guest.resume({0: STEP}, timeout=0.2)
        assert (stop.reason, stop.pc & -16) == ("timeout", VECTORS + 0x280)
        # It goes on from there: the step is given up.
        guest.board.vm.irq_line(IRQ_LINE_CPU, 0)
        guest.write_u64(DATA, 1)
        assert guest.run(until=at + 4, timeout=SECONDS).pc == at + 4
        assert guest.step(timeout=SECONDS).pc == at + 8
