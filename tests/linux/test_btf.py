"""BTF: what compilers write is read as their DWARF is, and what nobody would write is refused."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guestdbg.linux import BadBtf
from guestdbg.linux.btf import Btf, DrgnTypes, find_btf
from guestdbg.linux.btf.records import Kind

from . import btf_writer as write
from .btf_writer import Writer

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import fuzz  # noqa: E402

drgn = pytest.importorskip("drgn")

GCC = "aarch64-linux-gnu-gcc"
#: The time that hostile BTF may take, on a machine with much else to do.
PATIENCE_SECONDS = 20

SOURCE = """
typedef _Bool bool;
typedef unsigned long size_t;
struct list { struct list *next, **pprev; };
typedef int (*handler)(struct list *, const char *name, ...);
enum state { RUNNING, SLEEPING = 5, DEAD = -1 };
struct declared_only;
struct device {
    int id;
    unsigned ready : 1, mode : 7, : 3, count : 13;
    signed delta : 5;
    bool open : 1;
    bool ok;
    struct { long quota; union { char bytes[4]; float rate; double exact[2][3]; }; };
    struct list links[3];
    handler call;
    enum state state;
    volatile const int changes;
    const char *restrict label;
    struct declared_only *other;
    __int128 id128;
    size_t sizes[0];
    char data[];
} device = { 1 };
union all { struct device *device; size_t number; } all;
handler table[4];
int probe(struct device *device, unsigned short kind, enum state state) { return !device; }
int main(void) { return 0; }
"""


def program() -> Any:
    flags = drgn.PlatformFlags
    platform = drgn.Platform(drgn.Architecture.AARCH64, flags.IS_64_BIT | flags.IS_LITTLE_ENDIAN)
    return drgn.Program(platform)


def types_of(btf: Btf, base: DrgnTypes | None = None) -> tuple[Any, DrgnTypes]:
    """A program that has the types of the BTF."""
    made = program() if base is None else base._program
    types = DrgnTypes(made, btf, base)

    def find(_program: Any, kinds: Any, name: str, filename: str | None) -> Any:
        return types.find(kinds, name)

    made.register_type_finder(f"btf {id(types)}", find, enable_index=0)
    return made, types


def compiled(directory: Path, *command: str) -> Path:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    source, made = directory / "types.c", directory / "types.o"
    source.write_text(SOURCE)
    subprocess.run([*command, "-o", str(made), str(source)], check=True, capture_output=True)
    return made


@pytest.fixture(scope="module")
def compiled_btf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The BTF of the source above, as Clang writes it."""
    made = compiled(tmp_path_factory.mktemp("btf"), "clang", "--target=bpf", "-g", "-c")
    with made.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".BTF")
        assert section is not None
        return bytes(section.data())


