"""What a handler is called with: which instruction accessed what, and the values around it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, Protocol

from guestdbg.debugger.breakpoints.point import Breakpoint, Watch
from guestdbg.debugger.errors import StaleHit
from guestdbg.debugger.unwind.backtrace import DEFAULT_LIMIT, check_limit
from guestdbg.errors import GuestdbgError
from guestdbg.html_table import details, fields_html, table_html

if TYPE_CHECKING:
    # The types of two public attributes, by their public names: a handler gets the guest and the
    # vCPU as the user has them. Nothing here uses what they can do.
    from guestdbg.debugger import Cpu, Guest
    from guestdbg.debugger.breakpoints.point import Point
    from guestdbg.debugger.program.element_name import Element
    from guestdbg.debugger.program.float_format import FloatFormat
    from guestdbg.debugger.program.source_location import Location
    from guestdbg.debugger.unwind.backtrace import Backtrace
    from guestdbg.kvm import ExitDebug, Vcpu
    from guestdbg.machine import Time

__all__ = ["AccessName", "Hit", "HitSource", "TaskName", "Value"]

AccessName = Literal["read", "write", "readwrite", "execute"]
Value = int | float | bytes
#: Notebooks show the registers in so many rows.
_REGISTER_ROWS = 9
_NAMES: tuple[AccessName, ...] = ("execute", "read", "write", "readwrite")


def _unsigned(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _value(data: bytes) -> Value:
    return _unsigned(data) if len(data) in (1, 2, 4, 8) else data


class TaskName(Protocol):
    """A task of a Linux guest: see ``guestdbg.linux.TaskSummary``."""

    @property
    def pid(self) -> int: ...

    @property
    def tgid(self) -> int: ...

    @property
    def comm(self) -> str: ...

    @property
    def context(self) -> str: ...


class HitSource(Protocol):
    """The vCPU that a hit comes from.

    Attributes:
        guest, cpu: the guest and the vCPU as a handler gets them.
        vcpu: the KVM vCPU.
        resume_count: how often the vCPU was resumed: a hit is stale once it has changed.
    """

    guest: Any
    cpu: Any
    vcpu: Vcpu
    resume_count: int

    def locate(self, address: int) -> Location:
        """What is known of an address."""

    def backtrace(self, pc: int, limit: int, location: Location) -> Backtrace:
        """The frames from here outwards; frame 0 is shown at ``pc``, in ``location``."""

    def element(self, address: int, size: int, variable: tuple[str, int] | None) -> Element | None:
        """The variable, member or element that has these bytes."""

    def variable(self, expression: str, location: Location) -> Any:
        """A variable as the code at this location sees it, as a drgn object."""

    def task(self) -> TaskName | None:
        """The task that the vCPU executes; None where that is not known."""


class Hit:
    """One access to a watched range, or one arrival at a breakpoint.

    Attributes:
        point: the watch or breakpoint.
        pc: the address of the instruction that made the access, also after the access; for a
            breakpoint the address of the instruction that is executed next.
        old_bytes, new_bytes: the watched value before and after, as bytes; see ``old``.
        new_reason: why ``new`` is None.
        device: the name of the device that wrote to memory, such as ``"virtio-blk"``. ``pc`` and
            ``vcpu`` are those of the vCPU whose turn it was: the driver that notified the device,
            or what an input from outside came in between. None: a vCPU made the access.
        count: the point's ``hits`` with this one.
        time: when its handler was called, or the guest stopped for it, for ``guest.goto``. None:
            the guest has no history.

    A hit can be kept: everything in it stays valid, except ``backtrace`` and the registers of
    ``vcpu``, which are read from the guest when they are asked for.
    """

    # One hit is made at every stop, also for conditions that turn out false. Attributes that most
    # hits do not set have class-level defaults, and everything derived is computed when asked for.
    new_bytes: bytes | None = None
    new_reason: str | None = None
    device: str | None = None
    count = 0
    time: Time | None = None
    _resume_count = 0
    _location: Location | None = None
    _backtrace: Backtrace | None = None
    _element: tuple[()] | tuple[Element | None] = ()
    _task: tuple[()] | tuple[TaskName | None] = ()
    #: Of a watch that moves, where it was then.
    _range: tuple[int, int] | None = None

    point: Point
    pc: int

    def __init__(
        self,
        source: HitSource,
        point: Point,
        pc: int,
        touched: tuple[int, int, int],
        exit_: ExitDebug | None,
        old_bytes: bytes | None,
    ) -> None:
        self._source = source
        self.point = point
        self.pc = pc
        self._touched = touched
        if not point.fixed and isinstance(point, Watch):
            self._range = point.address, point.end
        self._exit = exit_
        self.old_bytes = old_bytes

    @property
    def address(self) -> int:
        """The first watched byte that was accessed; for a breakpoint its address."""
        start, watched = self._touched[0], self._watched
        return start if watched is None else max(start, watched[0])

    @property
    def size(self) -> int:
        """How many watched bytes were accessed; 4 for a breakpoint."""
        (start, size, _bits), watched = self._touched, self._watched
        if watched is None:
            return size
        return min(start + size, watched[1]) - max(start, watched[0])

    @property
    def _watched(self) -> tuple[int, int] | None:
        """The watched bytes, from and to; None for a breakpoint."""
        point = self.point
        if self._range is None and isinstance(point, Watch):
            return point.address, point.end
        return self._range

    @property
    def element(self) -> str | None:
        """Which variable, member or element was accessed, as one writes it: ``samples[3].link``.

        Of an access to several of them it is what has them all. None where that is not known
        (it takes debug information), and for a breakpoint.
        """
        found = self._found_element
        return None if found is None else found.name

    @property
    def _found_element(self) -> Element | None:
        watched, point = self._watched, self.point
        if watched is None or not isinstance(point, Watch):
            return None
        if not self._element:
            variable = None if point.type_name is None else (point.variable, watched[0])
            found = self._source.element(self.address, self.size, variable)
            self._element = (found,)
        return self._element[0]

    @property
    def access_address(self) -> int:
        """The first byte that the instruction accessed, watched or not."""
        return self._touched[0]

    @property
    def access_size(self) -> int:
        """How many bytes the instruction accessed there."""
        return self._touched[1]

    @property
    def syndrome(self) -> int:
        """ESR_EL2 as the provider reported it (``hsr``).

        0 for an access to a device or by one, and in an exclusive sequence that began at a
        breakpoint or with a step: these make no watchpoint exit.
        """
        return 0 if self._exit is None else self._exit.hsr

    @property
    def far(self) -> int | None:
        """FAR_EL2 of a watchpoint, which may lie below the watched bytes; else None.

        None also where ``syndrome`` is 0.
        """
        return None if self._exit is None else self._exit.far

    @property
    def guest(self) -> Guest:
        """The guest that was stopped."""
        guest: Guest = self._source.guest
        return guest

    @property
    def vcpu(self) -> Cpu:
        """The vCPU that made the access; its registers are as after it."""
        cpu: Cpu = self._source.cpu
        return cpu

    @property
    def provider(self) -> Vcpu:
        """The KVM vCPU (``guestdbg.kvm.Vcpu``) that made the access."""
        return self._source.vcpu

    @property
    def access(self) -> AccessName:
        """``"read"``, ``"write"``, ``"readwrite"`` (an atomic), or ``"execute"``."""
        return _NAMES[self._touched[2]]

    @property
    def old(self) -> Any:
        """The watched value before the access: an int for 1, 2, 4 and 8 bytes, else bytes.

        Of a variable of floating-point type it is a float. Of a bit-field it is the field's own
        value, negative where that is; an access to its bytes that leaves the field as it is has
        equal ``old`` and ``new``.

        A watch of 1, 2, 4 or 8 bytes always reports all of them, also when fewer were accessed;
        a longer watch reports the accessed bytes. None for a breakpoint.
        """
        return self._value(self.old_bytes)

    @property
    def new(self) -> Any:
        """The watched value after the access; None if nothing was written, see ``new_reason``."""
        return self._value(self.new_bytes)

    @property
    def changed(self) -> bool:
        """Whether the watched value has other bits after the access; False if nothing was written.

        That a NaN is not equal to itself, and that 0.0 is equal to -0.0, does not matter here.
        """
        old, new = self.old_bytes, self.new_bytes
        if old is None or new is None or old == new:
            return False
        point = self.point
        return not isinstance(point, Watch) or point.bit_field is None or self.old != self.new

    @property
    def shown_name(self) -> str:
        """What was accessed, for a message: the point's name, and the element of it."""
        point, element = self.point, self.element
        if element is None or not isinstance(point, Watch) or element == point.variable:
            return point.name
        return element if point.name == point.variable else f"{point.name} ({element})"

    @property
    def element_old(self) -> Any:
        """``old`` of ``element`` alone: of the accessed bytes of a larger watched value."""
        return self._element_value(self.old_bytes)

    @property
    def element_new(self) -> Any:
        """``new`` of ``element`` alone; None if nothing was written."""
        return self._element_value(self.new_bytes)

    @property
    def float_texts(self) -> tuple[str | None, str | None] | None:
        """Both values of the element as text that loses nothing; None if it is not a float."""
        shown = []
        for data in (self.old_bytes, self.new_bytes):
            part = None if data is None else self._element_bytes(data)
            found = None if part is None else self._element_format(part)
            if part is not None and found is None:
                return None
            shown.append(None if found is None or part is None else found.text(_unsigned(part)))
        return None if shown == [None, None] else (shown[0], shown[1])

    def _element_value(self, data: bytes | None) -> Any:
        if data is None:
            return None
        part = self._element_bytes(data)
        if part is None:
            return self._value(data)
        found = self._element_format(part)
        return _value(part) if found is None else found.value(_unsigned(part))

    def _element_bytes(self, data: bytes) -> bytes | None:
        """The bytes of the element among those of the watched value; None for a bit-field."""
        point, watched = self.point, self._watched
        if watched is None or not isinstance(point, Watch) or point.bit_field is not None:
            return None
        if point.float_format is not None or self.element in (None, point.variable):
            return data
        first = self.address - watched[0] if len(data) == watched[1] - watched[0] else 0
        return data[first : first + self.size]

    def _element_format(self, part: bytes) -> FloatFormat | None:
        """The format of the element, if these are all of its bytes."""
        point, element = self.point, self._found_element
        found = point.float_format if isinstance(point, Watch) else None
        if found is None and element is not None and self.element != getattr(point, "variable", ""):
            found = element.float_format
        return found if found is not None and found.size == len(part) else None

    def _value(self, data: bytes | None) -> Value | None:
        point = self.point
        if data is None or not isinstance(point, Watch):
            return None if data is None else _value(data)
        if point.bit_field is not None:
            return point.bit_field.value(_unsigned(data))
        if point.float_format is not None:
            return point.float_format.value(_unsigned(data))
        return _value(data)

    @property
    def location(self) -> Location:
        """Where ``pc`` is: function, offset, file and line, those that are known.

        The function is the innermost one, which may be inlined. At a breakpoint that was set at a
        function by its name, it is that function, although one inlined into it may begin there too.
        """
        if self._location is None:
            found = self._source.locate(self.pc)
            point = self.point
            self._location = point.location_at(found) if isinstance(point, Breakpoint) else found
        return self._location

    @property
    def task(self) -> TaskName | None:
        """The task of a Linux guest that it happened in, and what for: a process, an interrupt.

        None for other guests, and where it cannot be found out, as before the kernel has started.
        It is read when it is asked for: raises StaleHit when the guest has run since, unless it was
        asked for before.
        """
        if not self._task:
            self._fresh("its task")
            self._task = (self._source.task(),)
        return self._task[0]

    def backtrace(self, limit: int = DEFAULT_LIMIT) -> Backtrace:
        """The frames from here outwards, by call frame information or frame records.

        Frame 0 is the instruction of the hit; a function that was inlined has a frame of its own.
        At most ``limit`` frames are found; ``cut`` of the result says why if that is not all.
        Raises StaleHit when the guest has run since, unless a backtrace of at least so many frames
        was asked for before.
        """
        known = self._backtrace
        if known is None or (len(known) < check_limit(limit) and known.cut is not None):
            if known is not None and self._stale:
                return known
            self._fresh("its backtrace")
            known = self._backtrace = self._source.backtrace(self.pc, limit, self.location)
        return known.limited(limit)

    def __getitem__(self, expression: str) -> Any:
        """A variable as the code of the hit sees it, as a drgn object: ``hit["job->kind"]``.

        Parameters and local variables of the function come first, then the guest's variables. After
        a watched access, a local variable has its value after it.

        Raises NotInScope for a local variable of another function, OptimizedOut, UnknownSymbol,
        InvalidLocation, AddressError, NoDebugInfo, MissingDependency, and StaleHit when the guest
        has run since.
        """
        self._fresh(f"{expression!r}")
        return self._source.variable(expression, self.location)

    @property
    def _stale(self) -> bool:
        """Whether the guest has run since."""
        return self._resume_count != self._source.resume_count

    def _fresh(self, what: str) -> None:
        if self._stale:
            raise StaleHit(
                f"the guest has run since this hit, and {what} is no longer there: ask for it in "
                "the handler, or before the next run"
            )

    def __str__(self) -> str:
        where = f"vCPU {self.vcpu.id}: "
        if not isinstance(self.point, Watch):
            return f"{where}{self.point.name} reached at {self.location}"
        size = f"{self.size} {'byte' if self.size == 1 else 'bytes'} at {self.address:#x}"
        text = f"{where}{self.access} of {self.shown_name} ({size}) by {self.location}"
        if self.device is not None:
            text = (
                f"{self.device} wrote {self.shown_name} ({size}) "
                f"while vCPU {self.vcpu.id} was at {self.location}"
            )
        if self.old_bytes is not None:
            old, new = self.float_texts or (_show(self.element_old), _show(self.element_new))
            text += f": {old}"
            if self.new_bytes is not None:
                text += f" -> {new}"
            elif self._touched[2] & 2 and self.new_reason:
                text += f", {self.new_reason}"
        return text

    def __repr__(self) -> str:
        return f"<Hit {self}>"

    def _repr_html_(self) -> str:
        """How notebooks show it, with the backtrace and the registers while they are there."""
        note = None
        parts = []
        try:
            frames = self.backtrace()
            parts.append(frames._repr_html_())
            self._fresh("the state of its vCPU")
            parts.append(details("Registers", _registers(self.vcpu)))
        except GuestdbgError as error:
            # The guest has run since, or is closed: the hit itself stays.
            note = str(error)
        return fields_html(f"Hit of {self.point.name}", self._fields(), note=note) + "".join(parts)

    def _fields(self) -> Iterator[tuple[str, object]]:
        """What a hit is, by name, as text; None for what it does not have."""
        location, watched = self.location, isinstance(self.point, Watch)
        yield "access", self.access
        if watched:
            yield "of", self.shown_name
            yield "address", f"{self.address:#x}, {self.size} bytes"
            old, new = self.float_texts or (_show(self.element_old), _show(self.element_new))
            yield "old", old
            yield "new", self.new_reason if self.new_bytes is None else new
        yield "device", self.device
        yield "where", location.symbolic
        yield "source", location.source
        yield "pc", f"{self.pc:#x}"
        yield "vCPU", self.vcpu.id
        task = None
        with contextlib.suppress(GuestdbgError):
            task = self.task
        yield "task", None if task is None else f"{task.comm} ({task.pid}), {task.context}"
        yield "count", self.count or None
        yield "time", self.time


def _registers(cpu: Cpu) -> str:
    """The registers as a table of HTML."""
    named = [*((f"x{n}", value) for n, value in enumerate(cpu.x)), ("sp", cpu.sp)]
    named += [("pc", cpu.pc), ("pstate", cpu.pstate)]
    rows = [
        [text for name, value in named[n::_REGISTER_ROWS] for text in (name, f"{value:#x}")]
        for n in range(_REGISTER_ROWS)
    ]
    return table_html("", [""] * 2 * -(-len(named) // _REGISTER_ROWS), rows)


def _show(value: Value | None) -> str:
    if isinstance(value, bytes):
        return value.hex(" ", 8)
    return f"{value:#x}" if value is not None and value > 9 else str(value)
