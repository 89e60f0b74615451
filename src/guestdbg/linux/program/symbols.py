"""Symbols for a ``drgn.Program``, from where the debugger has its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guestdbg.debugger.program import drgn_import
from guestdbg.debugger.program.symbol_table import SymbolKind

if TYPE_CHECKING:
    from guestdbg.debugger import Guest, Symbol

__all__ = ["SymbolFinder"]


class SymbolFinder:
    """The debugger's symbols as drgn asks for them."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._drgn = drgn_import.drgn()

    def __call__(
        self, _program: Any, name: str | None, address: int | None, one: bool
    ) -> list[Any]:
        """The symbols of that name, at that address; the best only if ``one`` is asked for."""
        execution = self._guest.execution
        if name is not None:
            found = execution.symbols_named(name)
            if address is not None:
                found = [each for each in found if _is_at(each, address)]
        elif address is not None:
            symbol = execution.symbol_at(address)
            found = [] if symbol is None else [symbol]
        else:
            found = []  # all there are: none of the sources can be listed while it may change
        return [self._symbol(each) for each in (found[:1] if one else found)]

    def _symbol(self, symbol: Symbol) -> Any:
        drgn = self._drgn
        kind = {
            SymbolKind.FUNCTION: drgn.SymbolKind.FUNC,
            SymbolKind.OBJECT: drgn.SymbolKind.OBJECT,
        }.get(symbol.kind, drgn.SymbolKind.UNKNOWN)
        binding = drgn.SymbolBinding.GLOBAL if symbol.is_global else drgn.SymbolBinding.LOCAL
        return drgn.Symbol(symbol.name, symbol.address, symbol.size, binding, kind)


def _is_at(symbol: Symbol, address: int) -> bool:
    return symbol.address == address or symbol.contains(address)
