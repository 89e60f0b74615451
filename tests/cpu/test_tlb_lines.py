"""Pages that are watched or hold code are fast all the same, line by line: never a hit missed,
never one made up, whatever was armed, run or decoded before."""

from __future__ import annotations

import mmap
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.cpu.processor import EXIT_EL2, EXIT_LIMIT, PhysicalMemory, Processor

from .support import B_SELF, CODE, DATA, RAM, Bench, branch, movz

# Code for one access each, x1 the address: (word, bytes, LSC bits that match it)
ACCESSES = [
    (0xF9000020, 8, 2),  # str x0, [x1]
    (0x39000020, 1, 2),  # strb w0, [x1]
    (0xF9400022, 8, 1),  # ldr x2, [x1]
    (0x79400022, 2, 1),  # ldrh w2, [x1]
    (0xA9000C22, 16, 2),  # stp x2, x3, [x1]
    (0xA9401022, 16, 1),  # ldp x2, x4, [x1]
    (0x3DC00020, 16, 1),  # ldr q0, [x1]
    (0xF8008420, 8, 2),  # str x0, [x1], #8
    (0x4C402020, 64, 1),  # ld1 {v0.16b-v3.16b}, [x1]
    (0x4C00A020, 32, 2),  # st1 {v0.16b-v1.16b}, [x1]
    (0x0C407020, 8, 1),  # ld1 {v0.8b}, [x1]
    (0x4C008020, 32, 2),  # st2 {v0.16b-v1.16b}, [x1]
    (0x0D001C20, 1, 2),  # st1 {v0.b}[7], [x1]
    (0x4D40C820, 4, 1),  # ld1r {v0.4s}, [x1]
]

offsets = st.one_of(
    st.integers(0, 0x1100),
    st.builds(lambda line, byte: line * 64 + byte, st.integers(0, 70), st.integers(-9, 9)).map(
        lambda x: max(x, 0)
    ),
)
arms = st.tuples(st.just("arm"), offsets, st.integers(1, 3), st.sampled_from([0, 3, 5, 7, 12]))
accesses = st.tuples(st.just("access"), offsets, st.sampled_from(ACCESSES), st.just(0))
disarms = st.tuples(st.just("disarm"), st.just(0), st.just(0), st.just(0))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(arms, accesses, accesses, disarms), max_size=25))
def test_every_watched_byte_and_no_other(steps: list[tuple[str, int, object, int]]) -> None:
    bench = Bench()
    bench.p.set_sysreg(0xC082, 3 << 20)  # CPACR_EL1: FP allowed
    bench.p.hcr_el2 = 1 << 12  # DC: unaligned accesses are allowed with the MMU off
    for n, (word, _, _) in enumerate(ACCESSES):
        bench.put(CODE + 8 * n, [word, B_SELF])
    watched: tuple[range, int] = (range(0), 0)
    for kind, offset, what, mask in steps:
        address = DATA + offset
        if kind == "arm":
            assert isinstance(what, int)
            low = address >> mask << mask if mask else address & ~7
            control = 1 | 3 << 1 | what << 3 | 0xFF << 5 | mask << 24
            bench.arm([], [(low, control)])
            watched = (range(low, low + (1 << mask if mask else 8)), what)
        elif kind == "disarm":
            bench.arm()
            watched = (range(0), 0)
        else:
            assert isinstance(what, tuple)
            word, size, lsc = what
            bench.p.set_x(1, address)
            bench.p.pc = CODE + 8 * ACCESSES.index(what)
            touched = range(max(address, watched[0].start), min(address + size, watched[0].stop))
            hit = bool(touched) and bool(lsc & watched[1])
            assert bench.run(1) == (EXIT_EL2 if hit else EXIT_LIMIT), hex(word)
            if hit:
                assert bench.p.esr_el2 >> 26 == 0x34
                assert bench.p.far_el2 == touched.start


STORES = {
    "str w": 0xB9000020,  # str w0, [x1]
    "st1 element": 0x0D008020,  # st1 {v0.s}[0], [x1]
    "st1 whole": 0x0C007020,  # st1 {v0.8b}, [x1]
}


@pytest.mark.parametrize("name", STORES)
@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 127)), min_size=1, max_size=40))
def test_code_decoded_next_to_data_is_seen_when_it_is_overwritten(
    name: str, steps: list[tuple[bool, int]]
) -> None:
    """On one page: slots of 32 bytes, written as data and executed as code in any order."""
    bench = Bench()
    bench.p.set_sysreg(0xC082, 3 << 20)  # CPACR_EL1: FP allowed
    store = STORES[name]
    bench.put(CODE, [store, B_SELF])
    for slot in range(128):
        bench.put(DATA + 32 * slot, [0x91000442, B_SELF])  # add x2, x2, #1
    adds = dict.fromkeys(range(128), 1)
    for number, (write, slot) in enumerate(steps, start=2):
        if write:
            bench.p.pc = CODE
            bench.p.set_x(1, DATA + 32 * slot)
            add = 0x91000042 | number << 10  # add x2, x2, #number
            bench.p.set_x(0, add)
            bench.p.set_v(0, add | B_SELF << 32)
            bench.run(1)
            adds[slot] = number
        else:
            bench.p.pc = DATA + 32 * slot
            bench.p.set_x(2, 0)
            bench.run(5)
            assert bench.p.get_x(2) == adds[slot]


