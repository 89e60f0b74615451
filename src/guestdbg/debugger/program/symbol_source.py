"""Symbols that come from elsewhere than an ELF file, such as a kernel's own symbol table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from guestdbg.debugger.program.symbol_table import Symbol

__all__ = ["MovingSource", "SymbolSource"]


class SymbolSource(Protocol):
    """Symbols of a program that may move as a whole while the guest runs.

    It is searched after the ELF files. What it says must be cheap until it is asked for a name.

    Attributes:
        is_stable: whether an address keeps its symbol until it is said that symbols have moved.
        more_names: what would have names that it does not have, for a message; empty: nothing.
    """

    @property
    def more_names(self) -> str: ...

    @property
    def is_stable(self) -> bool: ...

    def named(self, name: str) -> list[Symbol]:
        """The symbols of that name, global ones first; empty if there are none."""

    def similar(self, name: str) -> list[str]:
        """Names among which one that looks like ``name`` can be searched for; at most some
        thousand."""

    def at(self, address: int) -> Symbol | None:
        """The symbol that an address belongs to."""

    def may_appear(self, part: str) -> bool:
        """Whether ``part:name`` is a name that may have an address later, when the program has
        loaded that part."""

    def follow(self) -> None:
        """A point is at one of the symbols: the source has the points moved when it moves."""

    def refresh(self, *, reloaded: bool) -> None:
        """The guest was put back to a snapshot, or ``reloaded`` by a reset: symbols may be
        elsewhere, and after a reset others."""


class MovingSource(SymbolSource, Protocol):
    """A source that ELF files belong to: they move with it."""

    def placed(self, symbol: Symbol) -> Symbol:
        """A symbol of such a file, where its code is executed."""

    def image_address(self, symbol: Symbol) -> int | None:
        """Where such a file has a symbol of this source; None if it has none."""
