"""Which pages a guest, its processors, devices and userspace wrote: by several readers at once."""

from __future__ import annotations

import mmap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

from guestdbg.cpu.processor import EXIT_LIMIT, DirtyPages, PhysicalMemory, Processor

from .processor_features import LSE
from .support import RAM

PAGES = 1100  # more than two chunks
SIZE = PAGES * 4096
CODE = RAM + 0x1000

#: Instructions that store to [x1], and how many bytes.
STORES = {
    0xF9000020: 8,  # str x0, [x1]
    0x39000020: 1,  # strb w0, [x1]
    0xA9000C22: 16,  # stp x2, x3, [x1]
    0xF8000820: 8,  # sttr x0, [x1]
    0x3D800020: 16,  # str q0, [x1]
    0x4C002020: 64,  # st1 {v0.16b-v3.16b}, [x1]
    0xF8208022: 8,  # swp x0, x2, [x1]
    0xC89FFC20: 8,  # stlr x0, [x1]
    0xD50B7421: 64,  # dc zva, x1
}
LOAD = 0xF9400022  # ldr x2, [x1]
FAILS = 0xC8037C20  # stxr w3, x0, [x1]: the monitor is not open


def pages_of(runs: list[tuple[int, int]]) -> set[int]:
    found = [n for first, count in runs for n in range(first, first + count)]
    assert found == sorted(set(found))
    return set(found)


class Rig:
    def __init__(self) -> None:
        self.memory = PhysicalMemory()
        self.ram = mmap.mmap(-1, SIZE)
        self.memory.map(0, RAM, self.ram)
        words = [*STORES, LOAD, FAILS]
        self.at = {word: CODE + 4 * n for n, word in enumerate(words)}
        start = CODE - RAM
        code = b"".join(word.to_bytes(4, "little") for word in words)
        self.ram[start : start + len(code)] = code
        self.processors = [Processor(self.memory, identification=LSE) for _ in range(2)]
        for p in self.processors:
            p.cptr_el2 = 0
            p.set_sysreg(0xC082, 3 << 20)  # CPACR_EL1: FP allowed
            p.hcr_el2 = 1 << 12  # DC: unaligned accesses are allowed with the MMU off

    def execute(self, processor: int, word: int, offset: int) -> None:
        p = self.processors[processor]
        p.set_x(0, 0x1234)
        p.set_x(1, RAM + offset)
        p.pc = self.at[word]
        assert p.run(p.instructions + 1) == EXIT_LIMIT
        assert p.pc == self.at[word] + 4


offsets = st.one_of(
    st.sampled_from([3, 511, 512, 513, 1023, 1024, PAGES - 2]), st.integers(2, PAGES - 2)
).flatmap(lambda page: st.sampled_from([0, 8, 0xFC0, 0xFF8]).map(lambda at: page * 4096 + at))
stores = st.tuples(st.just("store"), st.integers(0, 1), st.sampled_from([*STORES]), offsets)
others = st.tuples(st.just("other"), st.integers(0, 1), st.sampled_from([LOAD, FAILS]), offsets)
outside = st.tuples(st.just("outside"), st.integers(1, 9000), st.just(0), offsets)
reads = st.tuples(st.just("read"), st.integers(0, 2), st.just(0), st.just(0))
opens = st.tuples(st.just("open"), st.integers(0, 2), st.just(0), st.just(0))
watches = st.tuples(st.just("watch"), st.integers(0, 1), st.just(0), offsets)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(stores, stores, stores, others, outside, reads, reads, opens, watches),
        max_size=40,
    )
)
def test_every_reader_is_given_what_was_written(steps: list[tuple[str, int, int, int]]) -> None:
    rig = Rig()
    readers: dict[int, tuple[DirtyPages, set[int]]] = {}
    for kind, which, word, offset in steps:
        if kind == "open":
            if which in readers:
                readers.pop(which)[0].close()
            readers[which] = DirtyPages(rig.memory, 0, which == 2), set()
        elif kind == "read" and which in readers:
            reader, expected = readers[which]
            assert pages_of(reader.pages()) == expected
            expected.clear()
        elif kind == "watch":
            # Watched pages take the slow path or the line table; nothing stops, as MDE is not set
            # for these addresses: the watchpoint is for EL0 only.
            p = rig.processors[which]
            count = p.watchpoints
            wcr = [1 | 2 << 1 | 3 << 3 | 0xFF << 5] + [0] * (count - 1)
            wvr = [RAM + (offset & ~7)] + [0] * (count - 1)
            zeros = [0] * p.breakpoints
            p.load_debug(zeros, zeros, wcr, wvr)
            p.mdscr_el1 = 1 << 15
        elif kind == "outside":
            length = min(which, SIZE - offset)
            rig.memory.written(RAM + offset, length)
            for number, (_, expected) in readers.items():
                if number != 2:
                    expected |= set(range(offset >> 12, (offset + length - 1 >> 12) + 1))
        elif kind in ("store", "other"):
            size = STORES.get(word, 8)
            if word in (0xF8208022, 0xC89FFC20, 0xD50B7421):
                offset &= -size
            rig.execute(which, word, offset)
            if kind == "store":
                for _, expected in readers.values():
                    expected |= {offset >> 12, offset + size - 1 >> 12}
    for reader, expected in readers.values():
        assert pages_of(reader.pages()) == expected
        assert reader.pages() == []


def test_two_slots_with_the_same_memory() -> None:
    """The other slot's page was written, too: for a reader of the guest's stores, from outside."""
    rig = Rig()
    rig.memory.map(1, 0x9000_0000, memoryview(rig.ram)[0x3000:0x9000])
    first, second = DirtyPages(rig.memory, 0), DirtyPages(rig.memory, 1)
    guest = DirtyPages(rig.memory, 1, guest_only=True)
    rig.execute(0, 0xF9000020, 0x5008)
    assert (first.pages(), second.pages(), guest.pages()) == ([(5, 1)], [(2, 1)], [])
    rig.memory.written(0x9000_0FFF, 2)
    assert (first.pages(), second.pages(), guest.pages()) == ([(3, 2)], [(0, 2)], [])


def test_the_slot_of_a_reader_goes_away() -> None:
    rig = Rig()
    more = mmap.mmap(-1, 0x4000)
    rig.memory.map(1, 0x9000_0000, more)
    reader = DirtyPages(rig.memory, 1)
    rig.memory.unmap(1)
    assert not reader.is_open
    with pytest.raises(ValueError, match="slot 1 is closed, or the slot was removed"):
        reader.pages()
    rig.memory.map(1, 0x9000_0000, more)
    assert not reader.is_open
    again = DirtyPages(rig.memory, 1)
    reader.close()
    rig.memory.written(0x9000_1000, 1)
    assert again.pages() == [(1, 1)]
    with pytest.raises(ValueError, match="slot 5 is not in use"):
        DirtyPages(rig.memory, 5)


def test_a_range_may_reach_beyond_memory() -> None:
    rig = Rig()
    reader = DirtyPages(rig.memory, 0)
    rig.memory.written(0, 1 << 63)
    assert reader.pages() == [(0, PAGES)]
    rig.memory.written((1 << 64) - 1, (1 << 64) - 1)
    rig.memory.written(RAM, 0)
    assert reader.pages() == []
