"""The files of a case: what they are made from, and what is changed in them.

A case follows from its seed. Each change has a random generator of its own, so that any of them can
be left out when a failure is made small.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import struct
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import fuzz_dwarf_damage
from fuzz_elf import SEGMENT, Elf, compressed, zstd_compressed

from guestdbg.container import (
    RECORDED_RUN,
    SNAPSHOT,
    ContainerFile,
    Form,
    Section,
    write_container,
)
from guestdbg.debugger import load
from guestdbg.debugger.program.section_header import SECTION_HEADER, SHF_COMPRESSED
from guestdbg.machine import devicetree

GUESTS = Path(__file__).parent / "fuzz_guests"
NAMES = ("dwarf4", "dwarf5", "plain")
RAM = 0x4000_0000
SMP = Path(__file__).parents[1] / "examples" / "smp.elf"
_SAVED = ("manifest", "machine", "devices", "debugger", "pages")
_RUN = (*_SAVED, "run", "turns", "inputs", "checkpoint", "changed")

_NUMBERS = (
    0, 1, 2, 3, 4, 7, 8, 0x10, 0x18, 0x38, 0x40, 0x7F, 0x80, 0xFF, 0x100, 0xFFF, 0x1000, 0x7FFF,
    0xFFFF, 0x1_0000, 0x10_0000, 0x1000_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFF0, 0xFFFF_FFFF,
    0x1_0000_0000, 0x4020_0000, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 8, (1 << 64) - 1,
)  # fmt: skip
_DEBUG = (".debug_info", ".debug_abbrev", ".debug_line")


@dataclass
class Files:
    """The files of a case.

    Attributes:
        shape: what kind of files they are.
        contents: of each file by its name. The first is the guest.
        options: of ``guestdbg.load``.
        places: (start, end) of pieces of the guest's file, by name, that are worth changing.
    """

    shape: str
    contents: dict[str, bytes]
    options: dict[str, object] = field(default_factory=dict)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)


@cache
def _guest(name: str) -> bytes:
    return (GUESTS / f"{name}.elf").read_bytes()


@cache
def _symbols(name: str) -> dict[str, tuple[int, int]]:
    return Elf.parse(_guest(name)).symbols()


@cache
def _zeros(how: str, size: int) -> bytes:
    """A small section that unpacks to a large one."""
    return compressed(bytes(size), how)


def _elf(rng: random.Random) -> tuple[str, Elf]:
    name = rng.choice(NAMES)
    return name, Elf.parse(_guest(name))


# ---- what there is before anything is changed ----------------------------------------------------


def _compiled(rng: random.Random) -> Files:
    """As compilers write them."""
    _, elf = _elf(rng)
    return Files("compiled", {"guest.elf": elf.build()})


def _made(rng: random.Random) -> Files:
    """With debug information that no compiler writes."""
    name, elf = _elf(rng)
    pathology = rng.choice(fuzz_dwarf_damage.PATHOLOGIES)
    kept = elf.without_debug_info()
    program = fuzz_dwarf_damage.program(rng, _symbols(name), pathology)
    for section, contents in program.make().items():
        kept.put(section, contents)
    return Files(f"made: {pathology}", {"guest.elf": kept.build()})


def _compressed(rng: random.Random) -> Files:
    """With compressed sections, intact and not."""
    _, elf = _elf(rng)
    how = rng.choice(("zlib", "zstd", "gnu"))
    for section in elf.sections:
        if not section.name.startswith(".debug") or rng.random() < 0.3:
            continue
        claimed = None
        if rng.random() < 0.15:
            claimed = rng.choice(_NUMBERS)
        if rng.random() < 0.02:
            packed = bytearray(_zeros(how, rng.choice((1 << 20, 48 << 20))))
        else:
            packed = bytearray(compressed(section.contents, how, claimed))
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            packed[rng.randrange(len(packed))] = rng.randrange(256)
        section.contents = bytes(packed)
        if how == "gnu":
            section.name = ".z" + section.name[1:]
        else:
            section.header = section.header._replace(flags=section.header.flags | SHF_COMPRESSED)
    return Files(f"compressed: {how}", {"guest.elf": elf.build()})


def _separate(rng: random.Random) -> Files:
    """With the debug information in another file, damaged or not."""
    name, elf = _elf(rng)
    debug = Elf.parse(_guest(name))
    if rng.random() < 0.5:
        program = fuzz_dwarf_damage.program(
            rng, _symbols(name), rng.choice(fuzz_dwarf_damage.PATHOLOGIES)
        )
        debug = debug.without_debug_info()
        for section, contents in program.make().items():
            debug.put(section, contents)
    data = bytearray(debug.build())
    for _ in range(rng.choice((0, 1, 2, 8))):
        _numbers(rng, data, (0, len(data)))
    kept = elf.without_debug_info()
    link = b"guest.debug\0"
    kept.put(".gnu_debuglink", link + struct.pack("<I", zlib.crc32(data)))
    return Files("separate", {"guest.elf": kept.build(), "guest.debug": bytes(data)})


def _supplementary(rng: random.Random) -> Files:
    """With a supplementary file, as dwz names it."""
    _, elf = _elf(rng)
    identity = rng.randbytes(20)
    elf.put(".gnu_debugaltlink", b"other.debug\0" + identity)
    _, other = _elf(rng)
    note = struct.pack("<III", 4, 20, 3) + b"GNU\0" + identity
    other.put(".note.gnu.build-id", note)
    data = bytearray(other.build())
    for _ in range(rng.choice((0, 1, 2, 8))):
        _numbers(rng, data, (SEGMENT + 8, len(data)))
    return Files("supplementary", {"guest.elf": elf.build(), "other.debug": bytes(data)})


def _code(rng: random.Random) -> bytes:
    """The text of a guest: it runs anywhere, for a while."""
    _, elf = _elf(rng)
    text = elf.section(".text")
    assert text is not None
    return text.contents


def _device_tree(rng: random.Random) -> bytes:
    arguments = rng.choice(("", "console=ttyAMA0", "x" * 300, "\u00e4", "a\tb"))
    memory = ((RAM, rng.choice((16 << 20, 1 << 40))),)
    vcpus = tuple(range(rng.randrange(1, 9)))
    return devicetree.build(devicetree.Contents(memory, vcpus, bootargs=arguments))


def _raw(rng: random.Random) -> Files:
    """A raw image, with a device tree after it or before it, or nothing but one."""
    tree = bytearray(_device_tree(rng))
    for _ in range(rng.choice((0, 1, 4, 16))):
        _numbers(rng, tree, (0, len(tree)))
    code = _code(rng)
    contents = rng.choice((code, code + tree, bytes(tree), code[:64] + tree))
    places: tuple[dict[str, object], ...] = (
        {"kind": "raw"},
        {"address": RAM + 0x20_0000},
        {"kind": "firmware"},
        {},
    )
    arguments = rng.choice(("", "x y", "\u00e4", "q" * 5000, "\udc80", "a\0b", "\ud800"))
    options = rng.choice(places) | {"bootargs": arguments}
    return Files("raw", {"guest.bin": bytes(contents)}, options)


def _image(rng: random.Random) -> Files:
    """An arm64 Linux Image."""
    code = _code(rng)
    header = struct.pack(
        "<IIQQQQQQ4sI", 0x14000010, 0, 0, len(code) + 64, 0xA, 0, 0, 0, b"ARM\x64", 0
    )
    return Files("image", {"Image": header + code})


_PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 1, mtime=0),
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, lzma.FORMAT_XZ, preset=0),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE, preset=0),
    "zstd": zstd_compressed,
    "lz4": lambda data: b"\x04\x22\x4d\x18" + data,
}


@cache
def _packed_zeros(how: str, size: int) -> bytes:
    return _PACKERS[how](bytes(size))


def _packed(rng: random.Random) -> Files:
    """A compressed guest, packed once or several times; and what unpacks to far more."""
    contents = (
        _compiled(rng).contents["guest.elf"]
        if rng.random() < 0.7
        else _image(rng).contents["Image"]
    )
    names = rng.choices(sorted(_PACKERS), k=rng.choice((1, 1, 1, 2, 6)))
    if rng.random() < 0.1:
        contents = _packed_zeros(names[0], rng.choice((1 << 20, 40 << 20)))
        names = names[1:] or names[:1]
    for name in names:
        contents = _PACKERS[name](contents)
    if rng.random() < 0.1:  # an EFI zboot image
        head = b"MZ\0\0zimg" + struct.pack("<II", 64, len(contents)) + bytes(48)
        contents = head + contents
    return Files("packed", {f"guest.{names[-1]}": contents})


def _hex(rng: random.Random) -> Files:
    """Intel HEX, or S-records."""
    import bincopy

    records = bincopy.BinFile()
    records.add_binary(_code(rng)[:600], RAM + 0x20_0000)
    records.execution_start_address = RAM + 0x20_0000
    if rng.random() < 0.5:
        return Files("records", {"guest.hex": records.as_ihex().encode()})
    return Files("records", {"guest.srec": records.as_srec().encode()})


def _uimage(rng: random.Random) -> Files:
    """A U-Boot image, whose checksums are right."""
    data = bytearray(_code(rng))
    if rng.random() < 0.3:
        data = bytearray(gzip.compress(data, 1, mtime=0))
    load = rng.choice((RAM + 0x20_0000, 0, rng.choice(_NUMBERS) & 0xFFFF_FFFF))
    entry = rng.choice((load, load & ~7 | 4, rng.choice(_NUMBERS) & 0xFFFF_FFFF))
    fields = [0x27051956, 0, 0, len(data), load, entry, zlib.crc32(data), 5, 22, 2, 0, b"fuzz"]
    if rng.random() < 0.3:
        fields[rng.randrange(3, 6)] = rng.choice(_NUMBERS) & 0xFFFF_FFFF
    if rng.random() < 0.3:
        fields[rng.randrange(7, 11)] = rng.randrange(256)
    header = struct.pack(">7I4B32s", *fields)
    fields[1] = zlib.crc32(header)
    return Files("uimage", {"guest.uimage": struct.pack(">7I4B32s", *fields) + data})


@cache
def _saved_sections() -> tuple[Section, ...]:
    """A guest of two vCPUs in the middle of its run, as the sections of a file."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "saved"
        with load(SMP, memory="4M", vcpus=2, provider="soft", console=None) as guest:
            guest.run(max_instructions=20_000)
            guest.save(path)
        file = ContainerFile(path)
        return tuple(Section(name, data) for name in _SAVED for data in file.sections(name))


