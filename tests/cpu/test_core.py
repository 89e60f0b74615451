"""The run loop and the block cache: limits, determinism, code that changes, holes in memory."""

from __future__ import annotations

import mmap
import struct
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.cpu.processor import (
    EXIT_EL2,
    EXIT_KICK,
    EXIT_LIMIT,
    PhysicalMemory,
    Processor,
)

from .support import (
    B_SELF,
    CODE,
    DATA,
    EL1H,
    NOP,
    PSTATE_SS,
    RAM,
    SS,
    TDE,
    Bench,
    branch,
    load_address,
    movz,
)

ADD_X0_1 = 0x91000400
STR_X0_X1 = 0xF9000020
STR_W0_X1 = 0xB9000020
LDR_X2_X1 = 0xF9400022
SUBS_X3_1 = 0xF1000463
B_NE = 0x54000001


def bne(distance: int) -> int:
    return B_NE | (distance & 0x7FFFF) << 5


# A loop of stores over a few pages, with calls into a second page of code.
PROGRAM = [
    *load_address(1, DATA),
    movz(3, 300),
    ADD_X0_1,  # loop:
    STR_X0_X1,
    0x91002021,  # add x1, x1, #8
    0x94000000 | (0x1000 - 8 * 4) // 4,  # bl CODE + 0x1000
    SUBS_X3_1,
    bne(-5),
    B_SELF,
]
SUBROUTINE = [0x8B000084, 0xCA040005, 0xD65F03C0]  # add x4,x4,x0; eor x5,x0,x4; ret


def program() -> Bench:
    bench = Bench(PROGRAM)
    bench.put(CODE + 0x1000, SUBROUTINE)
    return bench


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 400), max_size=30), st.booleans())
def test_pieces_of_any_length_come_to_the_same(pieces: list[int], armed: bool) -> None:
    """The same guest in one piece or in many, armed or not: the same counts, registers, memory."""
    whole = program()
    assert whole.run(2500) == EXIT_LIMIT
    cut = program()
    if armed:
        # nothing of this is ever hit, but it lies on the pages in use
        cut.arm([(CODE + 0x800, 0x1E7)] * 3, [(DATA + 0xFF8, 0x1FF7), (DATA + 0xFF0, 0x1FEF)])
    for piece in pieces:
        before = cut.p.instructions
        if before + piece > 2500:
            break
        assert cut.run(piece) == EXIT_LIMIT
        assert cut.p.instructions == before + piece
    assert cut.p.run(2500) == EXIT_LIMIT
    assert cut.state() == whole.state()


def test_a_limit_already_reached_runs_nothing() -> None:
    bench = program()
    bench.run(10)
    state = bench.state()
    assert bench.p.run(5) == EXIT_LIMIT
    assert bench.state() == state


def test_code_that_the_guest_writes_is_executed() -> None:
    """A store into decoded code on the same page: the next iteration executes the new code."""
    add_x5_1 = 0x910004A5
    add_x5_16 = 0x910040A5
    bench = Bench(
        [
            *load_address(1, CODE + 4 * 11),
            movz(0, add_x5_16 & 0xFFFF),
            0xF2A00000 | (add_x5_16 >> 16) << 5,  # movk x0, #…, lsl #16
            movz(3, 2),
            branch(3),
            NOP,
            NOP,
            NOP,  # 10
            add_x5_1,  # 11
            STR_W0_X1,
            SUBS_X3_1,
            bne(-3),
            B_SELF,
        ]
    )
    bench.run(100)
    assert bench.p.get_x(5) == 1 + 16
    assert bench.p.statistics()["dropped"] >= 1


def test_code_that_the_host_writes_is_executed_after_code_changed() -> None:
    bench = Bench([ADD_X0_1, branch(-1)])
    bench.run(20)
    assert bench.p.get_x(0) == 10
    bench.put(CODE, [0x91004000])  # add x0, x0, #16
    bench.memory.code_changed(CODE, 4)
    bench.run(2)
    assert bench.p.get_x(0) == 26


