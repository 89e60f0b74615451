"""The kernel's names for the debugger's resolver: where each symbol is now."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from guestdbg.arm64.debug import canonical
from guestdbg.debugger import Symbol
from guestdbg.debugger.program.symbol_table import SymbolKind
from guestdbg.linux.errors import BadKallsyms

if TYPE_CHECKING:
    from guestdbg.linux.kallsyms import Kallsyms, KernelSymbol

__all__ = ["KernelPlace", "KernelSymbols"]

log = logging.getLogger(__name__)

_U64 = (1 << 64) - 1
#: kallsyms has no sizes: a function reaches up to the next symbol, but not further than this.
_MAX_FUNCTION = 64 << 10
#: Code that runs at its physical address: before the MMU is on, and around turning it on.
_IDENTITY_START, _IDENTITY_END = "__idmap_text_start", "__idmap_text_end"
_ENTRY = "primary_entry"
_BIT_OF_TTBR1 = 55
_MAX_KERNEL = 1 << 31
_SIMILAR_LENGTH = 2
_MAX_SIMILAR = 4000
_MAX_NAME = 512


class KernelPlace(Protocol):
    """Where a kernel is.

    Attributes:
        address: the virtual address of its first byte, as far as that is known.
        physical_address: the guest-physical one.
        is_relocated: whether it runs at ``address``; until then it runs at its physical one.
    """

    @property
    def address(self) -> int: ...

    @property
    def physical_address(self) -> int: ...

    @property
    def is_relocated(self) -> bool: ...


class MoreSymbols(Protocol):
    """Symbols that a kernel's kallsyms has not: see ``DataSymbols``."""

    def named(self, name: str) -> list[KernelSymbol]: ...

    def names(self) -> list[str]: ...

    def at(self, offset: int) -> KernelSymbol | None: ...


