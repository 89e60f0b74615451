"""Coverage counts each instruction that retires exactly once, and changes nothing.

Random programs (of test_determinism), which modify themselves, take exceptions and interrupts, and
have instructions that their hypervisor emulates: in one piece, in pieces of any length, and with
breakpoints and watchpoints that are hit and stepped past.
"""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Callable

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

from guestdbg.cpu.processor import EXIT_LIMIT, PhysicalMemory, Processor

from .support import B_SELF, DATA, NOP, Bench, load_address, movz
from .support import CODE as CODE_AT
from .system_support import enc
from .test_determinism import Armed, Guest, same

FIRST, COUNTS, EDGES = 1, 2, 3
MASK = (1 << 64) - 1
TRIPLE = struct.Struct("=3Q")
Key = tuple[int, int]  # EL, address


def counted(p: Processor) -> Counter[Key]:
    """How often each instruction was executed, at each EL."""
    blocks, _, complete = p.coverage()
    assert complete
    found: Counter[Key] = Counter()
    for word, length, count in TRIPLE.iter_unpack(blocks):
        for n in range(length):
            found[word & 1, (word & ~3) + 4 * n] += count
    return found


def edges(p: Processor) -> Counter[tuple[Key, int]]:
    """How often each branch went where."""
    found: Counter[tuple[Key, int]] = Counter()
    for word, target, count in TRIPLE.iter_unpack(p.coverage()[1]):
        found[(word & 1, word & ~1), target] += count
    return found


def branches(p: Processor) -> Counter[Key]:
    """How often each branch was executed."""
    found: Counter[Key] = Counter()
    for word, length, count in TRIPLE.iter_unpack(p.coverage()[0]):
        if word & 2:
            found[word & 1, (word & ~3) + 4 * (length - 1)] += count
    return found


def upper_hash(a: int, b: int) -> int:
    m = (a ^ (b * 0x9E3779B97F4A7C15 & MASK)) * 0xBF58476D1CE4E5B9 & MASK
    return (m ^ m >> 29) >> 32


def map_of(where: Counter[tuple[Key, int]], size: int) -> bytes:
    """The map that these edges make."""
    totals: Counter[int] = Counter()
    for ((el, source), target), count in where.items():
        totals[(upper_hash(source | el, 1) ^ upper_hash(target, 0)) * size >> 32] += count
    counters = bytearray(size)
    for place, count in totals.items():
        counters[place] = count if count < 256 else (count - 1) % 255 + 1
    return bytes(counters)


def mapped(make: Callable[[], Guest], size: int, pieces: random.Random | None) -> bytes:
    guest = make()
    counters = bytearray(size)
    guest.p.start_coverage_map(counters)
    guest.run(pieces)
    return bytes(counters)


def covered(make: Callable[[], Guest], form: int, pieces: random.Random | None = None) -> Guest:
    guest = make()
    guest.p.start_coverage(form)
    guest.run(pieces)
    return guest


@pytest.mark.parametrize("batch", range(4))
def test_random_programs(batch: int) -> None:
    went = 0
    for seed in range(10 * batch, 10 * batch + 10):

        def make(seed: int = seed) -> Guest:
            return Guest(seed)

        plain = make()
        plain.run()
        whole = covered(make, EDGES)
        same(plain, whole)
        expected, where = counted(whole.p), edges(whole.p)
        assert expected.total() == whole.p.instructions
        # Each branch that was executed went somewhere.
        assert branches(whole.p) == sum_of_sources(where)
        went += where.total()
        for form in (COUNTS, EDGES):
            cut = covered(make, form, random.Random(seed))
            same(plain, cut)
            assert counted(cut.p) == expected
            if form == EDGES:
                assert edges(cut.p) == where
        for pieces in (None, random.Random(seed)):
            first = covered(make, FIRST, pieces)
            same(plain, first)
            assert counted(first.p).keys() == expected.keys()
        for size in (1 << 16, 1000, 1):
            for pieces in (None, random.Random(seed)):
                assert mapped(make, size, pieces) == map_of(where, size)
    assert went > 3000


def sum_of_sources(where: Counter[tuple[Key, int]]) -> Counter[Key]:
    found: Counter[Key] = Counter()
    for (source, _), count in where.items():
        found[source] += count
    return found