def test_a_block_ends_with_its_page() -> None:
    """Straight code over a page boundary, the next page being other memory."""
    bench = Bench()
    other = mmap.mmap(-1, 4096)
    bench.memory.map(1, RAM + (1 << 20), other)
    bench.put(RAM + (1 << 20) - 12, [ADD_X0_1] * 3)
    other[:8] = struct.pack("<2I", 0x91004000, B_SELF)
    bench.p.pc = RAM + (1 << 20) - 12
    bench.run(4)
    assert bench.p.get_x(0) == 3 + 16
    bench.memory.unmap(1)
    bench.p.pc = RAM + (1 << 20) - 12
    assert bench.run(10) == EXIT_EL2
    assert bench.p.pc == RAM + (1 << 20)
    assert bench.p.esr_el2 >> 26 == 0x20  # Instruction Abort from a lower EL
    assert bench.p.hpfar_el2 == (RAM + (1 << 20)) >> 12 << 4


@pytest.mark.parametrize(
    ("word", "iss"),
    [
        # ISV, SAS, SSE, SRT, SF, AR, WnR as a hypervisor needs them; DFSC: translation, level 1
        (0xF9400022, 1 << 24 | 3 << 22 | 2 << 16 | 1 << 15 | 0x05),  # ldr x2, [x1]
        (0xB9400022, 1 << 24 | 2 << 22 | 2 << 16 | 0x05),  # ldr w2, [x1]
        (0x39800022, 1 << 24 | 0 << 22 | 1 << 21 | 2 << 16 | 1 << 15 | 0x05),  # ldrsb x2, [x1]
        (0x79C00022, 1 << 24 | 1 << 22 | 1 << 21 | 2 << 16 | 0x05),  # ldrsh w2, [x1]
        (0xB9000022, 1 << 24 | 2 << 22 | 2 << 16 | 1 << 6 | 0x05),  # str w2, [x1]
        (0x3900003F, 1 << 24 | 31 << 16 | 1 << 6 | 0x05),  # strb wzr, [x1]
        (0x88DFFC22, 1 << 24 | 2 << 22 | 2 << 16 | 1 << 14 | 0x05),  # ldar w2, [x1]
        (0xF8408422, 0x05),  # ldr x2, [x1], #8: write-back, no syndrome
        (0xA9400822, 0x05),  # ldp x2, x2, [x1]: a pair, no syndrome
    ],
)
def test_holes_in_memory_are_stage_2_aborts(word: int, iss: int) -> None:
    bench = Bench([word])
    bench.p.set_x(1, 0x0900_0018)
    assert bench.run() == EXIT_EL2
    assert bench.p.esr_el2 == 0x24 << 26 | 1 << 25 | iss
    assert bench.p.far_el2 == 0x0900_0018
    assert bench.p.hpfar_el2 == 0x0900_0000 >> 12 << 4
    assert bench.p.pc == CODE
    assert bench.p.get_x(1) == 0x0900_0018
    assert bench.p.instructions == 0


def test_a_write_to_a_read_only_slot_is_a_stage_2_permission_fault() -> None:
    bench = Bench([LDR_X2_X1, STR_X0_X1])
    rom = mmap.mmap(-1, 4096)
    rom[:8] = b"constant"
    bench.memory.map(1, 0x1000, rom, True)
    bench.p.set_x(1, 0x1000)
    assert bench.run() == EXIT_EL2
    assert bench.p.get_x(2) == int.from_bytes(b"constant", "little")
    assert bench.p.esr_el2 & 0x3F == 0x0F
    assert bench.p.pc == CODE + 4
    assert rom[:8] == b"constant"


def test_a_misaligned_pc_is_its_own_exception() -> None:
    bench = Bench()
    bench.p.set_sysreg(0xC600, DATA)  # VBAR_EL1
    bench.p.pc = CODE + 2
    bench.put(DATA + 0x200, [B_SELF])
    bench.run(1)
    assert bench.p.pc == DATA + 0x200
    assert bench.p.get_sysreg(0xC290) == 0x22 << 26 | 1 << 25  # ESR_EL1
    assert bench.p.get_sysreg(0xC300) == CODE + 2  # FAR_EL1


