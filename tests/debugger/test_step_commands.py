"""Stepping instructions, calls, functions and lines; limits, timeouts, interruption."""

from __future__ import annotations

import threading

import pytest

from guestdbg.check.assembler import NOP, WFI, b
from guestdbg.debugger import (
    AddressError,
    GuestBusy,
    GuestClosed,
    Hit,
    InvalidLocation,
    Unsupported,
)
from guestdbg.debugger.execution import ResumeAction

from .assembled import VECTORS, assembled
from .conftest import Load
from .test_watchpoints import done


def test_step_instructions(start: Load) -> None:
    guest = start("counter")
    entry = guest.cpu.pc
    stop = guest.step()
    assert (stop.reason, stop.pc) == ("step", entry + 4)
    stop = guest.step(2)
    assert stop.pc == entry + 12
    pcs = set()
    for _ in range(300):
        pcs.add(guest.step().pc)
    assert any(guest.locate(pc).function == "_start" for pc in pcs)


def test_a_step_onto_a_watch_is_a_hit(start: Load) -> None:
    guest = start("counter")
    guest.run(until="count", timeout=60)
    guest.watch("counter")
    while (stop := guest.step()).reason == "step":
        pass
    assert stop.reason == "hit"
    assert stop.hit is not None
    assert stop.pc == stop.hit.pc + 4


def test_step_over_a_call(start: Load) -> None:
    guest = start("counter")
    guest.run(until="inner", timeout=60)
    while guest.read_u32(guest.cpu.pc) >> 26 != 0b100101:  # BL
        guest.step()
    call = guest.cpu.pc
    stop = guest.step_over()
    assert (stop.reason, stop.pc) == ("step", call + 4)
    assert guest.read_u64(guest.symbol("counter").address) == 1


def test_step_over_a_recursive_call_ends_in_the_same_frame(start: Load) -> None:
    guest = start("counter")
    guest.run(until="factorial", timeout=60)
    while guest.read_u32(guest.cpu.pc) >> 26 != 0b100101:
        guest.step()
    sp, call = guest.cpu.sp, guest.cpu.pc
    stop = guest.step_over()
    assert (stop.pc, guest.cpu.sp) == (call + 4, sp)
    assert guest.cpu.x[0] == 362880  # 9!


def test_step_out(start: Load) -> None:
    guest = start("counter")
    guest.run(until="count", timeout=60)
    for name in ("inner", "middle", "outer", "main"):
        stop = guest.step_out()
        assert stop.reason == "step"
        assert stop.location.function == name
    guest.run(until="factorial", timeout=60)
    guest.break_("factorial", when=lambda hit: hit.vcpu.x[0] == 7)
    guest.run(timeout=60)
    for point in list(guest.points):
        point.delete()
    guest.step(3)
    stop = guest.step_out()
    assert stop.location.function == "factorial"
    assert guest.cpu.x[0] == 5040


def test_step_out_of_the_outermost_frame_is_refused(start: Load) -> None:
    guest = start("counter")
    guest.step(12)
    with pytest.raises(Unsupported, match="no caller"):
        guest.step_out()


def test_step_lines(start: Load) -> None:
    guest = start("counter")
    guest.run(until="write_sizes", timeout=60)
    lines = []
    for _ in range(6):
        stop = guest.step_line()
        assert stop.reason == "step"
        lines.append((stop.location.function, stop.location.line))
    within = [line for function, line in lines if function == "write_sizes" and line]
    assert within == sorted(within)
    assert len(within) >= 3
    assert lines[-1][0] == "main"


def test_step_line_over_and_into_a_call(start: Load) -> None:
    guest = start("counter")
    guest.run(until="counter.c:92", timeout=60)
    stop = guest.step_line()
    assert stop.location.function == "main"
    assert guest.read_u64(guest.symbol("counter").address) == 1
    again = start("counter")
    again.run(until="counter.c:92", timeout=60)
    stop = again.step_line(into=True)
    assert stop.location.function == "outer"
    assert again.read_u64(again.symbol("counter").address) == 0


def test_step_over_a_handlerless_breakpoint_stops_there(start: Load) -> None:
    guest = start("counter")
    guest.run(until="counter.c:92", timeout=60)
    point = guest.break_("count")
    stop = guest.step_line()
    assert stop.reason == "hit"
    assert stop.hit is not None
    assert stop.hit.point is point


def test_stepping_through_an_exclusive_sequence(start: Load) -> None:
    guest = start("counter")
    guest.run(until="take_lock", timeout=60)
    address = guest.symbol("lock").address
    for _ in range(40):
        guest.step()
        if guest.locate(guest.cpu.pc).function != "take_lock":
            break
    assert guest.locate(guest.cpu.pc).function == "main"
    assert guest.read_u32(address) == 1


