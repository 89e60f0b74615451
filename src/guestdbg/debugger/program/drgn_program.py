"""Variables, members and types of the guest's program, by drgn.

drgn runs on Linux only and is an optional dependency: everything else works without it.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from guestdbg.debugger.errors import (
    AddressError,
    BadImage,
    DebuggerError,
    NoDebugInfo,
    UnknownSymbol,
    near,
)
from guestdbg.debugger.program import drgn_import, drgn_objects
from guestdbg.debugger.program.cxx_references import References
from guestdbg.debugger.program.drgn_errors import damage, translated
from guestdbg.debugger.program.pointer_path import pointer_path
from guestdbg.debugger.program.static_address import static_address
from guestdbg.debugger.program.symbol_objects import symbol_object
from guestdbg.debugger.program.symbol_table import SymbolKind
from guestdbg.debugger.program.variable_expression import Element, parse
from guestdbg.errors import GuestdbgError

if TYPE_CHECKING:
    from guestdbg.debugger.program.image import Image
    from guestdbg.debugger.program.pointer_path import PointerPath
    from guestdbg.debugger.program.program_source import ProgramSource
    from guestdbg.debugger.program.static_address import StaticAddress
    from guestdbg.debugger.program.variable_expression import Expression, PathStep

__all__ = ["DrgnProgram", "ReadMemory"]

ReadMemory = Callable[[int, int], bytes]

log = logging.getLogger(__name__)

_PAGE = 0xFFF
_NAME_MAX = 60  # characters, of up to four bytes; Linux takes 249 bytes
_KNOWN = 4096


def missing_files(images: Iterable[Image]) -> str:
    """What is known of debug files that were not found: "" or ". PATH: what was looked for"."""
    return "".join(f". {image.no_debug_info}" for image in images if image.no_debug_info)


def _in_memory(path: Path, contents: bytes) -> int:
    """A file descriptor of a file in memory: drgn reads it later than the file may change.

    It has the name of the file at ``path``, which drgn's messages then have.
    """
    descriptor = os.memfd_create(path.name.replace("\n", "?")[:_NAME_MAX])
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(contents)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class _Stage(NamedTuple):
    """What a part of an expression names.

    Attributes:
        name: the part, as it is written.
        value: its drgn object.
        followed: whether a pointer or a reference was followed to it from the part before.
        reference: whether the last member of the part is a reference, which was followed.
    """

    name: str
    value: Any
    followed: bool = False
    reference: bool = False


class DrgnProgram:
    """The drgn program over a guest's memory, created at its first use.

    ``read`` reads guest virtual memory. ``references`` says which pointers are references of C++,
    which drgn does not know. The methods raise MissingDependency if drgn is not
    installed.
    """

    def __init__(self, read: ReadMemory, images: Iterable[Image]) -> None:
        self._read = read
        self._images = list(images)
        self._source: ProgramSource | None = None
        self._program: Any = None
        self._known: dict[str, Any] = {}
        self._has_memory = True
        self.references = References(self._images)

    @contextlib.contextmanager
    def without_memory(self) -> Iterator[None]:
        """Have every read of guest memory fail inside a ``with`` block."""
        self._has_memory = False
        try:
            yield
        finally:
            self._has_memory = True

    @property
    def program(self) -> Any:
        """The ``drgn.Program`` with the guest's memory and the debug information of the images."""
        if self._program is None:
            self._program = self._make()
        return self._program

    def use_source(self, source: ProgramSource) -> None:
        """Have the program begin with what ``source`` makes, before the images are added."""
        self._source = source
        self.forget()

    def forget(self) -> None:
        """What ``source`` describes has moved: the program is made anew when it is next used."""
        self._known.clear()
        if self._source is not None:
            self._program = None

    def refreshed(self) -> Any:
        """The program, made anew if its source knows more now."""
        if self._source is not None and self._program is not None and self._source.is_outdated:
            self.forget()
        return self.program

    def add(self, image: Image) -> None:
        """Add another image's debug information."""
        self._images.append(image)
        self._known.clear()
        self.references = References(self._images)
        if self._program is not None:
            self._add_module(self._program, image)

    def replace(self, images: Iterable[Image]) -> None:
        """Have other images: the program is made anew when it is next used."""
        self._images = list(images)
        self._known.clear()
        self._program = None
        self.references = References(self._images)

    def _make(self) -> Any:
        if self._source is not None:
            program = self._source.make(lambda: self._has_memory)
        else:
            program = self._plain()
        for image in self._images:
            self._add_module(program, image)
        return program

    def _plain(self) -> Any:
        """A program with the guest's memory and nothing else."""
        drgn = drgn_import.drgn()
        flags = drgn.PlatformFlags
        program = drgn.Program(
            drgn.Platform(drgn.Architecture.AARCH64, flags.IS_64_BIT | flags.IS_LITTLE_ENDIAN)
        )

        def read(address: int, count: int, _offset: int, _physical: bool) -> bytes:
            if not self._has_memory:
                raise drgn.FaultError("no memory is read now", address)
            try:
                return self._read(address, count)
            except AddressError as error:
                raise drgn.FaultError(str(error), address) from error

        program.add_memory_segment(0, 0xFFFF_FFFF_FFFF_FFFF, read, False)
        return program

    def _add_module(self, program: Any, image: Image) -> None:
        if not image.has_types or not image.segments:
            return
        if missing := image.split.missing:
            log.warning(
                "%s: %s. Variables of the symbol table count as unsigned integers",
                image.path,
                missing,
            )
        module = program.extra_module(str(image.path), image.slide, create=True)
        # drgn takes the difference between the start of this range and the file's first segment
        # as the bias of all its addresses. So the range starts at the page of that segment.
        start = image.segments[0][0] & ~_PAGE
        end = max(e for _, e in image.segments)
        ranges = [(start, end)]
        if image.is_scattered:
            ranges = [(start, image.segments[0][1]), *image.segments[1:]]
        try:
            module.address_ranges = ranges
        except ValueError:
            log.warning("the types of %s are ignored: another image is there already", image.path)
            return
        try:
            image.check_debug_info()
            path = image.debug.path or image.path
            module.try_file(str(path), fd=_in_memory(path, image.contents_for_drgn), force=True)
            if (other := image.supplementary.path) is not None:
                alternate = _in_memory(other, image.supplementary_contents)
                module.try_file(str(other), fd=alternate, force=True)
        except GuestdbgError:
            raise
        except Exception as error:
            raise BadImage(
                f"drgn cannot read the types of {image.path}: {damage(error)}"
            ) from error

    def _has_types(self) -> bool:
        return any(image.has_types for image in self._images) or (
            self._source is not None and self._source.has_types
        )

    def _need_types(self, what: str) -> None:
        if not self._has_types():
            raise NoDebugInfo(
                f"{what!r} needs the debug information of the guest (DWARF, as from `gcc -g`), "
                "and no loaded image has any" + missing_files(self._images)
            )

    def variable(self, name: str, file: str | None = None) -> Any:
        """The drgn object of a variable or function.

        A name that only the symbol table has is what ``symbol_object`` makes of it. Raises
        UnknownSymbol with near matches.
        """
        drgn = drgn_import.drgn()
        if not self._has_types():
            symbol = self._symbol(name) if file is None else None
            if symbol is not None:
                return symbol
            if self._source is not None and (error := self._source.unknown(name)) is not None:
                raise error
            self._need_types(name)
        try:
            if file is not None:
                found = self.program.object(name, drgn.FindObjectFlags.ANY, file)
            else:
                found = self.program.object(name)
        except DebuggerError:
            raise
        except LookupError:
            symbol = self._symbol(name) if file is None else None
            if symbol is not None:
                return symbol
            if self._source is not None and (error := self._source.unknown(name)) is not None:
                raise error from None
            where = f" in {file}" if file else ""
            raise UnknownSymbol(
                name + where,
                near(name, self._variable_names()),
                "variable",
                hint="" if self._source is None else self._source.more_names,
            ) from None
        except Exception as error:
            # The return type of a function in assembly is one that drgn does not know.
            symbol = self._symbol(name, functions_only=True) if file is None else None
            if symbol is not None:
                return symbol
            raise translated(error, f"what {name!r} is", self.program) from error
        if found.absent_:
            raise NoDebugInfo(
                f"the debug information declares {name!r} without an address: the compiler "
                "has optimised it away, or it is defined elsewhere"
            )
        return found

    def _symbol(self, name: str, *, functions_only: bool = False) -> Any:
        """The object of a symbol; None if there is no symbol of that name."""
        for image in self._images:
            symbol = image.symbols.find(name)
            if symbol is not None and (not functions_only or symbol.kind is SymbolKind.FUNCTION):
                return symbol_object(self.program, image, symbol)
        return None

    def _variable_names(self) -> list[str]:
        return [s.name for image in self._images for s in image.symbols]

    def evaluate(self, expression: str) -> Any:
        """The drgn object that an expression such as ``queue.items[3].next->x`` names.

        A variable, then members by ``.`` and ``->`` and elements by ``[n]``. A ``*`` in front
        follows a pointer; ``file.c:name`` is a static variable of that file.
        """
        known = self._known.get(expression)
        if known is not None:
            return known
        parsed = parse(expression)
        value, in_place = self.follow(expression, self._start(expression, parsed), parsed)
        if in_place and not self._begins_with_reference(parsed) and len(self._known) < _KNOWN:
            # The object refers to an address: drgn reads the value each time.
            self._known[expression] = value
        return value

    def _start(self, expression: str, parsed: Expression) -> Any:
        """The variable that an expression begins with; of a reference what it refers to."""
        value = self.variable(parsed.name, parsed.file)
        if self._begins_with_reference(parsed):
            return drgn_objects.target(expression, value)
        return value

    def _begins_with_reference(self, parsed: Expression) -> bool:
        return parsed.file is None and self.references.variable(parsed.name)

    def follow(self, expression: str, value: Any, parsed: Expression) -> tuple[Any, bool]:
        """From a variable along the members, elements and stars of a parsed expression.

        Returns the object, and whether no pointer was followed on the way to it. A reference is
        what it refers to.
        """
        in_place = True
        for stage in self._stages(expression, value, parsed):
            value, in_place = stage.value, in_place and not stage.followed
        return value, in_place

    def _stages(self, expression: str, value: Any, parsed: Expression) -> Iterator[_Stage]:
        """The variable, and what each member, element and star leads to, one after the other."""
        name = parsed.name
        yield _Stage(name, value)
        for step in parsed.path:
            owner = drgn_objects.plain(value.type_)
            followed = drgn_objects.is_pointer(value)
            value = drgn_objects.follow(expression, value, step)
            reference = self._is_reference(owner, step)
            if reference:
                value = drgn_objects.target(expression, value)
            name += str(step)
            yield _Stage(name, value, followed or reference, reference)
        for _ in range(parsed.stars):
            name, value = "*" + name, drgn_objects.target(expression, value)
            yield _Stage(name, value, followed=True)

    def _is_reference(self, owner: Any, step: PathStep) -> bool:
        """Whether a member is a reference; ``owner`` is the class, or a pointer to it."""
        if not self.references or isinstance(step, Element):
            return False
        if owner.kind == drgn_import.drgn().TypeKind.POINTER:
            owner = owner.type
        return self.references.member(owner, step.name)

    def pointers(self, expression: str) -> Iterator[tuple[str, int]]:
        """The pointers that an expression follows, in order: how each is written, and its value.

        Raises AddressError for a pointer that cannot be read.
        """
        parsed = parse(expression)
        steps = len(parsed.path) + parsed.stars
        stages = self._stages(expression, self._start(expression, parsed), parsed)
        for _, stage in zip(range(steps), stages, strict=False):
            if drgn_objects.is_pointer(stage.value):
                yield stage.name, drgn_objects.number(stage.value)

    def pointer_path(self, expression: str) -> PointerPath:
        """The pointers on the way to a variable, and what is at their end.

        Raises InvalidLocation for a variable that is reached through none, and what ``evaluate``
        does.
        """
        parsed = parse(expression)
        return pointer_path(
            expression, self.variable(parsed.name, parsed.file), parsed, self._is_reference
        )

    def static_address(self, expression: str) -> StaticAddress | None:
        """Where an integer variable is, and through which pointers; None for all others."""
        try:
            parsed = parse(expression)
            if parsed.stars or parsed.file is not None:
                return None
            start = self.variable(parsed.name)
            if start.address_ is None or self._has_reference(expression, start, parsed):
                return None
            return static_address(int(start.address_), start.type_, parsed.path)
        except Exception:  # drgn may raise anything; evaluating the variable reports it
            return None

    def _has_reference(self, expression: str, value: Any, parsed: Expression) -> bool:
        """Whether there is a reference on the way. Raises AddressError for a NULL pointer."""
        return bool(self.references) and (
            self._begins_with_reference(parsed)
            or any(stage.reference for stage in self._stages(expression, value, parsed))
        )
