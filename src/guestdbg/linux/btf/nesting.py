"""Types that contain or name themselves, which no compiler writes, are refused.

drgn follows members by value, and the parts of a type without a name, without looking for circles:
it would not come to an end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from guestdbg.linux.btf.records import Array, Composite, Kind, Prototype, Reference
from guestdbg.linux.errors import BadBtf

if TYPE_CHECKING:
    from guestdbg.linux.btf.table import Btf

__all__ = ["Nesting"]

#: Levels of structures in structures, or of pointers, arrays and functions without names: the
#: kernel has about twelve.
_MAX_DEPTH = 64
_TRANSPARENT = frozenset({Kind.CONST, Kind.VOLATILE, Kind.RESTRICT, Kind.TYPE_TAG, Kind.TYPEDEF})


class Nesting:
    """Which types of ``btf`` were found to be finite."""

    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        self._contained: dict[int, int] = {}
        self._unnamed: dict[int, int] = {}
        self._referred: dict[int, int] = {}

    def check(self, number: int) -> None:
        """Raises BadBtf for a type that contains itself, or nests too deeply."""
        if number not in self._contained:
            self._levels(number, self._values_in, self._contained, 0)
        if number not in self._unnamed:
            self._levels(number, self._parts_of, self._unnamed, 0)
        if number not in self._referred:
            self._levels(number, self._refers_to, self._referred, 0)

    def _levels(
        self, number: int, inner: Callable[[int], Iterator[int]], known: dict[int, int], depth: int
    ) -> int:
        """How many levels there are in a type. ``depth`` counts those around it."""
        found = known.get(number)
        if depth + (found or 0) > _MAX_DEPTH:
            raise BadBtf(
                f"type {number} of BTF is a part of itself, or has more than {_MAX_DEPTH} levels"
            )
        if found is None:
            levels = (self._levels(each, inner, known, depth + 1) for each in inner(number))
            found = known[number] = 1 + max(levels, default=0)
        return found

    def _values_in(self, number: int) -> Iterator[int]:
        """The types that a value of this type is made of."""
        record = self._btf[number]
        if isinstance(record, Composite):
            yield from {member.target for member in record.members}
        elif isinstance(record, Array) or (
            isinstance(record, Reference) and record.kind in _TRANSPARENT
        ):
            yield record.target

    def _parts_of(self, number: int) -> Iterator[int]:
        """The types that occur in the text of this type, as C writes it."""
        record = self._btf[number]
        if isinstance(record, Composite):
            if not record.name:
                yield from {member.target for member in record.members}
        elif isinstance(record, Prototype):
            yield record.result
            yield from {parameter.target for parameter in record.parameters}
        elif isinstance(record, Array) or (
            isinstance(record, Reference) and record.kind is not Kind.TYPEDEF
        ):
            yield record.target

    def _refers_to(self, number: int) -> Iterator[int]:
        """The types that must be there before this type is: not those of members."""
        record = self._btf[number]
        if isinstance(record, Array | Reference):
            yield record.target
        elif isinstance(record, Prototype):
            yield record.result
