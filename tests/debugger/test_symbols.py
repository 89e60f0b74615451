"""Symbols, lines, locations and variables of the examples' ELF files; registers and memory."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.debugger import (
    AddressError,
    BadImage,
    BadRange,
    DebuggerError,
    Image,
    InvalidLocation,
    MissingDependency,
    NoDebugInfo,
    UnknownLine,
    UnknownRegister,
    UnknownSymbol,
)
from guestdbg.debugger.program.drgn_program import DrgnProgram

from .conftest import EXAMPLES, Load

try:
    import drgn  # noqa: F401

    HAS_DRGN = True
except ImportError:
    HAS_DRGN = False

needs_drgn = pytest.mark.skipif(
    not HAS_DRGN and sys.platform != "linux", reason="drgn runs on Linux only"
)


def test_symbols_by_name_and_by_address() -> None:
    image = Image(EXAMPLES / "counter.elf")
    for symbol in image.symbols:
        if symbol.size:
            found = image.symbols.at(symbol.address)
            assert found is not None
            assert found.address <= symbol.address < found.address + max(found.size, 1)
    count = image.symbols.find("count")
    assert count is not None
    assert image.symbols.at(count.address + count.size - 1) == count
    assert image.symbols.find("nowhere") is None
    assert image.symbols.at(0) is None
    assert not any(name.startswith("$") for name in image.symbols.names())


def test_symbols_agree_with_binutils() -> None:
    nm = shutil.which("aarch64-linux-gnu-nm")
    if nm is None:
        pytest.skip("aarch64-linux-gnu-nm is not installed")
    image = Image(EXAMPLES / "queue.elf")
    text = subprocess.run([nm, EXAMPLES / "queue.elf"], capture_output=True, check=True, text=True)
    for line in text.stdout.splitlines():
        address, _kind, name = line.split()
        if name.startswith("$"):
            continue
        symbols = [s for s in image.symbols if s.name == name]
        assert int(address, 16) in {s.address for s in symbols}, name


def test_lines_agree_with_binutils() -> None:
    addr2line = shutil.which("aarch64-linux-gnu-addr2line")
    if addr2line is None:
        pytest.skip("aarch64-linux-gnu-addr2line is not installed")
    image = Image(EXAMPLES / "queue.elf")
    start, end = image.segments[0]
    addresses = [a for a in range(start, end, 4) if image.lines.at(a) is not None]
    assert len(addresses) > 200
    text = subprocess.run(
        [addr2line, "-e", EXAMPLES / "queue.elf", *(f"{a:#x}" for a in addresses)],
        capture_output=True,
        check=True,
        text=True,
    )
    for address, line in zip(addresses, text.stdout.splitlines(), strict=True):
        row = image.lines.at(address)
        assert row is not None
        match = re.match(r"(.*):(\d+)", line)
        assert match is not None
        assert Path(row.file).name == Path(match[1]).name
        assert row.line == int(match[2])


def test_a_slide_moves_everything() -> None:
    plain, moved = Image(EXAMPLES / "counter.elf"), Image(EXAMPLES / "counter.elf", 0x1000_0000)
    for name in plain.symbols.names():
        a, b = plain.symbols.find(name), moved.symbols.find(name)
        assert a is not None
        assert b is not None
        assert b.address - a.address in (0x1000_0000, 0)
    addresses, _, _ = plain.lines.addresses("counter.c", 25)
    assert moved.lines.addresses("counter.c", 25)[0] == [a + 0x1000_0000 for a in addresses]
    assert moved.segments[0][0] == plain.segments[0][0] + 0x1000_0000


def test_added_symbols_and_their_types(start: Load) -> None:
    guest = start("counter")
    linked = guest.symbol("sizes").address
    image = guest.add_symbols(EXAMPLES / "queue.elf", 0x0040_0000)
    queue = image.symbols.find("queue")
    assert queue is not None
    assert guest.symbol("queue") == queue
    assert guest.symbol("sizes").address == linked
    assert guest.locate(queue.address + 4).symbolic == "queue+0x4"
    if HAS_DRGN:
        assert guest["queue.tail"].address_ == queue.address + 4


@pytest.mark.parametrize("length", [0, 3, 20, 64, 500, 2000])
def test_truncated_files_are_refused_clearly(tmp_path: Path, length: int) -> None:
    path = tmp_path / "short.elf"
    path.write_bytes((EXAMPLES / "hello.elf").read_bytes()[:length])

    with pytest.raises(BadImage, match=r"short\.elf"):
        Image(path)


@given(st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_damaged_files_give_no_other_errors(
    tmp_path_factory: pytest.TempPathFactory, random: Random
) -> None:
    """A few wrong bytes in an image cause only DebuggerError, and no endless loop."""
    data = bytearray((EXAMPLES / "queue.elf").read_bytes())
    for _ in range(random.randint(1, 20)):
        data[random.randrange(64 if random.random() < 0.1 else 0x1000, len(data))] = (
            random.randrange(256)
        )
    path = tmp_path_factory.mktemp("damaged") / "queue.elf"
    path.write_bytes(data)
    try:
        image = Image(path)
        for address in range(0x4020_0000, 0x4020_1800, 52):
            image.symbols.at(address)
            image.lines.at(address)
            image.frames.caller(address, dict.fromkeys(range(32), 0x4020_4000), lambda a: a)
        with contextlib.suppress(UnknownLine):
            image.lines.addresses("queue.c", 20)
        if HAS_DRGN:
            types = DrgnProgram(lambda address, length: bytes(length), [image])
            for expression in ("queue.tail", "source_stats[1].budget", "main"):
                types.evaluate(expression)
    except DebuggerError:
        pass


def test_files_for_other_machines_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="not a 64-bit Arm file"):
        Image(sys.executable)
    with pytest.raises(BadImage, match="cannot read"):
        Image(tmp_path / "none.elf")
    text = tmp_path / "text"
    text.write_text("hello")
    with pytest.raises(BadImage, match="not an ELF file"):
        Image(text)


def test_locations(start: Load) -> None:
    guest = start("counter")
    count = guest.symbol("count").address
    location = guest.locate(count + 4)
    assert location.symbolic == "count+0x4"
    assert location.source == "counter.c:25"
    assert str(location) == "count+0x4 (counter.c:25)"
    nowhere = guest.locate(0x10)
    assert (nowhere.function, nowhere.file, str(nowhere)) == (None, None, "0x10")


def test_locations_as_people_write_them(start: Load) -> None:
    guest = start("counter")
    table = guest.symbol("table").address
    for where, address, length in (
        ("table", table, 256),
        ("table+16", table + 16, 240),
        (" table + 0x10 ", table + 16, 240),
        (hex(table), table, None),
        (table, table, None),
        (f"*{table:#x}", table, None),
        (str(table), table, None),
    ):
        data = guest.resolve(where)
        assert (data.address, data.length) == (address, length), where
    assert guest.resolve("table", 3).length == 3
    with pytest.raises(BadRange, match="outside table"):
        guest.resolve("table+256")
    assert guest.resolve("table+256", 4).address == table + 256
    with pytest.raises(InvalidLocation, match="64 bits"):
        guest.resolve(1 << 64)
    with pytest.raises(InvalidLocation, match="64 bits"):
        guest.resolve("0x1" + 16 * "0")
    with pytest.raises(InvalidLocation):
        guest.resolve(-4)
    with pytest.raises(InvalidLocation, match="not a location"):
        guest.resolve(3.5)


def test_near_matches(start: Load) -> None:
    guest = start("queue")
    with pytest.raises(UnknownSymbol) as refused:
        guest.symbol("queue_pusch")
    assert "queue_push" in refused.value.matches
    with pytest.raises(UnknownLine, match=r"did you mean 'queue\.c'"):
        guest.break_("quueue.c:3")
    with pytest.raises(UnknownRegister, match="SCTLR_EL1"):
        guest.cpu.reg("sctlr_el")


@needs_drgn
def test_variables_members_and_elements(start: Load) -> None:
    guest = start("queue", at_main=True)
    queue = guest.symbol("queue").address
    assert guest["queue.size"] == 32
    assert guest["queue.tail"].address_ == queue + 4
    assert guest["queue.items[3].cost"].address_ == queue + 16 + 3 * 8 + 6
    assert guest["stats.c:source_stats[1].budget"] == 60
    for name, address, length in (
        ("queue.tail", queue + 4, 4),
        ("queue.items", queue + 16, 256),
        ("queue.items[2]", queue + 32, 8),
    ):
        data = guest.resolve(name)
        assert (data.address, data.length) == (address, length)
    item = guest["queue"].items[3].id
    data = guest.resolve(item)
    assert (data.address, data.length, data.type_name) == (queue + 40, 4, "uint32_t")
    guest.write_u32(queue + 4, 17)
    assert guest["queue.tail"] == 17


@needs_drgn
def test_an_expression_is_read_anew_each_time(start: Load) -> None:
    """Also if its address depends on a pointer that the guest has changed."""
    guest = start("queue", at_main=True)
    queue = guest.symbol("queue").address
    assert guest["queue.tail"] == 0
    guest.write_u32(queue + 4, 5)
    assert guest["queue.tail"] == 5
    frame = guest.program.variable("queue")
    assert frame.tail == 5


@needs_drgn
@pytest.mark.parametrize(
    ("expression", "error", "text"),
    [
        ("quue", UnknownSymbol, "did you mean 'queue'"),
        ("queue.tial", UnknownSymbol, "did you mean 'tail'"),
        ("queue->tail", InvalidLocation, "not a pointer; write '.'"),
        ("queue[1]", InvalidLocation, "has no elements"),
        ("queue.items[32]", InvalidLocation, "past the end of the array"),
        ("queue.tail.x", InvalidLocation, "has no members"),
        ("queue.", InvalidLocation, "ends where a name is missing"),
        (".queue", InvalidLocation, "cannot understand"),
        ("queue.size + 1", InvalidLocation, "cannot understand"),
        ("", InvalidLocation, "name"),
        ("*queue.tail", InvalidLocation, "tail"),
    ],
)
def test_bad_expressions(start: Load, expression: str, error: type, text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        start("queue")[expression]


def test_without_drgn_the_rest_works(start: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "drgn", None)
    guest = start("counter", at_main=True)
    with pytest.raises(MissingDependency, match="Linux only"):
        guest.watch("sizes.word")
    with pytest.raises(MissingDependency, match="drgn"):
        guest["counter"]
    guest.watch("counter")
    assert guest.run(timeout=60).reason == "hit"


def test_without_debug_info(tmp_path: Path, start: Load) -> None:
    strip = shutil.which("aarch64-linux-gnu-strip")
    if strip is None:
        pytest.skip("aarch64-linux-gnu-strip is not installed")
    path = tmp_path / "counter.elf"
    subprocess.run([strip, "-g", "-o", path, EXAMPLES / "counter.elf"], check=True)
    from guestdbg.debugger import load

    with load(path, provider="soft", console=None, memory="16M") as guest:
        with pytest.raises(NoDebugInfo, match="-g"):
            guest.break_("counter.c:25")
        with pytest.raises(NoDebugInfo, match="DWARF"):
            guest.watch("sizes.word")
        with pytest.raises(NoDebugInfo):
            guest.step_line()
        guest.run(until="main", timeout=60)
        guest.watch("counter")
        stop = guest.run(timeout=60)
        assert stop.hit is not None
        # Prologue analysis finds the callers.
        names = [frame.location.function for frame in stop.hit.backtrace()]
        assert names == ["count", "inner", "middle", "outer", "main", "_start"]
    subprocess.run([strip, "-s", path], check=True)
    with load(path, provider="soft", console=None, memory="16M") as guest:
        with pytest.raises(UnknownSymbol, match="no image with symbols"):
            guest.watch("counter")
        guest.watch(0x4020_0000, 8, access="read")


def test_registers(start: Load) -> None:
    guest = start("counter")
    cpu = guest.vcpus[0]
    cpu.x[5] = -1
    assert cpu.x[5] == (1 << 64) - 1
    assert cpu.reg("w5") == 0xFFFF_FFFF
    cpu.set_reg("x6", 0x1234_5678_9ABC_DEF0)
    assert (cpu.x[6], cpu.reg("w6")) == (0x1234_5678_9ABC_DEF0, 0x9ABC_DEF0)
    cpu.set_reg("sp", 0x4001_0000)
    assert cpu.sp == cpu.reg("sp_el1") == 0x4001_0000
    cpu.set_reg("v3", 1 << 127)
    assert cpu.reg("v3") == 1 << 127
    assert cpu.reg("PC") == cpu.pc
    assert cpu.el == 1
    assert len(list(cpu.x)) == len(cpu.x) == 31
    assert cpu.reg("lr") == cpu.x[30]
    with pytest.raises(UnknownRegister, match="X0 to X30"):
        cpu.x[31]
    with pytest.raises(UnknownRegister, match="did you mean"):
        cpu.set_reg("SCTLR_EL", 0)


def test_memory_is_read_and_written(start: Load) -> None:
    guest = start("counter")
    address = guest.symbol("table").address
    for size in (8, 16, 32, 64):
        write, read = getattr(guest, f"write_u{size}"), getattr(guest, f"read_u{size}")
        write(address, -2)
        assert read(address) == (1 << size) - 2
        with pytest.raises(BadRange):
            write(address, 1 << size)
    guest.write(address, bytes(range(200)))
    assert guest.read(address, 200) == bytes(range(200))
    with pytest.raises(AddressError, match="no memory at 0x1000"):
        guest.read(0x1000, 4)
    with pytest.raises(AddressError):
        guest.write(0x1000, b"x")
    with pytest.raises(AddressError, match="64 bits"):
        guest.read(1 << 64, 1)
    with pytest.raises(BadRange):
        guest.read(address, -1)


def test_memory_through_the_guests_page_tables(start: Load) -> None:
    guest = start("mmu")
    kernel = guest.symbol("main").address
    assert kernel >> 48 == 0xFFFF
    with pytest.raises(AddressError):
        guest.read(kernel, 4)  # not mapped before the MMU is on
    guest.run(until="user_enter", timeout=60)
    physical = guest.translate(kernel)
    assert physical == kernel - 0xFFFF_FF80_0000_0000
    assert guest.read(kernel, 64) == guest.board.read_phys(physical, 64)
    # A page for EL0 that the guest maps, by its two virtual addresses.
    data = guest.symbol("user_data").address
    assert guest.read(0x401000, 128) == guest.read(data, 128)
    assert guest.read_u64(0x401008) == 1
    guest.write_u64(0x401008, 99)
    assert guest.read_u64(data + 8) == 99
    with pytest.raises(AddressError, match="not mapped"):
        guest.read(0x402000, 1)
    with pytest.raises(AddressError, match="not mapped"):
        guest.read(0x401FF8, 16)  # the second half is not mapped
    with pytest.raises(AddressError):
        guest.write(0x401FF8, bytes(16))
    assert guest.read_u64(0x401FF8) == guest.read_u64(data + 0xFF8)
    # An unmapped page cannot be read any more, although it was read before.
    level3 = guest.symbol("level3").address
    guest.write_u64(level3 + 8, 0)
    with pytest.raises(AddressError):
        guest.read(0x401000, 1)


@needs_drgn
def test_member_names_that_are_not_text_are_a_bad_image(tmp_path: Path) -> None:
    data = (EXAMPLES / "queue.elf").read_bytes()
    name = data.index(b"\0peak\0") + 1
    path = tmp_path / "queue.elf"
    path.write_bytes(data[:name] + b"\xff\xfe" + data[name + 2 :])
    types = DrgnProgram(lambda address, length: bytes(length), [Image(path)])
    with pytest.raises(BadImage, match="the names in the debug information"):
        types.evaluate("queue.tail")
    assert types.static_address("queue.nothing") is None
