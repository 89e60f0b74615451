"""From a location as a person writes it to addresses: code for breakpoints, data for watches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from guestdbg.arm64.debug import canonical
from guestdbg.debugger.errors import (
    BadImage,
    BadRange,
    InvalidLocation,
    MissingDependency,
    NoDebugInfo,
    NotInScope,
    NullPointer,
    UnknownLine,
    UnknownSymbol,
    near,
)
from guestdbg.debugger.program import drgn_objects
from guestdbg.debugger.program.demangled import display_name
from guestdbg.debugger.program.drgn_program import missing_files
from guestdbg.debugger.program.float_format import BY_SIZE
from guestdbg.debugger.program.line_table import is_file
from guestdbg.debugger.program.symbol_table import SymbolKind
from guestdbg.debugger.validation import check_digits, integer
from guestdbg.errors import GuestdbgError
from guestdbg.hexadecimal_repr import hexadecimal

if TYPE_CHECKING:
    from guestdbg.debugger.program.bit_field import BitField
    from guestdbg.debugger.program.drgn_objects import Extent
    from guestdbg.debugger.program.drgn_program import DrgnProgram
    from guestdbg.debugger.program.float_format import FloatFormat
    from guestdbg.debugger.program.image import Image
    from guestdbg.debugger.program.symbol_source import SymbolSource
    from guestdbg.debugger.program.symbol_table import Symbol

__all__ = ["Code", "Data", "Resolver", "Where"]

#: A symbol, symbol+offset, address, ``file:line``, variable or member; or a drgn object.
Where = int | str | object

_NUMBER = re.compile(r"\*?\s*(0[xX][0-9a-fA-F_]+|0[bB][01_]+|\d[\d_]*)\Z")
_OFFSET = re.compile(r"(.*[^\s+-])\s*([+-])\s*(0[xX][0-9a-fA-F]+|\d+)\Z")
_LINE = re.compile(r"(.+):(\d+)\Z")
_IN_FILE = re.compile(r"(?P<file>[^:]*[^:\s]):(?P<name>[^:].*)")
_EXPRESSION = re.compile(r"\.|->|\[|\A\*|:")
_TOP = 1 << 64
_KERNEL_ADDRESS = 0xFFFF_8000_0000_0000
#: The NOPs before the first instruction of a function that the kernel may patch, in bytes.
_PATCH_AREA = 16
#: Similar names are searched for among so many symbols as people write them; else as they are.
_SHOWN_DEMANGLED = 20_000


@hexadecimal("addresses")
@dataclass(frozen=True, slots=True)
class Code:
    """Where instructions are: all addresses of the location, and the actual source line.

    ``functions`` has those of the addresses at which a function begins that ``name`` names, each
    with the name of the inlined function; None for one that is not inlined. ``source``: where the
    symbol comes from, if that may move; None: it is of an ELF file, or there is none.
    """

    name: str
    addresses: tuple[int, ...]
    line: int | None = None
    functions: tuple[tuple[int, str | None], ...] = ()
    source: SymbolSource | None = field(default=None, repr=False)

    @property
    def some_address(self) -> int:
        """One of the addresses; for what is not loaded yet one of the kernel's, which loads it."""
        return self.addresses[0] if self.addresses else _KERNEL_ADDRESS


@hexadecimal("address")
@dataclass(frozen=True, slots=True)
class Data:
    """Where bytes are; ``length`` is None if the location does not include one.

    ``bit_field``: which bits of them are meant; None: all. ``float_format``: they are a
    floating-point value. ``source`` is that of ``Code``.
    """

    name: str
    address: int
    length: int | None
    type_name: str | None = None
    bit_field: BitField | None = None
    float_format: FloatFormat | None = None
    source: SymbolSource | None = field(default=None, repr=False)

    def sized(self) -> Data:
        """With a length: the default is 8 bytes, or less if the alignment is smaller."""
        if self.length is not None:
            return self
        return replace(self, length=min(8, self.address & -self.address or 8))


