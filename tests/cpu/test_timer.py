"""The generic timer: the counter's rate and determinism, the timers' conditions, deadlines."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.cpu.processor import EXIT_LIMIT, EXIT_TIMER

from .system_support import CODE, DATA, EL1H, NOP, One, mrs, msr

ALL = (1 << 64) - 1
WORD = (1 << 32) - 1
B_BACK = 0x17FFFFFF
B_SELF = 0x14000000
TIMERS = st.sampled_from(["V", "P"])


def signed32(value: int) -> int:
    return (value & 0x7FFFFFFF) - (value & 0x80000000)


def test_frequency() -> None:
    one = One()
    assert one.execute(mrs(0, "CNTFRQ_EL0"), el=1).where == "done"
    assert one.p.get_x(0) == 62_500_000


def test_an_instruction_is_a_nanosecond() -> None:
    """16 instructions a tick, by the exact count at which the counter is read in a block."""
    one = One()
    start = one.p.instructions
    words = [NOP] * 15 + [mrs(0, "CNTVCT_EL0"), mrs(1, "CNTVCT_EL0"), NOP, mrs(2, "CNTPCT_EL0")]
    assert start == 0
    one.run(words, limit=len(words))
    assert [one.p.get_x(n) for n in range(3)] == [0, 1, 1]
    assert one.p.counter == len(words) >> 4


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 300), max_size=20), st.integers(0, ALL))
def test_time_does_not_depend_on_how_it_is_run(pieces: list[int], offset: int) -> None:
    """One run or many pieces: the guest reads the same times."""
    program = [mrs(1, "CNTVCT_EL0"), 0xF8008641, 0x91000400, B_BACK - 2]

    def guest() -> One:
        one = One()
        one.p.cntvoff_el2 = offset
        one.p.set_x(18, DATA)
        one.store32(CODE, program)
        one.p.pstate = EL1H
        one.p.pc = CODE
        return one

    whole = guest()
    assert whole.p.run(2000) == EXIT_LIMIT
    cut = guest()
    for piece in pieces:
        at = min(cut.p.instructions + piece, 2000)
        assert cut.p.run(at) == EXIT_LIMIT
        assert cut.p.instructions == at
    cut.p.run(2000)
    assert cut.ram[DATA - CODE :] == whole.ram[DATA - CODE :]
    first = int.from_bytes(whole.ram[DATA - CODE : DATA - CODE + 8], "little")
    assert first == -offset & ALL


@settings(deadline=None, max_examples=200)
@given(TIMERS, st.integers(0, ALL), st.integers(0, ALL), st.integers(0, ALL), st.integers(0, 7))
def test_condition_tval_and_output(timer: str, now: int, offset: int, cval: int, ctl: int) -> None:
    """The timer's view of the counter, compared as unsigned; CTL.ISTATUS; TVAL both ways."""
    one = shared
    one.p.reset()
    one.set("CNTPCT_EL0", now)
    one.p.cntvoff_el2 = offset
    one.p.pstate = EL1H
    view = (now - offset) & ALL if timer == "V" else now
    one.p.set_x(1, cval)
    one.p.set_x(2, ctl)
    one.run([msr(f"CNT{timer}_CVAL_EL0", 1), B_SELF], limit=1)
    one.set("CNTPCT_EL0", now)
    one.run([msr(f"CNT{timer}_CTL_EL0", 2), B_SELF], limit=1)
    met = bool(ctl & 1) and view >= cval
    one.set("CNTPCT_EL0", now)
    assert one.get(f"CNT{timer}_CTL_EL0") == (ctl & 3) | met << 2
    assert one.get(f"CNT{timer}_TVAL_EL0") == (cval - view) & WORD
    output = one.p.vtimer_output if timer == "V" else one.p.ptimer_output
    assert output == (met and not ctl & 2)
    assert not (one.p.ptimer_output if timer == "V" else one.p.vtimer_output)
    ticks = one.p.next_timer()
    if not ctl & 1 or ctl & 2:
        assert ticks is None
    else:
        assert ticks == max(0, cval - view)


shared = One()


@settings(deadline=None)
@given(TIMERS, st.integers(0, ALL), st.integers(0, ALL))
def test_writing_tval_sets_cval(timer: str, now: int, tval: int) -> None:
    one = shared
    one.p.reset()
    one.p.cntvoff_el2 = 0x1234_5678
    one.p.set_x(1, tval)
    one.set("CNTPCT_EL0", now)
    # The counter may tick on the way: read what it was when TVAL was written.
    one.run([msr(f"CNT{timer}_TVAL_EL0", 1), B_SELF], limit=1)
    read = one.p.counter - (0x1234_5678 if timer == "V" else 0)
    cval = one.get(f"CNT{timer}_CVAL_EL0")
    assert (read + signed32(tval) - cval) & ALL in (0, 1)