@pytest.mark.parametrize("batch", range(2))
def test_random_programs_armed(batch: int) -> None:
    """Blocks with breakpoints; instructions that are not executed because one of them matches."""
    for seed in range(10 * batch, 10 * batch + 10):
        whole = covered(lambda seed=seed: Guest(seed, exclusives=False), EDGES)
        for form in (FIRST, COUNTS, EDGES):
            armed = covered(
                lambda seed=seed: Armed(seed, exclusives=False), form, random.Random(seed)
            )
            same(whole, armed)
            if form == FIRST:
                assert counted(armed.p).keys() == counted(whole.p).keys()
                continue
            assert counted(armed.p) == counted(whole.p)
            if form == EDGES:
                assert edges(armed.p) == edges(whole.p)
        found = mapped(
            lambda seed=seed: Armed(seed, exclusives=False), 1 << 16, random.Random(seed)
        )
        assert found == map_of(edges(whole.p), 1 << 16)


def test_every_instruction_alone_is_the_same() -> None:
    """Each executed in a block of its own, as for a step."""
    for seed in range(10):
        whole = covered(lambda seed=seed: Guest(seed), EDGES)
        single = Guest(seed)
        single.p.start_coverage(EDGES)

        class Single(random.Random):
            def choice(self, _: object) -> int:  # type: ignore[override]
                return 1

        single.run(Single())
        same(whole, single)
        assert counted(single.p) == counted(whole.p)
        assert edges(single.p) == edges(whole.p)


def loop(count: int) -> Bench:
    """A loop of two instructions, `count` times, and an endless one."""
    sub, cbnz = 0xD1000400, 0xB5FFFFE0  # sub x0, x0, #1; cbnz x0, -4
    return Bench([movz(0, count), sub, cbnz, B_SELF])


def test_a_loop() -> None:
    bench = loop(5)
    bench.p.start_coverage(EDGES)
    bench.run(1 + 10 + 7)
    assert counted(bench.p) == {
        (1, CODE_AT): 1,
        (1, CODE_AT + 4): 5,
        (1, CODE_AT + 8): 5,
        (1, CODE_AT + 12): 7,
    }
    assert edges(bench.p) == {
        ((1, CODE_AT + 8), CODE_AT + 4): 4,
        ((1, CODE_AT + 8), CODE_AT + 12): 1,
        ((1, CODE_AT + 12), CODE_AT + 12): 7,
    }


@pytest.mark.parametrize("form", [FIRST, COUNTS, EDGES])
def test_pausing_and_starting_again(form: int) -> None:
    bench = loop(1000)
    p = bench.p
    bench.run(1)
    p.start_coverage(form)
    bench.run(2)
    p.covering = False
    assert not p.covering
    bench.run(1999)  # up to the endless branch
    p.covering = True
    bench.run(4)
    assert counted(p) == {
        (1, CODE_AT + 4): 1,
        (1, CODE_AT + 8): 1,
        (1, CODE_AT + 12): 1 if form == FIRST else 4,
    }
    p.start_coverage(form)
    assert not counted(p)
    bench.run(2)
    assert counted(p) == {(1, CODE_AT + 12): 1 if form == FIRST else 2}
    p.stop_coverage()
    bench.run(2)
    with pytest.raises(ValueError, match="never started"):
        p.coverage()
    with pytest.raises(ValueError, match="never started"):
        p.covering = True
    with pytest.raises(ValueError, match="form 4"):
        p.start_coverage(4)


def test_an_instruction_that_the_one_before_it_has_written() -> None:
    """A block that drops itself: what it goes on with counts, too."""
    code = [
        *load_address(1, CODE_AT + 4 * 9),
        movz(0, 0x00A5),
        0xF2A00000 | 0x9100 << 5,  # movk x0, #0x9100, lsl #16: an ADD
        NOP,
        NOP,
        0xB9000020,  # str w0, [x1]
        0x910004A5,  # add x5, x5, #1: is written over
        B_SELF,
    ]
    for form in (FIRST, COUNTS, EDGES):
        bench = Bench(code)
        bench.p.start_coverage(form)
        bench.run(11)
        assert counted(bench.p) == {(1, CODE_AT + 4 * n): 1 for n in range(len(code))}


def test_what_lies_at_the_same_place_is_told_apart_by_the_exception_level() -> None:
    bench = loop(3)
    p = bench.p
    p.start_coverage(COUNTS)
    bench.run(8)
    p.pc = CODE_AT
    p.pstate = 0
    assert p.run(p.instructions + 3) == EXIT_LIMIT
    found = counted(p)
    assert {key: n for key, n in found.items() if key[0] == 0} == {
        (0, CODE_AT): 1,
        (0, CODE_AT + 4): 1,
        (0, CODE_AT + 8): 1,
    }
    assert found[1, CODE_AT + 4] == 3


