"""The ELF loader with valid files, each kind of invalid file, and mutations of real files."""

import struct
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guestdbg.machine import ForeignError, LoadError, MalformedError, OverlapError, TruncatedError
from guestdbg.machine.loading import elf
from tests.machine.loading.elfs import PT_INTERP, make_elf, program_header

EXAMPLES = Path(__file__).parents[3] / "examples"
NOP = b"\x1f\x20\x03\xd5"


def test_a_segment_that_the_file_has_nothing_of_may_begin_behind_its_end() -> None:
    """Linkers may give a segment without file data an offset beyond the end of the file."""
    contents = bytearray(make_elf([(0x40200000, NOP), (0x4021FFE8, b"")], memory_sizes=[None, 64]))
    second = 64 + 56
    contents[second + 8 : second + 16] = (0xFFE8).to_bytes(8, "little")  # p_offset
    assert elf.parse(bytes(contents)).segments[1].memory_size == 64


def test_segments_and_entry() -> None:
    parsed = elf.parse(
        make_elf(
            [(0x40200000, NOP * 3), (0x40300000, b"data")],
            entry=0x40200008,
            memory_sizes=[None, 100],
        )
    )
    assert parsed.entry == 0x40200008
    assert [(s.physical, s.memory_size, s.data) for s in parsed.segments] == [
        (0x40200000, 12, NOP * 3),
        (0x40300000, 100, b"data"),
    ]


def test_physical_addresses_are_the_load_addresses() -> None:
    """A kernel linked for the upper half: entry point and segments are in RAM."""
    high = 0xFFFFFF8000000000
    parsed = elf.parse(
        make_elf([(0x40200000, NOP * 4)], virtuals=[high + 0x40200000], entry=high + 0x40200004)
    )
    assert parsed.entry == 0x40200004
    assert parsed.segments[0].virtual == high + 0x40200000


def test_physical_addresses_left_zero_mean_the_virtual_ones() -> None:
    parsed = elf.parse(make_elf([(0, NOP)], virtuals=[0x40200000], entry=0x40200000))
    assert parsed.segments[0].physical == parsed.entry == 0x40200000


def test_a_guest_of_ours() -> None:
    parsed = elf.parse((EXAMPLES / "mmu.elf").read_bytes())
    assert parsed.entry == 0x40200000
    assert {s.virtual >> 39 for s in parsed.segments} == {0, 0x1FFFFFF}
    assert all(0x40200000 <= s.physical < 0x40400000 for s in parsed.segments)


BAD: list[tuple[str, bytes, type[LoadError], str]] = [
    ("text", b"hello, world", ForeignError, "not an ELF file"),
    ("header cut", make_elf()[:50], TruncatedError, "50 bytes, but an ELF header has 64"),
    ("program headers cut", make_elf()[:100], TruncatedError, "program headers end at 120"),
    ("segment cut", make_elf()[:-1], TruncatedError, "segment 0 ends at"),
    ("32-bit", make_elf(elf_class=1), ForeignError, "32-bit ELF"),
    ("big-endian", make_elf(encoding=2), ForeignError, "big-endian"),
    ("x86-64", make_elf(machine=62), ForeignError, "an ELF for x86-64"),
    ("unheard of", make_elf(machine=4242), ForeignError, "machine number 4242"),
    ("object", make_elf(kind=1), ForeignError, r"relocatable object \(\.o\); link it"),
    ("core", make_elf(kind=4), ForeignError, "core dump"),
    ("strange type", make_elf(kind=9), MalformedError, "type 9"),
    ("nothing to load", make_elf(phnum=0), MalformedError, "no program headers"),
    ("wrong entry size", make_elf(phentsize=32), MalformedError, "program headers of 32 bytes"),
    ("too many", make_elf(phnum=0xFFFF), MalformedError, "65535 program headers"),
    ("headers far out", make_elf(phoff=1 << 63), TruncatedError, "program headers end at"),
    ("all empty", make_elf([(0x40200000, b"")]), MalformedError, "no loadable segment"),
    (
        "more in the file than in memory",
        make_elf(memory_sizes=[8]),
        MalformedError,
        "0x10 bytes in the file but room for only 0x8",
    ),
    (
        "round the end of memory",
        make_elf([((1 << 64) - 8, NOP * 2)], memory_sizes=[16]),
        MalformedError,
        "end of the address space",
    ),
    (
        "entry nowhere",
        make_elf(entry=0x1000),
        MalformedError,
        "entry point 0x1000 is not in a segment",
    ),
    ("entry odd", make_elf(entry=0x40200002), MalformedError, "not a multiple of 4"),
    (
        "entry odd once it is physical",
        make_elf([(0x40200001, NOP)], virtuals=[0x80200000], entry=0x80200000),
        MalformedError,
        r"physical 0x40200001\) is not a multiple of 4",
    ),
    (
        "overlapping",
        make_elf([(0x40200000, NOP * 4), (0x4020000C, NOP)]),
        OverlapError,
        "segment 0 .* and segment 1 .* overlap",
    ),
    (
        "overlapping by .bss",
        make_elf([(0x40201000, NOP), (0x40200000, NOP)], memory_sizes=[None, 0x1001]),
        OverlapError,
        "segment 1 .* and segment 0",
    ),
    (
        "a program for Linux",
        make_elf(extra_headers=[program_header(0, b"", kind=PT_INTERP)]),
        ForeignError,
        "dynamic linker",
    ),
]


