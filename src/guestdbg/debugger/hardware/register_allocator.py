"""Which debug register does what: from watches and breakpoints to the values of all registers.

Several watches of the same bytes share registers, adjoining ranges are joined, and a range that
one register cannot hold is split. Breakpoints take the lowest registers, so that the
highest-numbered ones, which alone can match a context, are left for those who need that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from guestdbg.arm64 import debug as arm64_debug
from guestdbg.arm64.debug import AccessKind, Privilege
from guestdbg.debugger.errors import BadRange, OutOfRegisters

__all__ = ["Allocation", "BreakRequest", "Hardware", "WatchRequest", "allocate", "covering"]

_READ, _WRITE = 1, 2
ACCESS_BITS: dict[str, int] = {"read": _READ, "write": _WRITE, "any": _READ | _WRITE}
_ACCESS_NAMES: dict[int, AccessKind] = {1: "read", 2: "write", 3: "any"}


@dataclass(frozen=True, slots=True)
class Hardware:
    """How many registers there are; the last ``contexts`` of the breakpoints match contexts."""

    breakpoints: int
    watchpoints: int
    contexts: int = 2


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """Bytes from ``address``, ``length`` of them, to be watched for the sake of ``name``."""

    name: str
    address: int
    length: int
    access: AccessKind
    el: Privilege = "any"
    context: int | None = None


@dataclass(frozen=True, slots=True)
class BreakRequest:
    """An instruction to stop before, for the sake of ``name``."""

    name: str
    address: int
    el: Privilege = "any"
    context: int | None = None


@dataclass(frozen=True, slots=True)
class Allocation:
    """The registers' values; ``wide`` holds the ranges that are watched beyond what was asked."""

    dbg_bcr: tuple[int, ...] = ()
    dbg_bvr: tuple[int, ...] = ()
    dbg_wcr: tuple[int, ...] = ()
    dbg_wvr: tuple[int, ...] = ()
    wide: tuple[tuple[int, int], ...] = ()

    @property
    def used(self) -> tuple[int, int]:
        """(breakpoint registers, watchpoint registers) that are enabled."""
        return sum(c & 1 for c in self.dbg_bcr), sum(c & 1 for c in self.dbg_wcr)


@dataclass(slots=True)
class _Piece:
    """A run of bytes that is watched for the same accesses under the same conditions."""

    start: int
    end: int
    bits: int
    el: Privilege
    context: int | None
    names: list[str] = field(default_factory=list)

    def does_for(self, other: _Piece) -> bool:
        """Whether all that ``other`` watches is watched by this piece too."""
        return (
            (self.el, self.context) == (other.el, other.context)
            and self.start <= other.start
            and other.end <= self.end
            and other.bits & ~self.bits == 0
        )

    @property
    def registers(self) -> int:
        length = self.end - self.start
        wide = length // arm64_debug.MAX_MASK_BYTES
        return wide if wide > 64 else len(arm64_debug.split(self.start, length))


def _pieces(requests: Iterable[WatchRequest]) -> list[_Piece]:
    """Cut the requests where they overlap, and join what adjoins and wants the same."""
    groups: dict[tuple[Privilege, int | None], list[WatchRequest]] = {}
    for request in requests:
        groups.setdefault((request.el, request.context), []).append(request)
    pieces: list[_Piece] = []
    for (el, context), members in groups.items():
        edges = sorted({e for r in members for e in (r.address, r.address + r.length)})
        last: _Piece | None = None
        for start, end in pairwise(edges):
            bits, names = 0, []
            for r in members:
                if r.address < end and start < r.address + r.length:
                    bits |= ACCESS_BITS[r.access]
                    names.append(r.name)
            if not bits:
                last = None
                continue
            if last is not None and last.bits == bits and last.end == start:
                last.end = end
                last.names += [n for n in names if n not in last.names]
            else:
                last = _Piece(start, end, bits, el, context, names)
                pieces.append(last)
    return pieces