def test_the_block_cache_is_bounded() -> None:
    """More code than the cache holds: everything still runs, and memory does not grow with it."""
    size = 8 << 20
    bench = Bench(size=size)
    bench.ram[:] = struct.pack("<2I", ADD_X0_1, branch(1)) * (size // 8)
    bench.put(RAM + size - 4, [B_SELF])
    for _ in range(2):
        bench.p.pc = RAM
        bench.p.set_x(0, 0)
        bench.run(size // 4)
        assert bench.p.get_x(0) == size // 8
    statistics = bench.p.statistics()
    assert statistics["flushed"] >= 1
    assert statistics["bytes"] <= 64 << 20


def test_kick_from_another_thread_ends_the_run() -> None:
    bench = Bench([B_SELF])
    timer = threading.Timer(0.05, bench.p.kick)
    timer.start()
    assert bench.run() == EXIT_KICK
    timer.join()
    bench.p.kick()
    assert bench.run() == EXIT_KICK  # one that came before counts for the next
    assert bench.run(10) == EXIT_LIMIT


def test_undefined_encodings_are_named_once() -> None:
    bench = Bench([0x00000000])
    bench.p.set_sysreg(0xC600, DATA)
    bench.put(DATA + 0x200, [B_SELF])
    bench.run(5)
    assert bench.p.get_sysreg(0xC290) == 1 << 25
    assert bench.p.undefined() == {0: CODE}
    assert bench.p.undefined() == {}


def test_memory_slots_are_checked() -> None:
    memory = PhysicalMemory()
    memory.map(0, 0x1000, mmap.mmap(-1, 8192))
    with pytest.raises(ValueError, match="not a multiple of 4096"):
        memory.map(1, 0x1800, mmap.mmap(-1, 4096))
    with pytest.raises(ValueError, match="must be a multiple of 4096"):
        memory.map(1, 0x8000, bytearray(100))
    with pytest.raises(ValueError, match="overlaps slot 0"):
        memory.map(1, 0x2000, mmap.mmap(-1, 4096))
    with pytest.raises(ValueError, match="48 bits"):
        memory.map(1, (1 << 48) - 4096, mmap.mmap(-1, 8192))
    with pytest.raises(BufferError):
        memory.map(1, 0x8000, bytes(4096))
    memory.map(0, 0x9000, mmap.mmap(-1, 4096))  # a slot may move
    memory.map(1, 0x1000, mmap.mmap(-1, 4096))


def test_mapped_memory_cannot_be_closed_under_the_guest() -> None:
    bench = Bench([NOP])
    with pytest.raises(BufferError):
        bench.ram.close()


def test_processors_refuse_what_the_architecture_has_not() -> None:
    memory = PhysicalMemory()
    for bad in ({"breakpoints": 17}, {"watchpoints": 1}, {"context_aware": 7}, {"clock": "sun"}):
        with pytest.raises(ValueError, match=r"must be|architecture has"):
            Processor(memory, **bad)
    p = Processor(memory)
    with pytest.raises(IndexError, match="x0 to x30"):
        p.get_x(31)
    with pytest.raises(ValueError, match="mode 0x9"):
        p.pstate = 0x3C9
    assert p.pstate == EL1H


def test_debug_registers_are_set_all_at_once_or_not_at_all() -> None:
    """Sequences shorter than the registers there are: a clear word, and nothing has changed."""
    p = Processor(PhysicalMemory())
    sixteen = [0] * 16
    p.load_debug([0x1E7] * 16, [RAM] * 16, [0x1FFF] * 16, [RAM] * 16)
    before = p.save_debug()
    assert [len(values) for values in before] == [6, 6, 4, 4]
    for short in range(4):
        values = [sixteen[: 6 if n < 2 else 4] for n in range(4)]
        p.load_debug(*values)
        p.load_debug(*before)
        values[short] = values[short][:-1]
        with pytest.raises(ValueError, match="has 6 breakpoints and 4 watchpoints"):
            p.load_debug(*values)
        assert p.save_debug() == before


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_slot_that_was_taken_away_is_not_there(order: tuple[int, int]) -> None:
    """Whichever slot was used last: its memory may be used for something else now."""
    bench = Bench([0xF9400022, 0xF9000022, B_SELF])  # ldr x2, [x1]; str x2, [x1]
    others = {slot: mmap.mmap(-1, 4096) for slot in order}
    for slot, memory in others.items():
        bench.memory.map(slot, slot << 32, memory)
    for slot in order:
        bench.p.pc = CODE
        bench.p.set_x(1, slot << 32)
        assert bench.run(2) == EXIT_LIMIT
    for slot in order:
        bench.memory.unmap(slot)
        others.pop(slot).close()
        for gone in (1, 2):
            bench.p.pc = CODE
            bench.p.set_x(1, gone << 32)
            assert bench.run(1) == (EXIT_LIMIT if gone in others else EXIT_EL2)
            if gone not in others:
                assert bench.p.hpfar_el2 == gone << 32 >> 8


def test_code_in_a_slot_that_was_taken_away_is_not_executed() -> None:
    bench = Bench()
    other = mmap.mmap(-1, 4096)
    other[:8] = struct.pack("<2I", ADD_X0_1, B_SELF)
    bench.memory.map(1, 1 << 32, other)
    for there in (True, False):
        bench.p.pc = 1 << 32
        assert bench.run(2) == (EXIT_LIMIT if there else EXIT_EL2)
        if there:
            bench.memory.unmap(1)
    assert bench.p.esr_el2 >> 26 == 0x20
    assert bench.p.hpfar_el2 == 1 << 32 >> 8


def test_an_emulated_instruction_has_retired_and_ends_its_step() -> None:
    bench = Bench([0xF9400022, B_SELF])  # ldr x2, [x1]: no slot
    bench.p.set_x(1, 0x1000)
    bench.p.mdcr_el2 = TDE
    bench.p.mdscr_el1 = SS
    bench.p.pstate = EL1H | PSTATE_SS
    assert bench.run() == EXIT_EL2
    assert bench.p.esr_el2 >> 26 == 0x24
    assert (bench.p.pstate_ss, bench.p.instructions) == (1, 0)
    bench.p.skip_instruction()
    assert (bench.p.pc, bench.p.pstate_ss, bench.p.instructions) == (CODE + 4, 0, 1)
    assert bench.run() == EXIT_EL2
    assert bench.p.esr_el2 >> 26 == 0x32
    assert (bench.p.pc, bench.p.instructions) == (CODE + 4, 1)


def test_other_memory_ends_a_load_exclusive() -> None:
    """Between its load and its store, without anything else (the run was only interrupted)."""
    bench = Bench([0xC85F7C22, 0xC8037C24, B_SELF])  # ldxr x2, [x1]; stxr w3, x4, [x1]
    other = mmap.mmap(-1, 4096)
    bench.memory.map(1, 1 << 32, other)
    bench.p.set_x(1, 1 << 32)
    for moved in (False, True):
        bench.p.pc = CODE
        bench.p.set_x(3, 7)
        assert bench.run(1) == EXIT_LIMIT
        if moved:
            bench.memory.map(1, 1 << 32, other)
        assert bench.run(1) == EXIT_LIMIT
        assert bench.p.get_x(3) == moved


def test_other_memory_in_a_slot_has_its_own_code() -> None:
    """At the same addresses as what was decoded before, read-only or not."""
    bench = Bench()
    for number in range(1, 5):
        code = mmap.mmap(-1, 4096)
        code[:8] = struct.pack("<2I", movz(0, number), B_SELF)
        bench.memory.map(1, 1 << 32, code, number & 2 != 0)
        bench.p.pc = 1 << 32
        assert bench.run(2) == EXIT_LIMIT
        assert bench.p.get_x(0) == number
