"""The debugger over a provider without extensions, and what is not possible then."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from guestdbg.check.assembler import (
    NOP,
    add,
    b,
    br,
    brk,
    daifclr,
    flat,
    hvc,
    ldr,
    mov,
    msr,
    stp,
    str_,
)
from guestdbg.debugger import Guest, Hit, OutOfRegisters, Unsupported
from guestdbg.debugger.breakpoints.point import Kind
from guestdbg.kvm import Exit, ExitDebug
from guestdbg.kvm.constants import KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW

from .assembled import (
    CODE,
    DATA,
    VECTORS,
    PlainVcpu,
    assembled,
    cbnz_w,
    ldadd,
    ldaxr,
    stlxr,
)

OFF = flat(mov(0, 0x8400_0008), hvc())
START = flat(mov(1, DATA), mov(3, 0))
LOOP = CODE + 4 * len(START)


@pytest.fixture
def plain() -> Iterator[Guest]:
    """Stores 1, 2, 3, … to DATA for ever, under a provider without extensions."""
    guest = assembled(flat(START, add(3, 3, 1), str_(3, 1), b(-8)), plain=True)
    yield guest
    guest.close()


def vcpu_of(guest: Guest) -> PlainVcpu:
    vcpu = guest.vcpus[0].vcpu
    assert isinstance(vcpu, PlainVcpu)
    return vcpu


def test_watches_breakpoints_and_steps_need_no_extension(plain: Guest) -> None:
    values: list[int] = []
    plain.watch(DATA, 8)(lambda hit: values.append(hit.new))
    tenth = plain.break_(LOOP, ignore=9)
    stop = plain.run(timeout=20)
    assert stop.reason == "hit"
    assert values == list(range(1, 10))
    assert plain.step(2).reason == "step"
    assert values == list(range(1, 11))
    assert plain.step_over().pc == LOOP
    tenth.delete()
    assert plain.run(until=LOOP + 4, timeout=20).reason == "until"
    assert plain.run(timeout=0.01).reason == "timeout"


def test_what_needs_an_extension_is_refused_with_the_reason(plain: Guest) -> None:
    with pytest.raises(Unsupported, match="code_changed"):
        plain.break_(LOOP, kind="software")
    with pytest.raises(Unsupported, match="count instructions"):
        plain.run(max_instructions=10)
    for n in range(plain.hardware.breakpoints):
        plain.break_(CODE + 0x1000 + 4 * n)
    with pytest.raises(OutOfRegisters, match="code_changed"):
        plain.break_(LOOP)
    assert len(list(plain.points)) == plain.hardware.breakpoints


def test_a_stop_costs_two_runs_and_two_armings(plain: Guest) -> None:
    hits: list[Hit] = []
    watch = plain.watch(DATA, 8, when=lambda hit: hit.new % 100 == 0)
    watch(hits.append)
    plain.break_(CODE)  # comes first, and out of the way
    assert plain.run(timeout=20).reason == "hit"
    vcpu = vcpu_of(plain)

    def count(stops: int) -> tuple[int, int]:
        runs, armings, seen = vcpu.runs, len(vcpu.armings), watch.seen
        watch.when = lambda hit: watch.seen == seen + stops
        watch.handler = None
        assert plain.run(timeout=20).reason == "hit"
        return vcpu.runs - runs, len(vcpu.armings) - armings

    count(10)
    runs, armings = count(100)
    assert runs == 200
    assert armings == 200
    # The same objects each time: a provider recognises what it was given before.
    assert len({id(debug) for debug in vcpu.armings[-100:]}) == 2


def test_stepping_over_a_watch_keeps_the_guests_registers_out(plain: Guest) -> None:
    plain.watch(DATA, 8)
    plain.run(timeout=20)
    steps = [d for d in vcpu_of(plain).armings if d.control & KVM_GUESTDBG_SINGLESTEP]
    assert steps
    assert all(d.control & KVM_GUESTDBG_USE_HW for d in steps)
    assert not any(any(d.dbg_wcr) or any(d.dbg_bcr) for d in steps)


def test_without_points_the_guest_is_not_debugged(plain: Guest) -> None:
    assert plain.run(timeout=0.01).reason == "timeout"
    assert all(d.control == 0 for d in vcpu_of(plain).armings)
    point = plain.watch(DATA, 8)
    plain.run(timeout=20)
    armings = vcpu_of(plain).armings
    with plain.detached():
        before = len(armings)
        while len(armings) == before:  # on a busy machine the time may be up before the guest runs
            assert plain.run(timeout=0.01).reason == "timeout"
        assert armings[-1].control == 0
    assert point.enabled
    assert plain.run(timeout=20).reason == "hit"


def test_an_atomic_reads_and_writes() -> None:
    code = flat(START, mov(4, 5), ldadd(4, 6, 1), ldr(7, 1), OFF)
    with assembled(code) as guest:
        reported: list[tuple[str, str, int, object]] = []
        for access in ("read", "write", "any"):
            watch = guest.watch(DATA, 8, access=access, name=access)
            watch(lambda hit: reported.append((hit.point.name, hit.access, hit.old, hit.new)))
        assert guest.run(timeout=10).reason == "exit"
        assert reported == [
            ("read", "readwrite", 0, 5),
            ("write", "readwrite", 0, 5),
            ("any", "readwrite", 0, 5),
            ("read", "read", 5, None),
            ("any", "read", 5, None),
        ]


def test_a_store_exclusive_that_fails_says_so() -> None:
    """Without its load-exclusive it always fails, and nothing is written."""
    code = flat(START, stlxr(5, 3, 1), OFF)
    with assembled(code) as guest:
        hits: list[Hit] = []
        guest.watch(DATA, 8)(hits.append)
        assert guest.run(timeout=10).reason == "exit"
        # Whether an access that is not made hits at all is left to the implementation.
        for hit in hits:
            assert (hit.new, hit.new_reason) == (None, "the store-exclusive failed")
        assert guest.cpu.x[5] == 1
        assert guest.read_u64(DATA) == 0


def test_a_guests_own_brk_is_injected() -> None:
    handler = flat(mov(9, 1), OFF)
    code = flat(START, mov(2, VECTORS), msr("VBAR_EL1", 2), str_(3, 1), brk(0x77), NOP)
    where = CODE + 4 * (len(code) - 2)
    with assembled(code, {0x200: handler}) as guest:
        guest.watch(DATA, 8)(lambda hit: None)
        guest.break_(CODE, kind="software")(lambda hit: None)
        assert guest.run(timeout=10).reason == "exit"
        cpu = guest.cpu
        assert cpu.x[9] == 1
        assert cpu.reg("esr_el1") == 0x3C << 26 | 1 << 25 | 0x77
        assert cpu.reg("elr_el1") == where
        assert cpu.reg("spsr_el1") & 0x3FF == 0x3C5


@pytest.mark.parametrize("kind", ["software", "hardware"])
@pytest.mark.parametrize("watching", [False, True])
@pytest.mark.parametrize("stepping", [False, True], ids=["run", "step"])
def test_a_breakpoint_on_a_brk_of_the_guests_own(
    kind: Kind, watching: bool, stepping: bool
) -> None:
    """The debugger's is reported once; then the guest takes the exception of its own."""
    handler = flat(mov(9, 1), OFF)
    code = flat(START, mov(2, VECTORS), msr("VBAR_EL1", 2), brk(0x77), NOP)
    where = CODE + 4 * (len(code) - 2)
    with assembled(code, {0x200: handler}) as guest:
        if watching:
            guest.watch(DATA, 8)
        point = guest.break_(where, kind=kind)
        assert guest.run(timeout=10).reason == "hit"
        if stepping:
            stop = guest.step()
            assert (stop.reason, stop.pc) == ("step", VECTORS + 0x200)
        assert guest.run(timeout=10).reason == "exit"
        assert point.hits == 1
        assert guest.cpu.x[9] == 1
        assert guest.cpu.reg("elr_el1") == where


