"""Snapshots under the debugger: the guest goes back, the points stay."""

from __future__ import annotations

import hashlib
import struct

import pytest

import guestdbg
from guestdbg.check.assembler import add, b, flat, ldr, mov, str_
from guestdbg.debugger import BadSnapshot, Guest, GuestBusy, GuestClosed, Hit, StaleHit, Unsupported
from guestdbg.machine import Board

from .assembled import CODE, DATA, VECTORS, assembled, cbnz_w, ldaxr, make_plain, stlxr
from .conftest import Load

PRIVATE = [0x91000421, 0x91000442]  # add x1, x1, #1; add x2, x2, #1


def tail(start: Load) -> tuple[Guest, list[tuple[int, int, object]]]:
    guest = start("queue", at_main=True)
    written: list[tuple[int, int, object]] = []

    @guest.watch("queue.tail", access="write")
    def moved(hit: Hit) -> object:
        written.append((hit.pc, hit.old, hit.new))  # type: ignore[arg-type]
        return guestdbg.STOP if len(written) % 20 == 0 else None

    return guest, written


def test_the_same_hits_again(start: Load) -> None:
    guest, written = tail(start)
    assert guest.run().reason == "hit"
    snapshot = guest.snapshot()
    counted = guest.cpu.pc, snapshot.instructions
    first = guest.run()
    more = written[20:]
    for _ in range(3):
        written.clear()
        guest.restore(snapshot)
        assert (guest.cpu.pc, guest.snapshot().instructions) == counted
        again = guest.run()
        assert written == more
        assert (again.pc, again.reason) == (first.pc, "hit")
    assert next(iter(guest.points)).hits == 100, "its counts are not the guest's"


def test_points_are_those_of_now(start: Load) -> None:
    """Points made, deleted, disabled or changed after the snapshot stay so."""
    guest = start("queue", at_main=True)
    old = guest.watch("queue.tail")
    snapshot = guest.snapshot()
    assert guest.run().hit is not None
    old.delete()
    guest.restore(snapshot)
    new = guest.break_("job_finish")
    stop = guest.run()
    assert stop.hit is not None
    assert stop.hit.point is new
    new.enabled = False
    conditional = guest.watch("queue.tail", when=guestdbg.cond("new == 5"))
    guest.restore(snapshot)
    stop = guest.run()
    assert stop.hit is not None
    assert (stop.hit.point, stop.hit.new) == (conditional, 5)
    assert len(guest.points) == 2


def test_at_a_breakpoint_that_was_reported(start: Load) -> None:
    """It is stepped over, not reported again, wherever the vCPU was meanwhile."""
    guest = start("queue", at_main=True)
    guest.break_("job_finish")
    guest.run()
    snapshot = guest.snapshot()
    seen = []
    for _ in range(3):
        stop = guest.run()
        seen.append((stop.pc, guest.snapshot().instructions))
        guest.step(5)
        guest.restore(snapshot)
    assert len(set(seen)) == 1
    assert guest.step().reason == "step"
    assert guest.cpu.pc != snapshot.resume_states[0].needs_step_over


def test_software_breakpoints_are_those_of_now(start: Load) -> None:
    guest = start("queue", at_main=True)
    place, other = guest.symbol("job_finish").address, guest.symbol("stats_record").address
    code, other_code = guest.board.read_phys(place, 4), guest.board.read_phys(other, 4)
    one = guest.break_("job_finish", kind="software")
    snapshot = guest.snapshot()
    one.delete()
    guest.restore(snapshot)
    assert guest.board.read_phys(place, 4) == code, "no BRK of a breakpoint that is gone"
    guest.break_("stats_record", kind="software")
    guest.restore(snapshot)
    assert guest.board.read_phys(place, 4) == code
    assert guest.board.read_phys(other, 4) != other_code
    assert guest.read(other, 4) == other_code
    stop = guest.run()
    assert stop.pc == other
    for point in guest.points:
        point.delete()
    assert guest.board.read_phys(other, 4) == other_code


