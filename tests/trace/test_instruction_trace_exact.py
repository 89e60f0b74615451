"""A trace of instructions has what limits of one instruction find, and leads to the end's state."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

import guestdbg
from guestdbg.check.differential import layout
from guestdbg.check.differential.generate import generate
from guestdbg.check.differential.initial import memory_of
from guestdbg.check.differential.program import Program
from guestdbg.kvm import ExitIntr, KvmError, Vcpu
from guestdbg.kvm.regs import PC, PSTATE, core_reg
from tests.machine.guests import EXAMPLES
from tests.trace.instruction_records import (
    EMULATED,
    EXCEPTION,
    FPSR,
    HOST,
    NZCV,
    RETIRED,
    SP,
    V0,
    Record,
    records_of,
)
from tests.trace.test_coverage_exact import (
    KINDS,
    MOST,
    end_state,
    ends,
    machine,
    run,
    run_in_pieces,
)

Registers = dict[int, int]


def registers_of(vcpu: Vcpu) -> Registers:
    """As records number them; SP is the current one."""
    found = {n: vcpu.get_one_reg(core_reg(f"x{n}")) for n in range(31)}
    pstate = vcpu.get_one_reg(PSTATE)
    found[SP] = vcpu.get_one_reg(core_reg("sp_el1" if pstate & 0xD == 5 else "sp"))
    found[NZCV] = pstate & 0xF0000000
    found[FPSR] = vcpu.get_one_reg(core_reg("fpsr"))
    found |= {V0 + n: vcpu.get_one_reg(core_reg(f"v{n}")) for n in range(32)}
    return found


def limited(program: Program) -> tuple[list[tuple[int, int, Registers]], int, Any]:
    """Each instruction that has retired: EL, address, registers that changed.

    By limits of one instruction: programs see single steps (SPSR_EL1, a store-exclusive that
    fails), and can forget what they saw before their end.
    """
    found = []
    with machine(program) as (vcpu, memory):
        before = registers_of(vcpu)
        for _ in range(2 * MOST):
            pc, el = vcpu.get_one_reg(PC), vcpu.get_one_reg(PSTATE) >> 2 & 1
            retired = vcpu.instructions
            vcpu.max_instructions = retired + 1  # type: ignore[attr-defined]
            exit_ = run(vcpu)
            after = registers_of(vcpu)
            if vcpu.instructions != retired:
                changed = {n: value for n, value in after.items() if before[n] != value}
                found.append((el, pc, changed))
            before = after
            if vcpu.instructions == MOST or (not isinstance(exit_, ExitIntr) and ends(exit_)):
                break
        return found, vcpu.instructions, end_state(vcpu, memory)


def combined(records: list[Record]) -> list[tuple[int, int, Registers]]:
    """A hypervisor call has what the provider has written for it."""
    found: list[tuple[int, int, Registers]] = []
    for record in records:
        if record.what & RETIRED:
            found.append((record.el, record.pc, record.registers))
        elif record.what & HOST:
            found[-1][2].update(record.registers)
    return found


def assert_same(records: list[Record], oracle: list[tuple[int, int, Registers]]) -> None:
    """A limit sees nothing of an exception: it has the place and the SP from before that."""
    found, after, taken = combined(records), [], False
    for record in records:
        if record.what & RETIRED:
            after.append(taken)
        taken = bool(record.what & EXCEPTION) or (taken and not record.what & RETIRED)
    assert len(found) == len(oracle)
    for mine, right, elsewhere in zip(found, oracle, after, strict=True):
        if elsewhere:
            assert {**mine[2], SP: 0} == {**right[2], SP: 0}
        else:
            assert mine == right


def replayed(memory: bytearray, records: list[Record], mask: int) -> None:
    """Make the accesses of a trace: what is read must be there."""
    for record in records:
        assert not record.accesses or record.what & RETIRED
        for made in record.accesses:
            at = (made.address & mask) - layout.RAM
            if not 0 <= at <= len(memory) - made.size:
                assert record.what & EMULATED
                continue
            if made.write:
                memory[at : at + made.size] = made.value or bytes(made.size)
            else:
                assert memory[at : at + made.size] == made.value, record


def test_random_programs() -> None:
    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 1 << 32), st.integers(0, 1 << 32))
    def check(seed: int, pieces: int) -> None:
        program = generate(seed)
        oracle, total, state = limited(program)
        for kinds in ((), ("limit",), KINDS):
            rnd = random.Random(pieces)
            records, count, end, registers = traced(program, total, kinds, rnd)
            if kinds == KINDS:
                # The program may see steps and stops: then it is another one, and goes on.
                check_end(records, [count], [registers])
            else:
                assert count == total
                assert end == state
                assert_same(records, oracle)

    check()


def traced(
    program: Program, total: int, kinds: tuple[str, ...], rnd: random.Random
) -> tuple[list[Record], int, Any, Registers]:
    """Its records, the instructions, the state and the registers at its end."""
    with machine(program) as (vcpu, memory):
        records = recorded(vcpu, total, kinds, rnd)
        again = bytearray(memory_of(program))
        replayed(again, records, (1 << 32) - 1)
        start, end = layout.DATA - layout.RAM, layout.TABLES - layout.RAM
        assert again[start:end] == memory[start:end]
        done = [record for record in records if record.what & RETIRED]
        assert [record.time for record in done] == [*range(1, len(done) + 1)]
        return records, vcpu.instructions, end_state(vcpu, memory), registers_of(vcpu)


def recorded(
    vcpu: Vcpu, total: int, kinds: tuple[str, ...], rnd: random.Random, **window: int
) -> list[Record]:
    data: list[bytes] = []
    trace = vcpu.vm.start_instruction_trace(data.append, **window)  # type: ignore[attr-defined]
    run_in_pieces(vcpu, total, rnd, kinds or ("run",))
    trace.close()
    assert trace.lost == 0
    assert trace.error is None
    return list(records_of(b"".join(data)))


def test_a_part_of_a_run() -> None:
    """From an instruction to another one: what the whole trace has there."""

    @settings(max_examples=60, deadline=None)
    @given(
        st.integers(0, 1 << 32),
        st.integers(0, 1 << 32),
        st.integers(0, 300),
        st.integers(0, 300),
        st.sampled_from(((), ("limit",), KINDS)),
    )
    def check(seed: int, pieces: int, start: int, size: int, kinds: tuple[str, ...]) -> None:
        program, stop = generate(seed), start + size
        found, ends = [], []
        for window in ({}, {"start": start, "stop": stop}):
            with machine(program) as (vcpu, memory):
                found.append(recorded(vcpu, MOST, kinds, random.Random(pieces), **window))
                ends.append((vcpu.instructions, end_state(vcpu, memory)))
        assert ends[0] == ends[1]
        assert found[1] == [record for record in found[0] if start < record.time <= stop]

    check()


@pytest.mark.parametrize("name", ["queue", "fault", "mmu", "pid", "smp"])
def test_a_part_of_an_example_guest(name: str) -> None:
    """Before it, blocks are executed as they always are: not one instruction at a time."""
    found, decoded = [], []
    for window in (None, {"start": 250_000, "stop": 251_000}, {}):
        options: Any = {"provider": "soft", "memory": "16M", "console": None}
        with guestdbg.load(EXAMPLES / f"{name}.elf", **options) as guest:
            vm: Any = guest.board.vm
            data: list[bytes] = []
            if window is not None:
                trace = vm.start_instruction_trace(data.append, **window)
            guest.run(max_instructions=240_000)
            decoded.append([vcpu.cpu.statistics()["decoded"] for vcpu in guest.board.vcpus])
            guest.run(max_instructions=60_000)
            if window is not None:
                trace.close()
        found.append(list(records_of(b"".join(data))))
    assert found[1] == [record for record in found[2] if 250_000 < record.time <= 251_000]
    assert bool(found[1]) == (found[2][-1].time > 250_000)
    assert decoded[1] == decoded[0] != decoded[2]


def test_a_traced_run_is_as_one_that_is_not() -> None:
    """Instructions one at a time, and all accesses on the slow path, change nothing."""

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 1 << 32))
    def check(seed: int) -> None:
        program = generate(seed)
        results = []
        for traced in (False, True):
            with machine(program) as (vcpu, memory):
                if traced:
                    vcpu.vm.start_instruction_trace(len)  # type: ignore[attr-defined]
                vcpu.max_instructions = MOST  # type: ignore[attr-defined]
                while not ends(exit_ := run(vcpu)):
                    pass
                end = str(exit_) if isinstance(exit_, KvmError) else exit_
                results.append((vcpu.instructions, end, end_state(vcpu, memory), memory[:]))
        assert results[0] == results[1]

    check()


@pytest.mark.parametrize("name", ["queue", "fault", "mmu", "pid", "smp"])
def test_example_guests(name: str) -> None:
    """With exceptions, EL0, devices, interrupts of a timer, and several vCPUs."""
    most = 300_000
    digests = []
    for traced in (False, True):
        with guestdbg.load(
            EXAMPLES / f"{name}.elf", provider="soft", memory="16M", console=None
        ) as guest:
            vm: Any = guest.board.vm
            data: list[bytes] = []
            if traced:
                trace = vm.start_instruction_trace(data.append)
            guest.run(max_instructions=most)
            if traced:
                trace.close()
            digests.append(
                (
                    [vcpu.instructions for vcpu in guest.board.vcpus],
                    [registers_of(vcpu) for vcpu in guest.board.vcpus],
                    bytes(guest.board.ram.buffer),
                )
            )
    assert digests[0] == digests[1]
    records = list(records_of(b"".join(data)))
    check_end(records, digests[1][0], digests[1][1])


def check_end(records: list[Record], counts: list[int], registers: list[Registers]) -> None:
    """The last value of each register in the records is that at the end."""
    for vcpu, (count, end) in enumerate(zip(counts, registers, strict=True)):
        mine = [record for record in records if record.vcpu == vcpu]
        assert sum(record.what & RETIRED for record in mine) == count
        last: Registers = {}
        for record in mine:
            if record.what & EXCEPTION:
                last.pop(SP, None)
            last |= record.registers
        assert {n: end[n] for n in last} == last


def test_nothing_is_recorded_in_a_pause() -> None:
    options: Any = {"provider": "soft", "memory": "16M", "console": None}
    with guestdbg.load(EXAMPLES / "queue.elf", **options) as guest:
        vm: Any = guest.board.vm
        data: list[bytes] = []
        trace = vm.start_instruction_trace(data.append)
        guest.run(max_instructions=1000)
        trace.paused = True
        guest.run(max_instructions=1000)
        trace.paused = False
        guest.run(max_instructions=1000)
        trace.close()
        trace.close()
        guest.run(max_instructions=1000)
    times = [record.time for record in records_of(b"".join(data)) if record.what & RETIRED]
    assert times == [*range(1, 1001), *range(2001, 3001)]