def test_writing_beside_running_code_drops_nothing() -> None:
    """A guest whose code and data share a page does not decode its code again and again."""
    bench = Bench([0x91000400, 0xF9000020, branch(-2)])  # add x0, x0, #1; str x0, [x1]
    bench.p.set_x(1, CODE + 0x800)
    bench.run(3000)
    statistics = bench.p.statistics()
    assert statistics["dropped"] == 0
    assert bench.u64(CODE + 0x800) == 1000


@pytest.mark.parametrize("offset", [0, 16, 2048, 4080])
@pytest.mark.parametrize("line", [0x040, 0x7C0, 0x800, 0xF00])
def test_code_in_a_line_that_was_plain(offset: int, line: int) -> None:
    """Memory need not begin where a page of the host does: a line's page is the guest's."""
    memory, host = PhysicalMemory(), mmap.mmap(-1, 0x20000)
    ram = memoryview(host)[offset : offset + 0x10000]
    memory.map(0, RAM, ram)
    p = Processor(memory)
    ram[:8] = struct.pack("<2I", 0xB9000020, B_SELF)  # str w0, [x1]

    def store(word: int) -> None:
        p.pc = RAM
        p.set_x(0, word)
        p.set_x(1, RAM + line)
        p.run(p.instructions + 2)

    ram[line + 4 : line + 8] = struct.pack("<I", B_SELF)
    for value in (1, 2, 3):
        store(movz(5, 0))  # data: the line is plain from now on
        store(movz(5, value))
        p.pc = RAM + line
        p.run(p.instructions + 2)
        assert p.get_x(5) == value


PAIRS = {
    "stp w": (0x29000C22, 4),
    "ldp w": (0x29401022, 4),
    "ldpsw": (0x69401022, 4),
    "stp x": (0xA9000C22, 8),
    "ldp x": (0xA9401022, 8),
    "stp w pre": (0x29800C22, 4),
    "ldp x post": (0xA8C01022, 8),
    "stp s": (0x2D000420, 4),
    "ldp s": (0x2D400420, 4),
    "stp d": (0x6D000420, 8),
    "ldp d": (0x6D400420, 8),
    "stp q": (0xAD000420, 16),
    "ldp q": (0xAD400420, 16),
    # structures, by their halves
    "st1": (0x4C007020, 8),
    "ld1": (0x4C407020, 8),
    "st2": (0x4C008020, 16),
    "ld2 single": (0x0D600020, 1),
}


@pytest.mark.parametrize("end", [64, 4096])
@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_whose_second_register_lies_behind_the_line(name: str, end: int) -> None:
    """The line, or the page, of its first register is plain; that of the second is watched."""
    word, size = PAIRS[name]
    bench = Bench([word, B_SELF])
    bench.p.set_sysreg(0xC082, 3 << 20)  # CPACR_EL1: FP allowed
    bench.p.hcr_el2 = 1 << 12

    def access(offset: int) -> int:
        bench.p.pc = CODE
        bench.p.set_x(1, DATA + offset)
        return bench.run(1)

    bench.arm([], [(DATA + end, 0x1FFF)])
    for _ in range(3):
        assert access(end - 2 * size) == EXIT_LIMIT
    for _ in range(2):
        assert access(end - size) == EXIT_EL2
        assert bench.p.esr_el2 >> 26 == 0x34
        assert bench.p.far_el2 == DATA + end
    assert access(end + 8) == EXIT_LIMIT
    bench.arm()
    assert access(end - size) == EXIT_LIMIT


@pytest.mark.parametrize("mask", [12, 13, 19, 20, 21, 22, 24, 31])
def test_a_watch_that_comes_reaches_all_of_its_pages(mask: int) -> None:
    """Pages in use before it was armed: the first of its range, the last, and those between."""
    size = 8 << 20
    bench = Bench([0xF9000020, B_SELF], size=size)  # str x0, [x1]
    low = RAM + size // 2 & ~((1 << mask) - 1)
    end = min(low + (1 << mask), RAM + size)
    step = max((end - low) // 8, 8)
    for address in {max(low, CODE + 0x1000), end - 8, *range(max(low, RAM + step), end, step)}:
        bench.arm()
        for control, expected in ((0, EXIT_LIMIT), (0x1FF7 | mask << 24, EXIT_EL2)):
            if control:
                bench.arm([], [(low, control)])
            bench.p.pc = CODE
            bench.p.set_x(1, address)
            assert bench.run(1) == expected, hex(address)