def test_the_instruction_under_a_brk_is_restored() -> None:
    """The guest changes the instruction under a BRK; after restore the old one is under it."""
    guest = assembled(flat(PRIVATE, b(0)))
    guest.break_(CODE + 4, kind="software")
    snapshot = guest.snapshot()
    guest.write(CODE + 4, struct.pack("<I", 0x91004042))  # add x2, x2, #16
    guest.restore(snapshot)
    assert guest.read(CODE + 4, 4) == struct.pack("<I", PRIVATE[1])
    assert guest.run().pc == CODE + 4
    guest.step()
    assert guest.cpu.x[2] == 1
    guest.close()


def test_in_the_middle_of_an_exclusive_sequence() -> None:
    """A watched lock, stopped within the sequence: after restore it runs to its end each time."""
    code = flat(mov(1, DATA), [ldaxr(4, 1)], add(4, 4, 1), *[[0xD503201F]] * 8,
                [stlxr(5, 4, 1), cbnz_w(5, -44)], b(0))  # fmt: skip
    guest = assembled(code)
    reported: list[tuple[object, object]] = []
    guest.watch(DATA, 8, access="any")(lambda hit: reported.append((hit.old, hit.new)))
    stop = guest.run(max_instructions=9)
    assert stop.reason == "limit"
    assert guest.execution.vcpus[0].resume_state.sequence is not None, (
        "the PC is within the sequence"
    )
    snapshot = guest.snapshot()
    for _ in range(3):
        reported.clear()
        guest.run(max_instructions=30)
        assert reported == [(0, 1)]
        assert guest.read_u64(DATA) == 1
        guest.restore(snapshot)
        assert guest.read_u64(DATA) == 0
    guest.close()


def test_before_an_access_that_was_reported() -> None:
    """It was reported before the access, and is not reported again when the guest goes on."""
    guest = assembled(flat(mov(1, DATA), [str_(1, 1)], [ldr(2, 1)], b(0)))
    reported: list[int] = []

    @guest.watch(DATA, 8, before=True)
    def early(hit: Hit) -> object:
        reported.append(hit.pc)
        return guestdbg.STOP

    assert guest.run().reason == "hit"
    snapshot = guest.snapshot()
    for _ in range(2):
        guest.run(max_instructions=10)
        assert len(reported) == 1
        assert guest.read_u64(DATA) == DATA
        guest.restore(snapshot)
        assert guest.read_u64(DATA) == 0
    guest.close()


def test_a_debug_exception_of_the_guests_own_again() -> None:
    """A BRK of the guest, to whose handler the debugger sends it on."""
    brk, nop = 0xD4200020, 0xD503201F
    with assembled([nop, brk], vectors={0x200: [nop, b(0)]}) as guest:
        guest.cpu.set_reg("VBAR_EL1", VECTORS)
        guest.break_(VECTORS + 0x204)
        snapshot = guest.snapshot()
        for _ in range(3):
            stop = guest.run(max_instructions=100)
            assert (stop.reason, stop.pc) == ("hit", VECTORS + 0x204), stop
            guest.restore(snapshot)


def test_a_guest_that_has_powered_off_can_be_restored(start: Load) -> None:
    guest = start("hello")
    snapshot = guest.snapshot()
    assert guest.run().reason == "exit"
    ended = guest.snapshot()
    guest.restore(snapshot)
    first = guest.run(max_instructions=100)
    assert first.reason == "limit"
    guest.restore(ended)
    assert guest.run().reason == "exit"
    assert guest.snapshot().instructions == ended.instructions


def test_two_vcpus_and_whose_turn_it_is(start: Load) -> None:
    guest = start("smp", vcpus=2)
    counter = guest.symbol("counter").address
    hits: list[tuple[int, int, object]] = []
    guest.watch(counter, 4)(lambda hit: hits.append((hit.vcpu.id, hit.pc, hit.new)))
    guest.run(max_instructions=40_000)
    snapshot = guest.snapshot()
    turn = guest.cpu.id
    seen = []
    for _ in range(2):
        hits.clear()
        stop = guest.run(timeout=60)
        assert stop.reason == "exit"
        seen.append((list(hits), guest.snapshot().instructions, guest.read_u32(counter)))
        guest.restore(snapshot)
        assert guest.cpu.id == turn
    assert seen[0] == seen[1]
    assert {vcpu for vcpu, _, _ in seen[0][0]} == {0, 1}


