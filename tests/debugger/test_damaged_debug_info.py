"""Debug information that is small and asks for a lot, or leads nowhere: what comes of it."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guestdbg.debugger import BadImage, Image
from guestdbg.debugger.program import dwarf_entries
from guestdbg.debugger.program.code_ranges import Ranges
from guestdbg.debugger.program.local_variables.type_size import type_size

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import fuzz_file_cases  # noqa: E402
from fuzz_dwarf import Die, Program  # noqa: E402
from fuzz_elf import Elf  # noqa: E402

Damage = Callable[[Program], None]


def image(tmp_path: Path, damage: Damage, *, version: int = 5) -> Image:
    """A guest with debug information as the cases of the fuzzer have it, and what is made wrong."""
    name = "dwarf5"
    elf = Elf.parse((fuzz_file_cases.GUESTS / f"{name}.elf").read_bytes())
    kept = elf.without_debug_info()
    seed = next(
        s
        for s in range(100)
        if (p := Program(random.Random(s), elf.symbols())).version == version
        and not p.writer.longest_number
    )
    for section, contents in (
        Program(random.Random(seed), elf.symbols(), "none", damage).make().items()
    ):
        kept.put(section, contents)
    path = tmp_path / "guest.elf"
    path.write_bytes(kept.build())
    return Image(path)


def entry(found: Image, name: str) -> Any:
    """The entry of a variable of that name, at the top of its unit."""
    dwarf = found._dwarf
    assert dwarf is not None
    for unit in dwarf.iter_CUs():
        for die in dwarf_entries.children(unit.get_top_DIE(), set()):
            if die.tag == "DW_TAG_variable" and dwarf_entries.name(die) == name:
                return die
    raise AssertionError(name)


def test_siblings_that_lead_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """pyelftools follows them for ever."""

    def damage(program: Program) -> None:
        act = program.types["act"]
        act.attributes.append(("sibling", "ref4", program.types["int"]))

    found = image(tmp_path, damage)
    begun = time.process_time()
    assert found.scopes.named("act")
    assert found.scopes.named("scaled")
    assert time.process_time() - begun < 1
    assert not caplog.records, "such a reference is not needed"


def test_names_of_what_is_nested_deeply(tmp_path: Path) -> None:
    def damage(program: Program) -> None:
        die = program.top
        for number in range(3000):
            die = die.add("namespace", ("name", "string", f"n{number}"))
        at, size = program.symbols["act"]
        die.add(
            "subprogram",
            ("name", "string", "inner"),
            ("low_pc", "addr", at),
            ("high_pc", "data4", size),
        )

    (block,) = image(tmp_path, damage).scopes.named("inner")
    assert block.name is not None
    assert block.name.endswith("::n2998::n2999::inner")


def test_a_long_name_that_many_entries_share(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One string, read once; but the ends of a string are as many strings."""

    def shared(program: Program) -> None:
        for _ in range(3000):
            program.top.add("typedef", ("name", "strp", "n" * 50_000))

    assert image(tmp_path, shared).scopes.named("act")
    assert not caplog.records

    def ends(program: Program) -> None:
        for number in range(600):
            program.top.add("typedef", ("name", "strp", ("n" * 50_000)[number:]))

    assert not image(tmp_path, ends).scopes.named("act")
    (record,) = caplog.records
    assert "guest.elf" in record.getMessage()
    assert "far longer than" in record.getMessage()


def test_an_abbreviation_of_very_many_attributes(tmp_path: Path) -> None:
    """They take no byte in an entry, and an entry of one byte would have all of them."""

    def damage(program: Program) -> None:
        wide = program.top.add("lexical_block", *[("external", "flag_present", 1)] * 1000)
        wide.times = 30_000

    found = image(tmp_path, damage)
    with pytest.raises(BadImage, match=r"guest\.elf is damaged: an abbreviation has 2\d{3} bytes"):
        found.scopes.named("act")
    with pytest.raises(BadImage, match="an abbreviation has"):
        found.check_debug_info()