def covering(start: int, end: int) -> tuple[int, int]:
    """The smallest (address, length) that one register can watch and that holds the range.

    Up to MAX_MASK_BYTES: a longer one is told all the same, and no register watches it.
    """
    if start & ~7 == (end - 1) & ~7:
        return start, end - start
    size = 16
    while start & -size != (end - 1) & -size:
        size *= 2
    return start & -size, size


def _widen(pieces: list[_Piece], available: int, limit: int) -> list[_Piece]:
    """Make one register do for more than it was asked, by the fewest extra bytes, until all fit."""
    merged = list(pieces)
    while sum(p.registers for p in merged) > available:
        best: tuple[int, int, int, _Piece] | None = None
        for i, a in enumerate(merged):
            for j in range(i, len(merged)):
                b = merged[j]
                if (a.el, a.context) != (b.el, b.context) or (i == j and a.registers == 1):
                    continue
                start, length = covering(min(a.start, b.start), max(a.end, b.end))
                saved = a.registers + (b.registers if i != j else 0) - 1
                if saved <= 0 or length > min(limit, arm64_debug.MAX_MASK_BYTES):
                    continue
                extra = length - (a.end - a.start) - (b.end - b.start if i != j else 0)
                if best is None or extra < best[0]:
                    names = a.names + [n for n in b.names if n not in a.names]
                    piece = _Piece(start, start + length, a.bits | b.bits, a.el, a.context, names)
                    best = (extra, i, j, piece)
        if best is None:
            return pieces
        _extra, i, j, piece = best
        merged = [p for n, p in enumerate(merged) if n not in (i, j) and not piece.does_for(p)]
        merged.append(piece)
    return merged


def allocate(
    hardware: Hardware,
    watches: Sequence[WatchRequest],
    breaks: Sequence[BreakRequest],
    *,
    overwatch: int = 0,
) -> Allocation:
    """The values of all registers for these watches and breakpoints.

    ``overwatch`` permits one register to watch up to that many bytes for the sake of several
    watches among them; the accesses to the bytes between stop the guest for nothing. Raises
    OutOfRegisters, which says what takes how many; BadRange for what no register can hold.
    """
    pieces = _pieces(watches)
    if overwatch and sum(p.registers for p in pieces) > hardware.watchpoints:
        pieces = _widen(pieces, hardware.watchpoints, overwatch)
    needed = sum(p.registers for p in pieces)
    if needed > hardware.watchpoints:
        raise OutOfRegisters(_watch_shortage(needed, hardware.watchpoints, _pieces(watches)))
    bcr, bvr, links = _breakpoints(hardware, breaks, pieces)
    wcr: list[int] = []
    wvr: list[int] = []
    for piece in sorted(pieces, key=lambda p: p.start):
        try:
            pairs = arm64_debug.watchpoint(
                piece.start,
                piece.end - piece.start,
                _ACCESS_NAMES[piece.bits],
                el=piece.el,
                linked_to=None if piece.context is None else links[piece.context],
            )
        except ValueError as error:
            raise BadRange(str(error)) from error
        for control, value in pairs:
            wcr.append(control)
            wvr.append(value)
    return Allocation(tuple(bcr), tuple(bvr), tuple(wcr), tuple(wvr), _surplus(pieces, watches))


def _surplus(
    pieces: Iterable[_Piece], watches: Iterable[WatchRequest]
) -> tuple[tuple[int, int], ...]:
    asked = [(p.start, p.end - p.start) for p in _pieces(watches)]
    return tuple(
        (p.start, p.end - p.start)
        for p in pieces
        if not any(a <= p.start and p.end <= a + n for a, n in asked)
    )


