"""Symbols and source lines of the examples' ELF files, and files that are not usable."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.debugger import BadImage, DebuggerError, Image, UnknownLine
from guestdbg.debugger.program.drgn_program import DrgnProgram

from .conftest import EXAMPLES, Load

try:
    import drgn  # noqa: F401

    HAS_DRGN = True
except ImportError:
    HAS_DRGN = False


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
    other = bytearray((EXAMPLES / "counter.elf").read_bytes())
    other[18:20] = (62).to_bytes(2, "little")  # e_machine: EM_X86_64
    (tmp_path / "other.elf").write_bytes(other)
    with pytest.raises(BadImage, match="not a 64-bit Arm file"):
        Image(tmp_path / "other.elf")
    with pytest.raises(BadImage, match="cannot read"):
        Image(tmp_path / "none.elf")
    text = tmp_path / "text"
    text.write_text("hello")
    with pytest.raises(BadImage, match="not an ELF file"):
        Image(text)