def test_stepping_what_the_provider_emulates(start: Load) -> None:
    """A store to a device makes an MMIO exit first; it is one step."""
    out = bytearray()
    guest = start("hello", console=out.extend)
    guest.run(until="put_char", timeout=60)
    before = guest.cpu.pc
    while not out and before:
        stop = guest.step()
        assert stop.reason == "step"
        assert stop.pc != before
        before = stop.pc
        guest.board.console.flush()
    assert out == b"H"


def test_the_steps_of_a_whole_guest_change_nothing(start: Load) -> None:
    plain, stepped = bytearray(), bytearray()
    done(start("hello", console=plain.extend))
    guest = start("hello", console=stepped.extend)
    for _ in range(100_000):
        stop = guest.step()
        if stop.reason != "step":
            break
    assert stop.reason == "exit"
    assert stepped == plain


def test_run_until(start: Load) -> None:
    guest = start("counter")
    stop = guest.run(until="take_lock", timeout=60)
    assert (stop.reason, stop.pc) == ("until", guest.symbol("take_lock").address)
    # Standing there already, it goes round once more.
    counter = guest.symbol("counter").address
    assert guest.read_u64(counter) == 1
    stop = guest.run(until="take_lock", timeout=60)
    assert (stop.reason, guest.read_u64(counter)) == ("until", 101)
    assert guest._target.armed.allocation.used == (0, 0)


def test_timeout(start: Load) -> None:
    guest = start("spin")
    stop = guest.run(timeout=0.05)
    assert stop.reason == "timeout"
    turns = guest.read_u64(guest.symbol("turns").address)
    assert turns > 0
    assert guest.run(timeout=0.05).reason == "timeout"
    assert guest.read_u64(guest.symbol("turns").address) > turns
    assert guest.run(timeout=0).reason == "timeout"
    with pytest.raises(InvalidLocation):
        guest.run(timeout=-1)


def test_max_instructions(start: Load) -> None:
    guest = start("spin")
    stop = guest.run(max_instructions=12345, timeout=60)
    assert stop.reason == "limit"
    assert guest.execution.retired() == 12345
    assert guest.run(max_instructions=0).reason == "limit"
    assert guest.execution.retired() == 12345
    with pytest.raises(InvalidLocation):
        guest.run(max_instructions=-1)


def test_max_instructions_with_hits_in_between(start: Load) -> None:
    guest = start("spin")
    hits: list[Hit] = []
    guest.watch("turns")(hits.append)
    stop = guest.run(max_instructions=5000, timeout=60)
    assert stop.reason == "limit"
    assert 5000 <= guest.execution.retired() <= 5001
    assert len(hits) > 500


def test_interrupt_from_another_thread(start: Load) -> None:
    guest = start("spin")
    timer = threading.Timer(0.1, guest.interrupt)
    timer.start()
    stop = guest.run(timeout=60)
    timer.join()
    assert stop.reason == "interrupt"
    assert stop.location.function == "main"


def test_interrupt_while_hits_keep_coming(start: Load) -> None:
    guest = start("spin")
    guest.watch("turns")(lambda hit: None)
    timer = threading.Timer(0.1, guest.interrupt)
    timer.start()
    assert guest.run(timeout=60).reason == "interrupt"
    timer.join()


def test_interrupt_before_the_run_is_not_lost(start: Load) -> None:
    guest = start("spin")
    guest.interrupt()
    assert guest.run(timeout=60).reason == "interrupt"
    assert guest.run(timeout=0.01).reason == "timeout"


def test_a_handler_cannot_run_the_guest(start: Load) -> None:
    guest = start("counter")
    refused = []

    @guest.watch("counter")
    def nested(hit: Hit) -> object:
        with pytest.raises(GuestBusy):
            guest.step()
        refused.append(hit)
        nested.delete()
        return None

    done(guest)
    assert len(refused) == 1


def test_an_error_in_a_handler_comes_out_of_run(start: Load) -> None:
    guest = start("counter")

    @guest.watch("counter", when=lambda hit: hit.new == 2)
    def faulty(hit: Hit) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        guest.run(timeout=60)
    done(guest)
    assert guest.read_u64(guest.symbol("counter").address) == 1000


def test_after_close_everything_is_refused(start: Load) -> None:
    guest = start("hello")
    guest.close()
    guest.close()
    with pytest.raises(GuestClosed):
        guest.run()
    with pytest.raises(GuestClosed):
        guest.read(0x4000_0000, 1)