def test_hits_from_before_are_stale(start: Load) -> None:
    guest = start("queue", at_main=True)
    guest.watch("queue.tail")
    hit = guest.run().hit
    assert hit is not None
    guest.restore(guest.snapshot())
    with pytest.raises(StaleHit):
        hit.backtrace()


def test_not_from_within_a_handler(start: Load) -> None:
    guest = start("queue", at_main=True)
    snapshot = guest.snapshot()
    said: list[str] = []

    @guest.watch("queue.tail")
    def handler(hit: Hit) -> object:
        for call in (guest.snapshot, lambda: guest.restore(snapshot)):
            with pytest.raises(GuestBusy, match=r"stopped guest.*by one of its handlers") as why:
                call()
            said.append(str(why.value))
        return guestdbg.STOP

    stop = guest.run()
    assert stop.reason == "hit"
    assert len(said) == 2
    guest.restore(guest.snapshot())
    assert guest.cpu.pc == stop.pc


def rest_of(guest: Guest, output: bytearray) -> tuple[object, ...]:
    """Run to the end; all that a run leaves."""
    printed = len(output)
    stop = guest.run(max_instructions=3_000_000)
    memory = hashlib.sha256(b"".join(region.buffer[:] for region in guest.board.memory)).digest()
    counts = [vcpu.instructions for vcpu in guest.board.vcpus]  # type: ignore[attr-defined]
    registers = [(*cpu.x, cpu.pc, cpu.pstate) for cpu in guest.vcpus]
    return stop.reason, stop.detail, bytes(output[printed:]), memory, counts, registers


@pytest.mark.parametrize(("name", "vcpus"), [("queue", 1), ("mmu", 1), ("smp", 2), ("flood", 1)])
def test_a_twin_goes_on_as_the_guest_does(start: Load, name: str, vcpus: int) -> None:
    """With points in the one and none in the other; the twin has only been loaded."""
    outputs = bytearray(), bytearray()
    one = start(name, vcpus=vcpus, console=outputs[0].extend)
    twin = start(name, vcpus=vcpus, console=outputs[1].extend)
    breakpoint_ = one.break_("main", kind="hardware" if name == "mmu" else "software")
    one.run(max_instructions=100_000)
    breakpoint_.delete()
    one.run(max_instructions=7777)
    snapshot = one.snapshot()
    expected = rest_of(one, outputs[0])
    twin.restore(snapshot)
    assert rest_of(twin, outputs[1]) == expected
    twin.restore(snapshot)
    shared = twin.snapshot()
    assert shared.board.vm.own_memory_size == 0
    one.restore(shared)
    assert rest_of(one, outputs[0]) == expected


def test_the_software_breakpoints_of_another_guest_are_not_there(start: Load) -> None:
    one, twin = start("queue"), start("queue")
    one.break_("main", kind="software")
    assert one.run().reason == "hit"
    plain = bytes(twin.board.ram.buffer)
    twin.restore(one.snapshot())
    assert twin.cpu.pc == one.cpu.pc
    at = twin.translate(twin.cpu.pc) - twin.board.ram.base
    assert twin.board.ram.buffer[at : at + 4] == plain[at : at + 4]


def test_a_guest_that_has_ended_in_another(start: Load) -> None:
    one, twin = start("hello"), start("hello")
    stop = one.run()
    twin.restore(one.snapshot())
    ended = twin.run()
    assert (ended.reason, ended.detail) == (stop.reason, stop.detail) == ("exit", stop.detail)
    assert ended.cpu is twin.vcpus[0]


def test_what_is_refused(start: Load) -> None:
    one, other = start("hello"), start("hello", vcpus=2)
    with pytest.raises(BadSnapshot, match="differs in its vCPUs: 2 there, 1 here"):
        one.restore(other.snapshot())
    snapshot = one.snapshot()
    one.close()
    with pytest.raises(GuestClosed):
        one.restore(snapshot)
    with pytest.raises(GuestClosed):
        one.snapshot()


def test_without_the_extension_the_message_names_it() -> None:
    from guestdbg.kvm import open_kvm

    with open_kvm("soft") as kvm:
        board = Board(kvm, memory_size=4 << 20)
        board.start(CODE)
        make_plain(board)
        with Guest(board) as guest, pytest.raises(Unsupported, match=r"SupportsSnapshots"):
            guest.snapshot()
