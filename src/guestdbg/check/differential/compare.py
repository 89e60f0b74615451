"""Where two traces of one program differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.arm64.exception_class import exception_class

if TYPE_CHECKING:
    from guestdbg.check.differential.trace import Moment, Trace

#: A field of a moment, or of the end: its name, and its value in each trace.
Field = tuple[str, object, object]


@dataclass(frozen=True, slots=True)
class Difference:
    """The first moment at which two traces differ, and how.

    Attributes:
        name: the program's name.
        moment: the number of the exit; if only the end differs, the number of exits.
        fields: what differs: ``exit``, ``refused``, registers by name, ``memory``, ``page ...``.
            If one trace ends before the other: only ``length``.
    """

    name: str
    moment: int
    fields: tuple[Field, ...]

    @property
    def names(self) -> frozenset[str]:
        """The names of the fields."""
        return frozenset(name for name, _, _ in self.fields)

    def field(self, name: str) -> tuple[object, object] | None:
        """The values of a field in both traces, or None if it does not differ."""
        return next(((a, b) for n, a, b in self.fields if n == name), None)

    @property
    def signature(self) -> str:
        """The sort of difference, without values: usually the same for the same cause."""
        exits = self.field("exit")
        if exits is not None:
            return f"exit {_kind(exits[0])} or {_kind(exits[1])}"
        names = sorted({"x" if n[:1] == "x" and n[1:].isdigit() else n for n in self.names})
        return ", ".join(names[:6])


def _kind(exit_: object) -> str:
    assert isinstance(exit_, tuple)
    if exit_[0] == "debug":
        return f"debug {exception_class(exit_[1]):#x}"
    return str(exit_[0])


def compare(a: Trace, b: Trace) -> Difference | None:
    """The first difference of two traces, or None.

    Traces that end in a kick are compared up to it, because its moment depends on timing.
    """
    for number in range(max(len(a.moments), len(b.moments))):
        if number >= len(a.moments) or number >= len(b.moments):
            lengths = (("length", len(a.moments), len(b.moments)),)
            return Difference(a.name, number, lengths)
        x, y = a.moments[number], b.moments[number]
        if x.exit == y.exit == ("kicked",):
            return None
        fields = _fields(x, y, a.registers(number), b.registers(number))
        if fields:
            return Difference(a.name, number, fields)
    final = [(name, v, b.final.get(name)) for name, v in a.final.items() if b.final.get(name) != v]
    pages = [
        (f"page {name}", v, b.pages.get(name)) for name, v in a.pages.items() if b.pages[name] != v
    ]
    if final or pages:
        return Difference(a.name, len(a.moments), (*final, *pages))
    return None


def _fields(x: Moment, y: Moment, rx: dict[str, int], ry: dict[str, int]) -> tuple[Field, ...]:
    fields: list[Field] = []
    if x.exit != y.exit:
        fields.append(("exit", x.exit, y.exit))
    if x.refused != y.refused:
        fields.append(("refused", x.refused, y.refused))
    fields += [(name, v, ry[name]) for name, v in rx.items() if name in ry and ry[name] != v]
    if x.memory != y.memory:
        fields.append(("memory", x.memory, y.memory))
    return tuple(fields)