class Resolver:
    """Resolves locations in the loaded images, and in the other sources of symbols."""

    def __init__(
        self, images: list[Image], types: DrgnProgram, sources: Sequence[SymbolSource] = ()
    ) -> None:
        self._images = images
        self._types = types
        self._sources = sources

    def symbol(self, name: str) -> Symbol:
        """The symbol of that name; raises UnknownSymbol with similar names."""
        return self._symbols(name)[0]

    def _symbols(self, name: str) -> list[Symbol]:
        """The symbol of that name; else those of C++ and Rust that may be written so."""
        for image in self._images:
            found = image.symbols.find(name)
            if found is not None:
                return [found if image.moves_with is None else image.moves_with.placed(found)]
        written = [symbol for image in self._images for symbol in image.symbols.demangled(name)]
        if written:
            return written
        source = self._source(name)
        if source is not None:
            return source.named(name)
        self._check_local(name)
        known = [n for image in self._images for n in image.symbols.names()]
        known += [n for source in self._sources for n in source.similar(name)]
        if not known:
            raise UnknownSymbol(
                name + " (no image with symbols is loaded: add_symbols() takes one)", []
            )
        if len(known) <= _SHOWN_DEMANGLED:
            known = list(dict.fromkeys(map(display_name, known)))
        hint = next((hint for source in self._sources if (hint := source.more_names)), "")
        raise UnknownSymbol(name, near(name, known), hint=hint)

    def _source(self, name: str) -> SymbolSource | None:
        """The source that has a symbol of that name, which no image has."""
        if not self._sources or self._is_symbol(name):
            return None
        return next((source for source in self._sources if source.named(name)), None)

    def _moving(self, addresses: Iterable[int]) -> SymbolSource | None:
        """The source that one of these addresses moves with, if that is in an image of it."""
        images = [image for image in self._images if image.moves_with is not None]
        found = (i.moves_with for a in addresses for i in images if i.covers(a))
        return next(found, None) if images else None

    def _check_local(self, name: str) -> None:
        """Raise NotInScope for what only a function has."""
        if any(image.scopes.declares_local(name) for image in self._images):
            raise NotInScope(
                f"{name!r} is a parameter or local variable of a function, and has a place only "
                f"while that runs: at a hit in it, hit[{name!r}] can be read and watched"
            )

    def _is_symbol(self, name: str) -> bool:
        return any(image.symbols.find(name) is not None for image in self._images)

    def code(self, where: Where) -> Code:
        """The instructions that ``where`` names."""
        if isinstance(where, int):
            return Code(f"{where:#x}", (_code_address(where, f"{where:#x}"),))
        if not isinstance(where, str):
            address = _drgn_address(where)
            return Code(f"{address:#x}", (_code_address(address, str(where)),))
        text = check_digits(where.strip())
        number = _number(text)
        if number is not None:
            return Code(text, (_code_address(number, text),))
        line = _LINE.match(text)
        if line is not None:
            return self._line(text, line[1], int(line[2]))
        base, offset = _offset(text)
        if (parts := _IN_FILE.fullmatch(base)) is not None and not self._is_symbol(base):
            for source in self._sources:
                if source.may_appear(parts["file"]):
                    return self._function_of_part(text, source, base, offset)
            return self._function_of_file(text, parts["file"], parts["name"], offset)
        return self._function(text, base, offset)

    def _function_of_part(self, text: str, source: SymbolSource, base: str, offset: int) -> Code:
        """The function of a part of a program, which may not be loaded yet: then nowhere."""
        symbols = [s for s in source.named(base) if s.kind is SymbolKind.FUNCTION]
        addresses = dict.fromkeys(_code_address(s.address + offset, text) for s in symbols)
        return Code(text, tuple(addresses), source=source)

    def _function_of_file(self, text: str, file: str, name: str, offset: int) -> Code:
        """The function that this source file defines; several files may have one of that name."""
        found = self._function(text, name, 0)
        files = {address: self._file_of(address) for address in found.addresses}
        here = [a for a, known in files.items() if known is not None and is_file(known, file)]
        if not here:
            known_files = sorted({known for known in files.values() if known is not None})
            if not known_files:
                raise NoDebugInfo(
                    f"{text!r} needs line numbers, and there are none for {name!r} "
                    "(compile with -g)" + missing_files(self._images)
                )
            raise UnknownSymbol(f"{name} in {file}", [f"{each}:{name}" for each in known_files[:3]])
        functions = tuple(each for each in found.functions if each[0] in here)
        addresses = tuple(_code_address(a + offset, text) for a in here)
        return Code(text, addresses, functions=() if offset else functions, source=found.source)

    def _file_of(self, address: int) -> str | None:
        for image in self._images:
            if (row := image.lines.at(address)) is not None:
                return row.file
        return None

    def _function(self, text: str, name: str, offset: int) -> Code:
        """A symbol, and all copies of the function that were inlined; or an offset in each."""
        blocks = [block for image in self._images for block in image.scopes.named(name)]
        inlined = [b for b in blocks if b.kind == "inlined"]
        if offset:
            inlined = [b for b in inlined if b.covers(b.entry + offset)]
        outer = [b.entry for b in blocks if b.kind == "function"]
        if not blocks or self._is_symbol(name):
            symbols = self._functions(name)
            outer[:0] = [s.address for s in symbols if not _after_patch_area(s, outer)]
        functions: dict[int, str | None] = dict.fromkeys(outer)
        functions |= {b.entry: b.name for b in inlined}
        addresses = dict.fromkeys(_code_address(a + offset, text) for a in functions)
        return Code(
            text,
            tuple(addresses),
            functions=() if offset else tuple(functions.items()),
            source=self._moving(addresses) or (None if blocks else self._source(name)),
        )

    def _functions(self, name: str) -> list[Symbol]:
        """All functions that may be written so: of an overloaded one all that there are."""
        found = self._symbols(name)
        return [s for s in found if s.kind is SymbolKind.FUNCTION] or found[:1]

    def _line(self, text: str, file: str, line: int) -> Code:
        unknown: UnknownLine | None = None
        damage: str | None = None
        for image in self._images:
            if not image.lines:
                if damage is None and image.lines.damage is not None:
                    damage = f"those of {image.path} are damaged: {image.lines.damage}"
                continue
            try:
                addresses, taken, _name = image.lines.addresses(file, line)
            except UnknownLine as error:
                unknown = unknown or error
                continue
            first = tuple(_first_in_each(addresses, image))
            return Code(text, first, taken, source=image.moves_with)
        if unknown is not None:
            raise unknown
        if damage is not None:
            raise BadImage(f"{text!r} needs line numbers, and {damage}")
        raise NoDebugInfo(
            f"{text!r} needs line numbers, and no loaded image has any (compile with -g)"
            + missing_files(self._images)
        )

    def data(self, where: Where, length: int | None) -> Data:
        """The bytes that ``where`` names; ``length`` overrides the length of the variable."""
        if isinstance(where, int):
            return _data(f"{where:#x}", where, length)
        if not isinstance(where, str):
            _drgn_address(where)
            extent = drgn_objects.extent(where, "the drgn object")
            return _of_extent(f"{extent.address:#x}", extent, length)
        text = check_digits(where.strip())
        number = _number(text)
        if number is not None:
            return _data(text, number, length)
        if _LINE.match(text):
            raise InvalidLocation(
                f"{text!r} is a source line; give a variable or an address to watch"
            )
        base, offset = _offset(text)
        # A symbol may contain a dot: compilers name a function's static variable `calls.0`.
        if self._types.references.variable(base) or (
            _EXPRESSION.search(base) and not self._is_symbol(base)
        ):
            try:
                return self._expression(text, base, offset, length)
            except (UnknownSymbol, NoDebugInfo):
                if not any(image.symbols.demangled(base) for image in self._images):
                    raise
        symbol = self.symbol(base)
        left = max(symbol.size - offset, 0) if offset >= 0 else 0
        if length is None and symbol.size and left == 0:
            raise BadRange(
                f"{text!r} is outside {base}, which has {symbol.size} bytes: give a length"
            )
        if length is None:
            length = left or None
        found = _data(text, symbol.address + offset, length)
        source = self._source(base)
        if source is not None:
            if length is None and not offset:
                found = self._of_scalar(found, base)
            return replace(found, source=source)
        found = replace(found, source=self._moving([symbol.address]))
        if offset or length != symbol.size:
            return found
        return replace(found, float_format=self._float_format(base, symbol))

    def _of_scalar(self, data: Data, name: str) -> Data:
        """With the size and type of a number or pointer whose symbol has no size."""
        try:
            value = self._types.evaluate(name)
            if value.address_ != data.address or not drgn_objects.is_scalar(value.type_):
                return data
            return _of_extent(name, drgn_objects.extent(value, name), None)
        except GuestdbgError:
            return data  # no drgn, or the type is not known

    def _float_format(self, name: str, symbol: Symbol) -> FloatFormat | None:
        """The format of a variable of floating-point type; None where its type is not known."""
        if symbol.size not in BY_SIZE or symbol.kind is SymbolKind.FUNCTION:
            return None
        try:
            value = self._types.evaluate(name)
        except GuestdbgError:
            return None  # no drgn, no debug information, or it is damaged
        if value.address_ != symbol.address:
            return None  # a static variable of another file
        return drgn_objects.float_format(value.type_)

    def _expression(self, text: str, base: str, offset: int, length: int | None) -> Data:
        if offset:
            raise InvalidLocation(
                f"{text!r}: an offset can follow a symbol, not a member or element"
            )
        try:
            self._check_pointers(text, base)
        except UnknownSymbol as error:
            if error.what == "variable":
                self._check_local(error.name)
            raise
        extent = drgn_objects.extent(self._types.evaluate(base), base)
        return replace(_of_extent(text, extent, length), source=self._moving([extent.address]))

    def _check_pointers(self, text: str, expression: str) -> None:
        """Raise NullPointer for a pointer on the way that is NULL."""
        for pointer, value in self._types.pointers(expression):
            if value == 0:
                raise NullPointer(
                    f"{text!r}: the pointer {pointer} is NULL now, so there is nothing to "
                    "watch yet; let the guest run until it has been set (run --after), or let the "
                    "watch follow it (follow=True, --follow-pointer)"
                )


