"""Which calls are open: calls and returns matched, as far as a guest lets them be matched.

A return belongs to the call after whose instruction it goes on, with the stack pointer that the
call had (AAPCS64 6.4: a function restores it). What was called since has ended with it, too:
``longjmp``, tail calls and returns that were not seen leave nothing open once a caller returns.
A return to nowhere, into a function that is being executed, is a ``longjmp``: what that function
called has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

__all__ = ["MOST_FRAMES", "CallStack"]

#: Frames that are kept. Then all of them end: only a guest that never returns gets there.
MOST_FRAMES = 1 << 16
#: How far the call of a return without its stack pointer, and a function, are looked for.
_NEAR = 64


class _Frame(NamedTuple):
    back: int  # where it returns to; -1: an exception
    sp: int  # of an exception: the exception level that it came from
    function: str | None  # what is executed in it

    @property
    def key(self) -> tuple[int, int]:
        return self[:2]


class CallStack:
    """The open calls and exceptions of one thread of execution.

    Its methods return how many of the innermost frames have ended by what happened, before the
    one that it adds, if it adds one.
    """

    def __init__(self) -> None:
        self._frames: list[_Frame] = []
        # Where a call is among the frames. The calls since an exception are apart from those
        # before: a handler does not return from what it interrupted.
        self._places: list[dict[tuple[int, int], int]] = [{}]

    def __len__(self) -> int:
        return len(self._frames)

    def call(self, source: int, sp: int, function: str | None = None) -> int:
        """A call of a function by the instruction at ``source``.

        The same call with the same stack pointer cannot be open twice. If it is, it has been left
        without a return.
        """
        key = (source + 4, sp)
        place = self._places[-1].get(key)
        ended = self._room() if place is None else self._cut(place)
        self._places[-1][key] = len(self._frames)
        self._frames.append(_Frame(*key, function))
        return ended

    def returned(
        self, target: int, sp: int, function_of: Callable[[int], str | None] = lambda address: None
    ) -> int:
        """A return to ``target``; none has ended if its call was not seen.

        Args:
            function_of: names the function at an address; asked only where nothing else decides.
        """
        place = self._places[-1].get((target, sp))
        if place is None:
            place = self._near(target)
        if place is None:
            place = self._executing(function_of(target), sp)
        return 0 if place is None else self._cut(place)

    def exception(self, el: int) -> int:
        """An exception was taken from level ``el``."""
        ended = self._room()
        self._frames.append(_Frame(-1, el, None))
        self._places.append({})
        return ended

    def exception_return(self, el: int) -> int:
        """An exception return to level ``el``.

        It ends the last exception that came from there, and those from above, which were not
        returned from. A return to where no open exception came from ends only the latter.
        """
        length = len(self._frames)
        for place in range(length - 1, -1, -1):
            back, came_from, _ = self._frames[place]
            if back == -1:
                if came_from < el:
                    break
                length = place
                if came_from == el:
                    break
        return self._cut(length)

    def clear(self) -> int:
        """Everything has ended."""
        return self._cut(0)

    def _room(self) -> int:
        return self._cut(0) if len(self._frames) >= MOST_FRAMES else 0

    def _near(self, target: int) -> int | None:
        """A function that does not restore SP, as the first ones of a kernel do not."""
        for place in self._last_places():
            if self._frames[place].back == target:
                return place
        return None

    def _executing(self, function: str | None, sp: int) -> int | None:
        """Behind the frame in which a function is executed that has this SP."""
        if function is not None:
            for place in self._last_places():
                frame = self._frames[place]
                # It has stored its return address, so its SP is less than that of its call.
                if frame.function == function and frame.sp > sp:
                    return place + 1
        return None

    def _last_places(self) -> Iterator[int]:
        """Those of the last calls, from the innermost, up to an exception."""
        for place in range(len(self._frames) - 1, max(-1, len(self._frames) - 1 - _NEAR), -1):
            if self._frames[place].back == -1:
                return
            yield place

    def _cut(self, length: int) -> int:
        """End the frames from this place on."""
        ended = len(self._frames) - length
        for _ in range(ended):
            frame = self._frames.pop()
            if frame.back == -1:
                self._places.pop()
            else:
                del self._places[-1][frame.key]
        return ended
