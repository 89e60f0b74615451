"""A backtrace: frames, why there are no more, and how to show a recursion once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.debugger.errors import InvalidLocation
from guestdbg.debugger.validation import integer
from guestdbg.hexadecimal_repr import hexadecimal
from guestdbg.html_table import table_html

if TYPE_CHECKING:
    from guestdbg.debugger.program.source_location import Location

__all__ = ["DEFAULT_LIMIT", "Backtrace", "Frame", "Run", "check_limit"]

#: So many frames are found if no limit is given.
DEFAULT_LIMIT = 64
#: Recursion through more functions than this is shown frame by frame.
_MAX_PERIOD = 8
#: Fewer repetitions than this are shown frame by frame.
_MIN_TIMES = 3


@hexadecimal("pc", "sp")
@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a backtrace, the innermost being number 0.

    ``pc`` is where the frame continues: for callers the return address, while ``location`` is that
    of the call. ``sp`` is its stack pointer, None if only frame records were followed. ``inlined``:
    the function was inlined into that of the next frame, with which it shares ``pc`` and ``sp``.
    """

    number: int
    pc: int
    sp: int | None
    location: Location
    inlined: bool = False

    def __str__(self) -> str:
        return f"#{self.number} {self.pc:#x} in {self.location}"


class Run(NamedTuple):
    """Frames that are the same ``times`` times in a row, as in a recursion; the first of them."""

    frames: Sequence[Frame]
    times: int


class Backtrace(list[Frame]):
    """The frames of a stack, the innermost first.

    Attributes:
        cut: why it is not complete, in words: the limit is reached and more frames follow, or the
            caller of the last frame cannot be found. None if the last frame is the outermost.
    """

    def __init__(self, frames: Iterable[Frame] = (), cut: str | None = None) -> None:
        super().__init__(frames)
        self.cut = cut

    def limited(self, limit: int) -> Backtrace:
        """The innermost ``limit`` frames."""
        if len(self) <= limit:
            return self
        return Backtrace(self[:limit], more_frames(limit))

    def runs(self) -> Iterator[Run]:
        """The frames, those of a recursion once with their number."""
        keys = [(f.pc, f.inlined, f.location.function, f.location.line) for f in self]
        at = 0
        while at < len(self):
            period, times = 1, 1
            for length in range(1, _MAX_PERIOD + 1):
                count = _repetitions(keys, at, length)
                if count >= _MIN_TIMES:
                    period, times = length, count
                    break
            yield Run(self[at : at + period], times)
            at += period * times

    def _repr_html_(self) -> str:
        """How notebooks show it: a row for each frame, those of a recursion once."""
        rows: list[tuple[object, ...]] = []
        for frames, times in self.runs():
            rows += [
                (
                    f"#{frame.number}",
                    f"{frame.pc:#x}",
                    frame.location.symbolic,
                    frame.location.source,
                    "inlined" if frame.inlined else "",
                )
                for frame in frames
            ]
            if times > 1:
                rows.append(("", "", repeated(len(frames), times), "", ""))
        return table_html("Backtrace", ("", "pc", "function", "source", ""), rows, note=self.cut)

    def __str__(self) -> str:
        lines = []
        for frames, times in self.runs():
            lines += [str(frame) for frame in frames]
            if times > 1:
                lines.append(repeated(len(frames), times))
        if self.cut is not None:
            lines.append(f"({self.cut})")
        return "\n".join(lines)


def repeated(length: int, times: int) -> str:
    """The line below frames that are repeated."""
    what = "the last frame" if length == 1 else f"the last {length} frames"
    return f"({what} repeated {times - 1:,} more times)"


def more_frames(limit: int) -> str:
    """Why a backtrace ends at its limit."""
    frames = "frame is" if limit == 1 else f"{limit:,} frames are"
    return f"more frames follow: only the innermost {frames} shown"


def check_limit(limit: int) -> int:
    """A number of frames; raises InvalidLocation if it is not one."""
    if integer("limit", limit) < 1:
        raise InvalidLocation(f"limit is {limit}: a backtrace has at least 1 frame")
    return limit


def _repetitions(keys: Sequence[object], at: int, length: int) -> int:
    """How often the ``length`` frames from ``at`` on come in a row."""
    first = keys[at : at + length]
    count = 1
    while keys[at + count * length : at + (count + 1) * length] == first:
        count += 1
    return count if len(first) == length else 1
