"""Files with very much debug information, as a kernel's, are read in another way.

What is found so is what is found by reading all: with small files, which both ways can read.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from guestdbg.debugger import InvalidLocation, UnknownLine
from guestdbg.debugger.program import call_frames, dwarf_entries, function_finder, line_files
from guestdbg.debugger.program.image import Image
from guestdbg.debugger.program.scopes import Block
from guestdbg.debugger.program.unit_scan import UnitScan, abbreviations

from .compiled import compiled, needs_gcc, needs_gxx
from .test_inlined_functions import SOURCES

pytestmark = needs_gcc

#: A function that is declared before, one that is static and extern "C" names that end alike.
MORE = """\
extern volatile int level;
void shift(int by);
static int ift(int by) { return by + level; }
__attribute__((noinline)) void shift(int by) { level = ift(by) + ift(by + 1); }
void (*volatile shifted)(int) = shift;
"""
FLAGS = [["-gdwarf-4"], ["-gdwarf-5"], ["-gdwarf-5", "-fpatchable-function-entry=2"]]


@pytest.fixture(scope="module", params=range(len(FLAGS)), ids=lambda n: FLAGS[n][-1])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("large")
    return compiled(directory, SOURCES | {"more.c": MORE}, ["-g", *FLAGS[request.param]])


@pytest.fixture
def images(program: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Image, Image]:
    """The same file: read as a whole, and as one with very much debug information."""
    whole = Image(program)
    whole.check_debug_info()
    assert whole.lines
    assert whole.scopes._finder is None
    for module in (function_finder, line_files):
        monkeypatch.setattr(module, "LARGE", 0)
    monkeypatch.setattr(call_frames, "_LARGE", 0)
    large = Image(program)
    assert large.scopes._finder is not None
    assert large.lines._index is not None
    return whole, large


def described(blocks: list[Block]) -> list[tuple[str, str | None, int, object]]:
    return [(block.kind, block.name, block.entry, block.call) for block in blocks]


def test_functions_by_name(images: tuple[Image, Image]) -> None:
    whole, large = images
    kinds = set()
    for name in ("lift", "bottom", "work", "elsewhere", "main", "shift", "ift", "level", "none"):
        expected = described(whole.scopes.named(name))
        assert described(large.scopes.named(name)) == expected, name
        kinds |= {kind for kind, *_ in expected}
    assert kinds == {"function", "inlined"}


def test_functions_by_address(images: tuple[Image, Image]) -> None:
    whole, large = images
    for start, end in whole.segments:
        for address in range(start, end, 4):
            expected = described(whole.scopes.at(address))
            assert described(large.scopes.at(address)) == expected, hex(address)


def test_lines_by_file(images: tuple[Image, Image], program: Path) -> None:
    whole, large = images
    for file in ("one.c", "two.c", "more.c", "start.S"):
        for line in range(1, 40):
            try:
                expected = whole.lines.addresses(file, line)
            except UnknownLine:
                with pytest.raises(UnknownLine, match="has no code"):
                    large.lines.addresses(file, line)
                continue
            assert large.lines.addresses(file, line) == expected
    with pytest.raises(UnknownLine, match=r"no code from a source file named 'ones\.c'"):
        large.lines.addresses("ones.c", 1)


def test_call_frames(images: tuple[Image, Image]) -> None:
    whole, large = images
    assert len(large.frames) == len(whole.frames)
    for start, end in whole.segments:
        for address in range(start, end, 4):
            assert large.frames.cfa(address) == whole.frames.cfa(address)


def test_an_image_that_moves(images: tuple[Image, Image]) -> None:
    _, image = images
    address = image.symbols.find("work").address + 8  # after the NOPs, if there are any
    line, scopes = image.lines.at(address), described(image.scopes.at(address))
    moved = image.moved(0x1000_0000)
    assert moved.symbols.find("work").address == address + 0x1000_0000 - 8
    assert moved.symbols.at(address + 0x1000_0004).name == "work"
    assert moved.symbols.at(address) is None
    assert [s.name for s in moved.symbols.starting_at(address + 0x0FFF_FFF8)] == ["work"]
    assert moved.covers(address + 0x1000_0000)
    assert not moved.covers(address)
    row = moved.lines.at(address + 0x1000_0000)
    assert (row.file, row.line, row.start) == (line.file, line.line, line.start + 0x1000_0000)
    there = described(moved.scopes.at(address + 0x1000_0000))
    assert there == [(k, n, entry + 0x1000_0000, call) for k, n, entry, call in scopes]
    assert moved.frames.cfa(address + 0x1000_0000) == image.frames.cfa(address)
    back = moved.moved(0)
    assert back.symbols.find("work") == image.symbols.find("work")


def test_too_many_copies(images: tuple[Image, Image], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guestdbg.debugger.program.scopes._MAX_INLINED", 10)
    with pytest.raises(InvalidLocation, match=r"'lift' is in \d functions, .* name a line"):
        images[1].scopes.named("lift")
    monkeypatch.setattr("guestdbg.debugger.program.line_table._MAX_READ", 10)
    with pytest.raises(InvalidLocation, match=r"'one\.h' has code in up to|name a function"):
        images[1].lines.addresses("one.c", 3)


@needs_gxx
def test_functions_in_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions of C++ are read as in small files."""
    source = """\
namespace drv { struct Port { int n; __attribute__((noinline)) int get() { return n; } }; }
volatile int seen;
int main() { drv::Port port{3}; seen = port.get(); return 0; }
"""
    path = compiled(tmp_path, {"port.cpp": source})
    whole = Image(path)
    address = next(s for s in whole.symbols if "get" in s.name).address
    monkeypatch.setattr(function_finder, "LARGE", 0)
    large = Image(path)
    assert described(large.scopes.at(address)) == described(whole.scopes.at(address)) != []


def test_where_entries_begin(program: Path) -> None:
    image = Image(program)
    image.check_debug_info()
    dwarf = image._dwarf
    assert dwarf is not None
    info = dwarf.debug_info_sec.stream.getvalue()
    abbrev = dwarf.debug_abbrev_sec.stream.getvalue()
    for unit in dwarf.iter_CUs():
        top = unit.get_top_DIE()
        table = abbreviations(abbrev, unit["debug_abbrev_offset"])
        scan = UnitScan(info, unit, table, top.size)
        entries = list(dwarf_entries.children(top, set()))
        assert scan.starts == [die.offset for die in entries]
        assert scan.functions == [d.offset for d in entries if d.tag == "DW_TAG_subprogram"]
        for die in entries:
            is_function = die.tag == "DW_TAG_subprogram"
            assert scan.functions_at([die.offset]) == ({die.offset} if is_function else set())
        # Damaged: cut, and with each byte changed. It ends, with an error or without one.
        for at in range(unit.cu_die_offset + top.size, unit.cu_offset + unit.size):
            for change in (0x80, 0x7F):
                damaged = bytearray(info)
                damaged[at] ^= change
                try:
                    UnitScan(bytes(damaged), unit, table, top.size)
                except (ValueError, IndexError, KeyError):
                    continue


@pytest.mark.parametrize("table", [b"", b"\x01", b"\x01\x2e\x01\x03\x16\0\0\0", b"\xff" * 40])
def test_damaged_abbreviations(table: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        abbreviations(table, 0)
