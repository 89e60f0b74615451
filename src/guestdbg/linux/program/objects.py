"""The kernel's variables, functions and constants as drgn objects, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from guestdbg.debugger.program import drgn_import
from guestdbg.debugger.program.symbol_table import SymbolKind
from guestdbg.linux.btf.records import Kind
from guestdbg.linux.program.per_cpu import PerCpu
from guestdbg.linux.program.well_known import POINTERS, WELL_KNOWN

if TYPE_CHECKING:
    from guestdbg.debugger import Symbol
    from guestdbg.linux.btf import DrgnTypes

__all__ = ["ObjectFinder"]

_WORD = 8
_MOST_POINTERS = 256


class ObjectFinder:
    """What the kernel's BTF and its symbols say about a name.

    Args:
        kernel: the types of the kernel.
        types: gives those, and then those of each module.
        symbols: the symbols of a name.
        read_word: 8 bytes at a kernel address, as a number.
    """

    def __init__(
        self,
        kernel: DrgnTypes,
        types: Callable[[], Iterator[DrgnTypes]],
        symbols: Callable[[str], list[Symbol]],
        read_word: Callable[[int], int],
    ) -> None:
        self._drgn = drgn_import.drgn()
        self._kernel = kernel
        self._types = types
        self._symbols = symbols
        self._read_word = read_word
        self._per_cpu: PerCpu | None = None

    def __call__(self, program: Any, name: str, flags: Any, filename: str | None) -> Any:
        """The object of that name; None if there is none, or if its type is not known."""
        if filename is not None:
            return None  # neither BTF nor kallsyms have names of source files
        kinds = self._drgn.FindObjectFlags
        found = None
        if flags & kinds.VARIABLE:
            found = self._variable(program, name)
        if found is not None or not flags & (kinds.CONSTANT | kinds.FUNCTION):
            return found
        for types in self._types():
            if flags & kinds.CONSTANT:
                found = types.enumerator(name)
            if found is None and flags & kinds.FUNCTION:
                found = self._function(program, types, name)
            if found is not None:
                return found
        return None

    def _function(self, program: Any, types: DrgnTypes, name: str) -> Any:
        numbers = types.btf.find(name, (Kind.FUNC,))
        if numbers:
            for symbol in self._symbols(name):
                if symbol.kind is SymbolKind.FUNCTION:
                    type_ = types.type(numbers[0])
                    return self._drgn.Object(program, type_, address=symbol.address)
        return None

    # ---- variables ---------------------------------------------------------------------------

    def _address(self, name: str) -> int | None:
        found = self._symbols(name)
        data = [symbol for symbol in found if symbol.kind is not SymbolKind.FUNCTION] or found
        return data[0].address if data else None

    def _variable(self, program: Any, name: str) -> Any:
        kernel = self._kernel
        if self._per_cpu is None:
            self._per_cpu = PerCpu(kernel.btf, self._address)
        placed = self._per_cpu.find(name)
        if placed is not None:
            number, address = placed
            return self._drgn.Object(program, kernel.type(number), address=address)
        type_ = self._type_of(program, kernel, name)
        if type_ is None:
            return None
        found = self._address(name)
        if found is None:
            return None
        if name in POINTERS:
            type_ = program.array_type(type_.type, self._pointers(found))
        return self._drgn.Object(program, type_, address=found)

    def _type_of(self, program: Any, kernel: DrgnTypes, name: str) -> Any:
        """The type of a variable: BTF has it, or it is well known."""
        numbers = kernel.btf.find(name, (Kind.VAR,))
        if numbers:
            return kernel.type(numbers[0])
        declaration = WELL_KNOWN.get(name)
        if declaration is None:
            return None
        try:
            return program.type(declaration)
        except LookupError:
            return None

    def _pointers(self, address: int) -> int:
        """How many pointers to the kernel there are from an address on."""
        count = 0
        while count < _MOST_POINTERS and self._read_word(address + _WORD * count) >> 55 == 0x1FF:
            count += 1
        return count
