"""The symbol table of an ELF image: names to addresses and back."""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from enum import Enum

from guestdbg.debugger.program.demangled import hint, is_mangled, spellings
from guestdbg.hexadecimal_repr import hexadecimal

__all__ = ["Symbol", "SymbolKind", "SymbolTable"]


class SymbolKind(Enum):
    """What a symbol names, by the low four bits of its ``st_info``."""

    NOTYPE = 0
    OBJECT = 1
    FUNCTION = 2
    OTHER = 3


@hexadecimal("address")
@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol; ``size`` is in bytes, and 0 if the file does not give one."""

    name: str
    address: int
    size: int
    kind: SymbolKind
    is_global: bool

    def contains(self, address: int) -> bool:
        """Whether ``address`` lies in the symbol's extent (never true for one without a size)."""
        return self.address <= address < self.address + self.size


_U64 = (1 << 64) - 1
_ENTRY = struct.Struct("<IBBHQQ")
_SHN_UNDEF, _SHN_ABS, _SHN_COMMON = 0, 0xFFF1, 0xFFF2
_NAMES_MIN, _NAMES_SHARED = 1 << 20, 8
_STT = {0: SymbolKind.NOTYPE, 1: SymbolKind.OBJECT, 2: SymbolKind.FUNCTION}
# Of several names for one address, the one that a person most likely knows comes last.
_PREFERENCE = {
    SymbolKind.OTHER: 0,
    SymbolKind.NOTYPE: 1,
    SymbolKind.OBJECT: 2,
    SymbolKind.FUNCTION: 3,
}


class SymbolTable:
    """The symbols of one image, moved by ``slide`` bytes from the addresses it was linked at."""

    def __init__(self, symbols: list[Symbol], absolute: frozenset[str] = frozenset()) -> None:
        self._absolute = absolute
        self._distance = 0
        self._by_name: dict[str, Symbol] = {}
        for symbol in symbols:
            known = self._by_name.get(symbol.name)
            if known is None or (symbol.is_global and not known.is_global):
                self._by_name[symbol.name] = symbol
        self._sorted = sorted(
            symbols, key=lambda s: (s.address, _PREFERENCE[s.kind], s.is_global, s.size > 0)
        )
        self._starts = [s.address for s in self._sorted]
        self._all = symbols

    @classmethod
    def parse(
        cls, symtab: bytes, strtab: bytes, *, slide: int = 0, sections: int | None = None
    ) -> SymbolTable:
        """Read the contents of ``.symtab`` and ``.strtab`` (ELF64, little-endian).

        ``sections`` is the number of sections. Symbols of sections that do not exist are left out,
        as are symbols without a name or an address in the guest, and the mapping symbols of
        disassemblers (``$x``).
        """
        found: list[Symbol] = []
        absolute: set[str] = set()
        # Names may share their ends, so they may be a little more than the strings.
        room = _NAMES_MIN + _NAMES_SHARED * len(strtab)
        for name_at, info, _other, shndx, value, size in _ENTRY.iter_unpack(
            symtab[: len(symtab) // _ENTRY.size * _ENTRY.size]
        ):
            kind_number = info & 0xF
            if not name_at or shndx in (_SHN_UNDEF, _SHN_COMMON) or kind_number in (3, 4, 6):
                continue  # unnamed, undefined, or a section, file or thread-local symbol
            if sections is not None and shndx >= sections and shndx != _SHN_ABS:
                continue
            end = strtab.find(b"\0", name_at)
            if end <= name_at:
                continue
            room -= end - name_at
            if room < 0:
                raise ValueError(f"its names are far longer than its {len(strtab)} string bytes")
            name = strtab[name_at:end].decode("utf-8", "replace")
            if name[0] == "$":
                continue
            address = value + slide
            if shndx == _SHN_ABS:
                address = value
                absolute.add(name)
            found.append(
                Symbol(
                    name,
                    address & _U64,
                    min(size, (1 << 64) - (address & _U64)),
                    _STT.get(kind_number, SymbolKind.OTHER),
                    info >> 4 != 0,
                )
            )
        return cls(found, frozenset(absolute))

    def moved(self, distance: int) -> SymbolTable:
        """The symbols of the same image, so many bytes further on; absolute ones stay."""
        moved = copy(self)
        moved._distance = self._distance + distance
        return moved

    def _moved(self, symbol: Symbol) -> Symbol:
        if not self._distance or symbol.name in self._absolute:
            return symbol
        return replace(symbol, address=symbol.address + self._distance & _U64)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Symbol]:
        return map(self._moved, self._all)

    def names(self) -> list[str]:
        """Every name, once each."""
        return list(self._by_name)

    def find(self, name: str) -> Symbol | None:
        """The symbol of that name, a global one rather than a local one; None if there is none."""
        found = self._by_name.get(name)
        return None if found is None else self._moved(found)

    def demangled(self, written: str) -> list[Symbol]:
        """The symbols of C++ and Rust that may be written so, with or without parameters."""
        word, text = hint(written), "".join(written.split())
        return [
            self._moved(symbol)
            for symbol in self._by_name.values()
            if word and is_mangled(symbol.name) and word in symbol.name
            if text in spellings(symbol.name)
        ]

    def at(self, address: int) -> Symbol | None:
        """The symbol whose extent holds ``address``.

        A symbol without a size (a label of an assembly file) extends to the next symbol.
        """
        address = address - self._distance & _U64
        i = bisect_right(self._starts, address) - 1
        if i < 0:
            return None
        best = self._sorted[i]
        if best.contains(address) or best.size == 0:
            if best.size or best.address == address:
                return self._moved(best)
            # A label inside a function that has a size belongs to that function.
            return self._moved(self._enclosing(i, address) or best)
        around = self._enclosing(i, address)
        return None if around is None else self._moved(around)

    def starting_at(self, address: int) -> list[Symbol]:
        """The symbols at ``address``."""
        address = address - self._distance & _U64
        first = bisect_left(self._starts, address)
        last = bisect_right(self._starts, address)
        return [self._moved(symbol) for symbol in self._sorted[first:last]]

    def _enclosing(self, i: int, address: int) -> Symbol | None:
        for symbol in reversed(self._sorted[max(0, i - 64) : i]):
            if symbol.contains(address):
                return symbol
        return None
