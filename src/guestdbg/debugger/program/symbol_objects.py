"""Symbols that have no debug information, as drgn objects: variables of assembly, linker symbols.

The ELF symbol table has no types. What a symbol is follows from its kind and its size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guestdbg.debugger.errors import NoDebugInfo
from guestdbg.debugger.program import drgn_import
from guestdbg.debugger.program.symbol_table import SymbolKind

if TYPE_CHECKING:
    from guestdbg.debugger.program.image import Image
    from guestdbg.debugger.program.symbol_table import Symbol

__all__ = ["symbol_object"]

_NAMES = {1: "unsigned char", 2: "unsigned short", 4: "unsigned int", 8: "unsigned long"}


def symbol_object(program: Any, image: Image, symbol: Symbol) -> Any:
    """The drgn object that a symbol without debug information means.

    One of 1, 2, 4 or 8 bytes is an unsigned integer of that size. A function, and a symbol that
    names no contents of a section (of the linker script: ``__stack_top``), is its address, as
    an ``unsigned long``. Raises NoDebugInfo for all others, and says what can be written instead.
    """
    drgn = drgn_import.drgn()

    def unsigned(size: int) -> Any:
        return program.int_type(_NAMES[size], size, False)

    if symbol.kind is SymbolKind.FUNCTION or (
        not symbol.size and not image.has_contents(symbol.address)
    ):
        return drgn.Object(program, unsigned(8), value=symbol.address)
    if symbol.size in _NAMES:
        return drgn.Object(program, unsigned(symbol.size), address=symbol.address)
    size = f"{symbol.size} bytes" if symbol.size else "no size"
    raise NoDebugInfo(
        f"{symbol.name!r} has no type: it is not in the debug information of the guest (DWARF, as "
        f"from `gcc -g`), and the symbol table gives it {size}. Read it by its address, such as "
        f"u32[{symbol.address:#x}] in a condition"
        + (f". {image.no_debug_info}" if image.no_debug_info else "")
    )
