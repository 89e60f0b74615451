"""Names as the code at an address sees them: its parameters and local variables, then the guest's.

As in C, a local variable hides one of the guest's with the same name. Where a name is in scope
depends on the address: of conditions, each address of a breakpoint is checked when the condition is
given, and a watch finds out at each hit.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from guestdbg.debugger.errors import (
    AddressError,
    BadImage,
    NotInScope,
    OptimizedOut,
    UnknownSymbol,
)
from guestdbg.debugger.program import drgn_objects
from guestdbg.debugger.program.cxx_references import is_reference
from guestdbg.debugger.program.drgn_errors import drgn_errors
from guestdbg.debugger.program.local_variables.arguments import argument_register
from guestdbg.debugger.program.local_variables.location import (
    FIRST_VECTOR,
    VariableLocation,
    needs_entry_value,
    needs_vectors,
    variable_location,
)
from guestdbg.debugger.program.local_variables.stack_frame import frame_variable, register_value
from guestdbg.debugger.program.local_variables.type_size import MOST_IN_REGISTERS, type_size
from guestdbg.debugger.program.static_address import static_address
from guestdbg.debugger.program.variable_expression import parse
from guestdbg.errors import GuestdbgError

if TYPE_CHECKING:
    from elftools.dwarf.die import DIE

    from guestdbg.debugger.program.drgn_program import DrgnProgram
    from guestdbg.debugger.program.image import Image
    from guestdbg.debugger.program.local_variables.scope_source import ScopeSource
    from guestdbg.debugger.program.scopes import Block
    from guestdbg.debugger.program.source_location import Location
    from guestdbg.debugger.program.static_address import StaticAddress
    from guestdbg.debugger.program.variable_expression import Expression

__all__ = ["FIRST_VECTOR", "CodeState", "Place", "ScopedVariables"]

log = logging.getLogger(__name__)

_REGISTERS = 32
_INSTRUCTION = 4
_LR = 30
_KNOWN = 4096


class Place(NamedTuple):
    """An instruction, and which of the functions that were inlined there: 0 is the innermost."""

    pc: int
    level: int = 0

    @classmethod
    def of(cls, location: Location, chain: Sequence[Location]) -> Place:
        """The place of one of the locations that the address has."""
        return cls(location.address, chain.index(location) if location in chain else 0)


class CodeState(Protocol):
    """The registers of a vCPU, and the instruction in whose scope names are looked up."""

    @property
    def place(self) -> Place:
        """The instruction."""

    @property
    def registers(self) -> Sequence[int]:
        """X0 to X30 and SP."""

    def vector(self, number: int) -> int:
        """V0 to V31."""

    def get(self, register: int) -> int:
        """A register by its one-reg id."""

    @property
    def now(self) -> int:
        """The PC that the registers belong to.

        It is another than the place's if the instruction has been executed since.
        """

    @property
    def written(self) -> frozenset[int] | None:
        """The DWARF numbers of the registers that the instruction writes; None: not known."""


class _NoRegisters:
    """A vCPU at an instruction, of which nothing else is known."""

    registers = (0,) * _REGISTERS
    written = None

    def __init__(self, place: Place) -> None:
        self.place = place
        self.now = place.pc

    def vector(self, number: int) -> int:
        return 0

    def get(self, register: int) -> int:
        return 0


class _Declared(NamedTuple):
    """A variable of a function, as it is declared around an address."""

    image: Image
    function: Block
    die: DIE
    name: str

    @property
    def owner(self) -> str:
        """The name of the function."""
        return self.function.name or "a function without name"

    @property
    def outermost(self) -> Block:
        """The function that is not inlined."""
        block = self.function
        while block.parent is not None:
            block = block.parent
        return block


class ScopedVariables:
    """The variables of the guest's functions, and those of the guest itself."""

    def __init__(self, images: Sequence[Image], types: DrgnProgram) -> None:
        self._images = images
        self._types = types
        self._scope: ScopeSource | None = None
        self._local: dict[str, bool | None] = {}
        self._locations: dict[tuple[Image, int, int], VariableLocation | None] = {}
        self._warned: set[Path] = set()

    def use_scope(self, scope: ScopeSource) -> None:
        """Have names come from ``scope`` too, after the debug information of the images."""
        self._scope = scope

    def forget(self) -> None:
        """Look names up anew: the images are others now."""
        self._local.clear()
        self._locations.clear()

    # ---- values ------------------------------------------------------------------------------

    def value(self, expression: str, state: CodeState) -> Any:
        """The drgn object of a variable, member or element, as the code there sees it.

        Raises NotInScope for a variable of another function, OptimizedOut, UnknownSymbol,
        InvalidLocation, AddressError.
        """
        parsed = parse(expression)
        declared = self._declared(parsed, state.place) if self._may_be_local(parsed) else None
        if declared is None:
            found = self._scoped(parsed, state)
            if found is not None:
                return self._types.follow(expression, found, parsed)[0]
            return self.of_guest(expression, state.place)
        value = self._value(declared, parsed.name, state)
        return self._types.follow(expression, value, parsed)[0]

    def _scoped(self, parsed: Expression, state: CodeState) -> Any | None:
        """What a name means to the code there, apart from the images' debug information."""
        if self._scope is None or parsed.file is not None:
            return None
        with drgn_errors(repr(parsed.name), self._types.program):
            return self._scope.value(parsed.name, state.place.pc, state)

    def of_guest(self, expression: str, place: Place | None = None) -> Any:
        """A variable of the guest. ``place`` is for the message of NotInScope."""
        try:
            return self._types.evaluate(expression)
        except UnknownSymbol as error:
            parsed = parse(expression)
            local = error.what == "variable" and parsed.file is None and self._is_local(parsed.name)
            if not local:
                raise
            raise _not_in_scope(parsed.name, place) from None

    def _value(self, declared: _Declared, name: str, state: CodeState) -> Any:
        with drgn_errors(repr(name), self._types.program):
            found = self._value_there(declared, name, state)
            if found is not None and not found.absent_:
                if is_reference(declared.die):
                    return drgn_objects.target(name, found)
                return found
            why = "the compiler keeps its value nowhere"
            if needs_entry_value(declared.image, declared.die, state.place.pc):
                why = "all that is left of it is the argument, which the function no longer has"
            elif needs_vectors(declared.image, declared.die, state.place.pc):
                why = "it is spread over V registers or computed from them, which is not read here"
        raise OptimizedOut(
            f"{name!r} of {declared.owner} is optimised out at {state.place.pc:#x}: {why}"
        )

    def _value_there(self, declared: _Declared, name: str, state: CodeState) -> Any | None:
        place = state.place
        if state.now != place.pc:
            # The registers belong to the instruction that comes next. The variable may not be
            # needed there any more: then it is where it was, if that was not overwritten.
            after = self._level_of(declared, state.now)
            if after is not None:
                found = self._value_at(declared, name, state, after)
                if found is not None and not found.absent_:
                    return found
            if not _stays(self._location(declared, place.pc), state):
                return None
        return self._value_at(declared, name, state, place)

    def _value_at(
        self, declared: _Declared, name: str, state: CodeState, place: Place
    ) -> Any | None:
        found = self._frame_variable(declared, state.registers, place, name)
        if found is None:
            return None
        location = self._location(declared, place.pc)
        if self._before_it_is_stored(declared, place.pc):
            number = self._argument(declared, place.pc)
        elif location is not None and location.vector is not None:
            number = FIRST_VECTOR + location.vector  # which drgn does not know
        else:
            return found
        if number < FIRST_VECTOR:
            return register_value(self._types.program, found.type_, state.registers[number])
        value = state.vector(number - FIRST_VECTOR)
        return register_value(self._types.program, found.type_, value)

    def _frame_variable(
        self, declared: _Declared, registers: Sequence[int], place: Place, name: str
    ) -> Any | None:
        location = self._location(declared, place.pc)
        if len(declared.image.frames) == 0 and (damage := declared.image.frames_damage):
            raise BadImage(
                f"{name!r}: the call frame information of {declared.image.path} is damaged: "
                f"{damage}"
            )
        if location is None or not location.in_memory:
            # Not in memory, or it is not known: drgn makes room for the value.
            size = type_size(declared.die)
            if size > MOST_IN_REGISTERS:
                shown = f"{size}" if size < 1 << 64 else "more than 2^64"
                raise BadImage(
                    f"{name!r}: the debug information of {declared.image.path} is damaged: it has "
                    f"{shown} bytes, which are not in memory"
                )
        in_lr = location is not None and location.register == _LR and not location.in_memory
        if not in_lr and self._returns_for_ever(registers[_LR]):
            registers = (*registers[:_LR], 0, *registers[_LR + 1 :])
        return frame_variable(self._types, registers, place.pc, place.level, name)

    def _returns_for_ever(self, lr: int) -> bool:
        """Whether the caller's return address is said to be in LR as well.

        So it is if the callee never returns. drgn would take the caller for its own caller, until
        it has found as many frames as it may.
        """
        call = lr - _INSTRUCTION
        image = next((image for image in self._images if image.covers(call)), None)
        return image is not None and image.frames.keeps_return_address(call)

    def register(self, name: str, state: CodeState) -> int | None:
        """The DWARF number of the register that is the variable ``name`` to the code there.

        None: it is in no register, or that is not simple.
        """
        parsed = parse(name)
        declared = self._declared(parsed, state.place)
        if declared is None or parsed.path or parsed.stars:
            return None
        with drgn_errors(repr(name), self._types.program):
            if self._before_it_is_stored(declared, state.place.pc):
                return self._argument(declared, state.place.pc)
            location = self._location(declared, state.place.pc)
        return None if location is None or location.in_memory else location.register

    # ---- conditions that are given -----------------------------------------------------------

    def check_at(self, expression: str, places: Iterable[Place]) -> None:
        """Raise an error for what no code at these places can read.

        What only some of them can read is a warning. A pointer that leads nowhere now is no error.
        """
        errors: list[GuestdbgError] = []
        count = 0
        for place in places:
            count += 1
            self._warn_of_split(expression, [i for i in self._images if i.covers(place.pc)])
            try:
                self.value(expression, _NoRegisters(place))
            except AddressError:
                pass
            except (NotInScope, OptimizedOut) as error:
                errors.append(error)
        if errors and len(errors) == count:
            raise errors[0]
        if errors:
            log.warning(
                "%s can be read at %d of %d places only, and a condition with it is false at the "
                "others: %s",
                expression,
                count - len(errors),
                count,
                errors[0],
            )

    def _warn_of_split(self, expression: str, images: Iterable[Image]) -> None:
        """Say once of an image that its functions' own variables are not known."""
        for image in images:
            if image.split and image.path not in self._warned:
                self._warned.add(image.path)
                log.warning(
                    "%s has split DWARF, whose parameters and local variables are not read: names "
                    "in conditions, such as %s, are variables of the guest (build with -g alone)",
                    image.path,
                    expression,
                )

    def check_anywhere(self, expression: str) -> None:
        """Raise an error for what neither the guest nor any of its functions has."""
        parsed = parse(expression)
        self._warn_of_split(expression, self._images)
        if self._may_be_local(parsed) or self._is_everywhere(parsed):
            return  # which of the variables of that name it is, a hit decides
        with contextlib.suppress(AddressError):
            self._types.evaluate(expression)

    def static_address_at(self, expression: str, place: Place) -> StaticAddress | None:
        """Where an integer is that the code there sees; None if only Python finds it."""
        try:
            parsed = parse(expression)
            declared = self._declared(parsed, place)
            if declared is None:
                return self._static_in_scope(expression, parsed, place)
            if self._types.references:
                return None  # there may be one of them on the way
            return self._static_address(declared, parsed, place)
        except Exception:  # of a damaged file: evaluating the condition reports it
            return None

    def static_address_anywhere(self, expression: str) -> StaticAddress | None:
        """Where an integer of the guest is; None if a function may have another of that name."""
        try:
            parsed = parse(expression)
            if self._may_be_local(parsed) or self._is_everywhere(parsed):
                return None
        except GuestdbgError:
            return None
        return self._types.static_address(expression)

    def _is_everywhere(self, parsed: Expression) -> bool:
        scope = self._scope
        return scope is not None and parsed.file is None and scope.is_everywhere(parsed.name)

    def _static_in_scope(
        self, expression: str, parsed: Expression, place: Place
    ) -> StaticAddress | None:
        """That of a parameter which no image has; else of a variable of the guest."""
        if self._scope is not None and parsed.file is None:
            if self._is_everywhere(parsed):
                return None
            argument = self._scope.argument(parsed.name, place.pc)
            if argument is not None:
                found = static_address(0, argument.type, parsed.path)
                return None if parsed.stars else _in_register(found, parsed, argument.register)
        return self._types.static_address(expression)

    def _static_address(
        self, declared: _Declared, parsed: Expression, place: Place
    ) -> StaticAddress | None:
        if parsed.stars:
            return None
        location = self._location(declared, place.pc)
        if location is not None and self._before_it_is_stored(declared, place.pc):
            number = self._argument(declared, place.pc)
            location = VariableLocation(number, 0, in_memory=False, throughout=False)
        object_ = self._frame_variable(declared, (0,) * _REGISTERS, place, parsed.name)
        if location is None or object_ is None or (object_.absent_ and location.vector is None):
            return None
        found = static_address(0, object_.type_, parsed.path)
        if found is None:
            return None
        if not location.in_memory:
            return _in_register(found, parsed, location.register)
        offset = location.offset + found.address
        return found._replace(address=offset, register=location.register)

    # ---- declarations ------------------------------------------------------------------------

    def _may_be_local(self, parsed: Expression) -> bool:
        """Whether a function may have a variable of that name, as far as that is known."""
        return (
            parsed.file is None
            and "::" not in parsed.name
            and self._is_local(parsed.name) is not False
        )

    def _is_local(self, name: str) -> bool | None:
        if name not in self._local:
            if len(self._local) >= _KNOWN:
                self._local.clear()
            answers = [image.scopes.declares_local(name) for image in self._images]
            self._local[name] = True if True in answers else None if None in answers else False
        return self._local[name]

    def _declared(self, parsed: Expression, place: Place) -> _Declared | None:
        if not self._may_be_local(parsed):
            return None
        image, functions = self._functions(place.pc)
        if image is None or not functions:
            return None
        blocks = functions[min(place.level, len(functions) - 1)]
        for block in blocks:
            if (die := block.variables.get(parsed.name)) is not None:
                return _Declared(image, blocks[-1], die, parsed.name)
        return None

    def _functions(self, pc: int) -> tuple[Image | None, list[list[Block]]]:
        """The blocks around an address, by the functions that they belong to: innermost first."""
        for image in self._images:
            if not image.covers(pc):
                continue
            functions: list[list[Block]] = [[]]
            for block in image.scopes.at(pc):
                functions[-1].append(block)
                if block.kind == "inlined":
                    functions.append([])
            if functions[-1]:
                return image, functions
        return None, []

    def _level_of(self, declared: _Declared, pc: int) -> Place | None:
        """The place at another address where the same variable is in scope."""
        _image, functions = self._functions(pc)
        for level, blocks in enumerate(functions):
            found = next((b for b in blocks if declared.name in b.variables), None)
            if found is not None and found.variables[declared.name].offset == declared.die.offset:
                return Place(pc, level)
        return None

    def _location(self, declared: _Declared, pc: int) -> VariableLocation | None:
        # Needed several times for a value, and at each hit of a breakpoint again.
        key = declared.image, declared.die.offset, pc
        if key not in self._locations:
            if len(self._locations) >= _KNOWN:
                self._locations.clear()
            self._locations[key] = variable_location(
                declared.image, declared.die, declared.outermost.die, pc
            )
        return self._locations[key]

    def _before_it_is_stored(self, declared: _Declared, pc: int) -> bool:
        """Whether the variable is said to be in memory where the function has yet to put it."""
        function = declared.outermost
        row = declared.image.lines.at(function.entry)
        end = function.entry + _INSTRUCTION
        if row is not None and any(row.end < last for _start, last in function.ranges):
            end = row.end
        if not function.entry <= pc < end:
            return False
        location = self._location(declared, pc)
        return (
            location is not None
            and location.throughout
            and location.in_memory
            and location.register is not None
        )

    def _argument(self, declared: _Declared, pc: int) -> int:
        """The register of a parameter at the function's first instruction."""
        function = declared.function
        if function.kind == "function" and pc == function.entry:
            number = argument_register(function.die, declared.die)
            if number is not None:
                return number
        row = declared.image.lines.at(function.entry)
        after = f"the first that has is at {row.end:#x}" if row is not None else "use a later one"
        raise OptimizedOut(
            f"at {pc:#x}, {declared.owner} has not yet stored {declared.name!r}, and the debug "
            f"information does not say where it is before: name a later instruction ({after})"
        )


def _in_register(
    found: StaticAddress | None, parsed: Expression, register: int | None
) -> StaticAddress | None:
    """What begins in a register; None for a member of a structure in registers."""
    if found is None or found.address or (parsed.path and not found.pointer_offsets):
        return None
    return found._replace(register=register, in_register=True)


def _stays(location: VariableLocation | None, state: CodeState) -> bool:
    """Whether the instruction has left the variable where it was."""
    if location is None or state.now != state.place.pc + _INSTRUCTION or state.written is None:
        return False
    return location.register not in state.written


def _not_in_scope(name: str, place: Place | None) -> NotInScope:
    what = f"{name!r} is a parameter or local variable of a function"
    if place is not None:
        return NotInScope(f"{what} that is not in scope at {place.pc:#x}")
    return NotInScope(f"{what}: hit[{name!r}] reads it at a hit, and cpu[{name!r}] at the PC")
