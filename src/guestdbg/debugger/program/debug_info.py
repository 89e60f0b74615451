"""The loaded images of a guest, taken together: symbols, source locations, types."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from guestdbg.debugger.errors import BadImage
from guestdbg.debugger.program.demangled import display_name
from guestdbg.debugger.program.source_location import Location
from guestdbg.errors import GuestdbgError

if TYPE_CHECKING:
    # At run time they are imported for the first who asks for them.
    from guestdbg.debugger.program.drgn_program import DrgnProgram, ReadMemory
    from guestdbg.debugger.program.element_name import Element
    from guestdbg.debugger.program.image import Image
    from guestdbg.debugger.program.local_variables.scoped_variables import ScopedVariables
    from guestdbg.debugger.program.program_source import ProgramSource
    from guestdbg.debugger.program.resolver import Resolver
    from guestdbg.debugger.program.scopes import Block
    from guestdbg.debugger.program.symbol_source import SymbolSource
    from guestdbg.debugger.program.symbol_table import Symbol

__all__ = ["DebugInfo"]

log = logging.getLogger(__name__)

_LOCATIONS = 4096


class DebugInfo:
    """The images of a guest, taken together.

    Attributes:
        images: in the order in which they are searched.
        sources: other sources of symbols, which are searched after them.
    """

    def __init__(self, images: Iterable[Image], read: ReadMemory) -> None:
        self.images = list(images)
        self.sources: list[SymbolSource] = []
        self._read = read
        self._types: DrgnProgram | None = None
        self._variables: ScopedVariables | None = None
        self._locations: dict[int, Location] = {}

    @property
    def types(self) -> DrgnProgram:
        """Variables and types of the images; ``read`` reads guest virtual memory."""
        if self._types is None:
            from guestdbg.debugger.program.drgn_program import DrgnProgram

            self._types = DrgnProgram(self._read, self.images)
        return self._types

    @cached_property
    def resolver(self) -> Resolver:
        """Resolves locations as people write them."""
        from guestdbg.debugger.program.resolver import Resolver

        return Resolver(self.images, self.types, self.sources)

    @property
    def variables(self) -> ScopedVariables:
        """Names as the code at an address sees them."""
        if self._variables is None:
            from guestdbg.debugger.program.local_variables.scoped_variables import ScopedVariables

            self._variables = ScopedVariables(self.images, self.types)
        return self._variables

    def add(self, image: Image, *, first: bool = False) -> None:
        """Add another image; ``first``: it is searched before the others."""
        self.images.insert(0 if first else len(self.images), image)
        if self._types is not None:
            self._types.add(image)
        self._forget()

    def move(self, image: Image, slide: int) -> Image:
        """Put an image to another place; the result takes its place."""
        moved = image.moved(slide)
        self.images[self.images.index(image)] = moved
        self._changed()
        return moved

    def remove(self, image: Image) -> None:
        """Do without an image."""
        self.images.remove(image)
        self._changed()

    def reread(self) -> bool:
        """Take the images as their files are now, and say whether any has changed.

        An image whose file cannot be read any more stays as it is, with a warning.
        """
        images = []
        for image in self.images:
            try:
                images.append(image.reread())
            except BadImage as error:
                log.warning("the symbols stay those of the earlier file: %s", error)
                images.append(image)
        if images == self.images:
            return False
        self.images[:] = images
        self._changed()
        return True

    def add_source(self, source: SymbolSource) -> None:
        """Add another source of symbols."""
        self.sources.append(source)
        self._forget()

    def use_program(self, source: ProgramSource) -> None:
        """Have types, variables and parameters come from ``source`` too."""
        self.types.use_source(source)
        self.variables.use_scope(source.scope)

    def refresh_sources(self, *, reloaded: bool) -> None:
        """The guest was put back to a snapshot, or reset: what moves may be elsewhere."""
        for source in self.sources:
            source.refresh(reloaded=reloaded)

    def forget_locations(self) -> None:
        """Symbols have moved."""
        self._locations.clear()

    def named(self, name: str) -> list[Symbol]:
        """The symbols of exactly that name, in the order in which they are searched."""
        found = [s for image in self.images if (s := image.symbols.find(name)) is not None]
        for source in self.sources:
            found += source.named(name)
        return found

    def symbol_at(self, address: int) -> Symbol | None:
        """The symbol that an address belongs to."""
        for image in self.images:
            if image.covers(address) and (symbol := image.symbols.at(address)) is not None:
                return symbol
        return next((s for source in self.sources if (s := source.at(address))), None)

    def forget_types(self) -> None:
        """What is known of variables may be otherwise: see ``DrgnProgram.forget``."""
        if self._types is not None:
            self._types.forget()

    def _changed(self) -> None:
        """There are other images."""
        if self._types is not None:
            self._types.replace(self.images)
        self._forget()

    def _forget(self) -> None:
        self._locations.clear()
        if self._variables is not None:
            self._variables.forget()

    def locate(self, address: int) -> Location:
        """An address with its function (or variable), offset, file and line, if they are known."""
        found = self._locations.get(address)
        if found is None:
            if len(self._locations) >= _LOCATIONS:
                self._locations.clear()
            found, is_stable = self._locate(address)
            if is_stable:
                self._locations[address] = found
        return found

    def element(self, address: int, size: int, variable: tuple[str, int] | None) -> Element | None:
        """The variable, member or element that has these bytes, as one writes it: ``a[3].link``.

        ``variable`` is an expression and the address of what it names, if that is known. Otherwise
        it is the variable of the guest at that address. None without debug information.
        """
        try:
            if variable is not None:
                name, start = variable
                type_ = self.types.evaluate(name).type_
            else:
                symbol = next((s for i in self.images if (s := i.symbols.at(address))), None)
                if symbol is None:
                    return None
                value = self.types.variable(symbol.name)
                name, start, type_ = symbol.name, value.address_, value.type_
            if start is None or address < start:
                return None
            from guestdbg.debugger.program.element_name import element_path

            found = element_path(type_, address - start, size)
            return found._replace(name=name + found.name)
        except (GuestdbgError, LookupError, TypeError, ValueError, AttributeError):
            return None  # no drgn, no debug information, or it is damaged

    def _locate(self, address: int) -> tuple[Location, bool]:
        """An address with its names, and whether it keeps them until symbols move."""
        for image in self.images:
            if (location := _in_image(image, address)) is not None:
                return location, True
        for source in self.sources:
            symbol = source.at(address)
            if symbol is not None:
                return self._of_source(address, source, symbol), source.is_stable
        return Location(address), all(source.is_stable for source in self.sources)

    def _of_source(self, address: int, source: SymbolSource, symbol: Symbol) -> Location:
        """With its line, if an image belongs to the source.

        The source may have found only now where the image is, or the code runs elsewhere.
        """
        location = Location(address, symbol.name, address - symbol.address)
        for image in self.images:
            if image.moves_with is source:
                if (found := _in_image(image, address)) is not None:
                    return found
                start = image.moves_with.image_address(symbol)
                row = None if start is None else image.lines.at(start + location.offset)
                if row is not None:
                    return replace(location, file=row.file, line=row.line)
        return location


def _in_image(image: Image, address: int) -> Location | None:
    """What an image has at an address; None if that is nothing."""
    if not image.covers(address):
        return None
    symbol = image.symbols.at(address)
    row = image.lines.at(address)
    if symbol is None and row is None:
        return None
    location = Location(
        address,
        display_name(symbol.name) if symbol is not None else None,
        address - symbol.address if symbol is not None else 0,
        row.file if row is not None else None,
        row.line if row is not None else None,
    )
    inlined = [b for b in image.scopes.at(address) if b.kind == "inlined"]
    return _inside(location, inlined)


def _inside(location: Location, inlined: list[Block]) -> Location:
    """The location in the innermost of the inlined functions around an address.

    ``location`` has the function that they were inlined into, but the line of the address.
    """
    file, line = location.file, location.line
    callers = []
    for block in inlined:
        callers.append(
            Location(location.address, block.name, block.offset(location.address), file, line)
        )
        file, line = block.call
    location = replace(location, file=file, line=line)
    for inner in reversed(callers):
        location = replace(inner, caller=location)
    return location
