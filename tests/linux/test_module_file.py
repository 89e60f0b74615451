"""A module's file at the addresses of its sections: as the linker makes it; and damaged files."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from guestdbg.debugger import BadImage, Image
from guestdbg.errors import GuestdbgError
from guestdbg.linux.module_file import build_id, has_debug_info, linked, modinfo, relocatable

GCC, LD = "aarch64-linux-gnu-gcc", "aarch64-linux-gnu-ld"
pytestmark = pytest.mark.skipif(shutil.which(GCC) is None, reason=f"no {GCC}")

SOURCE = """
struct item { int kind; struct item *next; } items[4] = { { 1, &items[1] } };
static int count;
const char version[] __attribute__((section(".modinfo"))) = "srcversion=ABC123\\0license=GPL";
__attribute__((noinline)) int add(struct item *item, int n) { count += n; return item->kind + n; }
static inline int twice(int n) { return add(&items[n & 3], 2 * n); }
int probe(int n) { int sum = twice(n); return sum + add(&items[1], sum); }
__attribute__((section(".init.text"))) int init_module(void) { return probe(count); }
"""
#: Each section somewhere else, not in the order of the file.
ADDRESSES = {
    ".text": 0xFFFF_A000_0120_0000,
    ".init.text": 0xFFFF_A000_0110_0000,
    ".data": 0xFFFF_A000_0138_0000,
    ".bss": 0xFFFF_A000_0138_4000,
    ".modinfo": 0xFFFF_A000_0130_0000,
}


@pytest.fixture(scope="module", params=["-gdwarf-5", "-gdwarf-4"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The object file, and what the linker makes of it."""
    folder = tmp_path_factory.mktemp("module")
    (folder / "made.c").write_text(SOURCE)
    made, reference = folder / "made.ko", folder / "reference.elf"
    options = [GCC, request.param, "-O2", "-c", "-ffreestanding", "-fno-pic", "-mcmodel=large"]
    subprocess.run([*options, "made.c", "-o", made], cwd=folder, check=True)
    script = "SECTIONS {" + "".join(
        f"{name} {address:#x} : {{ *({name}) }}" for name, address in ADDRESSES.items()
    ) + "/DISCARD/ : { *(.eh_frame) *(.comment) } }"  # fmt: skip
    (folder / "script").write_text(script)
    subprocess.run([LD, "-T", "script", "-e", "0", made, "-o", reference], cwd=folder, check=True)
    return [made, reference]


def test_it_is_as_the_linker_makes_it(files: list[Path]) -> None:
    made, reference = files
    contents = made.read_bytes()
    assert relocatable(contents)
    assert not relocatable(reference.read_bytes())
    assert has_debug_info(contents)
    assert modinfo(contents, "srcversion") == "ABC123"
    assert build_id(contents) == b""
    ours, theirs = Image(made, contents=linked(contents, ADDRESSES)), Image(reference)
    for name in ("probe", "add", "init_module", "items", "count"):
        mine, other = ours.symbols.find(name), theirs.symbols.find(name)
        assert mine is not None
        assert other is not None
        assert (mine.address, mine.size) == (other.address, other.size)
    lines = 0
    for section in (".text", ".init.text"):
        for offset in range(0, 0x80, 4):
            address = ADDRESSES[section] + offset
            mine_row, row = ours.lines.at(address), theirs.lines.at(address)
            assert mine_row == row
            lines += row is not None
    assert lines > 20
    assert ours.lines.addresses("made.c", 6)[0] == theirs.lines.addresses("made.c", 6)[0]
    at = ours.symbols.find("probe").address + 8
    assert [b.name for b in ours.scopes.at(at)] == [b.name for b in theirs.scopes.at(at)]


def test_types_are_there(files: list[Path]) -> None:
    pytest.importorskip("drgn")
    from guestdbg.debugger.program.debug_info import DebugInfo

    made, _ = files
    image = Image(made, contents=linked(made.read_bytes(), ADDRESSES))
    image.is_scattered = True
    info = DebugInfo([image], lambda address, length: bytes(length))
    found = info.resolver.data("items[2].next", None)
    assert (found.address - ADDRESSES[".data"], found.length) == (2 * 16 + 8, 8)
    assert info.resolver.code("twice").addresses


def test_a_section_that_is_not_loaded(files: list[Path]) -> None:
    made, _ = files
    without = {name: at for name, at in ADDRESSES.items() if name != ".init.text"}
    image = Image(made, contents=linked(made.read_bytes(), without))
    assert not image.covers(ADDRESSES[".init.text"])
    assert image.lines.at(ADDRESSES[".text"]) is not None


def test_damaged_files_are_refused_or_read(files: list[Path]) -> None:
    made, _ = files
    whole = made.read_bytes()
    rng = random.Random(3)
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 3, 20))):
            at = rng.choice((rng.randrange(len(data)), rng.randrange(64), len(data) - 64 * 8))
            data[at] = rng.choice((0, 1, 0xFF, rng.randrange(256)))
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        try:
            build_id(bytes(data))
            modinfo(bytes(data), "srcversion")
            image = Image(made, contents=linked(bytes(data), ADDRESSES))
            image.lines.at(ADDRESSES[".text"])
        except GuestdbgError:
            refused += 1
    assert refused > 20
    for wrong in (b"", b"\x7fELF", whole[:70], bytes(1000)):
        with pytest.raises(BadImage):
            linked(wrong, ADDRESSES)
        assert not relocatable(wrong[:30])