@cache
def _run_sections() -> tuple[Section, ...]:
    """The run of a guest of two vCPUs that is typed to and written to, in the same way."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "run"
        with load(SMP, memory="4M", vcpus=2, provider="soft", console=None, history=True) as guest:
            guest.run(max_instructions=1_000)
            guest.board.console.feed(b"typed")
            guest.run(max_instructions=210_000)
            guest.cpu.x[28] = 7
            guest.run(max_instructions=5_000)
            guest.history.save(path)
        file = ContainerFile(path, form=RECORDED_RUN)
        return tuple(Section(name, data) for name in _RUN for data in file.sections(name))


def _saved(rng: random.Random) -> Files:
    """A file of a guest's state, often with other contents and the digest of these."""
    return _damaged_sections(rng, _saved_sections(), SNAPSHOT)


def _run(rng: random.Random) -> Files:
    """The same of a recorded run."""
    return _damaged_sections(rng, _run_sections(), RECORDED_RUN)


def _damaged_sections(rng: random.Random, whole: Sequence[Section], form: Form) -> Files:
    sections = list(whole)
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        place = rng.randrange(len(sections))
        name, data = sections[place]
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = rng.randrange(len(changed))
            changed[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, changed[at] ^ 1 << rng.randrange(8)))
        if rng.random() < 0.1:
            del changed[rng.randrange(len(changed)) :]
        sections[place] = Section(name, bytes(changed) or b"\0")
    with tempfile.TemporaryDirectory() as directory:
        write_container(Path(directory) / "saved", sections, form)
        contents = (Path(directory) / "saved").read_bytes()
    # The size of memory is the file's: 128M is what load() takes for "not given".
    return Files(form.name, {"guest.saved": contents}, {"memory": "128M"})


