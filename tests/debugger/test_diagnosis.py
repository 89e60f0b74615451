"""What a vCPU that does not go on is said to do: off, unreadable, in a loop of exceptions."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from guestdbg.arm64.exception_class import EC, exception_class
from guestdbg.check.assembler import NOP, b, br
from guestdbg.debugger import Diagnosis, Guest, GuestBusy
from guestdbg.kvm import SupportsFirstException

from .assembled import CODE, DATA, VECTORS, assembled

SVC, BRK, UDF, ERET = 0xD4000001, 0xD4200000, 0, 0xD69F03E0
SET_VBAR = 0xD518C009  # msr vbar_el1, x9
X9_VECTORS = 0xD2A00009 | (VECTORS >> 16) << 5
CODE_PRELUDE = (X9_VECTORS, SET_VBAR)
AT = CODE + 4 * len(CODE_PRELUDE)
SYNC = 0x200
FMOV_D0_1 = 0x1E6E1000
LDR_X0_X0 = 0xF9400000
SP_FROM_X0 = 0x9100001F  # mov sp, x0
PUSH = 0xA9BF07E0  # stp x0, x1, [sp, #-16]!


def movz(rd: int, imm: int, shift: int = 0) -> int:
    return 0xD2800000 | shift // 16 << 21 | imm << 5 | rd


NOWHERE = movz(0, 0x0B00, 16)  # x0 = 0x0b000000: no memory, no device


def lost(code: Sequence[int], handler: Sequence[int] | None, **options: bool) -> Guest:
    vectors = {SYNC: handler} if handler is not None else {}
    return assembled([*CODE_PRELUDE, *code], vectors, **options)


def only(guest: Guest) -> Diagnosis:
    (found,) = guest.diagnose()
    return found


# What begins the loop: its instructions, the offset of the one that faults, its class.
STARTS = {
    "undefined": ([UDF], 0, EC.UNKNOWN),
    "call": ([SVC], 0, EC.SVC64),
    "brk": ([BRK], 0, EC.BRK64),
    "data": ([NOWHERE, LDR_X0_X0], 4, EC.DABT_CUR),
    "jump": ([NOWHERE, br(0)], None, EC.IABT_CUR),
    "misaligned pc": ([0x10000000 | 1 << 29, br(0)], None, EC.PC_ALIGN),  # adr x0, .+1
    "misaligned sp": ([0x10000000 | 1 << 29, SP_FROM_X0, PUSH], 8, EC.SP_ALIGN),
}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("handler", ["none", "undefined", "two vectors", "late"])
def test_the_exception_that_began_a_loop_is_remembered(start: str, handler: str) -> None:
    """Also where the handler has overwritten ELR_EL1 and the rest since."""
    code, offset, ec = STARTS[start]
    handlers = {
        "none": None,
        "undefined": [UDF],
        # The handler jumps to other code, which faults: the registers show that one.
        "two vectors": [b((DATA - VECTORS) - SYNC)],
        "late": [NOP, NOP, NOP, UDF],
    }
    with lost(code, handlers[handler]) as guest:
        guest.write(DATA, b"\0\0\0\0")
        stop = guest.run(max_instructions=10_000)
        found = only(guest)
        assert found.status == "loop"
        assert found.first is not None
        assert exception_class(found.first.esr) == ec
        if offset is not None:
            assert found.first.pc == AT + offset
        if handler in ("none", "undefined"):
            assert stop.reason == "error"
            assert found.text in stop.detail
        else:
            assert stop.reason == "limit"
            assert found.first.count > 1000


@pytest.mark.parametrize(("handler", "words"), [(None, "no code"), ([UDF | 1], "raises")])
def test_the_vectors_are_described(handler: list[int] | None, words: str) -> None:
    with lost([UDF], handler) as guest:
        assert words in guest.run(max_instructions=1000).detail


def test_floating_point_that_is_not_enabled() -> None:
    guest = lost([FMOV_D0_1], None)
    guest.run(timeout=20)
    words = only(guest).text
    assert "Trapped access to SIMD or floating-point registers" in words
    assert "because CPACR_EL1.FPEN is 0b00 (0b11 enables these registers)" in words


def test_vectors_outside_memory() -> None:
    with assembled([movz(9, 0x0B00, 16), SET_VBAR, UDF]) as guest:
        stop = guest.run()
        assert stop.reason == "error"
        assert "0xb000000) are not in memory" in stop.detail
        assert f"{CODE + 8:#x}" in stop.detail


def test_a_handler_that_pushes_to_a_bad_stack() -> None:
    """Its first instructions are executed: only a limit ends the run."""
    with lost([NOWHERE, SP_FROM_X0, PUSH], [NOP, NOP, PUSH]) as guest:
        assert guest.run(max_instructions=5_000).reason == "limit"
        found = only(guest)
        assert found.first is not None
        assert (found.status, found.first.pc) == ("loop", AT + 8)
        assert found.first.far is not None
        assert f"FAR_EL1 {found.first.far:#x}" in found.text
        assert "Data Abort" in found.text


def test_a_loop_that_a_timeout_ends() -> None:
    with lost([SVC], [NOP, UDF]) as guest:
        assert guest.run(timeout=0.1).reason == "timeout"
        assert only(guest).status == "loop"


def test_handlers_that_return_are_no_loop() -> None:
    with lost([SVC, b(-4)], [ERET]) as guest:
        guest.run(max_instructions=10_001)
        found = only(guest)
        assert (found.status, found.text) == ("runs", "")
        guest.run(until=VECTORS + SYNC)
        vcpu = guest.vcpus[0].vcpu
        assert isinstance(vcpu, SupportsFirstException)
        assert vcpu.first_exception is not None
        assert vcpu.first_exception.count == 1


def test_a_handler_that_works_for_long_ends_a_chain() -> None:
    """After 100,000 instructions without an exception the next one is a first one again."""
    count_down = [movz(1, 3, 16), 0xD1000421, 0xB5FFFFE1, SVC, b(0)]
    with lost([UDF], count_down) as guest:
        guest.run(until=VECTORS + SYNC + 12)
        guest.step()
        vcpu = guest.vcpus[0].vcpu
        assert isinstance(vcpu, SupportsFirstException)
        first = vcpu.first_exception
        assert first is not None
        assert (first.count, first.pc) == (1, VECTORS + SYNC + 12)


def test_snapshots_keep_how_it_began() -> None:
    with lost([SVC, UDF], [NOP, UDF]) as guest:
        guest.run(max_instructions=1000)
        before = only(guest)
        state = guest.snapshot()
        guest.run(max_instructions=1000)
        assert only(guest) != before
        guest.restore(state)
        assert only(guest) == before


def test_a_provider_that_does_not_remember_shows_the_last_exception() -> None:
    with lost([SVC], [UDF], plain=True) as guest:
        guest.run(timeout=0.1)
        found = only(guest)
        assert found.status == "loop"
        assert found.first is not None
        assert found.first.elr == VECTORS + SYNC
        assert "last that is known" in found.text


@pytest.mark.parametrize("watched", [False, True])
def test_a_brk_at_the_vectors_ends_with_and_without_points(watched: bool) -> None:
    """While points are armed, BRK exits to the debugger, which gives it to the guest."""
    with lost([SVC], [BRK]) as guest:
        if watched:
            guest.watch(DATA, 8)
        stop = guest.run(max_instructions=1000, timeout=20)
        assert stop.reason == "error"
        assert "cannot go on" in stop.detail


def test_powered_off() -> None:
    with assembled([b(0)], vcpus=3) as guest:
        guest.run(max_instructions=1000)
        statuses = [found.status for found in guest.diagnose()]
        assert statuses == ["runs", "off", "off"]
        assert "never started" in guest.diagnose()[1].text


def test_powered_off_by_itself() -> None:
    cpu_off = [movz(0, 0x8400, 16), 0xF2800040, 0xD4000002]  # x0 = 0x84000002; hvc
    with assembled([*cpu_off, b(0)]) as guest:
        assert guest.run(max_instructions=1000).reason == "idle"
        found = only(guest)
        assert found.status == "off"
        assert "never" not in found.text


def test_an_unreadable_pc() -> None:
    with assembled([NOWHERE, br(0)]) as guest:
        guest.step(2)
        found = only(guest)
        assert found.status == "unreadable"
        assert "0xb000000" in found.text


def test_a_busy_guest_is_not_diagnosed() -> None:
    with assembled([NOP, b(0)]) as guest:
        point = guest.break_(CODE + 4)

        @point
        def handler(hit: object) -> None:
            guest.diagnose()

        with pytest.raises(GuestBusy):
            guest.run(max_instructions=10)


@pytest.mark.parametrize("start", ["undefined", "data", "jump", "misaligned sp"])
def test_the_fault_whose_handler_goes_on(start: str) -> None:
    """The handler of a firmware often ends in a loop: this is what brought it there."""
    code, offset, ec = STARTS[start]
    with lost(code, [b(0)]) as guest:
        assert guest.run(max_instructions=1000).reason == "limit"
        found = only(guest)
        assert found.status == "runs"
        assert found.first is not None
        assert exception_class(found.first.esr) == ec
        assert found.text.startswith("it has not returned from a fault at ")
        if offset is not None:
            assert found.first.pc == AT + offset


def test_a_call_and_a_fault_that_was_handled_are_not_faults() -> None:
    # ELR_EL1 += 4, then ERET: the handler skips the instruction.
    skip = [0xD5384021, 0x91001021, 0xD5184021, ERET]
    for code, handler in (([SVC, b(0)], [b(0)]), ([NOWHERE, LDR_X0_X0, b(0)], skip)):
        with lost(code, handler) as guest:
            assert guest.run(max_instructions=1000).reason == "limit"
            found = only(guest)
            assert (found.status, found.text, found.first) == ("runs", "", None)