@pytest.mark.parametrize("stepping", [False, True], ids=["run", "step"])
def test_a_masked_breakpoint_of_the_guests_own_at_the_debuggers(stepping: bool) -> None:
    """PSTATE.D is set: the guest's does nothing, and the debugger's is reported once."""
    code = flat(
        *(mov(2, CODE + 4 * 14), msr("DBGBVR0_EL1", 2), mov(2, 0x1E7), msr("DBGBCR0_EL1", 2)),
        *(mov(2, 1 << 15 | 1 << 13), msr("MDSCR_EL1", 2)),
    )
    code += [NOP] * (14 - len(code)) + flat(mov(9, 1), OFF)
    with assembled(code) as guest:
        point = guest.break_(CODE + 4 * 14, kind="software")
        assert guest.run(timeout=10).reason == "hit"
        if stepping:
            stop = guest.step()
            assert (stop.reason, stop.pc) == ("step", CODE + 4 * 15)
        assert guest.run(timeout=10).reason == "exit"
        assert point.hits == 1


def test_a_software_breakpoint_is_of_its_virtual_address() -> None:
    """Reached by another address of the same memory, the BRK is stepped over and not reported."""
    alias = 0x4000_0000
    table = DATA + 0x1000
    code = flat(
        br(2),
        add(9, 9, 1),  # first by the other address, then by its own
        br(3),
        *(mov(3, CODE + 0x100), br(4)),  # back from the first
    )
    where, back = CODE + 4, CODE + 12
    with assembled(code) as guest:
        guest.write(CODE + 0x100, b"".join(word.to_bytes(4, "little") for word in OFF))
        for index in (1, 2):  # 1 GiB each, both of them RAM
            guest.write_u64(table + 8 * index, 0x4000_0000 | 1 << 10 | 1)
        cpu = guest.cpu
        cpu.x[2], cpu.x[3], cpu.x[4], cpu.x[9] = where + alias, back, where, 0
        for name, value in (
            ("MAIR_EL1", 0xFF),
            ("TCR_EL1", 25 | 1 << 23 | 2 << 32),
            ("TTBR0_EL1", table),
            ("SCTLR_EL1", cpu.reg("SCTLR_EL1") | 1),
        ):
            cpu.set_reg(name, value)
        assert guest.translate(where + alias) == guest.translate(where) == where
        arrived: list[int] = []
        point = guest.break_(where, kind="software")
        point.handler = lambda hit: arrived.append(hit.vcpu.x[9])
        assert guest.run(timeout=10).reason == "exit"
        assert cpu.x[9] == 2
    assert arrived == [1]


