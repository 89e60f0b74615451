"""Points: watches and breakpoints, with their handlers, conditions and counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self, get_args

from guestdbg.arm64.debug import AccessKind, Privilege, canonical
from guestdbg.debugger import validation
from guestdbg.debugger.errors import InvalidLocation
from guestdbg.debugger.hardware.requests import ACCESS_BITS, BreakRequest, WatchRequest

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.hit import Hit
    from guestdbg.debugger.breakpoints.restriction import TaskRestriction
    from guestdbg.debugger.errors import VariableUnavailable
    from guestdbg.debugger.program.bit_field import BitField
    from guestdbg.debugger.program.float_format import FloatFormat
    from guestdbg.debugger.program.local_variables.scoped_variables import Place
    from guestdbg.debugger.program.source_location import Location
    from guestdbg.debugger.program.symbol_source import SymbolSource
    from guestdbg.kvm.table_filters import Tables

__all__ = ["STOP", "Breakpoint", "Handler", "Point", "Predicate", "Stopper", "Watch"]


class Stopper:
    """The type of ``guestdbg.STOP``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "guestdbg.STOP"

    def __reduce__(self) -> str:
        return "STOP"  # a copy is the same object: handlers' results are compared by identity


#: What a handler returns to end ``guest.run()``.
STOP: Final = Stopper()

Handler = Callable[["Hit"], Any]
Predicate = Callable[["Hit"], Any]
Kind = Literal["hardware", "software", "auto"]
_U64 = (1 << 64) - 1


#: What the debugger itself uses of points.
_INTERNAL = {
    *(
        "bits",
        "buffer",
        "decided_by_tables",
        "fixed",
        "note",
        "note_unavailable",
        "placed",
        "put",
        "request",
        "requests",
    ),
    *("restricted", "room", "scalar", "shift", "source", "take", "watch_pointers"),
}


class Point:
    """A watch or a breakpoint.

    Attributes:
        number: 1 for the first point; the handlers of one stop are called in this order.
        name: what it is called in hits and messages: the given name, or else the location.
        ignore: so many hits are counted without calling the handler.
        hits: hits for which the condition was true, ignored ones included.
        seen: all accesses or arrivals, also those for which the condition was false.
        unavailable: those of them for which it was false because a local variable in it was not in
            scope, or was optimised out.
        why_unavailable: the first of these, as a message; None if there is none.
        source: where the symbol comes from that it was named by, if that may move; None otherwise.
        placed: whether it has a place to be armed at. A watch that follows a pointer has none while
            that is NULL.
        fixed: whether it stays where it is.
        task: the tasks of the guest's operating system that it is for; None: all.
    """

    fixed: ClassVar[bool] = True

    __slots__ = (
        "_changed",
        "_enabled",
        "_handler",
        "_when",
        "context",
        "deleted",
        "el",
        "hits",
        "ignore",
        "name",
        "number",
        "placed",
        "restricted",
        "seen",
        "source",
        "task",
        "unavailable",
        "why_unavailable",
    )

    def __init__(
        self,
        number: int,
        name: str,
        changed: Callable[[Point, str], None],
        *,
        when: Predicate | str | None,
        ignore: int,
        el: Privilege,
        context: int | None,
        task: TaskRestriction | None = None,
    ) -> None:
        _choice("el", el, get_args(Privilege))
        if validation.integer("ignore", ignore) < 0:
            raise InvalidLocation(f"ignore is {ignore}: it counts hits, and is 0 or more")
        if context is not None and not 0 <= validation.integer("context", context) < 1 << 32:
            raise InvalidLocation(
                f"context {context:#x} does not fit CONTEXTIDR_EL1, which has 32 bits"
            )
        self.number = number
        self.name = name
        self._when = _condition(when)
        self.ignore = ignore
        self.el: Privilege = el
        self.context = context
        self.task = task
        self.restricted = el != "any" or context is not None or task is not None
        self._handler: Handler | None = None
        self.hits: int = 0
        self.seen: int = 0
        self.unavailable: int = 0
        self.why_unavailable: str | None = None
        self.deleted = False
        self.placed = True
        self.source: SymbolSource | None = None
        self._enabled = True
        self._changed = changed

    def __dir__(self) -> list[str]:
        """What is for users: an interactive prompt completes these names."""
        return sorted(set(super().__dir__()) - _INTERNAL)

    def __call__(self, handler: Handler | Point) -> Self:
        """Set the handler; this is what makes ``@guest.watch(...)`` a decorator.

        The decorated name then is the point itself: ``moved.hits``, ``moved.delete()``. One
        function can serve several points. Raises InvalidLocation for what cannot be called, and for
        coroutine and generator functions, whose body a call does not run.
        """
        if isinstance(handler, Point):
            if handler.handler is None:
                raise InvalidLocation(f"{handler.name} has no handler that could be shared")
            handler = handler.handler
        self.handler = handler
        return self

    @property
    def handler(self) -> Handler | None:
        """Called with the hit; None ends ``guest.run()`` at the first hit."""
        return self._handler

    @handler.setter
    def handler(self, handler: Handler | None) -> None:
        self._handler = validation.handler(handler)

    @property
    def when(self) -> Predicate | None:
        """Called with the hit; if the result is false, the guest goes on and ``hits`` is unchanged.

        Set it to a function, None, or a text as for ``guestdbg.cond``. If the text names what does
        not exist, an error says so, and the point keeps the condition that it had.
        """
        return self._when

    @when.setter
    def when(self, condition: Predicate | str | None) -> None:
        before, self._when = self._when, _condition(condition)
        try:
            self._changed(self, "given another condition")
        except BaseException:
            self._when = before
            raise

    def note_unavailable(self, error: VariableUnavailable) -> None:
        """Count a hit for which the condition is false because a variable has no value there."""
        self.unavailable += 1
        if self.why_unavailable is None:
            self.why_unavailable = str(error)

    @property
    def enabled(self) -> bool:
        """Whether it is armed. Enabling takes registers, and may raise OutOfRegisters."""
        return self._enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._set_enabled(value)

    def _set_enabled(self, value: bool) -> None:
        value = bool(value)
        if value == self._enabled or self.deleted:
            return
        self._enabled = value
        try:
            self._changed(self, "enabled" if value else "disabled")
        except Exception:
            self._enabled = not value
            raise

    def delete(self) -> None:
        """Disarm it for good. Deleting twice does nothing."""
        if self.deleted:
            return
        self._enabled = False
        self.deleted = True
        self._changed(self, "deleted")
        if self.task is not None:
            self.task.release()

    def decided_by_tables(self, most: int) -> bool:
        """Whether the hardware, whose registers can be limited to so many tables, reports no hit
        that is not one of the point's tasks."""
        task = self.task
        only_task = self.el == "any" and self.context is None
        return (
            only_task
            and task is not None
            and task.by_tables_alone
            and (self._tables(most) is not None)
        )

    def _tables(self, most: int) -> Tables | None:
        """The translation tables that its debug registers are to be limited to."""
        tables = None if self.task is None or not most else self.task.tables
        return None if tables is None or len(tables) > most else tables


