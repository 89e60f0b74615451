"""The loadable segments and the entry point of an ELF file.

Source: System V ABI, chapters 4 and 5; ELF for the Arm 64-bit Architecture (AAELF64). No number in
the file is trusted: all are checked here. The few fields that loading needs are read here: to
import pyelftools takes longer than most guests of a few instructions run.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from guestdbg.hexadecimal_repr import hexadecimal
from guestdbg.machine.errors import (
    ForeignError,
    MalformedError,
    OverlapError,
    TruncatedError,
)

MAGIC = b"\x7fELF"
HEADER_SIZE = 64
PROGRAM_HEADER_SIZE = 56
PT_LOAD, PT_INTERP = 1, 3
MAX_PROGRAM_HEADERS = 0xFFFE  # 0xffff is PN_XNUM, "more than that", which is not supported

EI_CLASS, EI_DATA = 4, 5
CLASS_64 = 2
LITTLE_ENDIAN = 1
EM_AARCH64 = 183
PF_W = 2
ET_REL, ET_EXEC, ET_DYN, ET_CORE = 1, 2, 3, 4

_MACHINES = {
    2: "SPARC",
    3: "x86 (32-bit)",
    8: "MIPS",
    20: "PowerPC",
    21: "PowerPC64",
    22: "S/390",
    40: "Arm (32-bit)",
    62: "x86-64",
    243: "RISC-V",
    258: "LoongArch",
}
_ADDRESSES = 1 << 64


@hexadecimal("virtual", "physical")
@dataclass(frozen=True, slots=True)
class ElfSegment:
    """A loadable segment: addresses, size in bytes, and ``data``, the part that is in the file."""

    index: int
    virtual: int
    physical: int
    memory_size: int
    data: bytes | memoryview
    writable: bool = False

    @property
    def end(self) -> int:
        """The first physical address after it."""
        return self.physical + self.memory_size


class ElfImage(NamedTuple):
    """An executable for bare metal. ``entry`` is a physical address.

    ``moves`` says that it may be loaded elsewhere (a position-independent executable, ET_DYN).
    """

    entry: int
    segments: tuple[ElfSegment, ...]
    moves: bool = False


def is_elf(contents: bytes) -> bool:
    """Whether a file begins with the magic number of ELF."""
    return contents.startswith(MAGIC)


def parse(contents: bytes, name: str = "the file") -> ElfImage:
    """Parse a little-endian AArch64 executable.

    Raises:
        TruncatedError, ForeignError, MalformedError, OverlapError: with ``name`` and the reason.
    """
    _check_identity(contents, name)
    headers = _program_headers(contents, name)
    segments = tuple(
        segment
        for index, header in headers
        if (segment := _segment(contents, name, index, header)) is not None
    )
    if not segments:
        raise MalformedError(
            f"{name}: it has no loadable segment that is not empty; check the linker script"
        )
    segments = _with_physical(segments)
    _check_overlaps(name, segments)
    moves = int.from_bytes(contents[16:18], "little") == ET_DYN
    return ElfImage(_entry(contents, name, segments), segments, moves)


def _check_identity(contents: bytes, name: str) -> None:
    if not is_elf(contents):
        raise ForeignError(f"{name}: not an ELF file (it does not begin with 7f 45 4c 46)")
    if len(contents) < HEADER_SIZE:
        raise TruncatedError(
            f"{name}: {len(contents)} bytes, but an ELF header has {HEADER_SIZE}; "
            "copy or build the file again"
        )
    if contents[EI_CLASS] != CLASS_64:
        raise ForeignError(f"{name}: a 32-bit ELF; guests are 64-bit Arm (AArch64)")
    if contents[EI_DATA] != LITTLE_ENDIAN:
        raise ForeignError(f"{name}: a big-endian ELF; guests are little-endian (-mlittle-endian)")
    machine = int.from_bytes(contents[18:20], "little")
    if machine != EM_AARCH64:
        what = _MACHINES.get(machine, f"machine number {machine}")
        raise ForeignError(f"{name}: an ELF for {what}; guests are 64-bit Arm (AArch64)")
    kind = int.from_bytes(contents[16:18], "little")
    if kind == ET_REL:
        raise ForeignError(f"{name}: a relocatable object (.o); link it into an executable first")
    if kind == ET_CORE:
        raise ForeignError(f"{name}: a core dump; give the executable that it came from")
    if kind not in (ET_EXEC, ET_DYN):
        raise MalformedError(f"{name}: ELF type {kind} is not an executable's")


class _ProgramHeader(NamedTuple):
    """``Elf64_Phdr``, with its fields in their order."""

    p_type: int
    p_flags: int
    p_offset: int
    p_vaddr: int
    p_paddr: int
    p_filesz: int
    p_memsz: int
    p_align: int


_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")


def _program_headers(contents: bytes, name: str) -> list[tuple[int, _ProgramHeader]]:
    offset = int.from_bytes(contents[32:40], "little")
    entry_size = int.from_bytes(contents[54:56], "little")
    count = int.from_bytes(contents[56:58], "little")
    if not count:
        raise MalformedError(f"{name}: no program headers, so nothing says what to load; link it")
    if entry_size != PROGRAM_HEADER_SIZE or count > MAX_PROGRAM_HEADERS:
        raise MalformedError(
            f"{name}: {count} program headers of {entry_size} bytes; they have "
            f"{PROGRAM_HEADER_SIZE}, and there are at most {MAX_PROGRAM_HEADERS}"
        )
    if offset + count * entry_size > len(contents):
        raise TruncatedError(
            f"{name}: {len(contents)} bytes, but its program headers end at "
            f"{offset + count * entry_size}; copy or build the file again"
        )
    # The section headers are not looked at: a stripped or truncated file may not have them.
    table = memoryview(contents)[offset : offset + count * entry_size]
    segments = [_ProgramHeader(*fields) for fields in _PROGRAM_HEADER.iter_unpack(table)]
    if any(header.p_type == PT_INTERP for header in segments):
        raise ForeignError(
            f"{name}: a program for an operating system (it asks for a dynamic linker); "
            "a guest is bare metal: link with -static -nostdlib"
        )
    return list(enumerate(segments))


def _segment(contents: bytes, name: str, index: int, header: _ProgramHeader) -> ElfSegment | None:
    if header.p_type != PT_LOAD or not header.p_memsz:
        return None
    offset, file_size = header.p_offset, header.p_filesz
    memory_size, virtual = header.p_memsz, header.p_vaddr
    physical = header.p_paddr
    if file_size > memory_size:
        raise MalformedError(
            f"{name}: segment {index} has {file_size:#x} bytes in the file but room for only "
            f"{memory_size:#x} in memory"
        )
    if file_size and offset + file_size > len(
        contents
    ):  # if file_size is 0 (.bss), offset is meaningless
        raise TruncatedError(
            f"{name}: {len(contents):#x} bytes, but segment {index} ends at "
            f"{offset + file_size:#x}; copy or build the file again"
        )
    if physical + memory_size > _ADDRESSES or virtual + memory_size > _ADDRESSES:
        raise MalformedError(
            f"{name}: segment {index} of {memory_size:#x} bytes at {physical:#x} (virtual "
            f"{virtual:#x}) extends beyond the end of the address space"
        )
    data = memoryview(contents)[offset : offset + file_size]  # segments may claim the same bytes
    writable = bool(header.p_flags & PF_W)
    return ElfSegment(index, virtual, physical, memory_size, data, writable)


def _with_physical(segments: tuple[ElfSegment, ...]) -> tuple[ElfSegment, ...]:
    """Some linkers set all physical addresses to zero: then the virtual addresses are used."""
    if any(segment.physical for segment in segments):
        return segments
    return tuple(replace(s, physical=s.virtual) for s in segments)


def _check_overlaps(name: str, segments: tuple[ElfSegment, ...]) -> None:
    ordered = sorted(segments, key=lambda segment: segment.physical)
    for low, high in pairwise(ordered):
        if high.physical < low.end:
            raise OverlapError(
                f"{name}: segment {low.index} ({low.physical:#x} to {low.end - 1:#x}) and segment "
                f"{high.index} ({high.physical:#x} to {high.end - 1:#x}) overlap in memory; "
                "give them different load addresses"
            )


def _entry(contents: bytes, name: str, segments: tuple[ElfSegment, ...]) -> int:
    """The entry point as a physical address; in the file it may be a virtual one."""
    entry = int.from_bytes(contents[24:32], "little")
    physical = _physical(entry, segments)
    if physical is None:
        raise MalformedError(
            f"{name}: entry point {entry:#x} is not in a segment; set it with ENTRY() or -e"
        )
    if physical % 4:
        raise MalformedError(
            f"{name}: entry point {entry:#x} (physical {physical:#x}) is not a multiple of 4"
        )
    return physical


def _physical(address: int, segments: tuple[ElfSegment, ...]) -> int | None:
    if any(segment.physical <= address < segment.end for segment in segments):
        return address
    for segment in segments:
        if segment.virtual <= address < segment.virtual + segment.memory_size:
            return address - segment.virtual + segment.physical
    return None