def test_an_injected_exception_is_as_the_processor_takes_it() -> None:
    """The same guest with and without a debugger: every register is the same afterwards."""
    handler = flat([0xAA0003EA], OFF)
    code = flat(
        mov(2, VECTORS), msr("VBAR_EL1", 2), daifclr(0xF), mov(5, 3), [0xF10010BF], brk(9), NOP
    )
    seen = []
    for debugged in (False, True):
        with assembled(code, {0x200: handler}) as guest:
            if debugged:
                guest.watch(DATA, 8)
            assert guest.run(timeout=10).reason == "exit"
            names = ("esr_el1", "elr_el1", "spsr_el1", "pstate", "sp_el1", "pc")
            seen.append({name: guest.cpu.reg(name) for name in names})
    assert seen[0] == seen[1]


@pytest.mark.parametrize("below", [0, 1, 4, 8])
@pytest.mark.parametrize("tag", [0, 0x5A])
def test_whatever_far_is_permitted_the_hit_is_the_same(
    monkeypatch: pytest.MonkeyPatch, below: int, tag: int
) -> None:
    """FAR may be any address from the lowest accessed to the highest watched one accessed.

    The store of a pair begins 8 bytes below what is watched, through a pointer with a tag.
    """
    code = flat(
        *(mov(4, 1 << 37), msr("TCR_EL1", 4)),  # TBI0
        *(mov(1, tag << 56 | DATA - 8), mov(2, 2), mov(3, 3), stp(2, 3, 1), OFF),
    )
    run = PlainVcpu.run

    def reports_otherwise(vcpu: PlainVcpu) -> Exit:
        exit_ = run(vcpu)
        if isinstance(exit_, ExitDebug) and exit_.far is not None:
            assert exit_.far == tag << 56 | DATA
            return ExitDebug(exit_.hsr, exit_.hsr_high, exit_.far - below)
        return exit_

    monkeypatch.setattr(PlainVcpu, "run", reports_otherwise)
    with assembled(code, plain=True) as guest:
        hits: list[Hit] = []
        guest.watch(DATA, 4)(hits.append)
        guest.watch(DATA + 64, 8)(hits.append)
        assert guest.run(timeout=10).reason == "exit"
    (hit,) = hits
    assert (hit.address, hit.size, hit.old, hit.new) == (DATA, 4, 0, 3)
    assert hit.access_size == 16
    assert hit.access_address & (1 << 56) - 1 == DATA - 8


def test_a_sequence_with_too_many_exits_is_stepped(caplog: pytest.LogCaptureFixture) -> None:
    """There are more exits than registers: a warning is logged, and the sequence is stepped."""
    caplog.set_level(logging.WARNING, "guestdbg.debugger")
    branches = [0xB4000000 | (40 + 7 * n) << 5 | 8 for n in range(8)]  # cbz x8, far away
    code = flat(START, mov(8, 1), ldaxr(4, 1), branches, stlxr(5, 4, 1), [NOP], OFF)
    with assembled(code) as guest:
        hits: list[Hit] = []
        guest.watch(DATA, 8, access="read")(hits.append)
        assert guest.run(timeout=10).reason == "exit"
        assert [hit.access for hit in hits] == ["read"]
        assert "has 9 exits" in caplog.text


def test_a_spinning_sequence_can_be_interrupted() -> None:
    """A sequence that spins runs disarmed; it can be interrupted."""
    code = flat(START, ldaxr(4, 1), [0xB5FFFFE4], mov(4, 1), stlxr(5, 4, 1), cbnz_w(5, -16), OFF)
    with assembled(code) as guest:
        guest.write_u64(DATA, 1)
        hits: list[Hit] = []
        guest.watch(DATA, 8, access="any")(hits.append)
        assert guest.run(timeout=0.1).reason == "timeout"
        assert hits == []
        guest.write_u64(DATA, 0)
        assert guest.run(timeout=10).reason == "exit"
        assert [hit.access for hit in hits] == ["readwrite"]
        assert hits[0].new == 1