class Watch(Point):
    """A range of guest virtual addresses whose accesses are reported.

    Attributes:
        address, length: the watched bytes.
        access: ``"read"``, ``"write"`` or ``"any"``.
        before: the handler is called before the access instead of after it.
        variable: the location as it was given.
        type_name: the type of the watched variable where it is known.
        bit_field: which bits of these bytes are the watched value; None: all.
        float_format: the watched value is a floating-point number; None: it is not.
    """

    __slots__ = (
        "access",
        "address",
        "before",
        "bit_field",
        "bits",
        "end",
        "float_format",
        "length",
        "scalar",
        "type_name",
        "variable",
    )

    def __init__(
        self,
        number: int,
        name: str,
        changed: Callable[[Point, str], None],
        *,
        address: int,
        length: int,
        access: AccessKind,
        before: bool,
        variable: str = "",
        type_name: str | None = None,
        bit_field: BitField | None = None,
        float_format: FloatFormat | None = None,
        when: Predicate | str | None = None,
        ignore: int = 0,
        el: Privilege = "any",
        context: int | None = None,
        task: TaskRestriction | None = None,
    ) -> None:
        _choice("access", access, get_args(AccessKind))
        super().__init__(
            number, name, changed, when=when, ignore=ignore, el=el, context=context, task=task
        )
        self.address = address
        self.length = length
        self.end = address + length
        self.access: AccessKind = access
        self.bits = ACCESS_BITS[access]
        self.before = before
        self.variable = variable or name
        self.type_name = type_name
        # Of a variable the whole value is reported, also when few of its bytes were written.
        self.scalar = length in (1, 2, 4, 8) or bit_field is not None
        self.bit_field = bit_field
        self.float_format = float_format

    def put(self, address: int, *, placed: bool) -> None:
        """Have it somewhere else. Raises OutOfRegisters and BadRange."""
        self.address, self.end, self.placed = address, address + self.length, placed
        self._changed(self, "moved")

    def shift(self, moved: range, distance: int) -> None:
        """What was at ``moved`` is so many bytes further on; the point has to be armed again."""
        if self.address in moved:
            self.address = canonical(self.address + distance & _U64)
            self.end = self.address + self.length

    def request(self, tables: int = 0) -> WatchRequest:
        """What it needs of the hardware, whose registers can be limited to so many tables."""
        return WatchRequest(
            self.name,
            self.address,
            self.length,
            self.access,
            self.el,
            self.context,
            self._tables(tables),
        )

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.number} {self.name}: {self.access} of {self.length} "
            f"bytes at {self.address:#x}, {self.hits} hits>"
        )


