"""vmcoreinfo: what a kernel notes for those who read its memory after a crash.

A page of text, made when the kernel starts (kernel/vmcore_info.c, Documentation/admin-guide/kdump/
vmcoreinfo.rst): addresses of variables, offsets of members, sizes, constants.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from guestdbg.errors import GuestdbgError

__all__ = ["VmcoreInfo", "parse_at", "search"]

#: How the text begins.
_START = b"OSRELEASE="
#: The header of an ELF note: sizes of name and contents, type, and the name.
_NOTE = bytes(12) + b"VMCOREINFO\0\0"
_NAME_SIZE = 12
_PAGE = 4096
_MAX_TEXT = 4 * _PAGE
_LINE = re.compile(r"(?:(SYMBOL|SIZE|OFFSET|LENGTH|NUMBER)\(([^()=]+)\)|([^()=]+))=(.*)")
_CHUNK = 16 << 20
_MAX_CANDIDATES = 64


@dataclass(frozen=True, slots=True)
class VmcoreInfo:
    """The entries of a vmcoreinfo.

    Attributes:
        text: all of it.
        symbols: the virtual addresses of variables and functions. A few are not addresses of a
            symbol, but what it points to: ``mem_section``, ``vmemmap``.
        sizes: of structures, in bytes.
        offsets: of members, ``structure.member``, in bytes.
        lengths: of arrays, in elements.
        numbers: constants.
        values: the other entries: ``OSRELEASE``, ``BUILD-ID``, ``PAGESIZE``, ``KERNELOFFSET``...
    """

    text: str = field(repr=False)
    symbols: dict[str, int] = field(default_factory=dict, repr=False)
    sizes: dict[str, int] = field(default_factory=dict, repr=False)
    offsets: dict[str, int] = field(default_factory=dict, repr=False)
    lengths: dict[str, int] = field(default_factory=dict, repr=False)
    numbers: dict[str, int] = field(default_factory=dict, repr=False)
    values: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> VmcoreInfo:
        """Read the text; lines that are no entries are left out."""
        found = cls(text)
        tables = {
            "SYMBOL": (found.symbols, 16),
            "SIZE": (found.sizes, 10),
            "OFFSET": (found.offsets, 10),
            "LENGTH": (found.lengths, 10),
            "NUMBER": (found.numbers, 10),
        }
        for line in text.splitlines():
            entry = _LINE.fullmatch(line)
            if entry is None:
                continue
            kind, name, other, value = entry.groups()
            if kind is None:
                found.values[other] = value
                continue
            table, base = tables[kind]
            try:
                table[name] = int(value, 16 if value.startswith("0x") else base)
            except ValueError:
                continue
        return found

    @property
    def release(self) -> str:
        """The kernel's release, as ``uname -r`` prints it; empty if it is not there."""
        return self.values.get("OSRELEASE", "")

    @property
    def build_id(self) -> str | None:
        """The build-id of the vmlinux, in hexadecimal (since Linux 5.11)."""
        return self.values.get("BUILD-ID")

    @property
    def kernel_offset(self) -> int | None:
        """How far KASLR has moved the kernel, in bytes."""
        try:
            return int(self.values["KERNELOFFSET"], 16)
        except (KeyError, ValueError):
            return None


def parse_at(read: Callable[[int, int], bytes], address: int) -> VmcoreInfo | None:
    """The vmcoreinfo at an address that ``read`` takes, alone or as an ELF note; None without."""
    data = b""
    while len(data) < _MAX_TEXT and b"\0" not in data:
        try:
            data += read(address + len(data), _PAGE)
        except GuestdbgError:
            break
        if data[len(_NOTE) - _NAME_SIZE : len(_NOTE)] == _NOTE[-_NAME_SIZE:]:
            data = data[len(_NOTE) :]
            address += len(_NOTE)
        if not data.startswith(_START):
            return None
    text = data.partition(b"\0")[0]
    return VmcoreInfo.parse(text.decode("latin-1")) if text else None


def search(
    read_phys: Callable[[int, int], bytes], regions: Iterable[tuple[int, int]]
) -> Iterator[VmcoreInfo]:
    """What looks like a vmcoreinfo in guest-physical memory: at the start of a page.

    Args:
        read_phys: reads memory.
        regions: the start and end of each part of it.
    """
    seen = 0
    for start, end in regions:
        for low in range(start, end, _CHUNK):
            data = read_phys(low, min(_CHUNK, end - low))
            at = -1
            while (at := data.find(_START, at + 1)) >= 0:
                if at % _PAGE:
                    continue
                found = parse_at(read_phys, low + at)
                if found is not None:
                    yield found
                seen += 1
                if seen >= _MAX_CANDIDATES:
                    return
