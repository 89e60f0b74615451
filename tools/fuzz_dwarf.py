"""Debug information made from nothing: DWARF 4 and 5, with forms that no compiler writes together.

It describes the functions and variables of one of the guests in ``fuzz_guests``. What is made wrong
in it is in ``fuzz_dwarf_damage``.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

TAG = {
    "array": 0x01, "enumeration": 0x04, "formal_parameter": 0x05, "imported_declaration": 0x08,
    "lexical_block": 0x0B, "member": 0x0D, "pointer": 0x0F, "compile_unit": 0x11, "structure": 0x13,
    "subroutine": 0x15, "typedef": 0x16, "union": 0x17, "inlined": 0x1D, "subrange": 0x21,
    "base": 0x24, "const": 0x26, "enumerator": 0x28, "subprogram": 0x2E, "variable": 0x34,
    "namespace": 0x39, "imported_module": 0x3A, "partial_unit": 0x3C, "imported_unit": 0x3D,
    "type_unit": 0x41,
}  # fmt: skip
AT = {
    "sibling": 0x01, "location": 0x02, "name": 0x03, "byte_size": 0x0B, "bit_size": 0x0D,
    "stmt_list": 0x10, "low_pc": 0x11, "high_pc": 0x12, "language": 0x13, "comp_dir": 0x1B,
    "const_value": 0x1C, "inline": 0x20, "producer": 0x25, "upper_bound": 0x2F,
    "abstract_origin": 0x31, "count": 0x37, "data_member_location": 0x38, "decl_file": 0x3A,
    "decl_line": 0x3B, "declaration": 0x3C, "encoding": 0x3E, "external": 0x3F,
    "frame_base": 0x40, "specification": 0x47, "type": 0x49, "entry_pc": 0x52, "ranges": 0x55,
    "call_file": 0x58, "call_line": 0x59, "import": 0x18, "data_bit_offset": 0x6B,
    "linkage_name": 0x6E, "str_offsets_base": 0x72, "addr_base": 0x73, "rnglists_base": 0x74,
    "loclists_base": 0x8C, "signature": 0x69,
}  # fmt: skip
FORM = {
    "addr": 0x01, "block2": 0x03, "block4": 0x04, "data2": 0x05, "data4": 0x06, "data8": 0x07,
    "string": 0x08, "block": 0x09, "block1": 0x0A, "data1": 0x0B, "flag": 0x0C, "sdata": 0x0D,
    "strp": 0x0E, "udata": 0x0F, "ref_addr": 0x10, "ref1": 0x11, "ref2": 0x12, "ref4": 0x13,
    "ref8": 0x14, "ref_udata": 0x15, "indirect": 0x16, "sec_offset": 0x17, "exprloc": 0x18,
    "flag_present": 0x19, "strx": 0x1A, "addrx": 0x1B, "line_strp": 0x1F, "ref_sig8": 0x20,
    "implicit_const": 0x21, "loclistx": 0x22, "rnglistx": 0x23, "strx1": 0x25, "strx2": 0x26,
    "strx4": 0x28, "addrx1": 0x29, "addrx2": 0x2A, "addrx4": 0x2C,
}  # fmt: skip

#: An attribute: what it is, its form, its value. A reference's value is the entry.
Attribute = tuple[str, str, object]


def uleb(value: int, length: int = 0) -> bytes:
    """A ULEB128 number, in at least so many bytes."""
    out = bytearray()
    while value >= 0x80 or len(out) + 1 < length:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def sleb(value: int) -> bytes:
    """An SLEB128 number."""
    out = bytearray()
    while not -64 <= value < 64:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)
    return bytes(out)


@dataclass(eq=False)
class Die:
    """An entry. ``times``: it is written so often, if no attribute takes a byte in it."""

    tag: str
    attributes: list[Attribute] = field(default_factory=list)
    children: list[Die] = field(default_factory=list)
    offset: int = 0
    times: int = 1

    def add(self, tag: str, *attributes: Attribute) -> Die:
        child = Die(tag, list(attributes))
        self.children.append(child)
        return child


class Writer:
    """Writes a tree of entries, and collects what the entries refer to in other sections."""

    def __init__(self, rng: random.Random, version: int) -> None:
        self.rng = rng
        self.version = version
        self.abbreviations: dict[bytes, int] = {}
        self.abbrev = bytearray()
        self.strings, self.line_strings = bytearray(b"\0"), bytearray(b"\0")
        self._places: dict[tuple[bool, bytes], int] = {}
        self.addresses: list[int] = []
        self.string_offsets: list[int] = []
        self.longest_number = 0 if rng.random() < 0.9 else rng.choice((12, 300, 20_000))

    def number(self, value: int) -> bytes:
        """A ULEB128 number; sometimes one with far more bytes than it needs."""
        if self.longest_number and self.rng.random() < 0.02:
            return uleb(value, self.longest_number)
        return uleb(value)

    def unit(self, top: Die, at: int, abbrev_at: int = 0) -> bytes:
        """The unit that begins at ``at`` of .debug_info."""
        header = 12 if self.version >= 5 else 11
        # Twice: the first time finds out where the entries are.
        body = b""
        for _ in range(2):
            out = bytearray()
            self._entries(top, out, at + header, at)
            body = bytes(out)
        if self.version >= 5:
            rest = struct.pack("<HBBI", 5, 1, 8, abbrev_at)
        else:
            rest = struct.pack("<HIB", self.version, abbrev_at, 8)
        return struct.pack("<I", len(rest) + len(body)) + rest + body

    def _entries(self, top: Die, out: bytearray, base: int, unit: int) -> None:
        # Without recursion: the nesting may be deeper than Python's.
        waiting: list[Die | None] = [top]
        while waiting:
            die = waiting.pop()
            if die is None:
                out.append(0)
                continue
            die.offset = base + len(out)
            out += uleb(self._abbreviation(die)) * die.times
            for _, form, value in die.attributes:
                out += self._value(form, value, unit)
            if die.children:
                waiting.append(None)
                waiting += reversed(die.children)

    def _abbreviation(self, die: Die) -> int:
        text = uleb(TAG[die.tag]) + bytes([bool(die.children)])
        for name, form, value in die.attributes:
            text += uleb(AT[name]) + uleb(FORM[form])
            if form == "implicit_const":
                assert isinstance(value, int)
                text += sleb(value)
        text += b"\0\0"
        known = self.abbreviations.get(text)
        if known is None:
            known = self.abbreviations[text] = len(self.abbreviations) + 1
            self.abbrev += uleb(known) + text
        return known

    def _value(self, form: str, value: object, unit: int) -> bytes:
        if isinstance(value, Die):
            return self._reference(form, value, unit)
        if isinstance(value, str):
            return self._string(form, value.encode())
        if isinstance(value, bytes):
            if form in ("exprloc", "block"):
                return self.number(len(value)) + value
            width = {"block1": 1, "block2": 2, "block4": 4}[form]
            return len(value).to_bytes(width, "little") + value
        assert isinstance(value, int)
        return self._integer(form, value)

    def _reference(self, form: str, target: Die, unit: int) -> bytes:
        offset = target.offset if form == "ref_addr" else max(target.offset - unit, 0)
        if form == "ref_udata":
            # Always as long, so that the entries stay where they are.
            return uleb(offset, 5)
        width = {"ref_addr": 4, "ref2": 2, "ref4": 4, "ref8": 8}[form]
        return (offset & (1 << 8 * width) - 1).to_bytes(width, "little")

    def _string(self, form: str, text: bytes) -> bytes:
        if form == "string":
            return text + b"\0"
        where = self.line_strings if form == "line_strp" else self.strings
        at = self._places.get((form == "line_strp", text), -1)
        if at < 0:
            at = where.find(text + b"\0")
        if at < 0:
            at = len(where)
            where += text + b"\0"
        self._places[form == "line_strp", text] = at
        if form in ("strp", "line_strp"):
            return struct.pack("<I", at)
        if at not in self.string_offsets:
            self.string_offsets.append(at)
        return self._integer(form, self.string_offsets.index(at))

    def _integer(self, form: str, value: int) -> bytes:
        if form in ("flag_present", "implicit_const"):
            return b""
        if form.startswith("addrx"):
            if value not in self.addresses:
                self.addresses.append(value)
            value = self.addresses.index(value)
        if form in ("udata", "strx", "addrx", "loclistx", "rnglistx"):
            return self.number(value)
        if form == "sdata":
            return sleb(value)
        width = {
            "addr": 8, "data1": 1, "flag": 1, "data2": 2, "data4": 4, "data8": 8, "sec_offset": 4,
            "strx1": 1, "strx2": 2, "strx4": 4, "addrx1": 1, "addrx2": 2, "addrx4": 4,
            "ref_sig8": 8,
        }[form]  # fmt: skip
        return (value & (1 << 8 * width) - 1).to_bytes(width, "little")


class Program:
    """The debug sections for a guest, from a random generator; ``pathology`` is what is wrong.

    ``symbols`` are addresses and sizes by name. ``damage`` changes the entries before they are
    written; what is wrong in other sections, and in the units, is made here.
    """

    def __init__(
        self,
        rng: random.Random,
        symbols: Mapping[str, tuple[int, int]],
        pathology: str = "none",
        damage: Callable[[Program], None] = lambda program: None,
    ) -> None:
        self.damage = damage
        self.rng = rng
        self.version = rng.choice((4, 5))
        self.symbols = symbols
        self.pathology = pathology
        self.size = rng.choice((10, 10, 30, 30, 100, 100, 100, 300, 1000, 4000))
        self.writer = Writer(rng, self.version)
        self.top = Die("compile_unit")
        self.lists, self.ranges = bytearray(), bytearray()
        self.types: dict[str, Die] = {}
        self.writer.unit(Die("compile_unit"), 0)

    # ---- forms -------------------------------------------------------------------------------

    def string(self, name: str, text: str) -> Attribute:
        forms = ["string", "strp"]
        if self.version >= 5:
            # What drgn and pyelftools do not read of entries: rarely.
            forms += ["strx1", "strx", "strx2"]
            if self.rng.random() < 0.002:
                forms = ["line_strp", "strx4"]
        return name, self.rng.choice(forms), text

    def ref(self, name: str, target: Die) -> Attribute:
        return name, self.rng.choice(("ref4", "ref4", "ref_udata", "ref8", "ref_addr")), target

    def constant(self, name: str, value: int) -> Attribute:
        forms = ["data8", "sdata"]
        if value >= 0:
            forms.append("udata")
            forms += [
                f
                for f, bits in (("data1", 8), ("data2", 16), ("data4", 32))
                if value < 1 << bits - 1
            ]
        if self.version >= 5 and abs(value) < 1 << 62:
            forms.append("implicit_const")
        return name, self.rng.choice(forms), value

    def address(self, name: str, value: int) -> Attribute:
        forms = ["addr", "addrx", "addrx1"] if self.version >= 5 else ["addr"]
        return name, self.rng.choice(forms), value

    def expression(self, name: str, code: bytes) -> Attribute:
        return name, "exprloc", code

    # ---- what the guest has ------------------------------------------------------------------

    def make(self) -> dict[str, bytes]:
        """The sections by name."""
        top = self.top
        top.attributes += [
            self.string("name", "made.c"),
            self.string("producer", "fuzz"),
            ("language", "data2", 0x0C if self.rng.random() < 0.7 else 0x21),
            ("stmt_list", "sec_offset", 0),
        ]
        code = [self.symbols[n] for n in ("_start", "main", "act", "link_all")]
        low = min(at for at, _ in code)
        high = max(at + size for at, size in code)
        top.attributes += [self.address("low_pc", low), self.constant("high_pc", high - low)]
        if self.version >= 5:
            top.attributes += [
                ("str_offsets_base", "sec_offset", 8),
                ("addr_base", "sec_offset", 8),
                ("loclists_base", "sec_offset", 12),
                ("rnglists_base", "sec_offset", 12),
            ]
        self._types()
        self._variables()
        self._functions()
        self.damage(self)
        units = bytearray()
        for _ in range(self._leading_units()):
            units += self._empty_unit(len(units))
        units += self.writer.unit(top, len(units))
        for _ in range(self.size if self.pathology == "many units" else 0):
            units += self._empty_unit(len(units))
        return self._sections(bytes(units), low, high)

    def _leading_units(self) -> int:
        return self.rng.choice((0, 0, 1, 3))

    def _empty_unit(self, at: int) -> bytes:
        # Where a pathology has tables at many offsets, each unit uses another one.
        abbrev_at = 0
        if self.pathology in ("many tables", "many units"):
            abbrev_at = max(self.writer.abbrev.find(0, self.rng.randrange(4096)), 0)
        # The writer's first abbreviation is that of an empty unit.
        body = uleb(1) if self.rng.random() < 0.999 else self.rng.choice((b"\0", b"", b"\0\0"))
        if self.version >= 5:
            rest = struct.pack("<HBBI", 5, self.rng.choice((1, 1, 3)), 8, abbrev_at)
        else:
            rest = struct.pack("<HIB", 4, abbrev_at, 8)
        return struct.pack("<I", len(rest) + len(body)) + rest + body

    def _types(self) -> None:
        top, types = self.top, self.types
        for name, size, encoding in (
            ("int", 4, 5), ("unsigned int", 4, 7), ("long", 8, 5), ("short", 2, 5), ("char", 1, 8),
        ):  # fmt: skip
            types[name] = top.add(
                "base",
                self.string("name", name),
                self.constant("byte_size", size),
                self.constant("encoding", encoding),
            )
        node = types["node"] = top.add(
            "structure", self.string("name", "node"), self.constant("byte_size", 56)
        )
        pointer = types["pointer"] = top.add(
            "pointer", self.constant("byte_size", 8), self.ref("type", node)
        )
        u32 = types["u32"] = top.add(
            "typedef", self.string("name", "u32"), self.ref("type", types["unsigned int"])
        )
        array = types["array"] = top.add("array", self.ref("type", node))
        array.add("subrange", self.ref("type", types["long"]), self.constant("upper_bound", 3))
        for name, type_, at in (("next", pointer, 0), ("kind", types["int"], 8), ("word", u32, 16)):
            node.add(
                "member",
                self.string("name", name),
                self.ref("type", type_),
                self.constant("data_member_location", at),
            )
        node.add(
            "member",
            self.string("name", "level"),
            self.ref("type", u32),
            self.constant("bit_size", 7),
            self.constant("data_bit_offset", 99),
        )

    def _variables(self) -> None:
        for name, type_ in (
            ("counter", "u32"),
            ("head", "pointer"),
            ("nodes", "array"),
            ("total", "long"),
        ):
            location = b"\x03" + struct.pack("<Q", self.symbols[name][0])
            self.top.add(
                "variable",
                self.string("name", name),
                self.ref("type", self.types[type_]),
                self.expression("location", location),
            )

    def _functions(self) -> None:
        scaled = self.types["scaled"] = self.top.add(
            "subprogram",
            self.string("name", "scaled"),
            self.constant("inline", 3),
            self.ref("type", self.types["int"]),
        )
        factor = scaled.add(
            "formal_parameter", self.string("name", "factor"), self.ref("type", self.types["int"])
        )
        for name in ("main", "act", "link_all"):
            at, size = self.symbols[name]
            function = self.types[name] = self.top.add(
                "subprogram",
                self.string("name", name),
                self.ref("type", self.types["int"]),
                self.address("low_pc", at),
                self.constant("high_pc", size),
                self.expression("frame_base", b"\x9c"),
            )
            for number, parameter in enumerate(("node", "depth")):
                function.add(
                    "formal_parameter",
                    self.string("name", parameter),
                    self.ref("type", self.types["pointer" if not number else "int"]),
                    self._location(number, at, size),
                )
            block = function.add(
                "lexical_block", self.address("low_pc", at), self.constant("high_pc", size)
            )
            block.add(
                "variable",
                self.string("name", "sum"),
                self.ref("type", self.types["long"]),
                self.expression("location", b"\x91" + sleb(-16)),
            )
            inlined = block.add(
                "inlined",
                self.ref("abstract_origin", scaled),
                self._code(at + 4, size - 8),
                *((self.constant("high_pc", size - 8),) if not self._listed else ()),
                self.constant("call_file", 1),
                self.constant("call_line", 40),
            )
            inlined.add(
                "formal_parameter",
                self.ref("abstract_origin", factor),
                self.expression("location", b"\x50"),
            )

    _listed = False

    def _code(self, at: int, size: int) -> Attribute:
        """DW_AT_low_pc or DW_AT_ranges."""
        self._listed = self.rng.random() < 0.5
        if not self._listed:
            return self.address("low_pc", at)
        if self.version >= 5:
            offset = 12 + len(self.ranges)
            self.ranges += b"\x07" + struct.pack("<Q", at) + uleb(size) + b"\0"
        else:
            offset = len(self.ranges)
            low = min(self.symbols[n][0] for n in ("_start", "main", "act", "link_all"))
            self.ranges += struct.pack("<QQQQ", at - low, at + size - low, 0, 0)
        return "ranges", "sec_offset", offset

    def _location(self, register: int, at: int, size: int) -> Attribute:
        code = bytes([0x50 + register])
        if self.rng.random() < 0.5:
            return self.expression("location", code)
        if self.version >= 5:
            offset = 12 + len(self.lists)
            entry = b"\x08" + struct.pack("<Q", at) + uleb(size) + uleb(len(code)) + code
            self.lists += entry + b"\0"
        else:
            offset = len(self.lists)
            low = min(self.symbols[n][0] for n in ("_start", "main", "act", "link_all"))
            self.lists += struct.pack("<QQH", at - low, at + size - low, len(code)) + code
            self.lists += bytes(16)
        return "location", "sec_offset", offset

    # ---- the other sections ------------------------------------------------------------------

    def _sections(self, units: bytes, low: int, high: int) -> dict[str, bytes]:
        writer = self.writer
        abbrev = bytes(writer.abbrev) + b"\0"
        if self.pathology == "many tables":
            abbrev += abbrev * min(self.size // 10, 60)
        found = {
            ".debug_info": units,
            ".debug_abbrev": abbrev,
            ".debug_str": bytes(writer.strings),
            ".debug_line": self._lines(low, high),
            ".debug_frame": self._frames(low, high),
            ".debug_aranges": b"",
        }
        if self.version < 5:
            return found | {".debug_loc": bytes(self.lists), ".debug_ranges": bytes(self.ranges)}
        offsets = struct.pack(f"<{len(writer.string_offsets)}I", *writer.string_offsets)
        addresses = struct.pack(f"<{len(writer.addresses)}Q", *writer.addresses)
        return found | {
            ".debug_line_str": bytes(writer.line_strings),
            ".debug_str_offsets": struct.pack("<IHH", len(offsets) + 4, 5, 0) + offsets,
            ".debug_addr": struct.pack("<IHBB", len(addresses) + 4, 5, 8, 0) + addresses,
            ".debug_loclists": self._list_header(self.lists),
            ".debug_rnglists": self._list_header(self.ranges),
        }

    def _list_header(self, lists: bytearray) -> bytes:
        count = 0 if self.pathology != "huge lists" else self.rng.choice((0, 1 << 30))
        return struct.pack("<IHBBI", len(lists) + 8, 5, 8, 0, count) + bytes(lists)

    def _lines(self, low: int, high: int) -> bytes:
        rng = self.rng
        opcodes = bytes([0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1])
        line_range = 0 if self.pathology == "long lines" and rng.random() < 0.2 else 14
        head = bytes([4, 1, 1, 0xFB, line_range, 13]) + opcodes
        if self.version >= 5:
            head += b"\1\1\x08" + b"\1.\0" + b"\2\1\x08\2\x0b" + b"\2" + b"made.c\0\0made.c\0\0"
        else:
            head += b"\0made.c\0\0\0\0\0"
        program = bytearray(b"\0\x09\2" + struct.pack("<Q", low))
        program += b"\3" + sleb(11) + b"\1"
        if self.pathology == "long lines":
            program += self._long_program(rng)
        for _ in range(12):
            program.append(rng.randrange(13, 256))
        program += b"\2" + uleb(max(high - low >> 2, 1) if self.pathology != "long lines" else 1)
        program += b"\0\1\1"
        if self.version >= 5:
            rest = struct.pack("<HBBI", 5, 8, 0, len(head)) + head
        else:
            rest = struct.pack("<HI", 4, len(head)) + head
        rest += program
        return struct.pack("<I", len(rest)) + rest

    def _long_program(self, rng: random.Random) -> bytes:
        piece = rng.choice((
            b"\1", b"\x0d", b"\xff", b"\x08", b"\2" + uleb((1 << 62) - 1), b"\3" + sleb(-(1 << 40)),
            b"\4" + uleb(1 << 40), b"\x0c" + uleb(1 << 63), b"\0\1\x80", b"\0\1\1",
            b"\0\5\3a\0\0\0", b"\x09\xff\xff", b"\2" + b"\x80" * 5000 + b"\1", b"\0\x80\x01",
        ))  # fmt: skip
        return piece * min(self.size * 10, 60_000 // len(piece))

    def _frames(self, low: int, high: int) -> bytes:
        rng, many = self.rng, self.pathology == "frames"
        initial = b"\x0c\x1f\0"
        cie = _entry(
            struct.pack("<IB", 0xFFFF_FFFF, 1) + b"\0" + b"\4" + b"\x78" + b"\x1e" + initial
        )
        out = bytearray(cie)
        count = self.size if many and rng.random() < 0.5 else 1
        for _ in range(count):
            program = b"\x0e" + uleb(16)
            if many and count == 1:
                piece = rng.choice((
                    b"\x0a", b"\x0b", b"\x0a\x0b", b"\x41", b"\4\xff\xff\xff\xff", b"\x0e\x10",
                    b"\x0f" + uleb(3) + b"\x2f\xfd\xff", b"\x10\x1e" + uleb(3) + b"\x2f\xfd\xff",
                    b"\x0c" + uleb(1 << 60) + uleb(1 << 60), b"\x16\x1e\2\x8f\0", b"\x2e\x10",
                    b"\x05" + uleb(1 << 50) + b"\1", b"\x2d", b"\x07" + uleb(1 << 40), b"\x3f",
                ))  # fmt: skip
                program = piece * min(self.size * 10, 60_000 // len(piece))
            out += _entry(struct.pack("<IQQ", 0, low, high - low) + program)
        return bytes(out)


def _entry(body: bytes) -> bytes:
    body += bytes(-(len(body) + 4) % 8)
    return struct.pack("<I", len(body)) + body
