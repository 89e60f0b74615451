"""The symbols that a kernel exports to its modules: ``__ksymtab`` and ``__ksymtab_gpl``.

A kernel without CONFIG_KALLSYMS_ALL names its functions in kallsyms only. Of its variables those
that modules may use are named here (include/linux/export.h, ``struct kernel_symbol``):

=============  ====================================================================================
until 4.18     value and name, an address of 64 bits each
4.19 to 5.3    value and name, 32 bits each, relative to their own place
since 5.4      the same, and the name of the namespace
=============  ====================================================================================

The tables lie next to each other, followed by the names. They are found by their contents: by the
entry of a function that kallsyms names too.
"""

from __future__ import annotations

import re
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import cached_property

from guestdbg.linux.kallsyms import KernelSymbol

__all__ = ["ExportedSymbols"]

#: Functions that every kernel exports, under one of these names.
_ANCHORS = (b"kfree", b"vfree", b"memcpy", b"strlen", b"printk", b"_printk", b"panic")
#: Occurrences of such a name that are looked at, in the data of a hostile guest.
_MAX_NAMES = 256
#: The names follow the entries: not further away than this.
_WINDOW = 2 << 20
_MAX_SYMBOLS = 1 << 18
_MAX_NAME = 512
_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_.$]*")
#: Of the functions that kallsyms names too, so many have to be at the same place: one in ...
_WRONG = 16
_MIN_SYMBOLS = 16
_U64 = (1 << 64) - 1

#: An entry that is read: the offset of the value, and the offset of the name.
_Entry = tuple[int, int]


class ExportedSymbols:
    """The exported symbols of one kernel; empty if no table is found.

    Args:
        data: the kernel from its first byte on: an Image, or a copy of the memory of a running one.
        size: how many bytes the kernel has in memory; symbols lie in them.
        code: the offset of the function of a name, which kallsyms gives; None if there is none.
        address: the virtual address of the first byte, for the tables until 4.18; they have
            addresses only when the kernel has relocated itself.
    """

    def __init__(
        self,
        data: bytes,
        size: int,
        code: Callable[[str], int | None],
        address: int | None = None,
    ) -> None:
        self._symbols: dict[str, KernelSymbol] = {}
        for entries in _tables(data, size, code, address):
            if _agrees(entries, code):
                self._symbols = {
                    name: KernelSymbol(name, value, "T" if code(name) == value else "D")
                    for name, value in entries.items()
                }
                return

    def __len__(self) -> int:
        return len(self._symbols)

    def __iter__(self) -> Iterator[KernelSymbol]:
        return iter(self._symbols.values())

    def named(self, name: str) -> list[KernelSymbol]:
        """The symbol of that name; a list, as that of ``Kallsyms`` is."""
        found = self._symbols.get(name)
        return [] if found is None else [found]

    def names(self) -> list[str]:
        """Every name."""
        return list(self._symbols)

    @cached_property
    def _by_offset(self) -> tuple[list[int], list[KernelSymbol]]:
        ordered = sorted(self._symbols.values(), key=lambda symbol: symbol.offset)
        return [symbol.offset for symbol in ordered], ordered

    def at(self, offset: int) -> KernelSymbol | None:
        """The symbol that begins at an offset: there are no sizes."""
        offsets, symbols = self._by_offset
        place = bisect_left(offsets, offset)
        return symbols[place] if place < len(offsets) and offsets[place] == offset else None


def _tables(
    data: bytes, size: int, code: Callable[[str], int | None], address: int | None
) -> Iterator[dict[str, int]]:
    """What the tables around the entry of each anchor have."""
    for anchor in _ANCHORS:
        value = code(anchor.decode())
        if value is None:
            continue
        places = _name_places(data, anchor)
        for at in _relative_entries(data, places, value):
            for width in (12, 8):
                yield _around(at, width, lambda p: _relative(data, size, p), data)
        if address is not None:
            entries = {(value + address & _U64, place + address & _U64) for place in places}
            for at in _absolute_entries(data, places, entries):
                yield _around(at, 16, lambda p: _absolute(data, size, p, address), data)


def _name_places(data: bytes, name: bytes) -> set[int]:
    """Where the name is. It may be the end of a longer string, with which it is merged."""
    found: set[int] = set()
    at = -1
    while len(found) < _MAX_NAMES and (at := data.find(name + b"\0", at + 1)) >= 0:
        found.add(at)
    return found


def _windows(places: set[int], width: int) -> Iterator[tuple[int, int]]:
    """The data before the names, each part once."""
    done = 0
    for place in sorted(places):
        low = max(done, place - _WINDOW) // width * width
        if place > low:
            yield low, place // width * width
            done = place


def _relative_entries(data: bytes, names: set[int], value: int) -> Iterator[int]:
    for low, high in _windows(names, 4):
        words = _words(data[low:high], "i")
        for n, word in enumerate(words):
            # The name's offset counts from its own place, 4 bytes after that of the value.
            if low + 4 * n + word in names:
                at = low + 4 * n - 4
                if n and at + words[n - 1] == value:
                    yield at


def _absolute_entries(data: bytes, names: set[int], entries: set[_Entry]) -> Iterator[int]:
    for low, high in _windows(names, 8):
        words = _words(data[low:high], "Q")
        for n in range(len(words) - 1):
            if (words[n], words[n + 1]) in entries:
                yield low + 8 * n


def _words(data: bytes, kind: str) -> array[int]:
    words = array(kind)
    words.frombytes(data[: len(data) // words.itemsize * words.itemsize])
    if sys.byteorder == "big":  # pragma: no cover - no such host in the tests
        words.byteswap()
    return words


def _relative(data: bytes, size: int, at: int) -> _Entry | None:
    if at < 0 or at + 8 > len(data):
        return None
    value, name = struct.unpack_from("<ii", data, at)
    value, name = at + value, at + 4 + name
    return (value, name) if 0 <= value < size and at < name < at + 2 * _WINDOW else None


def _absolute(data: bytes, size: int, at: int, address: int) -> _Entry | None:
    if at < 0 or at + 16 > len(data):
        return None
    value, name = struct.unpack_from("<QQ", data, at)
    value, name = value - address, name - address
    return (value, name) if 0 <= value < size and at < name < at + 2 * _WINDOW else None


def _around(
    at: int, width: int, read: Callable[[int], _Entry | None], data: bytes
) -> dict[str, int]:
    """The entries next to the one at ``at``, in both directions, as long as they are entries."""
    found: dict[str, int] = {}
    for start, step in ((at, width), (at - width, -width)):
        place = start
        while len(found) < _MAX_SYMBOLS and (entry := read(place)) is not None:
            value, name_at = entry
            name = _NAME.match(data, name_at, name_at + _MAX_NAME)
            if name is None or data[name.end() : name.end() + 1] != b"\0":
                break
            found.setdefault(name[0].decode("ascii"), value)
            place += step
    return found


def _agrees(entries: dict[str, int], code: Callable[[str], int | None]) -> bool:
    """Whether the functions are where kallsyms has them."""
    known = [(value, code(name)) for name, value in entries.items()]
    both = [value == at for value, at in known if at is not None]
    return len(both) >= _MIN_SYMBOLS and both.count(False) * _WRONG <= len(both)
