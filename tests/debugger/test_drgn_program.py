"""Variables, members, pointers and bit-fields of a compiled program, in a simulated memory."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from guestdbg.debugger import AddressError, Image, InvalidLocation, UnknownSymbol
from guestdbg.debugger.program import drgn_objects
from guestdbg.debugger.program.drgn_objects import number
from guestdbg.debugger.program.drgn_program import DrgnProgram

GCC = shutil.which("aarch64-linux-gnu-gcc")
pytestmark = pytest.mark.skipif(GCC is None, reason="aarch64-linux-gnu-gcc is not installed")
pytest.importorskip("drgn", reason="drgn runs on Linux only")

SOURCE = """
typedef struct node {
    int value; struct node *next; unsigned low : 3, middle : 10, high : 19;
} node;
union either { long number; char bytes[8]; };
static node nodes[4];
node *head = &nodes[1];
node **door = &head;
union either either;
static int hidden;
struct { struct { int x; } inner; } outer;
const char *text = "hello";
void *anything;
enum colour { RED, GREEN = -3 } colour;
struct { int before; struct { char a, b; }; node list[2]; node *one; _Bool ready; } many;
int (*function)(void);
int use(void) { return hidden++ + nodes[0].value; }
void _start(void) { use(); }
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    assert GCC is not None
    directory = tmp_path_factory.mktemp("types")
    (directory / "program.c").write_text(SOURCE)
    command = [GCC, "-g", "-O0", "-ffreestanding", "-nostdlib", "-static", "-no-pie"]
    path = directory / "program.elf"
    subprocess.run([*command, "-o", path, directory / "program.c"], check=True)
    return Image(path)


@pytest.fixture
def types(image: Image) -> DrgnProgram:
    """The program's memory: head points at nodes[1], whose next is nodes[3]; the rest is zero."""
    nodes, head, door = (image.symbols.find(name) for name in ("nodes", "head", "door"))
    assert nodes is not None
    assert head is not None
    assert door is not None
    words = {
        head.address: nodes.address + 24,
        door.address: head.address,
        nodes.address + 24 + 8: nodes.address + 72,
    }

    def read(address: int, length: int) -> bytes:
        if not nodes.address & ~0xFFFFF <= address < (nodes.address | 0xFFFFF):
            raise AddressError(f"no memory at {address:#x}", address)
        data = bytearray(length)
        for at, value in words.items():
            word = value.to_bytes(8, "little")
            for i in range(8):
                if address <= at + i < address + length:
                    data[at + i - address] = word[i]
        return bytes(data)

    return DrgnProgram(read, [image])


def extent(types: DrgnProgram, expression: str) -> tuple[int, int]:
    found = drgn_objects.extent(types.evaluate(expression), expression)
    return found.address, found.length


def test_through_pointers(types: DrgnProgram, image: Image) -> None:
    nodes = image.symbols.find("nodes")
    assert nodes is not None
    base = nodes.address
    for expression, offset, length in (
        ("nodes[2].value", 48, 4),
        ("nodes[2].next", 56, 8),
        ("head->value", 24, 4),
        ("head->next->value", 72, 4),
        ("head[1].value", 48, 4),
        ("nodes[02] . value", 48, 4),
        ("nodes[0x2].value", 48, 4),
        ("*head", 24, 24),
        ("program.c:nodes[1]", 24, 24),
    ):
        assert extent(types, expression) == (base + offset, length), expression
    assert types.evaluate("**door").value.address_ == base + 24
    with pytest.raises(AddressError):
        types.evaluate("head->next->next->next->value")


def test_a_bit_field_is_the_bytes_that_contain_it(types: DrgnProgram, image: Image) -> None:
    nodes = image.symbols.find("nodes")
    assert nodes is not None
    assert extent(types, "nodes[0].low") == (nodes.address + 16, 1)
    assert extent(types, "nodes[0].middle") == (nodes.address + 16, 2)
    assert extent(types, "nodes[0].high") == (nodes.address + 17, 3)


def test_unions_and_nested_structures(types: DrgnProgram, image: Image) -> None:
    either = image.symbols.find("either")
    assert either is not None
    assert extent(types, "either.number") == (either.address, 8)
    assert extent(types, "either.bytes[5]") == (either.address + 5, 1)
    assert extent(types, "outer.inner.x")[1] == 4
    assert extent(types, "program.c:hidden")[1] == 4