def _after_patch_area(symbol: Symbol, entries: list[int]) -> bool:
    """Whether the function begins after its symbol, by its debug information.

    GCC has DW_AT_low_pc after the NOPs of -fpatchable-function-entry, and parameters from there on.
    """
    return any(0 < entry - symbol.address <= _PATCH_AREA for entry in entries)


def _first_in_each(addresses: list[int], image: Image) -> list[int]:
    """The first address in each function: the guest stops once for a line compiled into pieces."""
    firsts: dict[int, int] = {}
    for address in sorted(addresses):
        symbol = image.symbols.at(address)
        firsts.setdefault(symbol.address if symbol is not None else address, address)
    return list(firsts.values())


def _number(text: str) -> int | None:
    match = _NUMBER.match(text)
    if match is None:
        return None
    try:
        value = int(match[1], 0)
    except ValueError:
        value = int(match[1])  # a decimal number with leading zeros
    if value >= _TOP:
        raise InvalidLocation(f"{text} is not an address: addresses have 64 bits")
    return value


def _offset(text: str) -> tuple[str, int]:
    match = _OFFSET.match(text)
    if match is None:
        return text, 0
    value = int(match[3], 0 if match[3][:2] in ("0x", "0X") else 10)
    return match[1], -value if match[2] == "-" else value