@pytest.mark.parametrize(
    ("contents", "error", "message"), [pytest.param(*bad[1:], id=bad[0]) for bad in BAD]
)
def test_bad_files_say_what_is_wrong(contents: bytes, error: type[LoadError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        elf.parse(contents, "guest.elf")
    assert str(caught.value).startswith("guest.elf: ")


def mutated(base: bytes) -> st.SearchStrategy[bytes]:
    """``base`` with bytes changed (mostly in its headers), and perhaps truncated or extended."""
    places = st.one_of(st.integers(0, 63), st.integers(64, 63 + 56 * 5), st.integers(0, 4000))
    patches = st.lists(st.tuples(places, st.binary(min_size=1, max_size=8)), min_size=1, max_size=6)

    def apply(patches: list[tuple[int, bytes]], length: int | None, tail: bytes) -> bytes:
        changed = bytearray(base)
        for at, data in patches:
            changed[at : at + len(data)] = data
        return bytes(changed[:length]) + tail

    lengths = st.one_of(st.none(), st.integers(0, 400), st.integers(0, len(base)))
    return st.builds(apply, patches, lengths, st.binary(max_size=8))


BASES = [make_elf(), *((EXAMPLES / name).read_bytes() for name in ("hello.elf", "mmu.elf"))]


@settings(max_examples=600, deadline=None)
@given(st.one_of([mutated(base) for base in BASES]))
@example(make_elf(phnum=0xFFFE) + bytes(56 * 0xFFFE))
def test_no_file_does_more_than_raise_a_load_error(contents: bytes) -> None:
    try:
        parsed = elf.parse(contents)
    except LoadError:
        return
    # If the file is accepted, the result is consistent.
    assert parsed.entry % 4 == 0
    ends = 0
    for segment in sorted(parsed.segments, key=lambda segment: segment.physical):
        assert ends <= segment.physical
        ends = segment.end
        assert ends <= 1 << 64
        assert len(segment.data) <= segment.memory_size
    assert any(s.physical <= parsed.entry < s.end for s in parsed.segments)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, (1 << 64) - 1), min_size=7, max_size=7), st.integers(0, 7))
def test_any_program_header(fields: list[int], kind: int) -> None:
    """All seven fields of a program header at random, small and huge."""
    contents = bytearray(make_elf())
    contents[64:120] = struct.pack("<IIQQQQQQ", kind, fields[0] & 7, *fields[1:])
    try:
        parsed = elf.parse(bytes(contents))
    except LoadError:
        return
    assert all(s.end <= 1 << 64 for s in parsed.segments)
