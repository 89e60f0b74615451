"""The symbols of a kernel: names to places in it, and back."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from guestdbg.linux.errors import BadKallsyms
from guestdbg.linux.kallsyms import layout
from guestdbg.linux.kallsyms.link_address import first_symbol_address, image_start

__all__ = ["Kallsyms", "KernelSymbol"]

_START = "_text"
#: ``_text`` is one of the first symbols, or it is not there (without CONFIG_KALLSYMS_ALL).
_FIRST_SYMBOLS = 256
#: All names together, decompressed.
_MAX_EXPANDED = 256 << 20
_SEPARATOR = "\u0100"  # no token is this


class KernelSymbol(NamedTuple):
    """A symbol: ``offset`` counts bytes from the kernel's start, ``type`` is nm's letter."""

    name: str
    offset: int
    type: str

    @property
    def is_code(self) -> bool:
        """Whether it is in a text section; W is a weak function, V a weak object."""
        return self.type in "tTwW"


class Kallsyms:
    """The kallsyms of one kernel.

    ``data`` is the kernel from its first byte on: an Image file, or a copy of the memory of a
    running kernel. Names are decompressed when one is looked up. Per-CPU symbols that have no place
    in the kernel (CONFIG_KALLSYMS_ABSOLUTE_PERCPU) are left out.

    Raises:
        BadKallsyms: no tables are found in ``data``, or they contradict themselves.

    Attributes:
        form: how the addresses are stored: ``"absolute"``, ``"relative"``, ``"percpu"``,
            ``"place"`` (see ``layout``).
        address: the address of the kernel's first byte as ``data`` has it: that which an Image is
            linked at; None if it cannot be found.
        base_word: the offset of 8 bytes in the kernel that have an address at run time, and which
            offset is at this address; None if there are none.
    """

    def __init__(self, data: bytes) -> None:
        self._layout = found = layout.find_layout(data)
        #: The bytes of the names, and where they were: the rest of ``data`` need not be kept.
        self._names_at = found.entries[0]
        self._packed = data[self._names_at : found.entries[-1]]
        self.form = found.form
        values = found.values
        #: Symbols before this one are absolute values.
        self._first = 0
        stored = 0
        if found.form == layout.PERCPU:
            self._first = next(n for n, value in enumerate(values) if value < 0)
            distances = array("q", [values[self._first] - v for v in values[self._first :]])
        else:
            distances = array("q", [value - values[0] for value in values])
        if found.form == layout.ABSOLUTE:
            stored = values[0]
        elif found.relative_base_at is not None:
            at = found.relative_base_at
            stored = int.from_bytes(data[at : at + 8], "little")
            if stored and found.form == layout.PERCPU:
                stored -= 1 + values[self._first]
        first_address = stored or first_symbol_address(data, distances)
        origin = self._origin(data, distances, first_address)
        self.address = None if first_address is None else first_address - origin
        self._offsets = array("q", [distance + origin for distance in distances])
        self.base_word: tuple[int, int] | None = None
        if found.form == layout.ABSOLUTE:
            self.base_word = found.addresses_at, origin
        elif found.relative_base_at is not None:
            before = 1 + values[self._first] if found.form == layout.PERCPU else 0
            self.base_word = found.relative_base_at, origin + before

    def _origin(self, data: bytes, distances: array[int], first_address: int | None) -> int:
        """The offset of the first symbol."""
        if self.form == layout.PLACE:
            return self._layout.values[0]
        for index in range(min(_FIRST_SYMBOLS, len(self))):
            if self._expand(index)[1:] == _START:
                return -distances[index]
        if first_address is None:
            raise BadKallsyms(
                f"no symbols: {_START} is not among them, and no pointers in the kernel say where "
                "the first of them is"
            )
        return first_address - image_start(data, first_address)

    def __len__(self) -> int:
        return self._layout.count - self._first

    def __iter__(self) -> Iterator[KernelSymbol]:
        for name, offset in zip(self._names, self._offsets, strict=True):
            yield KernelSymbol(name[1:], offset, name[0])

    # ---- names -------------------------------------------------------------------------------

    @cached_property
    def _table(self) -> list[str]:
        return [token.decode("latin-1") for token in self._layout.tokens.tokens]

    def _expand(self, index: int) -> str:
        """The letter of the type and the name."""
        entries = self._layout.entries
        at = 2 * (index + self._first)
        table = self._table
        low = self._names_at
        return "".join([table[b] for b in self._packed[entries[at] - low : entries[at + 1] - low]])

    @cached_property
    def _names(self) -> list[str]:
        """All of them, each with the letter of its type."""
        entries = self._layout.entries[2 * self._first :]
        low = self._names_at
        lengths = bytes(map(len, self._table))
        if sum(self._packed.translate(lengths)) > _MAX_EXPANDED:
            raise BadKallsyms(f"no symbols: the names of {len(self)} have over 256 MiB")
        text = self._packed.decode("latin-1")
        pieces = [
            text[start - low : end - low]
            for start, end in zip(entries[0::2], entries[1::2], strict=True)
        ]
        table = dict(enumerate(self._table))
        return _SEPARATOR.join(pieces).translate(table).split(_SEPARATOR)

    @cached_property
    def _indexes(self) -> dict[str, int | tuple[int, ...]]:
        """The symbols of each name; nearly all have one."""
        found: dict[str, int | tuple[int, ...]] = {}
        for index, name in enumerate(self._names):
            name = name[1:]
            known = found.setdefault(name, index)
            if known != index:
                found[name] = (*(known if isinstance(known, tuple) else (known,)), index)
        return found

    def names(self) -> list[str]:
        """Every name, once each."""
        return list(self._indexes)

    def named(self, name: str) -> list[KernelSymbol]:
        """The symbols of that name, global ones first: static functions may share a name."""
        found = self._indexes.get(name, ())
        symbols = [self.symbol(i) for i in (found if isinstance(found, tuple) else (found,))]
        return sorted(symbols, key=lambda symbol: not symbol.type.isupper())

    # ---- places ------------------------------------------------------------------------------

    def symbol(self, index: int) -> KernelSymbol:
        """The symbol at a position of the table, which is in the order of the addresses."""
        name = self._expand(index)
        return KernelSymbol(name[1:], self._offsets[index], name[:1])

    @property
    def end(self) -> int:
        """The offset of the last symbol: ``_end``, or the last function."""
        return self._offsets[-1]

    def at(self, offset: int) -> KernelSymbol | None:
        """The symbol that an offset belongs to: the last one that does not begin after it.

        Of several at the same place it is the first, as in the kernel's own messages. None before
        the first symbol, and from the last one on.
        """
        if not self._offsets[0] <= offset < self.end:
            return None
        after = bisect_right(self._offsets, offset)
        return self.symbol(bisect_left(self._offsets, self._offsets[after - 1]))

    def next_offset(self, offset: int) -> int:
        """Where the next symbol begins, after those at ``offset``."""
        after = bisect_right(self._offsets, offset)
        return self._offsets[after] if after < len(self._offsets) else self.end