def _code_address(address: int, text: str) -> int:
    if not 0 <= address < _TOP:
        raise InvalidLocation(f"{text} is not an address: addresses have 64 bits")
    if address & 3:
        raise BadRange(
            f"{text}: no instruction begins at {address:#x}, because instructions are aligned to 4 "
            f"bytes; the instruction there begins at {address & ~3:#x}"
        )
    return canonical(address)


def _data(name: str, address: int, length: int | None, type_name: str | None = None) -> Data:
    if not 0 <= address < _TOP:
        raise InvalidLocation(f"{name} is not an address: addresses have 64 bits")
    if length is not None and integer("length", length) <= 0:
        raise BadRange(f"{name}: a range of {length} bytes cannot be watched; the minimum is 1")
    if length is not None and address + length > _TOP:
        raise BadRange(f"{name}: {length} bytes from {address:#x} on reach beyond 64 bits")
    return Data(name, canonical(address), length, type_name)


def _of_extent(name: str, extent: Extent, length: int | None) -> Data:
    """The bytes of a variable; with a ``length`` so many bytes, whatever is in them."""
    if length is not None:
        return _data(name, extent.address, length, extent.type_name)
    found = _data(name, extent.address, extent.length, extent.type_name)
    return replace(found, bit_field=extent.bit_field, float_format=extent.float_format)


def _drgn_address(value: Any) -> int:
    try:
        import drgn
    except ImportError as error:
        raise MissingDependency(f"{value!r} is not a location: give a number or a name") from error
    if not isinstance(value, drgn.Object):
        raise InvalidLocation(
            f"{value!r} is not a location: give a number, a name, or a drgn object"
        )
    if value.address_ is None:
        return drgn_objects.number(value)
    return int(value.address_)