def test_an_instruction_that_faults_counts_when_it_is_executed() -> None:
    """LDR in the middle of a block: the exception's vector follows, and then the LDR."""
    eret = 0xD69F03E0
    code = [NOP, 0xF9400020, NOP, B_SELF]  # ldr x0, [x1]
    bench = Bench(code)
    p = bench.p
    p.set_sysreg(enc("VBAR_EL1"), DATA & ~0x7FF)
    vector = (DATA & ~0x7FF) + 0x200
    fix = [*load_address(1, DATA), eret]
    bench.put(vector, fix)
    p.set_x(1, DATA + 1)  # not aligned, and memory is Device memory with the MMU off
    p.start_coverage(EDGES)
    bench.run(1 + len(fix) + 2)
    assert counted(p) == {
        **{(1, CODE_AT + 4 * n): 1 for n in range(3)},
        **{(1, vector + 4 * n): 1 for n in range(len(fix))},
    }
    assert not edges(p), "exceptions and their returns are no branches"


@pytest.mark.parametrize("form", [FIRST, EDGES])
def test_more_code_than_there_is_room_for(form: int) -> None:
    """A guest that executes ever new code: the tables stay bounded, and are not complete."""
    room = 1 << 20
    memory = PhysicalMemory()
    ram = bytearray(struct.pack("<I", 0x14000001) * (room + 50))  # b .+4: each is a block
    ram += bytes(-len(ram) % 4096)
    memory.map(0, 0, ram)
    p = Processor(memory)
    p.start_coverage(form)
    p.pc = 0
    p.run(room - 10)
    assert p.coverage()[2]
    p.run(room + 50)
    blocks, where, complete = p.coverage()
    assert not complete
    assert len(blocks) == TRIPLE.size * room
    assert len(where) <= TRIPLE.size * (room + 1)
    # What there is a record for still counts.
    p.pc = 0
    p.run(p.instructions + 10)
    first = {w & ~3: n for w, _, n in TRIPLE.iter_unpack(p.coverage()[0]) if w & ~3 < 40}
    assert first == dict.fromkeys(range(0, 40, 4), 1 if form == FIRST else 2)


def test_a_counter_of_the_map_is_never_zero_again() -> None:
    for count in (1, 255, 256, 257, 510, 511, 1000):
        bench = loop(count + 1)
        counters = bytearray(1 << 16)
        bench.p.start_coverage_map(counters)
        bench.run(1 + 2 * (count + 1))
        where = {((1, CODE_AT + 8), CODE_AT + 4): count, ((1, CODE_AT + 8), CODE_AT + 12): 1}
        assert counters == map_of(Counter(where), 1 << 16)
        assert sum(n > 0 for n in counters) == 2


def test_a_map_ends_and_the_buffer_is_free() -> None:
    bench = loop(1000)
    p = bench.p
    first, second = bytearray(64), bytearray(64)
    p.start_coverage_map(first)
    with pytest.raises(BufferError):
        first.extend(b"x")
    bench.run(11)
    assert sum(first) == 5
    with pytest.raises(ValueError, match="counted in a map"):
        p.coverage()
    p.covering = False
    bench.run(10)
    p.covering = True
    assert sum(first) == 5
    p.start_coverage_map(second)
    first.extend(b"x")
    bench.run(10)
    assert (sum(first) - ord("x"), sum(second)) == (5, 5)
    p.start_coverage(EDGES)
    second.extend(b"x")
    bench.run(10)
    assert edges(p).total() == 5
    p.start_coverage_map(first)
    p.stop_coverage()
    first.extend(b"x")
    bench.run(10)
    p.start_coverage_map(first)
    del bench, p  # and with the processor
    first.extend(b"x")


def test_buffers_that_are_no_map() -> None:
    bench = loop(1000)
    p = bench.p
    counters = bytearray(64)
    p.start_coverage_map(counters)
    for wrong, error in (
        (bytearray(), ValueError),
        (bytes(64), BufferError),
        (64, TypeError),
        (memoryview(bytearray(64))[::2], BufferError),
    ):
        with pytest.raises(error):
            p.start_coverage_map(wrong)
    bench.run(11)
    assert sum(counters) == 5, "the one before goes on"