@settings(deadline=None, max_examples=100)
@given(TIMERS, st.integers(1, 3000), st.integers(0, 40))
def test_the_output_rises_at_its_instruction(timer: str, ticks: int, before: int) -> None:
    """run() comes back at the first instruction count at which the condition is met."""
    one = One()
    one.run([NOP, B_BACK], limit=before) if before else None
    one.set(f"CNT{timer}_CVAL_EL0", one.p.counter + ticks)
    one.set(f"CNT{timer}_CTL_EL0", 1)
    due = (one.p.counter + ticks) * 16
    one.store32(CODE, [NOP, NOP, 0x91000400, B_BACK - 2])
    one.memory.code_changed(CODE, 16)
    one.p.pc = CODE
    assert one.p.run(due + 1000) == EXIT_TIMER
    assert one.p.instructions == due
    assert (one.p.vtimer_output, one.p.ptimer_output) == (timer == "V", timer == "P")
    assert one.p.run(due + 1000) == EXIT_LIMIT  # told once


@pytest.mark.parametrize("timer", ["V", "P"])
def test_the_output_falls_with_the_write_that_makes_it(timer: str) -> None:
    one = One()
    one.set(f"CNT{timer}_CTL_EL0", 1)
    one.run([NOP, B_SELF], limit=10)
    assert one.p.vtimer_output or one.p.ptimer_output
    one.p.set_x(0, 3)
    words = [NOP, NOP, msr(f"CNT{timer}_CTL_EL0", 0), NOP, B_SELF]
    assert one.run(words, limit=100) == EXIT_TIMER
    assert one.p.pc == CODE + 12
    assert not one.p.vtimer_output
    assert not one.p.ptimer_output


def test_counters_can_be_set_by_their_owner() -> None:
    """CNTVCT as KVM_REG_ARM_TIMER_CNT sets it: by the offset; CNTPCT by moving time."""
    one = One()
    one.set("CNTPCT_EL0", 1000)
    assert one.p.counter == 1000
    one.set("CNTVCT_EL0", 77)
    assert (one.get("CNTVCT_EL0"), one.p.counter) == (77, 1000)
    assert one.p.cntvoff_el2 == 923
    one.p.advance_counter(23)
    assert (one.get("CNTVCT_EL0"), one.p.counter) == (100, 1023)


def test_a_compare_value_that_is_never_reached() -> None:
    one = One()
    for cval in (ALL, 1 << 63, (1 << 60) - 1):
        one.set("CNTV_CVAL_EL0", cval)
        one.set("CNTV_CTL_EL0", 1)
        assert one.run([NOP, B_BACK], limit=10_000) == EXIT_LIMIT
        assert not one.p.vtimer_output


def test_time_by_the_hosts_clock_goes_forward() -> None:
    """Nothing about how fast: only that it moves by itself, not by instructions, and never back."""
    one = One(clock="host")
    first = one.p.counter
    while one.p.counter < first + 1000:  # 16 microseconds
        pass
    times = []
    for _ in range(20):
        one.execute(mrs(0, "CNTPCT_EL0"), el=1)
        times.append(one.p.get_x(0))
    assert times == sorted(times)
    assert times[0] >= first + 1000
    one.set("CNTV_CVAL_EL0", one.get("CNTVCT_EL0") + 62_500)  # a millisecond
    one.set("CNTV_CTL_EL0", 1)
    one.store32(CODE, [NOP, B_BACK])
    one.memory.code_changed(CODE, 8)
    one.p.pc = CODE
    assert one.p.run() == EXIT_TIMER
    assert one.p.vtimer_output


@pytest.mark.parametrize("timer", ["V", "P"])
def test_a_timer_is_set_from_the_count_at_its_instruction(timer: str) -> None:
    """CNTx_TVAL_EL0 adds to the counter as it is before the MSR retires, wherever in a tick."""
    for before in range(34):
        one = One()
        one.p.set_x(1, 100)
        words = [NOP] * before + [msr(f"CNT{timer}_TVAL_EL0", 1), NOP, B_SELF]
        one.run(words, limit=len(words))
        assert one.get(f"CNT{timer}_CVAL_EL0") == (before >> 4) + 100, before


@pytest.mark.parametrize("first", ["V", "P"])
def test_the_earlier_of_two_timers_comes_first(first: str) -> None:
    one = One()
    for timer in "VP":
        one.set(f"CNT{timer}_CVAL_EL0", 5 if timer == first else 100)
        one.set(f"CNT{timer}_CTL_EL0", 1)
    assert one.p.next_timer() == 5
    one.store32(CODE, [B_SELF])
    one.p.pc = CODE
    assert one.p.run(one.p.instructions + 10_000) == EXIT_TIMER
    assert one.p.counter == 5
    assert (one.p.vtimer_output, one.p.ptimer_output) == (first == "V", first == "P")