class Breakpoint(Point):
    """One or several instructions before which the guest is stopped.

    Attributes:
        addresses: where; several for a source line that was compiled into several places. None
            while it waits for a module of the guest's kernel to be loaded.
        where: the location as it was given.
        kind: ``"hardware"`` or ``"software"``. A software breakpoint is a BRK instruction in the
            guest's memory, which a guest that reads its own code sees.
        why_software: why an ``"auto"`` breakpoint became a software one; None otherwise.
        line: for ``file:line`` the line that was used: the next one that has code.
        functions: those of the addresses at which a function begins that was named, each with the
            name of the inlined function, or None.
    """

    __slots__ = ("addresses", "functions", "kind", "line", "where", "why_software")

    def __init__(
        self,
        number: int,
        name: str,
        changed: Callable[[Point, str], None],
        *,
        addresses: Sequence[int],
        kind: Literal["hardware", "software"],
        where: str = "",
        line: int | None = None,
        functions: Iterable[tuple[int, str | None]] = (),
        when: Predicate | str | None = None,
        ignore: int = 0,
        el: Privilege = "any",
        context: int | None = None,
        task: TaskRestriction | None = None,
    ) -> None:
        super().__init__(
            number, name, changed, when=when, ignore=ignore, el=el, context=context, task=task
        )
        self.addresses = tuple(addresses)
        self.placed = bool(self.addresses)
        self.where = where
        self.kind: Literal["hardware", "software"] = kind
        self.why_software: str | None = None
        self.line = line
        self.functions = dict(functions)

    def shift(self, moved: range, distance: int) -> None:
        """What was at ``moved`` is so many bytes further on; the point has to be armed again."""

        def new(address: int) -> int:
            return canonical(address + distance & _U64) if address in moved else address

        self.addresses = tuple(map(new, self.addresses))
        self.functions = {new(address): name for address, name in self.functions.items()}

    def put(self, addresses: Sequence[int]) -> None:
        """Have it somewhere else, or nowhere. Raises OutOfRegisters: then it is nowhere."""
        if self.placed:
            self.placed = False
            self._changed(self, "moved")
        self.addresses, self.functions = tuple(addresses), {}
        if self.addresses:
            self.placed = True
            try:
                self._changed(self, "moved")
            except Exception:
                self.placed = False
                raise

    @property
    def address(self) -> int:
        """The first of ``addresses``; 0 while there is none."""
        return self.addresses[0] if self.addresses else 0

    def location_at(self, found: Location) -> Location:
        """Which of the functions at an address was meant: the one that was named there.

        Without a name it is the innermost one, which may be inlined.
        """
        if found.address not in self.functions:
            return found
        name = self.functions[found.address]
        named = (each for each in found.chain if each.function == name)
        return next(named, found.outermost)

    def place_at(self, found: Location) -> Place:
        """The same for looking up names: the instruction, and which of its functions."""
        from guestdbg.debugger.program.local_variables.scoped_variables import Place

        return Place.of(self.location_at(found), found.chain)

    def requests(self, tables: int = 0) -> list[BreakRequest]:
        """What it needs of the hardware, whose registers can be limited to so many tables.

        Nothing if it is a software breakpoint.
        """
        if self.kind == "software":
            return []
        limited_to = self._tables(tables)
        return [
            BreakRequest(self.name, a, self.el, self.context, limited_to) for a in self.addresses
        ]

    def __repr__(self) -> str:
        where = ", ".join(f"{a:#x}" for a in self.addresses)
        return f"<Breakpoint {self.number} {self.name}: {self.kind} at {where}, {self.hits} hits>"


def _choice(what: str, value: object, choices: Sequence[object]) -> None:
    if value not in choices:
        raise InvalidLocation(
            f"{what} is {value!r}: it must be one of {', '.join(map(str, choices))}"
        )


def _condition(when: object) -> Predicate | None:
    """A condition that can be called; a text is compiled as ``guestdbg.cond`` does."""
    if isinstance(when, str):
        from guestdbg.debugger.breakpoints.conditions.expression import Condition

        return Condition(when)
    if when is not None and not callable(when):
        raise InvalidLocation(
            f"when is {when!r}: it must be a text or a function that takes the hit"
        )
    return when