@pytest.mark.parametrize(
    ("expression", "error", "text"),
    [
        ("*anything", InvalidLocation, "void"),
        ("anything->x", InvalidLocation, "no members"),
        ("head.nxt", UnknownSymbol, "did you mean 'next'"),
        ("nodes.value", InvalidLocation, "no members"),
        ("other.c:hidden", UnknownSymbol, "hidden in other.c"),
        ("function->x", InvalidLocation, "no members"),
        ("head[99999999999999999999]", InvalidLocation, "head[9999"),
        ("nodes[0o2]", InvalidLocation, "cannot understand"),
    ],
)
def test_wrong_expressions(
    types: DrgnProgram, expression: str, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=re.escape(text)):
        drgn_objects.extent(types.evaluate(expression), expression)


def test_a_pointer_is_read_each_time(image: Image) -> None:
    """Expressions through pointers are not cached: the guest may change the pointers."""
    nodes, head = image.symbols.find("nodes"), image.symbols.find("head")
    assert nodes is not None
    assert head is not None
    target = [nodes.address]

    def read(address: int, length: int) -> bytes:
        word = target[0].to_bytes(8, "little") if address == head.address else bytes(8)
        return word[:length] + bytes(max(0, length - 8))

    types = DrgnProgram(read, [image])
    assert extent(types, "head->value")[0] == nodes.address
    target[0] += 24
    assert extent(types, "head->value")[0] == nodes.address + 24


def test_static_addresses_find_integers_without_types(image: Image) -> None:
    """Conditions read the same value from there as drgn does, through pointers too."""
    start = min(s.address for s in image.symbols if s.name in VARIABLES) & ~0xFFF
    memory = bytearray(n * 89 + 7 & 0xFF for n in range(0x4000))

    def read(address: int, length: int) -> bytes:
        if not start <= address <= start + len(memory) - length:
            raise AddressError(f"no memory at {address:#x}", address)
        return bytes(memory[address - start : address - start + length])

    def put(address: int, value: int) -> None:
        memory[address - start : address - start + 8] = value.to_bytes(8, "little")

    types = DrgnProgram(read, [image])
    place = {name: types.evaluate(name).address_ for name in VARIABLES}
    put(place["head"], place["nodes"] + 24)
    put(place["door"], place["head"])
    put(place["nodes"] + 24 + 8, place["nodes"] + 72)
    put(place["nodes"] + 72 + 8, place["nodes"])
    put(types.evaluate("many.one").address_, place["nodes"] + 24)
    for expression, pointers in STATIC.items():
        found = types.static_address(expression)
        if pointers is None:
            assert found is None, expression
            continue
        assert found is not None, expression
        address = found.address
        for offset in found.pointer_offsets:
            address = int.from_bytes(read(address, 8), "little") + offset
        value = int.from_bytes(read(address, found.size), "little", signed=found.signed)
        value = bool(value) if found.truth else value
        assert value == number(types.evaluate(expression)), expression
        assert len(found.pointer_offsets) == pointers, expression


VARIABLES = ("nodes", "head", "door", "either", "hidden", "outer", "many", "colour")
#: Through how many pointers; None: without a static address.
STATIC = {
    "hidden": 0,
    "head[99999999999999999999].value": None,
    "colour": 0,
    "outer.inner.x": 0,
    "either.number": 0,
    "either.bytes[5]": 0,
    "nodes[2].value": 0,
    "nodes[3].next": 0,
    "many.before": 0,
    "many.b": 0,
    "many.list[1].value": 0,
    "many.ready": 0,
    "head": 0,
    "head.value": 1,
    "head->value": 1,
    "head[1].value": 1,
    "head.next": 1,
    "head.next.value": 2,
    "head->next->next->value": 3,
    "door[0].value": 2,
    "many.one.next.value": 2,
    "nodes[1].next[0].value": 1,
    "nodes[4].value": None,
    "nodes[1].low": None,
    "nodes": None,
    "outer": None,
    "door.value": None,
    "hidden.value": None,
    "hidden[0]": None,
    "anything.value": None,
    "head.nothing": None,
    "nowhere": None,
    "function.x": None,
    "head.": None,
    "*head": None,
}