def test_a_guest_that_jumps_into_nothing_does_not_end(start: Load) -> None:
    guest = start("lost")
    assert guest.run(max_instructions=100_000, timeout=60).reason in ("limit", "error")


def test_a_guest_that_has_powered_off_stays_so(start: Load) -> None:
    guest = start("hello")
    stop = guest.run(timeout=60)
    assert stop.reason == "exit"
    assert guest.run(timeout=60) is stop
    assert guest.step() is stop


def test_waiting_for_nothing_is_idle() -> None:
    with assembled([WFI, NOP, b(-8)]) as guest:
        stop = guest.run(timeout=60)
        assert stop.reason == "idle"
        assert "WFI" in stop.detail
        # Console input wakes no vCPU without an interrupt for it, and does not keep it running.
        guest.board.console.feed(bytes(200))
        assert guest.run(timeout=60).reason == "idle"
        reasons = [guest.step(timeout=60).reason for _ in range(3)]
        assert reasons.count("idle") == 1  # of WFI, NOP and B the first waits


@pytest.mark.parametrize("kind", ["hardware", "software"])
def test_steps_end_at_a_breakpoint(start: Load, kind: str) -> None:
    guest = start("counter")
    guest.run(until="middle", timeout=60)
    point = guest.break_("inner", kind=kind)
    inner = guest.symbol("inner").address
    stop = guest.step(100)
    assert (stop.reason, stop.pc, point.seen, point.hits) == ("hit", inner, 1, 1)
    assert stop.hit is not None
    assert stop.hit.point is point
    # It was reported: neither a step nor a run reports it again.
    assert guest.step().pc == inner + 4
    stop = guest.run(until="middle", timeout=60)
    assert (stop.reason, point.hits) == ("until", 1)
    point.enabled = False
    assert guest.step(100).reason == "step"
    assert point.seen == 1


def test_single_steps_report_what_a_row_of_steps_does(start: Load) -> None:
    found = []
    for size in (1, 7, 100_000):
        guest = start("counter")
        guest.run(until="middle", timeout=60)
        point = guest.break_("inner", when=lambda hit: hit.point.seen % 2 == 0)
        pcs = []
        while len(pcs) < 3:
            stop = guest.step(size)
            if stop.reason == "hit":
                pcs.append((stop.pc, point.seen, point.hits))
        found.append(pcs)
        guest.close()
    assert found[0] == found[1] == found[2]
    assert [hits for _, _, hits in found[0]] == [1, 2, 3]


def test_a_step_over_or_of_a_line_ends_at_a_breakpoint(start: Load) -> None:
    for command in ("step_over", "step_line", "step_out"):
        guest = start("counter")
        guest.run(until="middle", timeout=60)
        point = guest.break_("inner")
        stop = getattr(guest, command)()
        while stop.reason == "step":
            stop = getattr(guest, command)()
        assert (stop.reason, point.hits) == ("hit", 1), command
        guest.close()


def test_a_range_step_of_one_vcpu_ends_at_a_breakpoint(start: Load) -> None:
    guest = start("counter")
    guest.run(until="middle", timeout=60)
    pc = guest.cpu.pc
    point = guest.break_(pc + 8)
    stop = guest.resume({0: ResumeAction(step=True, start=pc, end=pc + 0x40)})
    assert (stop.reason, stop.pc, point.hits) == ("hit", pc + 8, 1)


@pytest.mark.parametrize("command", ["step", "step_over", "run"])
def test_page_tables_outside_memory_end_a_step_as_a_run(command: str) -> None:
    guest = assembled([NOP, b(-4)])
    for name, value in (("ttbr0_el1", 0x0900_0000), ("tcr_el1", 16), ("sctlr_el1", 1)):
        guest.cpu.set_reg(name, value)
    for _ in range(5):
        stop = getattr(guest, command)(max_instructions=1000)
        if stop.reason != "step":
            break
    assert stop.reason == "error"
    with pytest.raises(AddressError, match="page table of the guest lies outside memory"):
        guest.read(0x4000_0000, 4)


def test_a_range_step_ends_where_the_vector_raises_exceptions_itself() -> None:
    guest = assembled([0])  # UDF, with UDF at the vector
    guest.cpu.set_reg("vbar_el1", VECTORS)
    vector = VECTORS + 0x200
    while guest.cpu.pc != vector:
        guest.step()
    action = ResumeAction(step=True, start=VECTORS, end=VECTORS + 0x800)
    stop = guest.resume({0: action}, timeout=20)
    assert (stop.reason, stop.pc) == ("step", vector)
    # A branch to itself retires: that range is left by the time limit only.
    guest.write(vector, (0x14000000).to_bytes(4, "little"))
    assert guest.resume({0: action}, max_instructions=50).reason == "limit"
