"""A watch through pointers that moves when they change.

Each pointer on the way is watched too. After a write to one, all are read again, and the watches
are put where they lead. A pointer that is NULL, or that cannot be read, leaves the watches after
it without a place, and so without a debug register.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from guestdbg.arm64.debug import canonical
from guestdbg.debugger.breakpoints.point import Watch
from guestdbg.debugger.errors import AddressError, BadRange, OutOfRegisters

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.point import Point
    from guestdbg.debugger.program.pointer_path import PointerPath

__all__ = ["POINTER_BYTES", "FollowedWatch", "Read"]

log = logging.getLogger(__name__)

POINTER_BYTES = 8
_APART = 0x1000
_MASK = (1 << 64) - 1

Read = Callable[[int, int], bytes]


class FollowedWatch(Watch):
    """A watch of what pointers lead to; ``guest.watch(..., follow=True)``.

    Attributes:
        path: the pointers.
        pointers: their watches, which are not among the guest's points.
        moves: how often it was put somewhere else since it was made.
        nowhere: why it has no place now; None if it has one.
    """

    fixed = False

    __slots__ = ("_read", "moves", "nowhere", "path", "pointers")

    def __init__(
        self,
        number: int,
        name: str,
        changed: Callable[[Point, str], None],
        *,
        path: PointerPath,
        read: Read,
        **watch: Any,
    ) -> None:
        super().__init__(
            number,
            name,
            changed,
            address=0,
            length=path.length,
            type_name=path.type_name,
            bit_field=path.bit_field,
            float_format=path.float_format,
            **watch,
        )
        self.placed = False
        self.path = path
        self.pointers: tuple[Watch, ...] = ()
        self.moves = 0
        self.nowhere: str | None = None
        self._read = read

    def watch_pointers(self, pointers: tuple[Watch, ...]) -> None:
        """Take the watches of the pointers, in their order, and put all in their places.

        Raises OutOfRegisters and BadRange where they cannot be armed.
        """
        self.pointers = pointers
        try:
            # There must be registers for all of them, also if some are nowhere yet.
            for n, watch in enumerate((*pointers, self)):
                watch.put((self.path.start & -_APART) + n * _APART, placed=True)
        except OutOfRegisters as error:
            raise OutOfRegisters(
                f"{self.name} takes {len(pointers) + 1} watchpoint registers, one for it and one "
                f"for each pointer on its way: {str(error).splitlines()[0]}"
            ) from None
        self._update()
        self.moves = 0

    def follow(self) -> None:
        """Read the pointers, and put the watches where they lead."""
        if not self.enabled:
            return
        try:
            self._update()
        except (OutOfRegisters, BadRange) as error:
            self._put(self, None)
            why = str(error).splitlines()[0]
            if self.nowhere != why:
                log.warning("%s cannot be followed to where it is now: %s", self.name, error)
            self.nowhere = why

    def _update(self) -> None:
        places, nowhere = self._places()
        watches = (*self.pointers, self)
        # Those that lose their place give registers to those that get one.
        for watch, place in zip(watches, places, strict=True):
            if place is None:
                self._put(watch, None)
        for watch, place in zip(watches, places, strict=True):
            if place is not None:
                self._put(watch, place)
        self.nowhere = nowhere

    def _places(self) -> tuple[list[int | None], str | None]:
        """Where the pointers and the variable are now, and why the last of them are nowhere."""
        places: list[int | None] = [self.path.start]
        nowhere: str | None = None
        for name, place, offset in self._chain(places):
            try:
                value = int.from_bytes(self._read(place, POINTER_BYTES), "little")
            except AddressError as error:
                value, nowhere = 0, f"{name} cannot be read: {error}"
            if value:
                places.append(canonical(value + offset & _MASK))
            else:
                nowhere = nowhere or f"{name} is NULL"
                break
        places += [None] * (len(self.pointers) + 1 - len(places))
        return places, nowhere

    def _chain(self, places: list[int | None]) -> Iterator[tuple[str, int, int]]:
        for name, offset in zip(self.path.names, self.path.offsets, strict=True):
            place = places[-1]
            assert place is not None
            yield name, place, offset

    def _put(self, watch: Watch, place: int | None) -> None:
        before = watch.address, watch.placed
        if place is None:
            if watch.placed:
                watch.put(watch.address, placed=False)
        elif before != (place, True):
            try:
                watch.put(place, placed=True)
            except BaseException:
                watch.put(before[0], placed=False)
                raise
            if watch is self:
                self.moves += 1

    def _set_enabled(self, value: bool) -> None:
        super()._set_enabled(value)
        try:
            for pointer in self.pointers:
                pointer._set_enabled(value)
        except BaseException:
            for pointer in self.pointers:
                pointer._set_enabled(False)
            super()._set_enabled(False)
            raise
        if value:
            self.follow()

    def delete(self) -> None:
        """Disarm it, and the watches of its pointers, for good."""
        super().delete()
        for pointer in self.pointers:
            pointer.delete()

    def __repr__(self) -> str:
        if self.nowhere is None:
            return super().__repr__()
        return (
            f"<Watch {self.number} {self.name}: {self.access} of {self.length} bytes, nowhere "
            f"now: {self.nowhere}; {self.hits} hits>"
        )