def test_many_entries_that_share_a_range_list(tmp_path: Path) -> None:
    def damage(program: Program) -> None:
        at, _size = program.symbols["act"]
        place = 12 + len(program.ranges)
        program.ranges += (b"\x07" + at.to_bytes(8, "little") + b"\x04") * 4000 + b"\0"
        for _ in range(1000):
            program.types["act"].add("lexical_block", ("ranges", "sec_offset", place))

    found = image(tmp_path, damage)
    begun = time.process_time()
    blocks = found.scopes.at(found.scopes.named("act")[0].entry)
    assert time.process_time() - begun < 2
    assert [block.kind for block in blocks] == ["lexical", "function"]


def test_range_lists_that_overlap(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each begins an entry later than the one before."""

    def damage(program: Program) -> None:
        at, _size = program.symbols["act"]
        place = 12 + len(program.ranges)
        program.ranges += (b"\x07" + at.to_bytes(8, "little") + b"\x04") * 4000 + b"\0"
        for number in range(1000):
            program.types["act"].add("lexical_block", ("ranges", "sec_offset", place + 10 * number))

    found = image(tmp_path, damage)
    begun = time.process_time()
    found.scopes.named("scaled")
    assert time.process_time() - begun < 2
    assert "the range lists overlap" in caplog.text


def test_ranges() -> None:
    found = Ranges([(10, 20), (5, 7), (15, 30), (40, 40), (50, 60)])
    covered = {n for n in range(100) if found.covers(n)}
    assert covered == {*range(5, 7), *range(10, 30), *range(50, 60)}
    assert not Ranges().covers(0)


def test_a_variable_of_terabytes_in_a_register(tmp_path: Path) -> None:
    """drgn would make room for its value."""

    def damage(program: Program) -> None:
        array = program.top.add("array", ("type", "ref4", program.types["int"]))
        array.add("subrange", ("count", "data8", 1 << 40))
        array.add("subrange", ("upper_bound", "data1", 1))
        alias = program.top.add("typedef", program.string("name", "huge"), ("type", "ref4", array))
        for name, type_ in (("big", alias), ("small", program.types["u32"])):
            program.top.add("variable", program.string("name", name), ("type", "ref4", type_))

    found = image(tmp_path, damage)
    assert type_size(entry(found, "big")) == 8 << 40
    assert type_size(entry(found, "small")) == 4
    assert type_size(entry(found, "head")) == 8
    assert type_size(entry(found, "nodes")) == 4 * 56


def test_types_in_a_ring(tmp_path: Path) -> None:
    def damage(program: Program) -> None:
        one, other = Die("typedef"), Die("typedef")
        one.attributes.append(("type", "ref4", other))
        other.attributes.append(("type", "ref4", one))
        program.top.children += [one, other]
        program.top.add("variable", program.string("name", "ring"), ("type", "ref4", one))

    found = image(tmp_path, damage)
    with pytest.raises(ValueError, match="nested too deeply"):
        type_size(entry(found, "ring"))


def test_units_that_share_a_line_table(tmp_path: Path) -> None:
    """As those of types do: they have none of their own. All others are read once."""

    def damage(program: Program) -> None:
        program.pathology = "many units"
        program.size = 2000

    found = image(tmp_path, damage)
    begun = time.process_time()
    assert found.lines.files == ["made.c"]
    assert time.process_time() - begun < 3


def test_the_message_has_the_file_and_the_cause(tmp_path: Path) -> None:
    pytest.importorskip("drgn", reason="drgn is not installed")
    from guestdbg.debugger.program.drgn_program import DrgnProgram

    def no_memory(address: int, length: int) -> bytes:
        raise AssertionError

    found = image(tmp_path, lambda program: None)
    elf = Elf.parse(found.contents)
    section = elf.section(".debug_info")
    assert section is not None
    section.contents = section.contents[:40] + b"\xff" * 40 + section.contents[80:]
    found.path.write_bytes(elf.build())
    with pytest.raises(BadImage, match=r"debug information of .*guest\.elf is damaged: \S"):
        DrgnProgram(no_memory, [Image(found.path)]).evaluate("head")