class KernelSymbols:
    """The symbols of a kernel's kallsyms, as a source of the resolver.

    Data has no size here, because kallsyms has none. Functions that run at their physical address
    (those between ``__idmap_text_start`` and ``__idmap_text_end``, and ``primary_entry``) have
    that. Before the kernel is relocated, physical addresses in it have names too.

    Args:
        read: gives the tables; it is called when a name is looked up for the first time, and may
            raise BadKallsyms.
        place: where the kernel is.
        more: the symbols that are looked up when kallsyms does not have a name.
        more_names: gives what would have more names, for a message; empty: nothing.
        follow: is called when a point is made at a symbol.
        refresh: is called when the guest was put back to a snapshot, or (True) reset.
    """

    def __init__(
        self,
        read: Callable[[], Kallsyms],
        place: KernelPlace,
        more: MoreSymbols,
        *,
        more_names: Callable[[], str],
        follow: Callable[[], None],
        refresh: Callable[[bool], None],
    ) -> None:
        self._read = read
        self._place = place
        self._more = more
        self.is_stable = True
        self._more_names = more_names
        self.follow = follow
        self._refresh = refresh
        self._kallsyms: Kallsyms | None = None
        self._identity = range(0)
        self._damage: BadKallsyms | None = None

    @property
    def kallsyms(self) -> Kallsyms:
        """The tables; raises BadKallsyms, also at every later call."""
        if self._kallsyms is None:
            if self._damage is not None:
                raise BadKallsyms(str(self._damage))
            try:
                self._kallsyms = self._read()
            except BadKallsyms as error:
                self._damage = error
                raise
            self._identity = _identity(self._kallsyms)
        return self._kallsyms

    def _tables(self) -> Kallsyms | None:
        """The tables; None if there are none, which is a warning the first time."""
        if self._damage is not None:
            return None
        try:
            return self.kallsyms
        except BadKallsyms as error:
            log.warning("the kernel's functions and variables have no names: %s", error)
            return None

    # ---- as a SymbolSource -------------------------------------------------------------------

    def named(self, name: str) -> list[Symbol]:
        """The symbols of that name, global ones first; empty if there are none."""
        tables = self._tables()
        if tables is None:
            return []
        found = tables.named(name) or self._more.named(name)
        return [self._symbol(tables, each) for each in found]

    def __iter__(self) -> Iterator[Symbol]:
        """All symbols at their virtual addresses; none if there is no table."""
        tables = self._tables()
        if tables is not None:
            base = self._place.address
            more = (each for name in self._more.names() for each in self._more.named(name))
            for found in itertools.chain(tables, more):
                yield _as_symbol(tables, found, base + found.offset)

    def similar(self, name: str) -> list[str]:
        """Names that begin like ``name`` and are about as long, or contain it."""
        tables = self._tables()
        if tables is None:
            return []
        near = range(len(name) - _SIMILAR_LENGTH, len(name) + _SIMILAR_LENGTH + 1)
        found = [
            each
            for each in (*tables.names(), *self._more.names())
            if (len(each) in near and each[:1] == name[:1])
            or (2 < len(name) < len(each) < _MAX_NAME and name in each)
        ]
        return found[:_MAX_SIMILAR]

    def at(self, address: int) -> Symbol | None:
        """The symbol that an address belongs to."""
        place = self._place
        is_virtual = bool(address >> _BIT_OF_TTBR1 & 1)
        base = place.address if is_virtual else place.physical_address
        offset = (canonical(address) if is_virtual else address) - base
        if not 0 <= offset < _MAX_KERNEL:
            return None
        tables = self._tables()
        if tables is None:
            return None
        if not is_virtual and place.is_relocated and offset not in self._identity:
            return None
        found = tables.at(offset) or self._more.at(offset)
        return None if found is None else _as_symbol(tables, found, base + found.offset)

    @property
    def more_names(self) -> str:
        """What would have names that the kernel does not have."""
        return self._more_names()

    def may_appear(self, part: str) -> bool:
        """The kernel itself has all its symbols from the start."""
        return False

    def placed(self, symbol: Symbol) -> Symbol:
        """A symbol of the kernel's vmlinux: some code is executed at its physical address."""
        tables = self._tables()
        if tables is None or symbol.kind is SymbolKind.OBJECT:
            return symbol
        offset = symbol.address - self._place.address
        if offset in self._identity or symbol.name == _ENTRY:
            return replace(symbol, address=self._place.physical_address + offset)
        return symbol

    def image_address(self, symbol: Symbol) -> int | None:
        """Where the kernel's vmlinux has a symbol that is at its physical address."""
        offset = symbol.address - self._place.physical_address
        return self._place.address + offset if 0 <= offset < _MAX_KERNEL else None

    def refresh(self, *, reloaded: bool) -> None:
        """The guest was put back to a snapshot, or reset."""
        self._refresh(reloaded)

    def forget(self) -> None:
        """Read the tables again: the guest has another kernel."""
        self._kallsyms = self._damage = None

    @property
    def is_damaged(self) -> bool:
        """Whether there are no tables, as was found out when they were read."""
        return self._damage is not None

    @property
    def is_read(self) -> bool:
        """Whether the tables have been read."""
        return self._kallsyms is not None

    def _symbol(self, tables: Kallsyms, found: KernelSymbol) -> Symbol:
        at_physical = found.offset in self._identity or found.name == _ENTRY
        place = self._place
        base = place.physical_address if at_physical and found.is_code else place.address
        return _as_symbol(tables, found, base + found.offset)


def _identity(tables: Kallsyms) -> range:
    """The offsets of the code that runs at its physical address."""
    start, end = tables.named(_IDENTITY_START), tables.named(_IDENTITY_END)
    return range(start[0].offset, end[0].offset) if start and end else range(0)


def _as_symbol(tables: Kallsyms, found: KernelSymbol, address: int) -> Symbol:
    is_code = found.is_code
    size = min(tables.next_offset(found.offset) - found.offset, _MAX_FUNCTION) if is_code else 0
    return Symbol(
        found.name,
        address & _U64,
        size,
        SymbolKind.FUNCTION if is_code else SymbolKind.OBJECT,
        found.type.isupper(),
    )