_SHAPES: tuple[tuple[int, Callable[[random.Random], Files]], ...] = (
    (40, _compiled),
    (30, _made),
    (8, _compressed),
    (6, _separate),
    (3, _supplementary),
    (4, _raw),
    (2, _image),
    (4, _packed),
    (2, _hex),
    (2, _uimage),
    (2, _saved),
    (2, _run),
)


# ---- changes -------------------------------------------------------------------------------------


def _numbers(rng: random.Random, data: bytearray, place: tuple[int, int]) -> None:
    """A number of 1 to 8 bytes, or one bit."""
    start, end = place
    if end <= start:
        return
    at = rng.randrange(start, end)
    how = rng.randrange(4)
    if how == 0:
        data[at] ^= 1 << rng.randrange(8)
        return
    width = rng.choice((1, 1, 1, 2, 4, 8))
    if how == 1:
        at -= (at - start) % width
    width = min(width, len(data) - at)
    value = rng.choice(_NUMBERS) if how < 3 else rng.getrandbits(64)
    data[at : at + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")


def _copy(rng: random.Random, data: bytearray, place: tuple[int, int]) -> None:
    """A piece over another piece of the same place."""
    start, end = place
    if end - start < 2:
        return
    size = rng.randrange(1, min(64, end - start))
    source, target = (rng.randrange(start, end - size + 1) for _ in range(2))
    data[target : target + size] = data[source : source + size]


def _fill(rng: random.Random, data: bytearray, place: tuple[int, int]) -> None:
    """Many times the same byte."""
    start, end = place
    if end <= start:
        return
    at = rng.randrange(start, end)
    size = min(rng.choice((4, 16, 100, 1000)), end - at)
    data[at : at + size] = bytes([rng.choice((0, 0x80, 0xFF, rng.randrange(256)))]) * size


def _cut(rng: random.Random, data: bytearray, place: tuple[int, int]) -> None:
    """The end of the file is missing."""
    if rng.random() < 0.2:
        del data[rng.randrange(len(data) + 1) :]


_CHANGES = (_numbers,) * 12 + (_copy, _copy, _fill, _fill, _cut)


def _places(data: bytes) -> dict[str, tuple[int, int]]:
    """The pieces of an ELF file by name, as its headers give them."""
    elf = Elf.parse(data)
    (segments,) = struct.unpack_from("<Q", data, 32)
    (sections,) = struct.unpack_from("<Q", data, 40)
    (count,) = struct.unpack_from("<H", data, 56)
    found = {
        "ELF header": (4, 64),
        "program headers": (segments, segments + count * SEGMENT),
        "section headers": (sections, sections + SECTION_HEADER * len(elf.sections)),
    }
    at = sections
    for section in elf.sections:
        offset, size = struct.unpack_from("<QQ", data, at + 24)
        at += SECTION_HEADER
        if section.contents and section.name != ".shstrtab":
            found[section.name] = (offset, offset + size)
    return found


def _change(rng: random.Random, data: bytearray, places: dict[str, tuple[int, int]]) -> str:
    if places:
        name = rng.choice([*places, *(n for n in _DEBUG if n in places)])
        start, end = places[name]
        place = min(start, len(data)), min(end, len(data))
    else:
        name, place = "file", (0, min(len(data), rng.choice((64, len(data), len(data)))))
    change = rng.choice(_CHANGES)
    change(rng, data, place)
    return name


def plan(seed: int) -> int:
    """How many changes the case has."""
    return random.Random(f"files/{seed}/count").choice((0, 1, 1, 1, 2, 2, 3, 5, 8, 20))


def _base(seed: int) -> Files:
    rng = random.Random(f"files/{seed}/base")
    (make,) = rng.choices([m for _, m in _SHAPES], [w for w, _ in _SHAPES])
    return make(rng)


def shape(seed: int) -> str:
    """What kind of files the case has."""
    return _base(seed).shape


def files(seed: int, changes: Sequence[int] | None = None) -> tuple[Files, list[str]]:
    """The files of a case with some of its changes (None: all), and what was changed in them."""
    found = _base(seed)
    (first, *_others) = found.contents
    data = bytearray(found.contents[first])
    places = _places(bytes(data)) if first.endswith(".elf") else {}
    changed = []
    for number in range(plan(seed)) if changes is None else changes:
        if data:
            changed.append(_change(random.Random(f"files/{seed}/{number}"), data, places))
    found.contents[first] = bytes(data)
    return found, changed