def _breakpoints(
    hardware: Hardware, breaks: Sequence[BreakRequest], pieces: Sequence[_Piece]
) -> tuple[list[int], list[int], dict[int, int]]:
    wanted: dict[tuple[int, Privilege, int | None], list[str]] = {}
    for request in breaks:
        names = wanted.setdefault((request.address, request.el, request.context), [])
        if request.name not in names:
            names.append(request.name)
    contexts: dict[int, None] = {}
    for _address, _el, context in wanted:
        if context is not None:
            contexts[context] = None
    for piece in pieces:
        if piece.context is not None:
            contexts[piece.context] = None
    total = hardware.breakpoints
    if len(contexts) > hardware.contexts:
        raise OutOfRegisters(
            f"{len(contexts)} contexts are asked for ("
            + ", ".join(f"{c:#x}" for c in contexts)
            + f"), and only {hardware.contexts} of the {total} breakpoint registers can match one"
        )
    if len(wanted) + len(contexts) > total:
        raise OutOfRegisters(_break_shortage(total, wanted, list(contexts)))
    bcr, bvr = [0] * total, [0] * total
    links: dict[int, int] = {}
    for number, context in zip(range(total - 1, -1, -1), contexts, strict=False):
        bcr[number], bvr[number] = arm64_debug.context_breakpoint(context, linked=True)
        links[context] = number
    for number, (address, el, linked) in enumerate(wanted):
        try:
            bcr[number], bvr[number] = arm64_debug.breakpoint(
                address, el=el, linked_to=None if linked is None else links[linked]
            )
        except ValueError as error:
            raise BadRange(str(error)) from error
    return bcr, bvr, links


def _plural(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _watch_shortage(needed: int, available: int, pieces: Sequence[_Piece]) -> str:
    lines = [
        f"{_plural(needed, 'watchpoint register')} would be needed, and this guest has {available}:"
    ]
    for piece in pieces:
        length = piece.end - piece.start
        count = piece.registers
        why = ""
        if count > 1:
            why = ": " + _why_split(piece.start, length)
        lines.append(
            f"  {', '.join(piece.names)}: {_plural(length, 'byte')} at {piece.start:#x}, "
            f"{_plural(count, 'register')}{why}"
        )
    if any(p.registers > 1 for p in pieces):
        lines.append(
            "one register watches up to 8 bytes within a doubleword, or an aligned power of two "
            "from 16 bytes to 2 GiB"
        )
    enough = _enough(list(pieces), available)
    lines.append(
        "watch less"
        + (
            f", or let one register watch more than was asked (overwatch={enough} bytes would do), "
            "at the price of stops that concern nobody"
            if enough
            else ""
        )
    )
    return "\n".join(lines)


def _enough(pieces: list[_Piece], available: int) -> int | None:
    """The least power of two that ``overwatch`` would have to be; None where none would do."""
    for bits in range(3, 17):
        widened = _widen(pieces, available, 1 << bits)
        if sum(p.registers for p in widened) <= available:
            return 1 << bits
    return None


def _why_split(start: int, length: int) -> str:
    if length // arm64_debug.MAX_MASK_BYTES > 64:
        return f"2 GiB each at most, and the range has {length / 2**30:.0f} GiB"
    parts = arm64_debug.split(start, length)
    shown = ", ".join(f"{a:#x}+{n}" for a, n in parts[:6])
    return shown + (", …" if len(parts) > 6 else "")


def _break_shortage(
    total: int,
    wanted: dict[tuple[int, Privilege, int | None], list[str]],
    contexts: list[int],
) -> str:
    needed = len(wanted) + len(contexts)
    lines = [
        f"{_plural(needed, 'breakpoint register')} would be needed, and this guest has {total}:"
    ]
    lines += [f"  {', '.join(names)}: {a:#x}" for (a, _el, _c), names in wanted.items()]
    lines += [f"  context {c:#x}, which breakpoints or watches are bound to" for c in contexts]
    lines.append("delete or disable some, or ask for software ones (kind='software')")
    return "\n".join(lines)
