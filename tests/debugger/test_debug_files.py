"""Files with debug information: separate, compressed, of removed code, and built anew."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from guestdbg.debugger import BadImage, Guest, Image, NoDebugInfo, load
from guestdbg.debugger.program import decompression
from guestdbg.debugger.program.section_table import SectionTable

GCC = shutil.which("aarch64-linux-gnu-gcc")
OBJCOPY = shutil.which("aarch64-linux-gnu-objcopy")
pytestmark = pytest.mark.skipif(
    GCC is None or OBJCOPY is None, reason="aarch64-linux-gnu-gcc is not installed"
)
pytest.importorskip("drgn", reason="drgn runs on Linux only")

SOURCE = """
struct { int low, high; } value;
int removed(int n) { return n + 1; }
__attribute__((noinline)) int step(int n)
{
    value.high = n; /* line 6 */
    return n;
}
void _start(void)
{
    step(1);
    for (;;)
        ;
}
"""
LINE_OF_REMOVED, LINE_OF_STEP = 3, 6


def build(path: Path, *options: str, base: int = 0x4020_0000, source: str = SOURCE) -> Path:
    assert GCC is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    program = path.parent / "program.c"
    program.write_text(source)
    command = [GCC, "-g", "-O1", "-ffreestanding", "-nostdlib", "-static", "-no-pie"]
    command += [f"-Wl,-Ttext={base:#x}", "-Wl,-z,max-page-size=4096", "-Wl,--build-id=sha1"]
    subprocess.run([*command, *options, "-o", path, program], check=True)
    return path


def objcopy(*arguments: str | Path) -> None:
    assert OBJCOPY is not None
    subprocess.run([OBJCOPY, *arguments], check=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("plain") / "guest.elf")


def finds_both(path: Path, **options: object) -> Iterator[int]:
    """The addresses of a line and of a member."""
    with load(path, provider="soft", console=None, memory="16M", **options) as guest:  # type: ignore[arg-type]
        yield guest.break_(f"program.c:{LINE_OF_STEP}").address
        yield guest.watch("value.high").address


@pytest.mark.parametrize("how", ["zlib-gnu", "zlib-gabi", "zstd"])
def test_compressed_sections(plain: Path, tmp_path: Path, how: str) -> None:
    path = tmp_path / "packed.elf"
    objcopy(f"--compress-debug-sections={how}", plain, path)
    assert path.read_bytes() != plain.read_bytes()
    assert list(finds_both(path)) == list(finds_both(plain))


def test_a_compressed_section_cannot_grow_without_limit(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "packed.elf"
    objcopy("--compress-debug-sections=zlib-gabi", plain, path)
    data = bytearray(path.read_bytes())
    section = SectionTable(bytes(data)).named(b".debug_info")
    assert section is not None
    struct.pack_into("<Q", data, section.offset + 8, 1 << 60)
    path.write_bytes(data)
    with pytest.raises(BadImage, match="claim to unpack to 1099511627776 MiB"):
        bool(Image(path).lines)
    with pytest.raises(BadImage, match="does not have the 5 bytes"):
        decompression.decompress(decompression.zlib.compress(b"longer"), 1, 5, ".debug_x")
    with pytest.raises(BadImage, match="method 9"):
        decompression.decompress(b"", 9, 5, ".debug_x")


def separate(plain: Path, directory: Path, debug: Path) -> Path:
    """A stripped guest with a debug link to ``debug``, without a build ID."""
    debug.parent.mkdir(parents=True, exist_ok=True)
    objcopy("--only-keep-debug", plain, debug)
    path = directory / "guest.elf"
    objcopy("--strip-all", "-R", ".note.gnu.build-id", f"--add-gnu-debuglink={debug}", plain, path)
    return path


@pytest.mark.parametrize("place", ["", ".debug", "elsewhere"])
def test_a_debug_link(plain: Path, tmp_path: Path, place: str) -> None:
    path = separate(plain, tmp_path, tmp_path / place / "guest.debug")
    if place == "elsewhere":
        with pytest.raises(NoDebugInfo, match=r"gnu_debuglink names 'guest\.debug'.*debug-dir"):
            list(finds_both(path))
        assert list(finds_both(path, debug_dirs=[tmp_path / place])) == list(finds_both(plain))
    else:
        assert list(finds_both(path)) == list(finds_both(plain))


def test_a_debug_link_to_another_file(plain: Path, tmp_path: Path) -> None:
    path = separate(plain, tmp_path, tmp_path / "guest.debug")
    with (tmp_path / "guest.debug").open("ab") as file:
        file.write(b"more")
    with pytest.raises(NoDebugInfo, match="its CRC does not match"):
        list(finds_both(path))


def test_a_build_id(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "guest.elf"
    objcopy("--strip-all", plain, path)
    own = Image(plain)._elf.get_section_by_name(".note.gnu.build-id").data()[16:].hex()
    debug = tmp_path / "store/.build-id" / own[:2] / f"{own[2:]}.debug"
    debug.parent.mkdir(parents=True)
    objcopy("--only-keep-debug", plain, debug)
    assert list(finds_both(path, debug_dirs=[tmp_path / "store"])) == list(finds_both(plain))
    assert debug in Image(path, debug_dirs=[tmp_path / "store"]).files
    slid = Image(path, 0x1000, debug_dirs=[tmp_path / "store"])
    assert slid.lines.addresses("program.c", LINE_OF_STEP)[0][0] == (
        Image(plain).lines.addresses("program.c", LINE_OF_STEP)[0][0] + 0x1000
    )


REMOVE = ("-ffunction-sections", "-Wl,--gc-sections")


@pytest.mark.parametrize("base", [0x4020_0000, 0])
@pytest.mark.parametrize("version", ["-gdwarf-4", "-gdwarf-5"])
def test_removed_code_has_no_line(tmp_path: Path, base: int, version: str) -> None:
    image = Image(build(tmp_path / "guest.elf", *REMOVE, version, base=base))
    assert image.symbols.find("removed") is None
    step = image.symbols.find("step")
    assert step is not None
    addresses, taken, _ = image.lines.addresses("program.c", LINE_OF_REMOVED)
    assert taken in (4, 5)  # the next line that has code
    assert addresses == [step.address]
    row = image.lines.at(base)
    first = image.symbols.at(base)
    assert first is not None or base == 0
    assert row is None or row.line > LINE_OF_REMOVED


@pytest.mark.parametrize(
    "tombstone", [0, 1, (1 << 64) - 1, (1 << 64) - 2, (1 << 32) - 1, (1 << 32) - 2]
)
def test_every_tombstone(tmp_path: Path, tombstone: int) -> None:
    path = build(tmp_path / "guest.elf", *REMOVE, "-gdwarf-4")
    data = path.read_bytes()
    # GNU ld writes 0: the operand of DW_LNE_set_address (0, length 9, opcode 2).
    removed = b"\0\x09\x02" + bytes(8)
    assert removed in data
    path.write_bytes(data.replace(removed, b"\0\x09\x02" + struct.pack("<Q", tombstone)))
    image = Image(path)
    assert image.lines.at(tombstone) is None
    addresses, taken, _ = image.lines.addresses("program.c", LINE_OF_REMOVED)
    assert taken > LINE_OF_REMOVED
    assert tombstone not in addresses


def test_a_guest_built_anew_keeps_what_was_loaded(tmp_path: Path) -> None:
    path = build(tmp_path / "guest.elf")
    with load(path, provider="soft", console=None, memory="16M") as guest:
        before = guest.symbol("value").address
        contents = path.read_bytes()
        build(path, source="long first[64] = { 1 };" + SOURCE)
        assert guest["value.high"].address_ == before + 4
        assert guest.break_(f"program.c:{LINE_OF_STEP}").line == LINE_OF_STEP
        assert guest.images[0].files[path] == contents
        guest.reset()
        assert guest.images[0].files[path] == path.read_bytes() != contents
        after = Image(path).symbols.find("value")
        assert after is not None
        assert after.address != before
        assert (
            guest["value.high"].address_ == after.address + 4 == guest.symbol("value").address + 4
        )
        guest.reset()  # nothing has changed
        _symbols_that_are_gone(guest, path)


def _symbols_that_are_gone(guest: Guest, path: Path) -> None:
    symbols = path.with_name("symbols.elf")
    shutil.copy(path, symbols)
    image = guest.add_symbols(symbols)
    symbols.unlink()
    guest.reset()
    assert image in guest.images