@pytest.fixture(scope="module")
def dwarf(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A program with the same types from the DWARF that GCC writes."""
    elf = compiled(
        tmp_path_factory.mktemp("dwarf"),
        *(GCC, "-g", "-nostdlib", "-static", "-Wl,-e,main"),
    )
    return dwarf_of(elf)


def dwarf_of(elf: Path) -> Any:
    made = program()
    made.extra_module(str(elf), 0, create=True).try_file(str(elf), force=True)
    return made


def described(type_: Any) -> Any:
    """What there is to know of a type, in words: sizes, offsets, and names of types."""
    if type_.kind in (drgn.TypeKind.STRUCT, drgn.TypeKind.UNION):
        if not type_.is_complete():
            return type_.type_name()
        members = [
            (m.name, m.bit_offset, m.bit_field_size, m.type.type_name())
            if m.name is not None
            else (m.bit_offset, described(m.type))
            for m in type_.members
        ]
        return type_.type_name(), type_.size, members
    if type_.kind == drgn.TypeKind.ENUM:
        return type_.type_name(), type_.type.size, [tuple(e) for e in type_.enumerators]
    return type_.type_name(), drgn.sizeof(type_)


@pytest.mark.parametrize(
    "name",
    ["struct list", "struct device", "union all", "enum state", "bool", "size_t", "handler"],
)
def test_types_are_those_of_the_dwarf(name: str, compiled_btf: bytes, dwarf: Any) -> None:
    own, _ = types_of(Btf(compiled_btf))
    expected = described(dwarf.type(name))
    assert described(own.type(name)) == expected


def test_a_value_is_read_as_the_dwarf_says(compiled_btf: bytes, dwarf: Any) -> None:
    """All bit-fields of random bytes."""
    own, _ = types_of(Btf(compiled_btf))
    data = random.Random(1).randbytes(dwarf.type("struct device").size)
    values = [
        {
            name: drgn.Object.from_bytes_(p, "struct device", data).member_(name).value_()
            for name in ("id", "ready", "mode", "count", "delta", "open", "quota", "bytes")
        }
        for p in (dwarf, own)
    ]
    assert values[0] == values[1]


# ---- kernels -------------------------------------------------------------------------------------


def test_the_btf_of_a_kernel_is_found_in_its_image(kernel: Path) -> None:
    image = kernel.read_bytes()
    btf = find_btf(image)
    made, types = types_of(btf)
    task = made.type("struct task_struct")
    assert made.type("pid_t").type_name() == "pid_t"
    assert task.member("comm").type.type_name() == "char [16]"
    assert task.member("pid").type.type_name() == "pid_t"
    assert task.member("mm").type.type_name() == "struct mm_struct *"
    # An anonymous member, and what its members are found through.
    assert made.type("struct page").has_member("compound_head")
    # Each type of the kernel is one of drgn's.
    for number in btf.ids[::41]:
        if btf.kind(number) is not Kind.DATASEC:
            str(types.type(number))
    # A per-CPU variable, and a function with its parameters.
    section = btf.section(".data..percpu")
    assert section is not None
    assert "runqueues" in [btf[each.variable].name for each in section.variables]
    (function,) = btf.find("do_sys_openat2", [Kind.FUNC])
    assert [p.name for p in types.type(function).parameters] == ["dfd", "filename", "how"]
    assert types.enumerator("PIDTYPE_PID").value_() == 0


def test_a_kernel_without_btf_is_said(kernel: Path) -> None:
    with pytest.raises(BadBtf, match="CONFIG_DEBUG_INFO_BTF"):
        find_btf(bytes(100_000))


# ---- what the format has -------------------------------------------------------------------------


def test_every_kind() -> None:
    w = Writer()
    int_ = w.int("int", 4, write.SIGNED)
    char = w.int("char", 1, write.CHAR)
    float_ = w.add(write.FLOAT, "double", 8)
    tag = w.add(write.TYPE_TAG, "rcu", char)
    text = w.add(write.PTR, "", w.add(write.CONST, "", tag))
    big = w.enum64("big", {"HUGE": 1 << 40, "LEAST": -1}, flag=1)
    w.enum("signed", {"MINUS": -1}, flag=1)
    small = w.enum("small", {"ONE": 1, "TOP": 0xFFFF_FFFF})
    forward = w.add(write.FWD, "later", 0)
    pointer = w.add(write.PTR, "", forward)
    w.struct("owner", 48, [
        ("name", text, 0), ("later", pointer, 64), ("x", float_, 128), ("big", big, 192),
        ("field", int_, 5 << 24 | 256), ("tail", w.array(char, 0), 320),
    ], flag=1)  # fmt: skip
    w.struct("later", 4, [("y", int_, 0)])
    proto = w.prototype(int_, [("owner", text), ("", 0)])
    function = w.add(write.FUNC, "work", proto, count=1)
    variable = w.add(write.VAR, "counter", int_, b"\0\0\0\0")
    w.section(".data..percpu", [(variable, 64, 4)])
    w.add(write.DECL_TAG, "user", variable, b"\xff\xff\xff\xff")
    btf = Btf(w.finish())
    made, types = types_of(btf)
    owner = made.type("struct owner")
    assert str(owner) == (
        "struct owner {\n\tconst char *name;\n\tstruct later *later;\n\tdouble x;\n"
        "\tenum big big;\n\tint field : 5;\n\tchar tail[];\n}"
    )
    # Declared only there, and defined here.
    assert owner.member("later").type.type.is_complete()
    assert [tuple(e) for e in made.type("enum big").enumerators] == [
        ("HUGE", 1 << 40), ("LEAST", -1)
    ]  # fmt: skip
    assert types.enumerator("TOP").value_() == 0xFFFF_FFFF
    assert types.enumerator("NONE") is None
    assert types.type(function).type_name() == "int (const char *owner, ...)"
    assert types.type(small).type.is_signed is False
    section = btf.section(".data..percpu")
    assert section is not None
    assert section.variables == ((variable, 64, 4),)
    assert types.type(variable).type_name() == "int"


def test_enumerations_had_no_sign_before_linux_6_0() -> None:
    w = Writer()
    w.int("int", 4, write.SIGNED)
    w.enum("old", {"NONE": -1, "ONE": 1})
    made, _ = types_of(Btf(w.finish()))
    assert [tuple(e) for e in made.type("enum old").enumerators] == [("NONE", -1), ("ONE", 1)]


def test_the_btf_of_a_module_goes_on_after_the_kernels() -> None:
    kernel = Writer()
    int_ = kernel.int("int", 4, write.SIGNED)
    kernel.struct("common", 4, [("a", int_, 0)])
    module = Writer(kernel)
    module.struct("own", 8, [("a", int_, 0), ("fresh", int_ + 1, 32)])
    # The name of another type, which the kernel's strings have already.
    module.struct("common", 8, [("b", int_, 0)])
    base = Btf(kernel.finish())
    own = Btf(module.finish(), base)
    made, types = types_of(base)
    types_of(own, types)
    assert str(made.type("struct own")) == "struct own {\n\tint a;\n\tstruct common fresh;\n}"
    assert made.type("struct own").member("fresh").type.size == 4
    assert own.find("common", [Kind.STRUCT]) == [4, 2]
    assert own[1] == base[1]


# ---- what nobody would write ---------------------------------------------------------------------


def circles() -> dict[str, tuple[Writer, int]]:
    found = {}

    def case(name: str) -> Writer:
        w = Writer()
        found[name] = w, w.next
        return w

    case("a typedef of itself").add(write.TYPEDEF, "t", 1)
    case("a const of itself").add(write.CONST, "", 1)
    case("a pointer to itself").add(write.PTR, "", 1)
    case("an array of itself").array(1, 2)
    case("a structure in itself").struct("s", 8, [("s", 1, 0)])
    case("an anonymous structure in itself").struct("", 8, [("", 1, 0)])
    case("a function that gives itself").prototype(1, [])
    case("a function that takes itself").prototype(0, [("f", 1)])
    w = case("a function that takes a pointer to itself")
    w.prototype(0, [("f", 2)])
    w.add(write.PTR, "", 1)
    w = case("a typedef of a pointer to itself")
    w.add(write.TYPEDEF, "t", 2)
    w.add(write.PTR, "", 1)
    w = case("two structures in each other")
    w.struct("a", 8, [("b", 2, 0)])
    w.struct("b", 8, [("a", 1, 0)], kind=write.UNION)
    w = case("an anonymous structure with a pointer to itself")
    w.struct("", 8, [("next", 2, 0)])
    w.add(write.PTR, "", 1)
    w = case("pointers without end")
    for n in range(20_000):
        w.add(write.PTR, "", n + 2)
    w.int("int", 4)
    w = case("structures without end")
    for n in range(5000):
        w.struct(f"s{n}", 4, [("s", n + 2, 0)])
    w.int("int", 4)
    return found


@pytest.mark.parametrize("name", circles())
def test_types_that_do_not_end_are_refused(name: str) -> None:
    writer, number = circles()[name]
    _made, types = types_of(Btf(writer.finish()))
    with pytest.raises(BadBtf, match="part of itself"):
        str(types.type(number))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:10], "its header alone has 24"),
        (lambda data: b"\x9f\xec" + data[2:], "this is not BTF"),
        (lambda data: b"\xeb\x9f" + data[2:], "big-endian"),
        (lambda data: data[:2] + b"\2" + data[3:], "version 2"),
        (lambda data: data[:4] + b"\xff\xff\0\0" + data[8:], "header of BTF says"),
        (lambda data: data[:-1], "string section of BTF ends at"),
        (lambda data: data[:-1] + b"x", "does not begin and end with a zero byte"),
        (lambda data: data[:31] + b"\x1e" + data[32:], "kind 30, which is not known"),
        (lambda data: data[:12] + b"\x08" + data[13:], "cut off"),
    ],
)
def test_damage_is_named(change: Any, message: str) -> None:
    w = Writer()
    w.int("int", 4)
    with pytest.raises(BadBtf, match=message):
        Btf(change(w.finish()))


def damage(data: bytearray, at: int, value: int, width: int) -> None:
    at -= at % width
    data[at : at + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")


def look_at_all(data: bytes) -> None:
    """Make all types, and write them down."""
    try:
        btf = Btf(data)
    except BadBtf:
        return
    _made, types = types_of(btf)
    for number in btf.ids:
        try:
            text = str(types.type(number))
            assert len(text) < 1 << 20
        except BadBtf:
            continue
        except (ValueError, TypeError):
            continue  # drgn has no such type, or C cannot write it down
    for name in ("device", "list", "int", "RUNNING", ""):
        try:
            btf.find(name, list(Kind))
            types.enumerator(name)
        except BadBtf:
            continue


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow,
    HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.data())
def test_damaged_btf_is_refused_or_read(compiled_btf: bytes, data: st.DataObject) -> None:
    damaged = bytearray(compiled_btf)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(damaged) - 4))
        value = data.draw(st.one_of(st.integers(0, 80), st.integers(0, 0xFFFF_FFFF)))
        damage(damaged, at, value, data.draw(st.sampled_from((1, 2, 4))))
    look_at_all(bytes(damaged))


def test_hostile_tables() -> None:
    """Tables with types of every kind, damaged; a failing one: tools/fuzz.py --replay btf:SEED."""
    where = {**os.environ, "PYTHONPATH": f"{ROOT / 'tools'}:{ROOT}"}
    outcome = fuzz.run(where, "btf", 0, 400)
    assert not outcome.failures, outcome.output[-3000:]
    found = fuzz.run(
        where, "btf", 17585, 1
    )  # a structure without a name that contains itself twice
    assert not found.failures, found.output[-3000:]
    for what in ("parse", "search", "find", "layout", "type"):
        assert outcome.did[f"btf {what}: done"] > 100
        assert outcome.did[f"btf {what}: refused"] > 10


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", range(20))
def test_much_damaged_btf(compiled_btf: bytes, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(1000):
        damaged = bytearray(compiled_btf)
        for _ in range(rng.choice((1, 1, 2, 3, 8))):
            value = rng.choice((rng.randrange(80), rng.getrandbits(32)))
            damage(damaged, rng.randrange(len(damaged) - 4), value, rng.choice((1, 2, 4)))
        look_at_all(bytes(damaged))


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 400))
def test_random_records(types: bytes, cut: int) -> None:
    strings = b"\0a\0struct\0int\0\0"
    lengths = (24, 0, len(types), len(types), len(strings))
    header = b"\x9f\xeb\1\0" + b"".join(n.to_bytes(4, "little") for n in lengths)
    look_at_all((header + types + strings)[: cut or None])


def test_hostile_names_do_not_take_long() -> None:
    """A million types with names that overlap, and many copies of one string."""
    w = Writer()
    w.string("x" * 1000)
    data = bytearray(w.finish())
    strings = b"\0" + b"same\0" * 100_000 + b"x" * 900 + b"\0"
    types = b"".join(n.to_bytes(4, "little") + b"\0\0\0\2\0\0\0\0" for n in range(1, 200_000))
    lengths = (24, 0, len(types), len(types), len(strings))
    data = bytearray(b"\x9f\xeb\1\0" + b"".join(n.to_bytes(4, "little") for n in lengths))
    start = time.monotonic()
    btf = Btf(bytes(data) + types + strings)
    with pytest.raises(BadBtf, match="times"):
        btf.find("same", [Kind.PTR])
    assert btf.find("x" * 900, [Kind.STRUCT]) == []
    with pytest.raises(BadBtf, match="damaged"):
        find_btf(b"\x9f\xeb\1\0\x18\0\0\0" * 100_000)
    assert time.monotonic() - start < PATIENCE_SECONDS
