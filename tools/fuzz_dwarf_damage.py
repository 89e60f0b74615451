"""What is made wrong in debug information, and more of something than any compiler writes.

Chains and rings of references, deep nesting, tables at many offsets, long line programs, numbers
without end.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping

from fuzz_dwarf import Attribute, Die, Program, uleb

_WITH_CODE = ("inlined", "lexical_block", "subprogram", "compile_unit")


def _nothing(program: Program) -> None:
    """Valid, with unusual forms."""


def _without(die: Die, *names: str) -> list[Attribute]:
    return [attribute for attribute in die.attributes if attribute[0] not in names]


def _all_entries(top: Die) -> list[Die]:
    found, waiting = [], [top]
    while waiting:
        die = waiting.pop()
        found.append(die)
        waiting += die.children
    return found


def _rings(program: Program) -> None:
    """References to themselves, to their parents, to each other."""
    rng = program.rng
    entries = _all_entries(program.top)
    for _ in range(rng.randrange(1, 12)):
        die = rng.choice(entries)
        name = rng.choice(("type", "abstract_origin", "specification", "sibling", "import"))
        target = rng.choice((die, rng.choice(entries), rng.choice(entries)))
        die.attributes = _without(die, name)
        die.attributes.append((name, rng.choice(("ref4", "ref_addr")), target))


def _deep(program: Program) -> None:
    """Entries inside each other."""
    rng = program.rng
    tag = rng.choice(("lexical_block", "inlined", "namespace", "structure", "subprogram", "union"))
    at, size = program.symbols["act"]
    die = rng.choice((program.types["act"], program.top, program.types["node"]))
    name = program.string("name", "deep")
    for _ in range(program.size):
        attributes = [name]
        if tag in ("lexical_block", "inlined", "subprogram"):
            attributes += [("low_pc", "addr", at), ("high_pc", "data4", size)]
        if tag == "inlined":
            attributes.append(("abstract_origin", "ref4", program.types["scaled"]))
        die = die.add(tag, *attributes)
    die.add(
        "variable", program.string("name", "innermost"), program.ref("type", program.types["int"])
    )


def _chain(program: Program) -> None:
    """Types of types of types; structures in structures; origins of origins."""
    rng = program.rng
    how = rng.choice(("typedef", "pointer", "const", "array", "structure", "subprogram"))
    last = program.types["int" if how != "subprogram" else "scaled"]
    for number in range(program.size):
        if how == "structure":
            new = program.top.add(
                "structure", program.string("name", f"s{number}"), ("byte_size", "data4", 4)
            )
            for member in ("a", "b")[: rng.choice((1, 2))]:
                new.add(
                    "member",
                    ("name", "string", member if rng.random() < 0.3 else ""),
                    ("type", "ref4", last),
                    ("data_member_location", "data1", 0),
                )
        elif how == "subprogram":
            new = program.top.add("subprogram", ("abstract_origin", "ref4", last))
        elif how == "array":
            new = program.top.add("array", ("type", "ref4", last))
            new.add("subrange", ("count", "data8", rng.choice((1, 2, 1 << 40))))
        else:
            new = program.top.add(how, ("name", "string", "t"), ("type", "ref4", last))
        last = new
    for die in _all_entries(program.top):
        if die.tag in ("variable", "formal_parameter") and how != "subprogram":
            die.attributes = [
                ("type", "ref4", last) if a[0] == "type" else a for a in die.attributes
            ]
        elif die.tag == "inlined" and how == "subprogram":
            die.attributes[0] = ("abstract_origin", "ref4", last)


def _counts(program: Program) -> None:
    """Sizes and counts that nothing has."""
    rng = program.rng
    huge = (0, -1, 1 << 31, 1 << 32, 1 << 40, 1 << 61, (1 << 63) - 1, -(1 << 63), 3, 255)
    names = (
        "byte_size", "upper_bound", "count", "bit_size", "data_member_location", "call_file",
        "data_bit_offset", "call_line", "high_pc", "low_pc", "encoding", "stmt_list", "ranges",
        "str_offsets_base", "addr_base", "loclists_base", "rnglists_base", "entry_pc",
    )  # fmt: skip
    for die in rng.choices(_all_entries(program.top), k=rng.randrange(1, 20)):
        name = rng.choice([a[0] for a in die.attributes if a[0] in names] or names)
        die.attributes = _without(die, name)
        form = (
            "sec_offset" if name.endswith("_base") or name in ("stmt_list", "ranges") else "data8"
        )
        die.attributes.append((name, form, rng.choice(huge)))


def _expressions(program: Program) -> None:
    """Location expressions that loop, need a deep stack, are long, or are nonsense."""
    rng = program.rng
    size = min(program.size * 10, 30_000)
    code = rng.choice((
        b"\x30\x12\x2f\xfd\xff", b"\x2f\xfd\xff", b"\x30" * size, b"\x12" * size,
        b"\x30" + b"\x94\x08\x06" * size, b"\xa3\x02\x50\x9f", b"\x91\x00", b"\x9c", b"\x9c\x06",
        b"\x99" + bytes(4), b"\x9a" + bytes(4), b"\x30\x31\x1b", b"\x30\x30\x1d",
        b"\x93\x01" * size, b"\x9e" + uleb(1 << 40) + b"x", b"\x50\x93" + uleb(1 << 60),
        b"\x90" + uleb(1 << 40), b"\x92" + uleb(1 << 40) + b"\0", b"\xa1" + uleb(1 << 40),
        b"\x9d" + uleb(1 << 60) + uleb(1 << 60), b"\xa8\x00", b"\xa5\x00\x01", b"\xe0",
        b"\xa3\x7f", b"\xa3" + uleb(1 << 50), b"\x97", b"\xa0" + bytes(5), b"\xf2" + bytes(5),
        b"\x10" + b"\x80" * size + b"\1", b"\xa3\x04\xa3\x02\x50\x9f\x9f", b"\x30\x28\xfc\xff",
        b"", rng.randbytes(40),
    ))  # fmt: skip
    entries = _all_entries(program.top)
    for die in entries:
        for number, (name, form, _) in enumerate(die.attributes):
            if form == "exprloc" and rng.random() < 0.5:
                die.attributes[number] = (name, form, code)


def _huge_lists(program: Program) -> None:
    """Range and location lists of many entries, of entries that cover all, without an end."""
    rng = program.rng
    at, size = program.symbols["act"]
    lists, ranges, v5 = program.lists, program.ranges, program.version >= 5
    place, range_place = (12 if v5 else 0) + len(lists), (12 if v5 else 0) + len(ranges)
    count = program.size
    code = b"\x50"
    if v5:
        kind = rng.randrange(4)
        entry = (b"\x08" + struct.pack("<Q", at) + uleb(size) + b"\1" + code, b"\x06" + bytes(8),
                 b"\x04\0" + uleb(1 << 40) + b"\1" + code, b"\x05\1" + code)[kind]  # fmt: skip
        lists += entry * count
        ranges += rng.choice((b"\x05" + bytes(8), b"\x07" + struct.pack("<Q", at) + uleb(size),
                              b"\x04\0" + uleb(1 << 60), b"\x01\xff\xff\x03")) * count  # fmt: skip
    else:
        base = struct.pack("<QQ", (1 << 64) - 1, at)
        lists += rng.choice((struct.pack("<QQH", 0, 1 << 60, 1) + code, base)) * count
        ranges += rng.choice((struct.pack("<QQ", 0, 1 << 60), base)) * count
    if rng.random() < 0.7:
        lists += bytes(18)
        ranges += bytes(16)
    for die in _all_entries(program.top):
        if die.tag in ("formal_parameter", "variable") and rng.random() < 0.5:
            die.attributes = _without(die, "location")
            die.attributes.append(("location", "sec_offset", place))
        elif die.tag in _WITH_CODE and rng.random() < 0.5:
            die.attributes = _without(die, "low_pc", "high_pc", "ranges")
            die.attributes.append(("ranges", "sec_offset", range_place))
    # Many entries that all use the same list.
    for _ in range(min(count, 500)):
        program.types["act"].add("lexical_block", ("ranges", "sec_offset", range_place))


def _many(program: Program) -> None:
    """Many entries of one kind."""
    rng = program.rng
    at, size = program.symbols["act"]
    parent = rng.choice((program.top, program.types["act"], program.types["node"]))
    tag = rng.choice(("variable", "member", "lexical_block", "inlined", "subprogram", "enumerator"))
    name = rng.choice(("scaled", "counter", "x" * 500, "act"))
    for number in range(program.size):
        die = parent.add(tag, ("name", "strp", name if rng.random() < 0.5 else f"n{number}"))
        if tag in ("lexical_block", "inlined", "subprogram"):
            die.attributes += [("low_pc", "addr", at), ("high_pc", "data4", size)]
        if tag == "inlined":
            die.attributes[0] = ("abstract_origin", "ref4", program.types["scaled"])
        elif tag in ("variable", "member"):
            die.attributes.append(("type", "ref4", rng.choice(list(program.types.values()))))


def _wide(program: Program) -> None:
    """Entries that take a byte each, and have more attributes than there are."""
    wide = [("call_line", "implicit_const", n) for n in range(program.size)]
    if program.version < 5:
        wide = [("external", "flag_present", 1)] * program.size
    parent = program.rng.choice((program.top, program.types["act"]))
    parent.add("lexical_block", *wide).times = program.size


def _long_names(program: Program) -> None:
    """Entries that share one long name, or the ends of one."""
    text = "n" * min(program.size * 20, 50_000)
    shared = program.rng.random() < 0.5
    parent = program.rng.choice((program.top, program.types["act"], program.types["node"]))
    tag = program.rng.choice(("variable", "member", "subprogram", "typedef"))
    for number in range(program.size):
        name = text if shared else text[number:]
        parent.add(tag, ("name", "strp", name), ("type", "ref4", program.types["int"]))


#: What is made wrong, by its name; those without a function of their own are made elsewhere.
_PATHOLOGIES: dict[str, Callable[[Program], None]] = {
    "none": _nothing,
    "rings": _rings,
    "deep nesting": _deep,
    "long chains": _chain,
    "counts": _counts,
    "expressions": _expressions,
    "huge lists": _huge_lists,
    "many entries": _many,
    "wide entries": _wide,
    "long names": _long_names,
    "many units": _nothing,
    "many tables": _nothing,
    "long lines": _nothing,
    "frames": _nothing,
}
PATHOLOGIES = tuple(_PATHOLOGIES)


def program(rng: random.Random, symbols: Mapping[str, tuple[int, int]], pathology: str) -> Program:
    """The debug information of a guest with one of the pathologies."""
    return Program(rng, symbols, pathology, _PATHOLOGIES[pathology])
